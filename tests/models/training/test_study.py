"""The study compares what it says: each variant trains, and differs from the base in one thing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from models.local.config import NetworkConfig
from models.local.layers import AttentionLayer, ScanLayer
from models.training.batch import Batch
from models.training.losses import LossWeights, StepSize, reading_loss
from models.training.study import measure
from models.training.study.layers import DeltaLayer, PieceTower, RotaryAttention, Stride
from models.training.study.pool import Pool
from models.training.study.settings import StudySettings
from models.training.study.variants import VARIANTS, Variant
from tests.models.training.tiny import TINY, drawn_batch

SETTINGS = Path("models/training/configs/study-hybrid.json")
SMALL = dataclasses.replace(TINY, cell_state=16, chunk_state=16)


@pytest.fixture(scope="module")
def batch() -> Batch:
    return drawn_batch()


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_every_variant_learns_from_a_page(variant: Variant, batch: Batch) -> None:
    torch.manual_seed(0)
    reader = variant.network(SMALL)
    size = variant.size(StepSize(cells=128, chunks=64, words=8, queries=4))
    loss, _ = reading_loss(reader, batch, batch.word_bytes.flip(0), size, LossWeights(), taught=0.0)
    loss.backward()
    for name in ("stem.last.weight", "token.weight", "cell_layers.0.norm.weight", "chunk_layers.0.norm.weight"):
        gradient = reader.page.get_parameter(name).grad
        assert gradient is not None
        assert 0 < gradient.abs().sum() < float("inf")


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_every_variant_takes_a_page_in_half_precision_as_training_on_a_gpu_does(variant: Variant, batch: Batch) -> None:
    torch.manual_seed(0)
    reader = variant.network(SMALL)
    size = variant.size(StepSize(cells=128, chunks=64, words=8, queries=4))
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = reading_loss(reader, batch, batch.word_bytes.flip(0), size, LossWeights(), taught=0.0)
    loss.backward()
    assert loss.isfinite()


def test_the_settings_give_all_variants_the_same_steps_and_pages() -> None:
    settings = StudySettings.from_json(SETTINGS)
    assert len({variant.name for variant in VARIANTS}) == len(VARIANTS)
    assert len(settings.seeds) >= 2
    assert settings.run.network == NetworkConfig(stem_dim=64, cell_dim=128, chunk_dim=192, chunk_state=16, text_dim=128)
    longest, pages = max(settings.needle), settings.held_out * settings.run.stages[0].pages
    assert longest * settings.candidates <= pages  # no page stands twice among the candidates


def test_a_stride_cuts_where_it_says_whatever_stands_there() -> None:
    logits = Stride(3)(torch.randn(2, 7, 4))
    assert (logits > 0).tolist() == [[True, False, False, True, False, False, True]] * 2


def test_rotary_attention_sees_distance_and_not_place() -> None:
    torch.manual_seed(1)
    layer = RotaryAttention(64)
    steps = torch.randn(1, 6, 64)
    mask = torch.ones(1, 9, dtype=torch.bool)
    early = layer(torch.cat([steps, torch.zeros(1, 3, 64)], 1), mask & (torch.arange(9) < 6))[:, :6]
    late = layer(torch.cat([torch.zeros(1, 3, 64), steps], 1), mask & (torch.arange(9) >= 3))[:, 3:]
    torch.testing.assert_close(early, late, rtol=1e-4, atol=1e-5)
    turned = layer(steps.flip(1), None).flip(1)
    assert (turned - early).abs().max() > 1e-3


def test_a_row_of_padding_alone_looks_at_all_of_it() -> None:
    """As on a page on which the router finds no word; softmax over nothing is not a number."""
    torch.manual_seed(5)
    steps = torch.randn(1, 6, 64)
    for layer in (AttentionLayer(64), RotaryAttention(64), AttentionLayer(64, window=4)):
        nothing = layer(steps, torch.zeros(1, 6, dtype=torch.bool))
        torch.testing.assert_close(nothing[:, :4], layer(steps, None)[:, :4])


def test_the_delta_layer_neither_sees_nor_is_moved_by_padding() -> None:
    torch.manual_seed(2)
    layer = DeltaLayer(64, state=16)
    assert sum(p.numel() for p in layer.parameters()) < 1.05 * sum(p.numel() for p in ScanLayer(64).parameters())
    steps = torch.randn(1, 10, 64)
    mask = torch.arange(10)[None] < 7
    whole, alone = layer(steps, mask), layer(steps[:, :7], mask[:, :7])
    torch.testing.assert_close(whole[:, :7], alone, rtol=1e-4, atol=1e-5)


def test_pieces_of_words_do_not_depend_on_the_padding() -> None:
    torch.manual_seed(3)
    tower = PieceTower(SMALL).eval()
    word = torch.tensor([list(b"windscreen".ljust(24, b"\0")), list(b"hail".ljust(24, b"\0"))], dtype=torch.uint8)
    torch.testing.assert_close(tower.features(word), tower.features(word[:, :10]), rtol=1e-4, atol=1e-5)
    assert 0 < tower.ratio.item() < 4


def test_words_and_needles_are_counted_on_the_page_that_has_them(tmp_path: Path) -> None:
    """A reader whose tokens are random finds about one code in `candidates`; the pages stay the same at any length."""
    settings = dataclasses.replace(StudySettings.from_json(SETTINGS), pool=1, held_out=1)
    drawn = drawn_batch()
    six = Batch(
        drawn.image.repeat(3, 1, 1, 1),
        drawn.signs.repeat(3, 1, 1),
        torch.arange(6).repeat_interleave(2),
        torch.zeros(12, dtype=torch.long),
        torch.tensor([list(f"code{n}77".encode().ljust(24, b"\0")) for n in range(12)], dtype=torch.uint8),
    )
    torch.save({0: drawn.packed(), 1: six.packed()}, tmp_path / "pool-0.pt")
    pool = Pool(settings, tmp_path, "cpu")
    assert sorted(pool.order(1, 0)) == [0]
    images, words = measure.laid_open(pool.held_out, pool.device)
    assert [len(page) for page in words] == [2] * 6
    assert len(measure.unique_words(words)) == 12
    torch.manual_seed(4)
    reader = VARIANTS[0].network(SMALL).eval()
    pages = measure.encoded(reader, images)
    found = measure.needle_recall(reader, images, pages, words, length=2, candidates=3)
    assert set(found) == {"needle_2", "apart_2", "pooled_2"}
    assert all(0 <= share <= 1 for share in found.values())
    # Pages read one by one answer as the tokens say that are handed in, whatever stands on the long page.
    ones = [torch.nn.functional.normalize(torch.ones(1, SMALL.token_dim), dim=-1)] * 6
    same = measure.needle_recall(reader, images, ones, words, length=2, candidates=3)
    assert same["needle_2"] == found["needle_2"]
    assert same["apart_2"] == pytest.approx(1 / 3)  # all alike: the first page is taken for every code
    assert set(measure.word_recall(reader, pages, words)) == {"words", "numbers", "exact", "tokens"}
