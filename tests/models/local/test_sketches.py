"""Sketches: small, near to the vectors, and compared as a slow sum over their numbers says."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.encoder import Embedding, FloatArray, Sketches, Sketching
from models.local import LocalEncoder, sketches
from models.local.probability import calibrated
from models.local.scoring import score_words
from models.local.sketches import best_products, coarse_scores, make_sketch
from models.local.words import plan_query
from models.packing import quantise_tokens, widened
from tests.kernels.threads import torch_threads
from tests.models.local.conftest import CONFIG
from tests.models.local.test_scoring import unit, words_as_tokens

NAME = "local/tiny-1"


def sketched(pages: list[FloatArray]) -> Sketches:
    made = [make_sketch(*quantise_tokens(page)) for page in pages]
    offsets = np.cumsum([0, *(len(page) for page in pages)])
    return Sketches(np.concatenate([codes for codes, _ in made]), np.concatenate([s for _, s in made]), offsets, NAME)


def numbers(codes: NDArray[np.uint8], dims: int) -> NDArray[np.int8]:
    """What codes stand for. `widened` takes 8 off where two's complement has nothing added."""
    return widened(codes ^ np.uint8(0x88), dims, 4)


def slow_best(query: FloatArray, page: slice, known: Sketches) -> list[float]:
    """Number by number in float64: query numbers as eight bits, page numbers as what their codes stand for."""
    peak = np.abs(query).max(axis=1, keepdims=True).astype(np.float64)
    rounded = np.rint(query * (127 / peak).astype(np.float32)) * peak / 127
    rows = numbers(known.codes[page], query.shape[1]).astype(np.float64)
    products = [[sum(a * b for a, b in zip(one, row, strict=True)) for row in rows] for one in rounded]
    scales = known.scales[page].astype(np.float64)
    return [max((p * s for p, s in zip(line, scales, strict=True)), default=-np.inf) for line in products]


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_fast_products_are_those_of_a_slow_sum(data: st.DataObject) -> None:
    dims = data.draw(st.sampled_from([7, 16, 64]))
    counts = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=12))
    known = sketched([unit(count, dims, seed=count) if count else np.zeros((0, dims), np.float32) for count in counts])
    query = unit(data.draw(st.integers(1, 5)), dims, seed=99)
    chosen = np.array(sorted(data.draw(st.sets(st.sampled_from(range(len(counts))), min_size=1))))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sketches, "BLOCK_ROWS", data.draw(st.sampled_from([1, 8, 1000])))
        with torch_threads(data.draw(st.sampled_from([1, 2, 3]))):
            found = best_products(query, known, chosen)
    expected = [slow_best(query, slice(known.offsets[page], known.offsets[page + 1]), known) for page in chosen]
    np.testing.assert_allclose(found, expected, atol=2e-3, rtol=1e-3)


def test_a_look_leaves_torch_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketches, "BLOCK_ROWS", 1)
    with torch_threads(2):
        best_products(unit(1, 16, seed=1), sketched([unit(3, 16, seed=number) for number in (2, 3)]), np.arange(2))
        assert torch.get_num_threads() == 2
        with ThreadPoolExecutor(1) as later:
            assert later.submit(torch.get_num_threads).result() == 2


def test_a_sketch_takes_half_a_byte_a_number_and_stays_near_the_vector() -> None:
    for tokens in (unit(100, 64, seed=1), unit(400, 64, seed=2)):
        rows, scales = quantise_tokens(tokens)
        codes, coarse = make_sketch(rows, scales)
        assert codes.nbytes * 2 == rows.nbytes
        near = numbers(codes, 64) * coarse.astype(np.float32)[:, None]
        exact = rows * scales.astype(np.float32)[:, None]
        # Dense pages have no more levels than a sketch, so nothing of them is lost.
        assert np.abs(near - exact).max() < (0.002 if len(tokens) > 380 else 0.5 * np.abs(exact).max() / 7)


async def test_words_rank_pages_by_sketch_as_they_do_exactly(encoder: LocalEncoder) -> None:
    assert isinstance(encoder, Sketching)
    pages = [["hail", "policy"], ["hail", "4711"], ["policy", "total"], ["4711", "police"]]
    held = [await words_as_tokens(encoder, words) for words in pages]
    [query] = await encoder.encode_queries(["hail 4711"])
    scores = await encoder.coarse_score(query, sketched(held), np.arange(4))
    assert scores is not None
    assert scores.argmax() == 1
    chosen = await encoder.coarse_score(query, sketched(held), np.array([0, 2]))
    assert chosen is not None
    assert chosen.shape == (2,)
    assert chosen[0] > chosen[1]


async def test_of_a_long_text_the_first_words_are_looked_for(encoder: LocalEncoder) -> None:
    text = [f"word{number}" for number in range(40)]
    [query] = await encoder.encode_queries([" ".join(text)])
    held = [await words_as_tokens(encoder, words) for words in (text[:3], ["other"], text[-3:])]
    scores = await encoder.coarse_score(query, sketched(held), np.arange(3))
    assert scores is not None
    assert scores.argmax() == 0
    assert scores[2] == pytest.approx(scores[1], abs=0.02)


def test_a_picture_is_compared_by_its_print_alone() -> None:
    print_, looks = unit(50, 64, seed=5), 0.5 * unit(4, 64, seed=6)
    known = sketched([unit(50, 64, seed=7), np.concatenate([print_, looks])])
    summary = unit(1, CONFIG.network.summary_dim, seed=1)[0]
    scores = coarse_scores(Embedding(summary, NAME, print_), known, np.arange(2), CONFIG.score)
    assert scores is not None
    assert scores[1] > scores[0]
    assert coarse_scores(Embedding(summary, NAME, looks), known, np.arange(2), CONFIG.score) is None
    assert coarse_scores(Embedding(summary, NAME), known, np.arange(2), CONFIG.score) is None


def test_scores_of_words_are_those_of_the_exact_scorer_on_coarse_products() -> None:
    words = ("hail", "4711")
    plan = plan_query(words).narrowed(0)
    tokens = unit(len(plan.strings), 64, seed=8)
    known = sketched([np.concatenate([tokens[:1], unit(60, 64, seed=9)]), unit(60, 64, seed=10)])
    query = Embedding(unit(1, CONFIG.network.summary_dim, seed=1)[0], NAME, tokens, words=words)
    best = best_products(tokens, known, np.arange(2))
    expected = score_words(plan, calibrated(best, np.array([[61], [60]]), CONFIG.score), CONFIG.score)
    np.testing.assert_allclose(coarse_scores(query, known, np.arange(2), CONFIG.score), expected, rtol=1e-5)
