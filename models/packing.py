"""Token vectors as they are stored: few bits a number and one float16 scale a token (symmetric, per token)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.encoder import FloatArray, PackedPages

FINE_TOKENS = 200
"""Tokens of a page up to which a number takes five bits. Those of a denser page take four, because a page that drops
words, or copies of words that tell its phrases, loses more than one with coarser numbers."""
_SHRINK = (1.0, 0.93, 0.86, 0.8)
"""Parts of a row's peak that are tried as the end of its grid: a few cut peaks may cost less than a coarse step."""


def quantise_tokens(tokens: FloatArray) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """(T, d) float32 of one page to int8 rows and float16 scales; a row of zeros gets scale 0.

    Numbers are -15 to 15, of a page of more than FINE_TOKENS -7 to 7. Of a few grids each row takes the one whose
    direction is nearest to its own, and keeps its length, so that a page is as like itself as can be.
    """
    most = 15 if len(tokens) <= FINE_TOKENS else 7
    peak = np.abs(tokens).max(axis=1, keepdims=True) if tokens.size else np.zeros((len(tokens), 1), np.float32)
    length = np.linalg.norm(tokens, axis=1)
    best = np.zeros(tokens.shape, np.int8)
    scales = np.zeros(len(tokens), np.float32)
    nearest = np.zeros(len(tokens), np.float32)
    for share in _SHRINK:
        step = np.where(peak > 0, peak * np.float32(share / most), np.float32(1.0))
        rows = np.clip(np.rint(tokens / step), -most, most)
        size = np.maximum(np.linalg.norm(rows, axis=1), 1.0)
        product = np.einsum("ij,ij->i", rows, tokens) / size
        better = product > nearest
        best[better] = rows[better]
        scales[better] = (length / size)[better]
        nearest = np.maximum(nearest, product)
    return best, scales.astype(np.float16)


def dequantise_tokens(rows: NDArray[np.int8], scales: NDArray[np.float16]) -> FloatArray:
    """The float32 vectors that stored rows stand for, (T, d)."""
    return rows.astype(np.float32) * scales.astype(np.float32)[:, None]


def tokens_of(pages: PackedPages, chosen: NDArray[np.int64]) -> tuple[FloatArray, NDArray[np.int64]]:
    """float32 (n, d): the tokens of the pages with these numbers, end to end; and how many each of them has."""
    counts = np.diff(pages.offsets)[chosen]
    ends = np.cumsum(counts)
    rows = np.arange(counts.sum()) + np.repeat(pages.offsets[chosen] - (ends - counts), counts)
    return dequantise_tokens(pages.tokens[rows], pages.scales[rows]), counts


def bits_needed(rows: NDArray[np.int8]) -> int:
    """4, 5 or 8: the fewest bits a number in which `narrowed` loses nothing."""
    least, most = (int(rows.min()), int(rows.max())) if rows.size else (0, 0)
    return next((bits for bits in (4, 5) if -(1 << bits - 1) <= least and most < 1 << bits - 1), 8)


def narrow_bytes(dims: int, bits: int) -> int:
    """Bytes of a row of so many numbers of 4, 5 or 8 bits. Raises ValueError for other numbers of bits."""
    if bits not in (4, 5, 8):
        raise ValueError(f"token vectors of {bits} bits a number are not known")
    return dims if bits == 8 else (dims + 1) // 2 + (dims + 7) // 8 * (bits - 4)


def narrowed(rows: NDArray[np.int8], bits: int) -> NDArray[np.uint8]:
    """(T, d) numbers that fit so many bits to (T, narrow_bytes(d, bits)) bytes.

    With 4 and 5 bits half of the range is added to a number, so that it is not negative. First come the four low bits,
    those of the first half of the row in the lower half of the bytes; then the fifth bits, eight a byte.
    """
    if bits == 8:
        return rows.view(np.uint8)
    dims, half = rows.shape[1], (rows.shape[1] + 1) // 2
    codes = (rows + np.int8(1 << bits - 1)).view(np.uint8)
    low = codes[:, :half] & np.uint8(15)
    low[:, : dims - half] |= codes[:, half:] << np.uint8(4)
    return low if bits == 4 else np.concatenate([low, np.packbits(codes >> np.uint8(4), axis=1)], axis=1)


def widened(packed: NDArray[np.uint8], dims: int, bits: int) -> NDArray[np.int8]:
    """The (T, dims) numbers that `narrowed` packed."""
    if bits == 8:
        return packed.view(np.int8)
    half = (dims + 1) // 2
    codes = np.zeros((len(packed), dims), np.uint8)
    if bits == 5:
        codes |= np.unpackbits(packed[:, half:], axis=1, count=dims) << np.uint8(4)
    codes[:, :half] |= packed[:, :half] & np.uint8(15)
    codes[:, half:] |= packed[:, : dims - half] >> np.uint8(4)
    return codes.view(np.int8) - np.int8(1 << bits - 1)


def pack_pages(
    pages: Sequence[tuple[FloatArray, NDArray[np.int8] | None, NDArray[np.float16] | None]], *, encoder: str
) -> PackedPages:
    """(summary, token rows, scales) of each page to one block, in the order given."""
    if not pages:
        raise ValueError("nothing to pack")
    summaries = np.stack([summary for summary, _, _ in pages]).astype(np.float32, copy=False)
    counts = [0 if rows is None else len(rows) for _, rows, _ in pages]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    kept_rows = [rows for _, rows, _ in pages if rows is not None and len(rows)]
    kept_scales = [scales for _, rows, scales in pages if rows is not None and scales is not None and len(rows)]
    tokens = np.concatenate(kept_rows) if kept_rows else np.zeros((0, 1), np.int8)
    scales = np.concatenate(kept_scales) if kept_scales else np.zeros(0, np.float16)
    return PackedPages(summaries=summaries, tokens=tokens, scales=scales, offsets=offsets, encoder=encoder)
