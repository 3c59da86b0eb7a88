"""The list of the worst answers: which ones, what a person wrote about them stays, and no page without a licence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripts import bench_failures
from scripts.bench import record
from scripts.bench.pages import load, sample

RED, BLUE = (200, 0, 0), (0, 0, 200)


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "set"
    (folder / "pages").mkdir(parents=True)
    for page_id, colour in {"p1": RED, "p2": BLUE}.items():
        Image.new("RGB", (60, 80), colour).save(folder / "pages" / f"{page_id}.png")
    queries = [
        {"qid": f"q{number}", "query": f"words {number}", "kind": "phrase", "page_ids": ["p1"]} for number in (1, 2, 3)
    ]
    (folder / "queries.jsonl").write_text("".join(json.dumps(query) + "\n" for query in queries))
    (folder / "pages.tsv").write_text("page_id\tlicence\trepo\np1\tMIT\tsome/pages\np2\tresearch-only\tother/pages\n")
    monkeypatch.setattr(bench_failures, "TARGET", tmp_path / "failures.csv")
    monkeypatch.setattr(bench_failures, "PICTURE", tmp_path / "failures.webp")
    return folder


def run(dataset: Path, monkeypatch: pytest.MonkeyPatch, answers: list[dict[str, Any]]) -> list[dict[str, str]]:
    path = dataset.parent / "run.jsonl"
    lines = [{"summary": {"encoder": "local/1"}, "failed": {}}, *answers]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.setattr("sys.argv", ["bench_failures.py", str(dataset), "--run", str(path)])
    bench_failures.main()
    return record.read_csv(bench_failures.TARGET)


def answer(qid: str, page_ids: list[str], ndcg: float) -> dict[str, Any]:
    return {"qid": qid, "page_ids": page_ids, "ndcg@5": ndcg}


GOOD, SECOND, NEVER = answer("q1", ["p1"], 1.0), answer("q2", ["p2", "p1"], 0.63), answer("q3", ["p2"], 0.0)


def test_the_worst_come_first_with_what_was_found(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = run(dataset, monkeypatch, [GOOD, SECOND, NEVER])
    told = [(row["qid"], row["expected"], row["found"], row["rank"]) for row in rows]
    assert told == [("q3", "p1", "p2", "not found"), ("q2", "p1", "p2", "2"), ("q1", "p1", "p1", "1")]


def test_what_a_person_wrote_stays_while_the_answer_is_the_same(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = run(dataset, monkeypatch, [SECOND, NEVER])
    for row in rows:
        row["what_went_wrong"] = f"reason of {row['qid']}"
    record.write_csv(bench_failures.TARGET, rows)
    rows = run(dataset, monkeypatch, [SECOND, answer("q3", [], 0.0)])
    assert {row["qid"]: row["what_went_wrong"] for row in rows} == {"q2": "reason of q2", "q3": ""}


def test_only_pages_with_an_open_licence_are_drawn(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [row] = run(dataset, monkeypatch, [NEVER])
    assert row["drawn"] == "MIT some/pages"
    with Image.open(bench_failures.PICTURE) as picture:
        red, _, blue = (np.asarray(picture.convert("RGB"), np.int32)[..., channel] for channel in range(3))
    assert ((red > 150) & (blue < 60)).sum() > 1000, "p1 is MIT"
    assert not ((blue > 150) & (red < 60)).any(), "p2 is for research only"


def test_a_sample_keeps_only_queries_that_its_pages_answer(dataset: Path, tmp_path: Path) -> None:
    with (dataset / "queries.jsonl").open("a") as file:
        file.write(json.dumps({"qid": "q4", "query": "both", "kind": "phrase", "page_ids": ["p1", "p2"]}) + "\n")
    smaller = sample(load(dataset), every=2, folder=tmp_path / "sample")
    assert list(smaller.pictures) == ["p1"]
    assert [query.qid for query in smaller.queries] == ["q1", "q2", "q3"]
