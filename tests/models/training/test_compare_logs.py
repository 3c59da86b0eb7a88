"""A run that follows a logged one is told from one that does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.training.compare_logs import LOSSES, compare, later

LOGGED = Path(__file__).parents[3] / "docs" / "benchmarks" / "reader_start_training.jsonl"


def _changed(target: Path, *, loss: str = "signs", factor: float = 1.0, lost: float = 0.0, steps: int = 4000) -> Path:
    """The logged run with one loss times `factor`, `lost` nDCG@5, cut after `steps`."""
    lines: list[str] = []
    for line in LOGGED.read_text("utf-8").splitlines():
        record = json.loads(line)
        if record.get("step", 0) > steps:
            break
        if record["event"] == "step":
            record[loss] *= factor
        elif record["event"] == "validation":
            record["ndcg5"] -= lost
        lines.append(json.dumps(record))
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return target


def test_a_run_follows_itself_as_far_as_both_go(tmp_path: Path) -> None:
    found = compare(_changed(tmp_path / "log.jsonl", steps=800), LOGGED)
    assert all(one.follows for one in found)
    assert {one.figure for one in found} == {*LOSSES, "ndcg5"}
    assert {one.step for one in found if one.figure == "signs"} == set(range(200, 801, 50))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_a_loss_that_is_off_is_named(tmp_path: Path, loss: str, factor: float) -> None:
    found = compare(_changed(tmp_path / "log.jsonl", loss=loss, factor=factor), LOGGED)
    assert {one.figure for one in found if not one.follows} == {loss}


def test_a_validation_that_is_worse_is_named(tmp_path: Path) -> None:
    found = compare(_changed(tmp_path / "log.jsonl", lost=0.05), LOGGED)
    logged = [json.loads(line) for line in LOGGED.read_text("utf-8").splitlines()]
    validated = [record["step"] for record in logged if record["event"] == "validation"]
    assert len(validated) > 3
    assert [one.step for one in found if not one.follows] == validated


def test_validations_are_compared_after_as_many_steps_and_no_others(tmp_path: Path) -> None:
    cut = _changed(tmp_path / "log.jsonl", steps=1000)
    with cut.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"event": "validation", "step": 1400, "seconds": 192.0, "ndcg5": 0.86}) + "\n")
    assert [one.step for one in compare(cut, LOGGED) if one.figure == "ndcg5"] == [750]


@pytest.mark.parametrize("wait", [0, 100, -100])
def test_how_much_later_a_loss_falls(tmp_path: Path, wait: int) -> None:
    lines = [json.loads(line) for line in LOGGED.read_text("utf-8").splitlines()]
    for record in lines:
        if record["event"] == "step":
            record["step"] += wait
    moved = tmp_path / "log.jsonl"
    moved.write_text("\n".join(json.dumps(record) for record in lines) + "\n", encoding="utf-8")
    waits = later(moved, LOGGED)["contrast"]
    assert len(waits) > 20
    assert waits == pytest.approx([wait] * len(waits))


def test_a_run_that_was_cut_too_early_says_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no step from 200 on"):
        compare(_changed(tmp_path / "log.jsonl", steps=150), LOGGED)


def test_the_run_that_was_made_twice_is_the_same_twice() -> None:
    again = LOGGED.with_name("reader_start_again.jsonl")
    found = compare(again, LOGGED)
    assert len(found) > 200
    assert all(one.run == one.logged for one in found)
