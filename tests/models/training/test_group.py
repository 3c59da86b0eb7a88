"""Variants of the study are trained for the same number of steps, whatever becomes of one of them."""

from __future__ import annotations

import time
from multiprocessing import get_context
from typing import Any

import pytest
import torch

from models.training.study.group import AGREED_AT, COST_S, MEASURED_S, Shared, seconds_after, train
from models.training.study.variants import VARIANTS


class Counted:
    """A trainer whose loss is its number, and no number from `lost` on."""

    def __init__(self, number: int, *, lost: int = 10**9, seconds: float = 0.0) -> None:
        self.variant, self.seed, self.lost, self.seconds = VARIANTS[number], 0, lost, seconds
        self.steps: list[tuple[int, int]] = []

    def step(self, step: int, steps: int) -> torch.Tensor:
        time.sleep(self.seconds)
        self.steps.append((step, steps))
        return torch.tensor(float("nan") if step >= self.lost else float(step))


def shared(most: int, seconds: float) -> Shared:
    context = get_context("spawn")
    return Shared(context.Barrier(1), context.Value("i", most), context.Lock(), context.Queue(), time.time() + seconds)


def test_all_make_all_steps_where_time_allows() -> None:
    trainers: Any = [Counted(0), Counted(1)]
    ended = train(trainers, 100, shared(100, 3600), 0.0)
    assert [len(trainer.steps) for trainer in trainers] == [100, 100]
    assert [loss for _, loss in ended] == [94.5, 94.5]  # of the last tenth
    assert {steps for trainer in trainers for _, steps in trainer.steps} == {100}


def test_fewer_steps_where_time_does_not_and_the_schedule_knows() -> None:
    trainers: Any = [Counted(0, seconds=0.001), Counted(1)]
    train(trainers, 10**6, shared(10**6, 84.5), after=84.0)
    made = [len(trainer.steps) for trainer in trainers]
    assert made[0] == made[1]
    assert AGREED_AT <= made[0] < 1000
    assert {steps for step, steps in trainers[0].steps if step >= AGREED_AT} == {made[0]}


def test_more_time_is_kept_where_processes_share_a_device() -> None:
    alone = seconds_after(2, timed=3, processes=4, devices=4)
    assert alone == 2 * MEASURED_S + 3 * COST_S
    # A run of six processes to a device took 45 s a variant.
    assert 45.0 <= seconds_after(1, timed=0, processes=12, devices=2) <= 50.0
    assert seconds_after(1, timed=0, processes=3, devices=2) == seconds_after(1, timed=0, processes=2, devices=1)
    assert seconds_after(1, timed=0, processes=1, devices=0) == MEASURED_S


def test_what_others_agreed_on_counts_here_too() -> None:
    common = shared(1000, 3600)
    common.steps.value = 75
    trainers: Any = [Counted(0)]
    train(trainers, 1000, common, 0.0)
    assert len(trainers[0].steps) == 75


@pytest.mark.parametrize("lost", [1, 70])
def test_a_variant_that_loses_its_numbers_is_said_and_the_others_go_on(lost: int) -> None:
    trainers: Any = [Counted(0, lost=lost), Counted(1)]
    common = shared(100, 3600)
    ended = train(trainers, 100, common, 0.0)
    assert [trainer for trainer, _ in ended] == [trainers[1]]
    assert len(trainers[0].steps) < 102
    kind, said = common.told.get(timeout=10)
    assert kind == "failed"
    assert said.startswith(f"{VARIANTS[0].name}, seed 0: FloatingPointError")
