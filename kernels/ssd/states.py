"""Triton kernels of the states that enter the chunks of a scan, and of the adjoint ones that leave them.

The adjoint of a scan is a scan the other way: dy takes the place of x, C that of B, and up becomes down.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from kernels.ssd.sizes import WALKERS, Config, hopper_serves
from kernels.ssd.tables import Layout
from kernels.ssd.vectors import STEP_F, STRIDES, SUM_F, VECTORS, place, shown_rows


@triton.jit
def weighed(tile, vectors, total, i, mirrored: tl.constexpr, ADJOINT: tl.constexpr, Q: tl.constexpr):
    """B by what each token writes to the state that leaves the chunk; ADJOINT: C by what it reads of the one that
    enters. vectors: those of the chunk. total: log2 decay over it."""
    sums = tl.load(vectors + (SUM_F + mirrored) * Q + i)
    if mirrored == ADJOINT:
        sums = total - sums
    weight = tl.exp2(tl.minimum(sums, 0.0))
    if not ADJOINT:
        weight *= tl.load(vectors + (STEP_F - mirrored) * Q + i)
    return (tile.to(tl.float32) * weight[:, None]).to(tile.dtype)


@triton.jit(do_not_specialize=["chunks", "heads", "time", *STRIDES])
def states_kernel(
    x, b, keep, chunk_start, chunk_length, vectors, totals, states,
    chunks, heads, time,
    x_row, x_head, b_row,
    Q: tl.constexpr, P: tl.constexpr, N: tl.constexpr, UNIT: tl.constexpr,
    MASKED: tl.constexpr, ADJOINT: tl.constexpr, PACKED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One program a chunk and head: the state that the chunk adds in each direction."""
    chunk = tl.program_id(0) // heads
    head = tl.program_id(0) % heads
    start, length = place(chunk, chunk_start, chunk_length, time, Q, PACKED)
    if length > 0:
        i = tl.arange(0, Q)
        p = tl.arange(0, P)
        n = tl.arange(0, N)
        real = i < length
        shown = shown_rows(keep, start, i, real, MASKED and ADJOINT)
        tile_x = tl.load(x + start * (x_row * UNIT) + head * (x_head * UNIT) + i[:, None] * (x_row * UNIT) + p[None, :],
                         mask=shown[:, None], other=0.0)  # fmt: skip
        tile_b = tl.load(b + start * (b_row * UNIT) + i[:, None] * (b_row * UNIT) + n[None, :],
                         mask=real[:, None], other=0.0)  # fmt: skip
        spot = chunk.to(tl.int64) * heads + head
        own = vectors + spot * (VECTORS * Q)
        total_f = tl.load(totals + head * chunks + chunk)
        total_b = tl.load(totals + (heads + head) * chunks + chunk)
        turned = tl.trans(tile_x)
        state_f = tl.dot(turned, weighed(tile_b, own, total_f, i, 0, ADJOINT, Q), input_precision=PRECISION)
        state_b = tl.dot(turned, weighed(tile_b, own, total_b, i, 1, ADJOINT, Q), input_precision=PRECISION)
        out = states + spot * (2 * P * N)
        cell = p[:, None] * N + n[None, :]
        tl.store(out + cell, state_f.to(states.dtype.element_ty))
        tl.store(out + P * N + cell, state_b.to(states.dtype.element_ty))


@triton.jit(do_not_specialize=["chunks", "heads", "documents"])
def walk_kernel(
    states, totals, first, chunks, heads, documents,
    SIZE: tl.constexpr, BLOCK: tl.constexpr, ADJOINT: tl.constexpr, PACKED: tl.constexpr,
):  # fmt: skip
    """Turns what each chunk adds into what enters it, in place. One program a document, head, direction and slice.

    Direction 0 walks up and 1 down; the adjoint states go the other way round. The running state stays in fp32.
    """
    document = tl.program_id(0)
    direction = tl.program_id(1) % 2
    head = tl.program_id(1) // 2
    if PACKED:
        low = tl.load(first + document)
        count = tl.load(first + document + 1) - low
    else:
        count = chunks // documents
        low = document * count
    up = (direction == 0) != ADJOINT
    begin = tl.where(up, low, low + count - 1)
    stride = tl.where(up, 1, -1)
    cell = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    base = states + ((head * 2 + direction) * SIZE + cell)
    decay = totals + (direction * heads + head) * chunks
    hop = heads.to(tl.int64) * (2 * SIZE)
    running = tl.zeros((BLOCK,), tl.float32)
    for i in tl.range(0, count, num_stages=8):
        at = begin + stride * i
        added = tl.load(base + at * hop).to(tl.float32)
        total = tl.load(decay + at)
        tl.store(base + at * hop, running.to(states.dtype.element_ty))
        running = tl.exp2(total) * running + added


def write_states(
    x: Tensor, b: Tensor, keep: Tensor | None, layout: Layout, vectors: Tensor, totals: Tensor, states: Tensor,
    time: int, sizes: dict[str, Any], config: Config, *, adjoint: bool,
) -> None:  # fmt: skip
    """The state that enters each chunk, in both directions; of dy and C the one asked of what leaves it."""
    rows, heads, width = x.shape
    chunks, state = states.shape[0], b.shape[-1]
    documents = layout.first.shape[0] - 1 if sizes["PACKED"] else rows // max(time, 1)
    if config.walk_slots and hopper_serves(x, sizes["Q"]) and heads % 2 == 0 and documents * heads >= WALKERS:
        from kernels.ssd.hopper import walk_states

        walk_states(x, b, vectors, totals, states, layout.start, layout.length, layout.first, time,
                    adjoint=adjoint, slots=config.walk_slots)  # fmt: skip
        return
    states_kernel[(chunks * heads,)](
        x, b, keep, layout.start, layout.length, vectors, totals, states, chunks, heads, time,
        x.stride(0) // sizes["UNIT"], x.stride(1) // sizes["UNIT"], b.stride(0) // sizes["UNIT"],
        ADJOINT=int(adjoint), num_warps=config.states_warps, **sizes,
    )  # fmt: skip
    size = width * state
    block = min(1024, size)
    if documents and chunks:
        walk_kernel[(documents, 2 * heads, size // block)](
            states, totals, layout.first, chunks, heads, documents,
            SIZE=size, BLOCK=block, ADJOINT=adjoint, PACKED=sizes["PACKED"], num_warps=4,
        )  # fmt: skip
