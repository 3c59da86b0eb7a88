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

from kernels.pages import keep_largest, share_out, windows
from models.encoder import Embedding, FloatArray, Sketches
from models.local.config import ScoreConfig
from models.local.probability import calibrated, rarity
from models.local.scoring import LONGEST_LOOK, score_words, thinned
from models.local.words import plan_query
from models.packing import narrowed

MOST_TOKENS = 16
"""Tokens of a query that are looked for: of a long text the first words, of a page print from all over it."""
BLOCK_ROWS = 65536
"""Rows compared at a time: 4 MB of unpacked codes. Smaller blocks lie nearer to the processor, but of two threads each
waits for the other between operations, which are more then."""
_LEVELS = 7
_SIGNS = 0x88
"""Upper bits of both numbers of a byte: what tells two's complement from numbers with 8 added."""
_RAISED = 16
_UPPER = int.from_bytes([256 - _RAISED] * 8, "little", signed=True)
"""The upper ends of eight bytes."""


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
    shifts, block = firsts - begins, _Block(rounded, 0)
    for start, stop, here in windows(begins, end, BLOCK_ROWS):
        if block.rows != stop - start:
            block = _Block(rounded, stop - start)
        codes, scales = _rows(sketches, shifts[here], begins[here], start, stop)
        keep_largest(found[:, here], block.products(codes, scales), begins[here], start)


class _Block:
    """Products of a query with so many rows, in memory that is used again.

    By torch: while numpy does as little at a time as this, no other thread gets on. A row of a product is a row of
    codes: with a query's word for a row they would first be packed anew, which takes longer than to multiply.
    """

    def __init__(self, rounded: NDArray[np.int8], rows: int) -> None:
        """rounded: (T, 2 * c)."""
        words, half = len(rounded), rounded.shape[1] // 2
        self.rows = rows
        self._asked = torch.from_numpy(rounded).view(words, 2, half).permute(1, 2, 0).contiguous().unbind()
        # Eight bytes at once, where a row has them.
        self._lanes, self._upper = (torch.int64, _UPPER) if half % 8 == 0 else (torch.int8, -_RAISED)
        self._halves = torch.empty(2, rows, half, dtype=torch.int8).unbind()
        self._packed = [half.view(self._lanes) for half in self._halves]
        self._sums = torch.empty(2, rows, words, dtype=torch.int32).unbind()
        self._turned = self._sums[0].T
        self._products, self._scales = torch.empty(words, rows), torch.empty(rows)
        self._out = self._products.numpy()

    def products(self, codes: NDArray[np.uint8], scales: NDArray[np.float16]) -> NDArray[np.float32]:
        """(T, rows): sums of _RAISED times a row's numbers times the query's, times the row's scale. Gone with the
        next."""
        packed = torch.from_numpy(codes.view(np.int8)).view(self._lanes)
        low, high = self._packed
        torch.bitwise_left_shift(packed, 4, out=low).bitwise_and_(self._upper)
        torch.bitwise_and(packed, self._upper, out=high)
        for half, asked, sums in zip(self._halves, self._asked, self._sums, strict=True):
            # The public product of int8 gives int8, which overflows.
            torch.ops.aten._int_mm.out(half, asked, out=sums)
        self._sums[0].add_(self._sums[1])
        self._scales.copy_(torch.from_numpy(scales))
        self._products.copy_(self._turned).mul_(self._scales)
        return self._out


def _rows(
    sketches: Sketches, shifts: NDArray[np.int64], begins: NDArray[np.int64], start: int, stop: int
) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """Codes and scales of the chosen rows from `start` to `stop`, which lie on the pages that begin there; each page's
    lie `shifts` further among all. Those of neighbours are not copied."""
    jumps = np.flatnonzero(shifts[1:] != shifts[:-1]) + 1
    if not len(jumps):
        run = slice(start + int(shifts[0]), stop + int(shifts[0]))
        return sketches.codes[run], sketches.scales[run]
    edges = pairwise([start, *begins[jumps].tolist(), stop])
    moves = shifts[[0, *jumps]].tolist()
    runs = [slice(first + move, end + move) for (first, end), move in zip(edges, moves, strict=True)]
    codes = np.concatenate([sketches.codes[run] for run in runs])
    return codes, np.concatenate([sketches.scales[run] for run in runs])
