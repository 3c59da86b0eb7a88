"""Output of the scan: the same function as ssd/output.py."""

from __future__ import annotations

import triton.language as tl
from torch import Tensor
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    fence_async_shared,
    mbarrier,
    tma,
    warpgroup_mma,
    warpgroup_mma_wait,
)

from kernels.copy_engine import barriers, described, send
from kernels.ssd.hopper.parts import (
    ASK_B,
    ASK_F,
    FROM,
    KEY_B,
    KEY_F,
    REACH,
    STEP_B,
    barrier,
    halved,
    loading,
    place,
    products,
    rows_of,
    vector,
)

KEPT = gl.constexpr(7)
"""Vectors read, from the first."""


@gluon.jit
def reading(
    c_tile, b_tile, xs, held, kept, staged, full, empty, ready, clean,
    y_desc, y, skip, keep, totals, start, length, chunk, head, chunks, heads,
    HALF: gl.constexpr, Q: gl.constexpr, P: gl.constexpr, GROUP: gl.constexpr, SLOTS: gl.constexpr,
    SKIP: gl.constexpr, MASKED: gl.constexpr,
):  # fmt: skip
    """A warpgroup: y of half a chunk, head after head."""
    H: gl.constexpr = Q // 2
    MINE: gl.constexpr = HALF * H
    OTHER: gl.constexpr = (1 - HALF) * H
    square: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, H, 16])
    wide: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, P, 16])
    left: gl.constexpr = gl.DotOperandLayout(0, wide, 2)
    of_row: gl.constexpr = gl.SliceLayout(1, square)
    of_column: gl.constexpr = gl.SliceLayout(0, square)
    of_out: gl.constexpr = gl.SliceLayout(1, wide)
    kind: gl.constexpr = c_tile.dtype

    mbarrier.wait(ready, 0)
    own_c = c_tile.slice(MINE, H)
    scores, crossed = products(own_c, b_tile, length, MINE, OTHER, H, square)
    scores, crossed, height = halved(scores, crossed)
    i = gl.arange(0, H, of_row)
    j = gl.arange(0, H, of_column)
    level = gl.log2(height)
    back = i[:, None] >= j[None, :]
    same = i[:, None] == j[None, :]
    row = MINE + gl.arange(0, H, of_out)
    column = gl.arange(0, P, gl.SliceLayout(0, wide))
    real = row < length
    on = real
    if MASKED:
        on = gl.load(keep + start + row, mask=real, other=0) != 0
    total_at = totals + (heads + head) * chunks + chunk
    total = gl.load(total_at)
    past = 0.0
    if SKIP:
        past = gl.load(skip + head).to(gl.float32)
    blank = gl.zeros((H, P), gl.float32, wide)
    for g in tl.range(0, GROUP, disable_licm=True):
        slot = g % SLOTS
        mbarrier.wait(full.index(slot), g // SLOTS & 1)
        tile_x = xs.index(slot)
        if length < Q:
            # So that not even a NaN of the next document passes the zeros it is multiplied with.
            mine = tile_x.slice(MINE, H)
            mine.store(gl.where(real[:, None], mine.load(wide), 0.0))
            fence_async_shared()
            mbarrier.arrive(clean, count=1)
            mbarrier.wait(clean, g & 1)
        states = held.index(slot)
        seen_f = warpgroup_mma(own_c, states.slice(0, P).permute((1, 0)), blank, use_acc=False, is_async=True)
        seen_b = warpgroup_mma(own_c, states.slice(P, P).permute((1, 0)), blank, use_acc=False, is_async=True)
        next_total = gl.load(total_at + (g + 1) * chunks, mask=g + 1 < GROUP, other=0.0)
        next_past = past
        if SKIP:
            next_past = gl.load(skip + head + g + 1, mask=g + 1 < GROUP, other=0.0).to(gl.float32)
        ask_f = vector(kept, slot * KEPT + ASK_F, MINE, H, of_row)
        ask_b = vector(kept, slot * KEPT + ASK_B, MINE, H, of_row)
        key_f = vector(kept, slot * KEPT + KEY_F, MINE, H, of_column)
        key_b = vector(kept, slot * KEPT + KEY_B, MINE, H, of_column)
        # The exponent is chosen before the power: the wrong triangle would overflow.
        weight = gl.exp2(gl.where(back, (ask_f + level)[:, None] + key_f[None, :],
                                  key_b[None, :] - (ask_b - level)[:, None]))  # fmt: skip
        own = vector(kept, slot * KEPT + STEP_B, MINE, H, of_row) * height
        weight += gl.where(same, own[:, None], 0.0)
        weight *= scores.to(gl.float32)
        if SKIP:
            weight += gl.where(same, past, 0.0)
        near = gl.convert_layout(weight.to(kind), left)
        reach = vector(kept, slot * KEPT + REACH, OTHER, H, of_column)
        since = vector(kept, slot * KEPT + FROM, MINE, H, of_row) * height
        far = gl.convert_layout((crossed.to(gl.float32) * reach[None, :] * since[:, None]).to(kind), left)
        decay_f = gl.exp2(gl.convert_layout(ask_f, of_out))
        decay_b = gl.exp2(gl.minimum(total - gl.convert_layout(ask_b, of_out), 0.0))
        seen_f, seen_b = warpgroup_mma_wait(0, deps=(seen_f, seen_b))
        out = seen_f * decay_f[:, None] + seen_b * decay_b[:, None]
        out = warpgroup_mma(near, tile_x.slice(MINE, H), out, is_async=True)
        out = warpgroup_mma(far, tile_x.slice(OTHER, H), out, is_async=True)
        out = warpgroup_mma_wait(0, deps=(out,))
        mbarrier.arrive(empty.index(slot), count=1)
        if MASKED:
            out = gl.where(on[:, None], out, 0.0)
        if length >= MINE + H:
            tma.store_wait(0)
            barrier()
            staged.store(out.to(kind))
            fence_async_shared()
            send(y_desc, [start + MINE, (head + g) * P], staged)
        else:
            at = y + (start.to(gl.int64) * heads + head + g) * P
            gl.store(at + row[:, None] * (heads * P) + column[None, :], out.to(kind), mask=real[:, None])
        total = next_total
        past = next_past
    tma.store_wait(0)


@gluon.jit(do_not_specialize=["chunks", "heads", "time"])
def output_kernel(
    x_desc, b_desc, c_desc, states_desc, vectors_desc, y_desc, y, skip, keep, totals, chunk_start, chunk_length,
    chunks, heads, time,
    Q: gl.constexpr, P: gl.constexpr, N: gl.constexpr, GROUP: gl.constexpr, SLOTS: gl.constexpr, SKIP: gl.constexpr,
    MASKED: gl.constexpr, PACKED: gl.constexpr,
):  # fmt: skip
    """One program a chunk and GROUP heads."""
    groups = heads // GROUP
    chunk = gl.program_id(0) // groups
    head = gl.program_id(0) % groups * GROUP
    start, length = place(chunk, chunk_start, chunk_length, time, Q, PACKED)
    kind: gl.constexpr = x_desc.dtype
    if length > 0:
        c_tile = gl.allocate_shared_memory(kind, [Q, N], c_desc.layout)
        b_tile = gl.allocate_shared_memory(kind, [Q, N], b_desc.layout)
        xs = gl.allocate_shared_memory(kind, [SLOTS, Q, P], x_desc.layout)
        held = gl.allocate_shared_memory(kind, [SLOTS, 2 * P, N], states_desc.layout)
        kept = gl.allocate_shared_memory(gl.float32, [SLOTS * KEPT, Q], vectors_desc.layout)
        staged = gl.allocate_shared_memory(kind, [2, Q // 2, P], y_desc.layout)
        clean = gl.allocate_shared_memory(gl.int64, [1], mbarrier.MBarrierLayout())
        mbarrier.init(clean, count=2)
        ready, full, empty = barriers(SLOTS)
        gl.warp_specialize(
            [
                (reading, (c_tile, b_tile, xs, held, kept, staged.index(0), full, empty, ready, clean, y_desc, y, skip,
                           keep, totals, start, length, chunk, head, chunks, heads, 0, Q, P, GROUP, SLOTS, SKIP,
                           MASKED)),
                (reading, (c_tile, b_tile, xs, held, kept, staged.index(1), full, empty, ready, clean, y_desc, y, skip,
                           keep, totals, start, length, chunk, head, chunks, heads, 1, Q, P, GROUP, SLOTS, SKIP,
                           MASKED)),
                (loading, (c_desc, b_desc, x_desc, x_desc, states_desc, vectors_desc, c_tile, b_tile, xs, xs, held,
                           kept, full, empty, ready, start, chunk, head, heads, Q, P, N, GROUP, SLOTS, 0, KEPT, False)),
            ],
            [4, 1],
            [240, 24],
        )  # fmt: skip


def write_output(
    x: Tensor, b: Tensor, c: Tensor, skip: Tensor | None, keep: Tensor | None, vectors: Tensor, totals: Tensor,
    states: Tensor, start: Tensor, length: Tensor, y: Tensor, time: int, *, group: int, slots: int, packed: bool,
) -> None:  # fmt: skip
    """Launches the kernel; arguments as those of ssd/output.py's, group: heads that a program takes in turn."""
    chunks, heads, _, width, state = states.shape
    chunk = vectors.shape[-1]
    output_kernel[(chunks * heads // group,)](
        described(rows_of(x), chunk, width), described(b, chunk, state), described(c, chunk, state),
        described(states.view(-1, state), 2 * width, state), described(vectors.view(-1), chunk),
        described(rows_of(y), chunk // 2, width), y, skip, keep, totals, start, length, chunks, heads, time,
        Q=chunk, P=width, N=state, GROUP=group, SLOTS=slots, SKIP=skip is not None, MASKED=keep is not None,
        PACKED=packed, num_warps=4,
    )  # fmt: skip
