"""A run counts steps, and the same run again gives the same bits."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from models.training import checkpoint
from models.training import train as training
from models.training.losses import StepSize
from models.training.settings import Stage, TrainSettings
from models.training.train import rate, train
from tests.models.training.tiny import TINY, known_folder

RUN = TrainSettings(
    name="small", steps=6, warm_up_steps=2, taught_steps=2, flat=0.5, validate_every=2, workers=0, network=TINY,
    stages=(
        Stage(352, 384, 2, 1, 0.5, StepSize(cells=512, chunks=64, words=16, queries=8)),
        Stage(320, 384, 2, 0, 0.5, StepSize(cells=512, chunks=64, words=16, queries=8)),
    ),
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("exact")


@pytest.fixture(autouse=True)
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step is reported."""
    monkeypatch.setattr(training, "REPORT_EVERY", 1)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return known_folder(tmp_path_factory.mktemp("real"))


def logged(out: Path, event: str) -> list[dict[str, Any]]:
    """Records of one kind, without what a clock says."""
    records = [json.loads(line) for line in (out / "log.jsonl").read_text("utf-8").splitlines()]
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records if record["event"] == event]


def run(out: Path, assets: Path, settings: TrainSettings = RUN, **given: Any) -> list[torch.Tensor]:
    """The weights at the end of a call."""
    reader = train(settings, assets=assets, out=out, report=lambda _: None, **given)
    return [parameter.detach() for parameter in reader.parameters()]


def test_a_run_gives_the_same_bits_again(tmp_path: Path, assets_folder: Path, real: Path) -> None:
    first, second = (run(tmp_path / name, assets_folder, real=real) for name in ("first", "second"))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    steps = logged(tmp_path / "first", "step")
    assert len(steps) == RUN.steps
    assert steps == logged(tmp_path / "second", "step")
    assert logged(tmp_path / "first", "validation") == logged(tmp_path / "second", "validation")


def test_another_seed_gives_another_run(tmp_path: Path, assets_folder: Path) -> None:
    few = dataclasses.replace(RUN, steps=1)
    run(tmp_path / "first", assets_folder, few)
    run(tmp_path / "second", assets_folder, dataclasses.replace(few, seed=1))
    assert logged(tmp_path / "first", "step") != logged(tmp_path / "second", "step")


def test_rate_and_validations_follow_the_steps(tmp_path: Path, assets_folder: Path, real: Path) -> None:
    run(tmp_path, assets_folder, real=real)
    rates = [record["rate"] for record in logged(tmp_path, "step")]
    assert rates == pytest.approx([rate(RUN, step=step, share=step / 6) for step in range(6)], abs=1e-5)
    assert rates[0] < rates[1] == rates[3] > rates[4] > rates[5]
    assert [record["step"] for record in logged(tmp_path, "validation")] == [2, 4, 6]


def test_a_run_that_is_cut_goes_on_in_its_schedule(tmp_path: Path, assets_folder: Path, real: Path) -> None:
    run(tmp_path / "first", assets_folder, real=real, most_steps=3)
    assert [record["step"] for record in logged(tmp_path / "first", "validation")] == [2, 3]
    run(tmp_path / "second", assets_folder, real=real, resume=tmp_path / "first")
    rates = {record["step"]: record["rate"] for record in logged(tmp_path / "second", "step")}
    assert rates == pytest.approx({done + 1: rate(RUN, step=done - 3, share=done / 6) for done in (3, 4, 5)}, abs=1e-5)
    assert [record["step"] for record in logged(tmp_path / "second", "validation")] == [4, 6]
    assert json.loads((tmp_path / "second" / "run.json").read_text("utf-8"))["clock"]["steps"] == RUN.steps
    assert checkpoint.network_of(tmp_path / "second") == TINY


def test_seconds_end_a_call_and_change_nothing_else(
    tmp_path: Path, assets_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "UNTIMED_STEPS", 1)
    longer = dataclasses.replace(RUN, steps=12)
    run(tmp_path / "cut", assets_folder, longer, seconds=0.0)
    run(tmp_path / "whole", assets_folder, longer, seconds=3600.0)
    cut, whole = logged(tmp_path / "cut", "step"), logged(tmp_path / "whole", "step")
    assert (len(cut), len(whole)) == (10, 12)
    assert cut == whole[:10]
