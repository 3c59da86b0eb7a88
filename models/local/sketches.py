"""Coarse copies of token vectors, four bits a number, and a quick look at all of them in a large collection.

A row stands for its numbers, -7 to 7, times a scale: half the memory of the vectors. They are packed as
`models.packing.narrowed` packs four bits, but in two's complement, so that a byte of eight bits with four of them at
its upper end is sixteen times the number. Products are of such integers, which processors multiply several times as
fast as floats.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernels.pages import keep_largest, share_out, windows
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
_SIGNS = 0x88
"""Upper bits of both numbers of a byte: what tells two's complement from numbers with 8 added."""
_RAISED = 16


def make_sketch(tokens: NDArray[np.int8], scales: NDArray[np.float16]) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """Stored token vectors (T, d) to codes (T, (d + 1) // 2) and scales (T,): the largest number of a row is the end of
    its grid, so rows of few levels lose nothing."""
    peak = np.maximum(np.abs(tokens.astype(np.int16)).max(axis=1, keepdims=True, initial=1), 1).astype(np.float32)
    rows = np.rint(tokens * (_LEVELS / peak)).astype(np.int8)
    return narrowed(rows, 4) ^ np.uint8(_SIGNS), (scales * peak[:, 0] / _LEVELS).astype(np.float16)


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
    counts = np.diff(sketches.offsets)[chosen]
    filled = counts > 0
    # As if the chosen pages lay end to end.
    ends = np.cumsum(counts[filled])
    begins, firsts = ends - counts[filled], sketches.offsets[chosen[filled]]
    found = np.full((len(query_tokens), len(ends)), -np.inf, np.float32)

    def look(part: slice) -> None:
        _look(rounded, sketches, firsts[part], begins[part], int(ends[part.stop - 1]), found[:, part])

    share_out(look, ends, least=BLOCK_ROWS)
    best = np.full((len(chosen), len(query_tokens)), -np.inf)
    best[filled] = found.T
    return best * (peak[:, 0] / (127 * _RAISED))


def _look(
    rounded: NDArray[np.int8],
    sketches: Sketches,
    firsts: NDArray[np.int64],
    begins: NDArray[np.int64],
    end: int,
    found: NDArray[np.float32],
) -> None:
    """Raises `found` (T, n) to the largest products with pages whose rows begin at `firsts` among all and at `begins`
    among the chosen, the last up to `end`."""
    half = sketches.codes.shape[1]
    low, high = (torch.from_numpy(np.ascontiguousarray(part)) for part in (rounded[:, :half], rounded[:, half:]))
    room = torch.empty(2, BLOCK_ROWS, half, dtype=torch.int8)
    for start, stop, here in windows(begins, end, BLOCK_ROWS):
        codes, scales = _rows(sketches, firsts[here], begins[here], start, stop)
        products = _products(low, high, codes, room[:, : stop - start]).float().mul_(torch.from_numpy(scales))
        keep_largest(found[:, here], products.numpy(), begins[here], start)


def _products(low: Tensor, high: Tensor, codes: NDArray[np.uint8], room: Tensor) -> Tensor:
    """int32 (T, rows): sums of _RAISED times a row's numbers times the query's. room: int8 (2, rows, c)."""
    # By torch: while numpy does as little as this, no other thread gets on.
    packed = torch.from_numpy(codes.view(np.int8))
    torch.bitwise_left_shift(packed, 4, out=room[0])
    torch.bitwise_and(packed, -_RAISED, out=room[1])
    # The public product of int8 gives int8, which overflows.
    product = torch.ops.aten._int_mm.default
    return product(low, room[0].T).add_(product(high, room[1].T))


def _rows(
    sketches: Sketches, firsts: NDArray[np.int64], begins: NDArray[np.int64], start: int, stop: int
) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """Codes and scales of the chosen rows from `start` to `stop`, which lie on the pages that begin there (see
    `_look`). Those of neighbours are not copied."""
    shift = firsts - begins
    jumps = np.flatnonzero(np.diff(shift)) + 1
    moves = shift[[0, *jumps]].tolist()
    edges = pairwise([start, *begins[jumps].tolist(), stop])
    runs = [slice(first + move, end + move) for (first, end), move in zip(edges, moves, strict=True)]
    if len(runs) == 1:
        return sketches.codes[runs[0]], sketches.scales[runs[0]]
    codes = np.concatenate([sketches.codes[run] for run in runs])
    return codes, np.concatenate([sketches.scales[run] for run in runs])
