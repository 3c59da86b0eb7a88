"""Token vectors in stored form: what five bits cost, and how pages are laid side by side."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.local.config import ReadConfig
from models.packing import (
    FINE_TOKENS,
    bits_needed,
    dequantise_tokens,
    narrow_bytes,
    narrowed,
    pack_pages,
    quantise_tokens,
    tokens_of,
    widened,
)


def unit_rows(count: int, width: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@settings(max_examples=40)
@given(count=st.integers(1, 60), width=st.integers(1, 128), seed=st.integers(0, 2**16))
def test_stored_tokens_are_as_good_as_the_real_ones(count: int, width: int, seed: int) -> None:
    tokens = unit_rows(count, width, seed)
    rows, scales = quantise_tokens(tokens)
    again = dequantise_tokens(rows, scales)
    assert rows.dtype == np.int8
    assert scales.dtype == np.float16
    assert not rows.size or np.abs(rows).max() <= 15
    # Half a step of a grid that ends at the row's peak, plus the rounding of its float16 step.
    step = np.abs(tokens).max(axis=1, keepdims=True) / 15
    worst = np.linalg.norm(np.broadcast_to(0.5 * step, tokens.shape), axis=1)
    assert (np.linalg.norm(again - tokens, axis=1) <= worst + 2.0**-10).all()


def test_a_row_with_one_peak_cuts_it_where_that_loses_less() -> None:
    row = np.full((1, 64), 0.1, np.float32)
    row[0, 0] = 0.8
    at_the_peak = np.rint(row / (0.8 / 15)) * (0.8 / 15)
    rows, scales = quantise_tokens(row)
    assert np.square(dequantise_tokens(rows, scales) - row).sum() < 0.5 * np.square(at_the_peak - row).sum()


@given(count=st.integers(0, 9), width=st.integers(1, 33), bits=st.sampled_from([4, 5, 8]), seed=st.integers(0, 2**16))
def test_numbers_of_few_bits_come_back(count: int, width: int, bits: int, seed: int) -> None:
    most = 1 << bits - 1
    rows = np.random.default_rng(seed).integers(-most, most, (count, width), dtype=np.int8)
    packed = narrowed(rows, bits)
    assert packed.shape == (count, narrow_bytes(width, bits))
    np.testing.assert_array_equal(widened(packed, width, bits), rows)


@pytest.mark.parametrize(
    ("number", "bits"), [(0, 4), (-8, 4), (7, 4), (8, 5), (-9, 5), (-16, 5), (15, 5), (16, 8), (-17, 8)]
)
def test_the_fewest_bits_that_lose_nothing(number: int, bits: int) -> None:
    assert bits_needed(np.array([[0, number]], np.int8)) == bits


@pytest.mark.parametrize("tokens", [1, 162, FINE_TOKENS, FINE_TOKENS + 1, ReadConfig().tokens])
def test_a_page_takes_16_kilobytes_at_most(tokens: int) -> None:
    rows, scales = quantise_tokens(unit_rows(tokens, 64, 3))
    assert narrowed(rows, bits_needed(rows)).nbytes + scales.nbytes <= 16_000


def test_a_row_of_zeros_stays_zero() -> None:
    rows, scales = quantise_tokens(np.zeros((2, 8), np.float32))
    assert not dequantise_tokens(rows, scales).any()


def test_no_tokens_at_all_pack_to_no_rows() -> None:
    rows, scales = quantise_tokens(np.zeros((0, 8), np.float32))
    assert (rows.shape, scales.shape) == ((0, 8), (0,))


def test_each_page_keeps_its_own_rows_in_order() -> None:
    sizes = [3, 0, 1, 5]
    pages = [quantise_tokens(unit_rows(size, 16, seed)) for seed, size in enumerate(sizes)]
    summaries = unit_rows(len(sizes), 8, 99)
    packed = pack_pages(
        [(summary, rows, scales) for summary, (rows, scales) in zip(summaries, pages, strict=True)], encoder="fake/1"
    )
    assert len(packed) == 4
    assert packed.encoder == "fake/1"
    np.testing.assert_array_equal(packed.summaries, summaries)
    for page, (rows, scales) in enumerate(pages):
        own = slice(packed.offsets[page], packed.offsets[page + 1])
        np.testing.assert_array_equal(packed.tokens[own], rows)
        np.testing.assert_array_equal(packed.scales[own], scales)


def test_pages_without_tokens_pack_their_summaries() -> None:
    summaries = unit_rows(3, 8, 1)
    packed = pack_pages([(summary, None, None) for summary in summaries], encoder="voyage/x")
    assert packed.offsets.tolist() == [0, 0, 0, 0]
    assert len(packed.tokens) == len(packed.scales) == 0


@given(st.data())
def test_tokens_of_some_pages_come_in_the_order_asked_for(data: st.DataObject) -> None:
    counts = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=6))
    chosen = data.draw(st.lists(st.integers(0, len(counts) - 1), max_size=6))
    stored = [
        quantise_tokens(unit_rows(count, 8, seed)) if count else (None, None) for seed, count in enumerate(counts)
    ]
    packed = pack_pages([(np.zeros(4, np.float32), *one) for one in stored], encoder="some/1")
    held, found = tokens_of(packed, np.array(chosen, np.int64))
    assert found.tolist() == [counts[page] for page in chosen]
    expected = [dequantise_tokens(*stored[page]) for page in chosen if counts[page]]
    assert held.shape == (sum(found), 8 if sum(counts) else packed.tokens.shape[1])
    assert not expected or np.array_equal(held, np.concatenate(expected))


def test_packing_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing"):
        pack_pages([], encoder="fake/1")
