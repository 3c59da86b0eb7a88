"""What the reader learns from."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from models.local.reading_network import ReadingNetwork
from models.training.batch import UNKNOWN
from models.training.losses import METRICS, LossWeights, StepSize, reading_loss, word_hash
from tests.models.training.tiny import TINY, drawn_batch

SIZE = StepSize(cells=128, chunks=32, words=6, queries=6)


def wrong_forms(words: torch.Tensor) -> torch.Tensor:
    wrong = words.clone()
    wrong[:, 0] = ord("q")
    return wrong


def test_training_on_one_batch_finds_each_word_on_its_page() -> None:
    torch.manual_seed(0)
    reader, batch = ReadingNetwork(TINY), drawn_batch()
    optimiser = torch.optim.AdamW(reader.parameters(), lr=3e-3)
    for _ in range(60):
        loss, metrics = reading_loss(reader, batch, wrong_forms(batch.word_bytes), SIZE, LossWeights(), taught=1.0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    named = dict(zip(METRICS, metrics.tolist(), strict=True))
    assert named["word accuracy"] == 1.0
    assert named["words kept"] == 1.0
    assert named["start recall"] > 0.8
    assert named["sign accuracy"] == 1.0


def test_every_trained_parameter_gets_a_gradient() -> None:
    torch.manual_seed(0)
    reader, batch = ReadingNetwork(TINY), drawn_batch()
    loss, _ = reading_loss(reader, batch, wrong_forms(batch.word_bytes), SIZE, LossWeights(), taught=0.0)
    loss.backward()
    without = {name for name, p in reader.named_parameters() if p.grad is None or not p.grad.isfinite().all()}
    assert without == {
        name for name, _ in reader.named_parameters() if "topic" in name or name.startswith("text.summary")
    }


def test_pages_without_sign_labels_do_not_teach_signs_or_word_starts() -> None:
    torch.manual_seed(0)
    reader, batch = ReadingNetwork(TINY), drawn_batch()
    unlabelled = dataclasses.replace(batch, signs=torch.full_like(batch.signs, UNKNOWN))
    loss, _ = reading_loss(
        reader,
        unlabelled,
        wrong_forms(batch.word_bytes),
        SIZE,
        LossWeights(contrast=0, pages=0, presence=0),
        taught=1.0,
    )
    assert loss.item() == 0.0


def test_a_batch_without_words_has_a_finite_loss() -> None:
    reader, batch = ReadingNetwork(TINY), drawn_batch()
    empty = dataclasses.replace(
        batch,
        image=torch.ones_like(batch.image),
        word_page=batch.word_page[:1],
        word_cell=batch.word_cell[:1],
        word_bytes=batch.word_bytes[:1],
    )
    loss, _ = reading_loss(reader, empty, wrong_forms(empty.word_bytes), SIZE, LossWeights(), taught=0.0)
    assert loss.isfinite()


@pytest.mark.parametrize("length", [1, 3, 24])
def test_words_that_differ_in_one_byte_differ_in_their_hash(length: int) -> None:
    word = torch.zeros(1, 24, dtype=torch.uint8)
    word[0, :length] = 97
    others = word.repeat(length, 1)
    others[torch.arange(length), torch.arange(length)] = 98
    assert len(set(word_hash(torch.cat([word, others])).tolist())) == length + 1
    assert word_hash(word).equal(word_hash(word.clone()))
