"""Coarse copies of token vectors, four bits a number, and a quick look at all of them in a large collection.

A row stands for (code - 8) * scale, codes 1 to 15, packed as `models.packing.narrowed` packs four bits: half the memory
of the vectors. Products are of integers of eight bits, which processors multiply several times as fast as floats.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.encoder import Embedding, FloatArray, Sketches
from models.local.config import ScoreConfig
from models.local.probability import calibrated, rarity
from models.local.scoring import LONGEST_LOOK, score_words, thinned
from models.local.words import plan_query
from models.packing import narrowed

MOST_TOKENS = 16
"""Tokens of a query that are looked for: of a long text the first words, of a page print from all over it."""
BLOCK_ROWS = 32768
"""Rows compared at a time: 2 MB of unpacked codes, in memory that is used again and again."""
_LEVELS = 7
_ZERO = 8


def make_sketch(tokens: NDArray[np.int8], scales: NDArray[np.float16]) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """Stored token vectors (T, d) to codes (T, (d + 1) // 2) and scales (T,): the largest number of a row is the end of
    its grid, so rows of few levels lose nothing."""
    peak = np.maximum(np.abs(tokens.astype(np.int16)).max(axis=1, keepdims=True, initial=1), 1).astype(np.float32)
    rows = np.rint(tokens * (_LEVELS / peak)).astype(np.int8)
    return narrowed(rows, 4), (scales * peak[:, 0] / _LEVELS).astype(np.float16)


def coarse_scores(
    query: Embedding, sketches: Sketches, chosen: NDArray[np.int64], config: ScoreConfig
) -> FloatArray | None:
    """float32 (n,): of words what `score_words` says, of pictures the share of the query's print on the page. None for
    a picture without print."""
    if query.encoder != sketches.encoder:
        raise ValueError(f"vectors of {query.encoder} and {sketches.encoder} cannot be compared")
    if query.tokens is None:
        return None
    counts = np.diff(sketches.offsets)[chosen][:, None]
    if query.words:
        plan = plan_query(query.words).narrowed(0).cut(MOST_TOKENS)
        best = best_products(query.tokens[: len(plan.strings)], sketches, chosen)
        return score_words(plan, calibrated(best, counts, config), config).astype(np.float32)
    printed = query.tokens[np.linalg.norm(query.tokens, axis=1) > LONGEST_LOOK]
    if not len(printed):
        return None
    shown = calibrated(best_products(thinned(printed, MOST_TOKENS), sketches, chosen), counts, config)
    return (shown @ rarity(shown.sum(0), len(shown))).astype(np.float32)


def best_products(query_tokens: FloatArray, sketches: Sketches, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n, T): the largest product of each query token with a row of each chosen page, -inf where it has no rows.

    Query tokens are rounded to eight bits a number, one scale each. Products of the two halves of a row are exact.
    """
    half = sketches.codes.shape[1]
    peak = np.maximum(np.abs(query_tokens).max(axis=1, keepdims=True), 1e-9)
    rounded = np.zeros((len(query_tokens), 2 * half), np.int8)
    rounded[:, : query_tokens.shape[1]] = np.rint(query_tokens * (127 / peak))
    best = np.full((len(query_tokens), len(chosen)), -np.inf)
    threads = torch.get_num_threads()
    try:
        parts = _parts(sketches, chosen, threads)
        looks = [_pool(threads).submit(_look, rounded, sketches, chosen[part], best[:, part]) for part in parts]
        for look in looks:
            look.result()
    finally:
        # A thread that begins takes over what was set last, by whatever thread.
        torch.set_num_threads(threads)
    return (best * (peak / 127)).T


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads in each of which torch has one: where it has two, its product of integers of eight bits was seen to take
    ten times as long."""
    return ThreadPoolExecutor(threads, "sketches", initializer=torch.set_num_threads, initargs=(1,))


def _parts(sketches: Sketches, chosen: NDArray[np.int64], count: int) -> list[slice]:
    """Neighbouring places of chosen pages with about as many rows each; fewer where there is little to do."""
    reached = np.cumsum(np.diff(sketches.offsets)[chosen])
    rows = int(reached[-1]) if len(reached) else 0
    count = max(1, min(count, rows // BLOCK_ROWS))
    edges = np.searchsorted(reached, rows * np.arange(1, count) / count, side="right")
    return [slice(first, end) for first, end in pairwise([0, *edges.tolist(), len(chosen)])]


def _look(rounded: NDArray[np.int8], sketches: Sketches, chosen: NDArray[np.int64], best: NDArray[np.float64]) -> None:
    """Writes the largest products (T, n) to `best`."""
    half = sketches.codes.shape[1]
    zero = torch.from_numpy(_ZERO * rounded.sum(axis=1, keepdims=True, dtype=np.float32))
    low, high = (torch.from_numpy(np.ascontiguousarray(part)) for part in (rounded[:, :half], rounded[:, half:]))
    longest = int(np.diff(sketches.offsets)[chosen].max(initial=0))
    room = np.empty((2, max(BLOCK_ROWS, longest), half), np.uint8)
    done = 0
    for codes, scales, counts in _blocks(sketches, chosen):
        products = _products(low, high, codes, room[:, : len(codes)]).float().sub_(zero)
        products *= torch.from_numpy(scales).float()
        filled = counts > 0
        if filled.any():
            starts = (np.cumsum(counts) - counts)[filled]
            part = best[:, done : done + len(counts)]
            part[:, filled] = np.maximum.reduceat(products.numpy(), starts, axis=1)
        done += len(counts)


def _products(low: Tensor, high: Tensor, codes: NDArray[np.uint8], room: NDArray[np.uint8]) -> Tensor:
    """int32 (T, rows): sums of codes 0 to 15 times the query's numbers. room: (2, rows, c), for the codes unpacked."""
    # In one dimension, because numpy's loops are slow over short rows.
    np.bitwise_and(codes.reshape(-1), 15, out=room[0].reshape(-1))
    np.right_shift(codes.reshape(-1), 4, out=room[1].reshape(-1))
    lower, upper = (torch.from_numpy(part.view(np.int8)) for part in room)
    # The public product of int8 gives int8, which overflows.
    product = torch.ops.aten._int_mm
    return product(low, lower.T).add_(product(high, upper.T))


def _blocks(
    sketches: Sketches, chosen: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float16], NDArray[np.int64]]]:
    """Codes, scales and rows a page of some chosen pages at a time. Neighbours are not copied."""
    firsts, ends = sketches.offsets[chosen], sketches.offsets[chosen + 1]
    reached = np.cumsum(ends - firsts)
    start = 0
    while start < len(chosen):
        before = int(reached[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(reached, before + BLOCK_ROWS, side="right")))
        edges = np.flatnonzero(firsts[start + 1 : stop] != ends[start : stop - 1]) + start + 1
        runs = [
            slice(int(firsts[first]), int(ends[last - 1]))
            for first, last in zip([start, *edges.tolist()], [*edges.tolist(), stop], strict=True)
        ]
        counts = (ends - firsts)[start:stop]
        if len(runs) == 1:
            yield sketches.codes[runs[0]], sketches.scales[runs[0]], counts
        else:
            codes = np.concatenate([sketches.codes[run] for run in runs])
            yield codes, np.concatenate([sketches.scales[run] for run in runs]), counts
        start = stop
