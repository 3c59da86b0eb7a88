"""Dynamic chunking after H-Net (Hwang, Wang and Gu, 2025): where chunks begin, their rows, and the way back to tokens.

Formula, layout and figures: ../README.md. Nothing here waits for the device: sizes that depend on data have
an upper bound given by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.chunking.reference import (
    SURE,
    average_reference,
    compact_reference,
    likeness_reference,
    spread_reference,
    take_reference,
)
from kernels.dispatch import choose

__all__ = [
    "SURE",
    "Chunks",
    "boundary_likeness",
    "boundary_probability",
    "chunk_rows",
    "compact",
    "dechunk",
    "straight_through",
]

KERNEL_TYPES = (torch.bfloat16, torch.float16, torch.float32)


@dataclass(frozen=True, slots=True)
class Chunks:
    """Which tokens make up which chunk, for rows of `time` tokens and at most `limit` chunks a row.

    member: int64 [batch, time], number of the token's chunk from 1; 0 before the first boundary, beyond the limit and
    where masked. start: int64 [batch, limit], first token of each chunk, 0 where there is none.
    real: bool [batch, limit]. offset: int64 [batch, time], place of a token in its chunk, 0 where it has none.
    """

    member: Tensor
    start: Tensor
    real: Tensor
    offset: Tensor


def boundary_likeness(h: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """Cosine of W_q h_t and W_k h_{t-1}, fp32 [batch, time]; -1 at the first token of a row.

    h: float [batch, time, dim]. query, key: float [width, dim]. Differentiable in all three.
    """
    if h.ndim != 3 or query.shape != key.shape or query.shape[-1] != h.shape[-1]:
        raise ValueError(f"need [batch, time, dim] and two [width, dim], got {h.shape}, {query.shape}, {key.shape}")
    fits = h.dtype in KERNEL_TYPES and h.shape[-1] % 32 == 0 and query.shape[0] % 16 == 0 and h.numel() > 0
    if choose(h, fits=fits) == "reference":
        return likeness_reference(h, query, key)
    from kernels.chunking.triton import likeness

    batch, time, dim = h.shape
    cosines, _ = likeness(h.reshape(batch * time, dim), query.to(h.dtype), key.to(h.dtype), time)
    return cosines.view(batch, time)


def boundary_probability(likeness: Tensor) -> Tensor:
    """H-Net's p_t = (1 - cos) / 2, in 0..1; 1 at the first token. A boundary is p > 0.5; a tie is none."""
    return ((1.0 - likeness) * 0.5).clamp(0.0, 1.0)


def compact(boundary: Tensor, limit: int, *, mask: Tensor | None = None) -> Chunks:
    """Number the chunks. boundary, mask: bool [batch, time]. limit: most chunks a row; later ones have no member."""
    if choose(boundary, fits=boundary.numel() > 0 and limit > 0) == "reference":
        return Chunks(*compact_reference(boundary, limit, mask))
    from kernels.chunking.triton import number

    return Chunks(*number(boundary, mask, limit))


def chunk_rows(h: Tensor, chunks: Chunks) -> Tensor:
    """The first token of each chunk: [batch, limit, dim] of h [batch, time, dim], 0 where there is no chunk."""
    if h.shape[:2] != chunks.member.shape:
        raise ValueError(f"h {list(h.shape)} and chunks of {list(chunks.member.shape)} must agree")
    if choose(h, fits=h.dtype in KERNEL_TYPES and h.numel() > 0 and chunks.start.numel() > 0) == "reference":
        return take_reference(h, chunks.start, chunks.real)
    from kernels.chunking.triton import take

    return take(h, chunks.member, chunks.start, chunks.real, chunks.offset)


def dechunk(vectors: Tensor, probability: Tensor, chunks: Chunks) -> Tensor:
    """Chunk vectors smoothed and given back to their tokens: out_t = c_{chunk(t)}, c_k = p_k z_k + (1 - p_k) c_{k-1}.

    vectors: float [batch, limit, dim]. probability: fp32 [batch, limit], of each chunk's boundary, clamped to at most
    0.9999. The average runs in fp32. Returns [batch, time, dim] in the type of vectors, 0 where a token has no chunk.
    Differentiable in vectors and probability.
    """
    if vectors.shape[:2] != probability.shape or probability.shape != chunks.start.shape:
        raise ValueError(
            f"vectors {list(vectors.shape)}, probability {list(probability.shape)} and chunks"
            f" {list(chunks.start.shape)} must agree"
        )
    if choose(vectors, fits=vectors.dtype in KERNEL_TYPES and vectors.numel() > 0) == "reference":
        wide = torch.promote_types(vectors.dtype, torch.float32)
        return spread_reference(average_reference(vectors.to(wide), probability), chunks.member).to(vectors.dtype)
    from kernels.chunking.triton import smooth_and_spread

    return smooth_and_spread(vectors.contiguous(), probability.float().contiguous(), chunks.member, chunks.start)


def straight_through(probability: Tensor) -> Tensor:
    """1 in value, the probability in gradient: the loss of what it multiplies reaches the router."""
    return 1.0 + probability - probability.detach()
