"""Gradients of a step: of its own batch alone, and the same whether the step is recorded or not."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from models.local.reading_network import ReadingNetwork
from models.training.batch import Batch, filled
from models.training.gradients import Gradients
from models.training.losses import METRICS, LossWeights, StepSize
from models.training.settings import Stage
from tests.models.training.tiny import TINY, drawn_batch

STAGE = Stage(64, 256, 2, 0, 1.0, StepSize(cells=128, chunks=64, words=8, queries=8, known=8))
OTHER = dataclasses.replace(STAGE, height=96)


def packed(stage: Stage, *, words: int = 8) -> tuple[Tensor, ...]:
    pages = filled(drawn_batch(height=stage.height).packed(), words)
    return (*pages, pages[-1].flip(1))


def gradients_of(device: str) -> Gradients:
    torch.manual_seed(0)
    return Gradients(ReadingNetwork(TINY).to(device), LossWeights(), torch.device(device))


def test_a_batch_is_filled_up_with_its_own_words() -> None:
    batch = drawn_batch()
    more = Batch.unpacked(filled(batch.packed(), 8), "cpu")
    assert len(more.word_page) == len(more.word_cell) == len(more.word_bytes) == 8
    for name in ("word_page", "word_cell", "word_bytes"):
        whole = getattr(batch, name)
        assert torch.equal(getattr(more, name), torch.cat([whole, whole[:2]]))
    fewer = Batch.unpacked(filled(batch.packed(), 3), "cpu")
    assert torch.equal(fewer.word_bytes, batch.word_bytes)


def test_a_step_leaves_nothing_of_the_one_before() -> None:
    gradients = gradients_of("cpu")
    metrics = gradients(packed(STAGE), STAGE, taught=1.0)
    assert metrics.shape == (len(METRICS),)
    once = [None if p.grad is None else p.grad.clone() for p in gradients.parameters]
    gradients(packed(STAGE), STAGE, taught=1.0)
    for before, p in zip(once, gradients.parameters, strict=True):
        assert (before is None) == (p.grad is None)
        if before is not None and p.grad is not None:
            assert p.grad.norm() < 1.5 * before.norm() + 1e-6


@pytest.mark.gpu
def test_a_recorded_step_gives_what_the_step_gives() -> None:
    gradients = gradients_of("cuda")
    for _ in range(2):
        for stage in (STAGE, OTHER):
            metrics = gradients(packed(stage), stage, taught=1.0).clone()
            recorded = [None if p.grad is None else p.grad.clone() for p in gradients.parameters]
            gradients.taught.fill_(1.0)
            plain = gradients.plain(packed(stage), stage)
            assert torch.allclose(metrics, plain, rtol=0.02, atol=0.02)
            for got, p in zip(recorded, gradients.parameters, strict=True):
                assert (got is None) == (p.grad is None)
                if got is not None and p.grad is not None:
                    assert (got - p.grad).norm() <= 0.05 * p.grad.norm() + 1e-4
    assert set(gradients.recordings) == {STAGE, OTHER}


@pytest.mark.gpu
def test_a_batch_with_more_words_than_recorded_is_computed_all_the_same() -> None:
    gradients = gradients_of("cuda")
    gradients(packed(STAGE, words=9), STAGE, taught=0.0)
    assert not gradients.recordings
    assert any(p.grad is not None and p.grad.any() for p in gradients.parameters)


@pytest.mark.gpu
@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("recorded", [False, True], ids=["launch by launch", "recorded"])
def test_equal_steps_give_the_same_bits(recorded: bool) -> None:
    found: list[tuple[Tensor, list[Tensor | None]]] = []
    for _ in range(2):
        gradients = gradients_of("cuda")
        torch.manual_seed(5)
        gradients.taught.fill_(0.3)
        for _ in range(3):
            step = gradients(packed(STAGE), STAGE, taught=0.3) if recorded else gradients.plain(packed(STAGE), STAGE)
        found.append((step.clone(), [None if p.grad is None else p.grad.clone() for p in gradients.parameters]))
    (metrics, first), (again, second) = found
    assert torch.equal(metrics, again)
    for one, other in zip(first, second, strict=True):
        assert (one is None) == (other is None)
        assert one is None or other is None or torch.equal(one, other)
