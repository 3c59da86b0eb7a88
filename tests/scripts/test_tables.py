"""A figure in a document is what the CSV file beside it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import bench_tables
from scripts.bench import record

STAMP = {"device": "A CPU, 2 cores", "versions": "python 3", "commit": "abc", "date": "2026-11-28"}


@pytest.mark.parametrize("path", bench_tables.documents(), ids=lambda path: path.name)
def test_every_document_says_what_the_csv_files_say(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert bench_tables.filled(text) == text, "run python scripts/bench_tables.py"


def test_every_table_has_its_place_in_a_document() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in bench_tables.documents())
    assert {name for name in bench_tables.TABLES if f"<!-- table: {name} -->" not in text} == set()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(record, "BENCHMARKS", tmp_path)
    return tmp_path


def test_a_place_is_filled_from_the_csv_and_again_when_it_changes(folder: Path) -> None:
    text = "before\n<!-- table: quality -->\n<!-- end of table -->\nafter\n"
    row = {
        "system": "local/1",
        "kind": "all",
        "queries": 2,
        "ndcg5": 0.81236,
        "recall1": 0.5,
        "recall5": 1,
        "mrr": 0.75,
    }
    record.write_csv(folder / "quality.csv", [{**row, **STAMP}])
    first = bench_tables.filled(text)
    assert "| local/1 | 2 | 0.812 | 0.500 | 1.000 | 0.750 |" in first
    assert "A CPU, 2 cores, python 3, commit abc, 2026-11-28. `docs/benchmarks/quality.csv`" in first
    assert first.startswith("before\n")
    assert first.endswith("after\n")

    record.write_csv(folder / "quality.csv", [{**row, "ndcg5": 0.9, **STAMP}])
    assert "0.900" in bench_tables.filled(first)
    assert "0.812" not in bench_tables.filled(first)


def test_kinds_stand_side_by_side(folder: Path) -> None:
    rows = [
        {"system": system, "kind": kind, "queries": 3, "ndcg5": value, **STAMP}
        for system, kind, value in [("a", "all", 0.5), ("a", "phrase", 0.6), ("b", "all", 0.1), ("b", "phrase", 0.2)]
    ]
    record.write_csv(folder / "quality.csv", rows)
    lines = bench_tables.table("quality-by-kind").splitlines()
    assert lines[:5] == ["| nDCG@5 | phrase |", "| --- | ---: |", "| a | 0.600 |", "| b | 0.200 |", "| queries | 3 |"]


def test_what_was_not_measured_is_not_made_up(folder: Path) -> None:
    assert bench_tables.table("search") == "Not measured yet.\n"


def test_rows_of_other_sizes_stay_with_their_own_stamp(folder: Path) -> None:
    path = folder / "search.csv"
    record.replace_rows(path, [{"pages": 10, "p50_ms": 1}, {"pages": 100, "p50_ms": 5}], key="pages")
    record.replace_rows(path, [{"pages": 10, "p50_ms": 2}], key="pages")
    assert {(row["pages"], row["p50_ms"]) for row in record.read_csv(path)} == {("100", "5"), ("10", "2")}
