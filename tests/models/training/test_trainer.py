"""A variant of the study learns from the pool, step by step, on a processor and as a recorded graph on a GPU."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from models.training.losses import StepSize
from models.training.settings import Stage, TrainSettings
from models.training.study.pool import Pool
from models.training.study.settings import StudySettings
from models.training.study.trainer import Trainer
from models.training.study.variants import VARIANTS, Variant
from tests.models.training.tiny import TINY, drawn_batch

SIZE = StepSize(cells=128, chunks=64, words=8, queries=4)
RUN = TrainSettings(
    name="small", steps=0, peak_rate=0.003, warm_up_steps=2, taught_steps=40, flat=1.0,
    network=dataclasses.replace(TINY, cell_state=16, chunk_state=16),
    stages=(Stage(64, 256, 2, 0, 0.5, SIZE), Stage(96, 256, 2, 0, 0.5, SIZE)),
)  # fmt: skip
SETTINGS = StudySettings(
    run=RUN, steps=40, seeds=(0,), processes=1, pool=4, held_out=1, needle=(1,), candidates=1, real_pages=1
)
DEVICES = ("cpu", pytest.param("cuda", marks=pytest.mark.gpu))
TRIED = VARIANTS if torch.cuda.is_available() else VARIANTS[::7]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sizes of pages in turn; of the second batch of each size one word is not known."""
    batches = {}
    for number in range(5):
        batch = drawn_batch(height=64 if number == 4 or RUN.stage_of(number) == 0 else 96)
        known = 5 if number in (2, 3) else 6
        batches[number] = dataclasses.replace(
            batch,
            word_page=batch.word_page[:known],
            word_cell=batch.word_cell[:known],
            word_bytes=batch.word_bytes[:known],
        ).packed()
    torch.save(batches, tmp_path / "pool-0.pt")
    return tmp_path


def test_batches_of_a_size_have_the_same_number_of_words_and_no_new_ones(folder: Path) -> None:
    pool = Pool(SETTINGS, folder, "cpu")
    for number in range(4):
        batch = pool.batch(number)
        assert len(batch.word_page) == len(batch.word_cell) == len(batch.word_bytes) == 6
    found = {bytes(word.tolist()) for word in pool.batch(2).word_bytes}
    assert len(found) == 5
    assert torch.equal(pool.batch(2).word_bytes[5], pool.batch(2).word_bytes[0])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("variant", TRIED, ids=lambda variant: variant.name)
def test_a_variant_learns_step_by_step(variant: Variant, device: str, folder: Path) -> None:
    pool = Pool(SETTINGS, folder, device)
    trainer = Trainer(variant, SETTINGS, pool, seed=3)
    # What was called to record the steps has left no trace: the weights are those that the seed drew.
    torch.manual_seed(3)
    fresh = variant.network(RUN.network).to(device)
    assert all(torch.equal(a, b) for a, b in zip(trainer.reader.parameters(), fresh.parameters(), strict=True))
    made = [trainer.step(step, 40) for step in range(40)]
    if device == "cuda":
        torch.cuda.synchronize()
    losses = [loss.item() for loss in made]
    assert all(loss == loss for loss in losses)
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])


def test_the_rate_follows_the_schedule(folder: Path) -> None:
    pool = Pool(SETTINGS, folder, "cpu")
    trainer = Trainer(VARIANTS[0], SETTINGS, pool, seed=3)
    trainer.step(0, 40)
    assert trainer.rate.item() == pytest.approx(0.0015)
    trainer.step(1, 40)
    assert trainer.rate.item() == pytest.approx(0.003)
    assert all(group["lr"] is trainer.rate for group in trainer.optimiser.param_groups)
