"""Vectors to bytes and back, and the check that every engine makes before it stores some."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.packing import bits_needed, narrow_bytes, narrowed, widened
from retrieval.documents import PageVectors
from retrieval.errors import InvalidInput

# The same tolerance as models.encoder.Embedding: float32 rounding of a few thousand dims stays far below it.
_LENGTH_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class VectorBytes:
    """PageVectors as little-endian bytes, rows one after another.

    summary: float32 (D,). tokens: (T, token_dims) numbers of token_bits bits, as
    `models.packing.narrowed` lays them (None in records of before there was a choice: 8); scales: float16 (T,);
    cells: uint16 (T, 4). token_dims and these three are None together.
    """

    summary: bytes
    token_dims: int | None = None
    token_bits: int | None = None
    tokens: bytes | None = None
    scales: bytes | None = None
    cells: bytes | None = None


def vectors_to_bytes(vectors: PageVectors) -> VectorBytes:
    """As few bits a number of a token as lose nothing. Raises what `check_vectors` raises."""
    check_vectors(vectors)
    summary = np.ascontiguousarray(vectors.summary, "<f4").tobytes()
    if vectors.tokens is None or vectors.scales is None or vectors.cells is None:
        return VectorBytes(summary)
    bits = bits_needed(vectors.tokens)
    return VectorBytes(
        summary=summary,
        token_dims=int(vectors.tokens.shape[1]),
        token_bits=bits,
        tokens=narrowed(np.ascontiguousarray(vectors.tokens), bits).tobytes(),
        scales=np.ascontiguousarray(vectors.scales, "<f2").tobytes(),
        cells=np.ascontiguousarray(vectors.cells, "<u2").tobytes(),
    )


def vectors_from_bytes(stored: VectorBytes, *, encoder: str) -> PageVectors:
    """Read-only views of the bytes, but for tokens of fewer than 8 bits. Raises ValueError when they are not whole."""
    summary = np.frombuffer(stored.summary, "<f4")
    if stored.token_dims is None or stored.tokens is None or stored.scales is None or stored.cells is None:
        return PageVectors(summary=summary, encoder=encoder)
    return PageVectors(
        summary=summary,
        encoder=encoder,
        tokens=_token_rows(stored.tokens, stored.token_dims, stored.token_bits or 8),
        scales=np.frombuffer(stored.scales, "<f2"),
        cells=np.frombuffer(stored.cells, "<u2").reshape(-1, 4),
    )


def _token_rows(stored: bytes, dims: int, bits: int) -> NDArray[np.int8]:
    return widened(np.frombuffer(stored, "u1").reshape(-1, narrow_bytes(dims, bits)), dims, bits)


def check_vectors(vectors: PageVectors) -> None:
    """Raises InvalidInput bad_vectors unless summary is finite and of length 1 and the token arrays fit together."""
    summary = vectors.summary
    if summary.ndim != 1 or not len(summary) or not np.isfinite(summary).all():
        raise _bad("summary", "The summary vector must be one row of finite numbers.")
    length = float(np.linalg.norm(summary.astype(np.float64)))
    if abs(length - 1.0) > _LENGTH_TOLERANCE:
        raise _bad("summary", f"The summary vector must have length 1, not {length:.4f}.")
    parts = (vectors.tokens, vectors.scales, vectors.cells)
    if all(part is None for part in parts):
        return
    if vectors.tokens is None or vectors.scales is None or vectors.cells is None:
        raise _bad("tokens", "Token vectors come with their scales and cells, or not at all.")
    count = len(vectors.tokens)
    if vectors.tokens.ndim != 2 or vectors.scales.shape != (count,) or vectors.cells.shape != (count, 4):
        raise _bad("tokens", "Token vectors, scales and cells must have one row a token.")
    if not np.isfinite(vectors.scales).all():
        raise _bad("tokens", "The scales of token vectors must be finite.")


def _bad(field: str, detail: str) -> InvalidInput:
    return InvalidInput(detail, code="bad_vectors", field=field)
