"""Gradient of what reads, dC: the same function as rows_kernel of ssd/backward.py, in the manner of columns.py."""

from __future__ import annotations

import triton.language as tl
from torch import Tensor
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import mbarrier, warpgroup_mma, warpgroup_mma_wait

from kernels.copy_engine import barriers, described
from kernels.ssd import backward as handed
from kernels.ssd.hopper.parts import (
    ASK_B,
    ASK_F,
    FROM,
    KEY_B,
    KEY_F,
    REACH,
    STEP_B,
    halved,
    loading,
    place,
    products,
    put,
    rows_of,
    vector,
)

WORK = gl.constexpr(handed.WORK.value)
ASKED_F, ASKED_B = gl.constexpr(handed.ASKED_F.value), gl.constexpr(handed.ASKED_B.value)
PASSED_B = gl.constexpr(handed.PASSED_B.value)
KEPT = gl.constexpr(7)
"""Vectors read, from the first."""


@gluon.jit
def rows_part(
    c_tile, b_tile, xs, ys, held, kept, full, empty, ready,
    totals, dc, work, start, length, share, chunk, head, rows, chunks, heads,
    HALF: gl.constexpr, Q: gl.constexpr, P: gl.constexpr, N: gl.constexpr, GROUP: gl.constexpr, SLOTS: gl.constexpr,
):  # fmt: skip
    """A warpgroup: half a chunk as the tokens i that read."""
    H: gl.constexpr = Q // 2
    MINE: gl.constexpr = HALF * H
    OTHER: gl.constexpr = (1 - HALF) * H
    square: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, H, 16])
    wide: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, P, 16])
    deep: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, N, 16])
    left_d: gl.constexpr = gl.DotOperandLayout(0, deep, 2)
    of_row: gl.constexpr = gl.SliceLayout(1, square)
    of_column: gl.constexpr = gl.SliceLayout(0, square)
    of_wide: gl.constexpr = gl.SliceLayout(1, wide)
    kind: gl.constexpr = c_tile.dtype

    mbarrier.wait(ready, 0)
    own_c = c_tile.slice(MINE, H)
    own_b = b_tile.slice(MINE, H)
    other_b = b_tile.slice(OTHER, H)
    blank = gl.zeros((H, H), gl.float32, square)
    nothing = gl.zeros((H, P), gl.float32, wide)
    scores, crossed = products(own_c, b_tile, length, MINE, OTHER, H, square)  # [i, j]
    scores, crossed, height = halved(scores, crossed)
    i = gl.arange(0, H, of_row)
    j = gl.arange(0, H, of_column)
    back = i[:, None] >= j[None, :]
    same = i[:, None] == j[None, :]
    total_at = totals + (heads + head) * chunks + chunk
    total = gl.load(total_at)
    sum_dc = gl.zeros((H, N), gl.float32, deep)
    for g in tl.range(0, GROUP, disable_licm=True):
        slot = g % SLOTS
        base = slot * KEPT
        mbarrier.wait(full.index(slot), g // SLOTS & 1)
        own_y = ys.index(slot).slice(MINE, H)
        own_x = xs.index(slot).slice(MINE, H)
        other_x = xs.index(slot).slice(OTHER, H)
        enter_f = held.index(slot).slice(0, P)
        enter_b = held.index(slot).slice(P, P)
        seen_f = warpgroup_mma(own_c, enter_f.permute((1, 0)), nothing, use_acc=False, is_async=True)
        seen_b = warpgroup_mma(own_c, enter_b.permute((1, 0)), nothing, use_acc=False, is_async=True)
        next_total = gl.load(total_at + (g + 1) * chunks, mask=g + 1 < GROUP, other=0.0)
        ask_f = vector(kept, base + ASK_F, MINE, H, of_row)
        ask_b = vector(kept, base + ASK_B, MINE, H, of_row)
        read_f = gl.exp2(ask_f)
        read_b = gl.exp2(gl.minimum(total - ask_b, 0.0))
        given_f = gl.convert_layout(read_f, of_wide)
        given_b = gl.convert_layout(read_b, of_wide)
        wide_y = own_y.load(wide)
        seen_f, seen_b = warpgroup_mma_wait(0, deps=(seen_f, seen_b))
        from_f = gl.convert_layout(gl.sum(wide_y.to(gl.float32) * seen_f, 1), of_row) * read_f
        from_b = gl.convert_layout(gl.sum(wide_y.to(gl.float32) * seen_b, 1), of_row) * read_b
        asked_f = gl.convert_layout((wide_y.to(gl.float32) * given_f[:, None]).to(kind), left_d)
        asked_b = gl.convert_layout((wide_y.to(gl.float32) * given_b[:, None]).to(kind), left_d)
        sum_dc = warpgroup_mma(asked_f, enter_f, sum_dc, is_async=True)
        sum_dc = warpgroup_mma(asked_b, enter_b, sum_dc, is_async=True)
        match = warpgroup_mma(own_y, own_x.permute((1, 0)), blank, use_acc=False, is_async=True)  # [i, j]
        far = warpgroup_mma(own_y, other_x.permute((1, 0)), blank, use_acc=False, is_async=True)
        key_f = vector(kept, base + KEY_F, MINE, H, of_column)
        key_b = vector(kept, base + KEY_B, MINE, H, of_column)
        weight = gl.exp2(gl.where(back, ask_f[:, None] + key_f[None, :], key_b[None, :] - ask_b[:, None]))
        weight += gl.where(same, vector(kept, base + STEP_B, MINE, H, of_row)[:, None], 0.0)
        sum_dc, match, far = warpgroup_mma_wait(0, deps=(sum_dc, match, far))
        weight *= match
        near = gl.convert_layout(weight.to(kind), left_d)
        sum_dc = warpgroup_mma(near, own_b, sum_dc, is_async=True)
        term = weight * scores.to(gl.float32)
        past = gl.sum(gl.where(back & (same == 0), term, 0.0), 1) * height
        ahead = gl.sum(gl.where(back, 0.0, term), 1) * height
        reach = vector(kept, base + REACH, OTHER, H, of_column)
        away = vector(kept, base + FROM, MINE, H, of_row)
        far *= reach[None, :] * away[:, None]
        beyond = gl.sum(crossed.to(gl.float32) * far, 1) * height
        if HALF:
            past += beyond
        else:
            ahead += beyond
        across = gl.convert_layout(far.to(kind), left_d)
        sum_dc = warpgroup_mma(across, other_b, sum_dc, is_async=True)
        at = work + (chunk.to(gl.int64) * heads + head + g) * (WORK * Q) + MINE + i
        gl.store(at + PASSED_B * Q, from_b)
        gl.store(at + ASKED_F * Q, past + from_f)
        gl.store(at + ASKED_B * Q, -(ahead + from_b))
        sum_dc = warpgroup_mma_wait(0, deps=(sum_dc,))
        mbarrier.arrive(empty.index(slot), count=1)
        total = next_total
    put(dc + (share.to(gl.int64) * rows + start) * N, sum_dc.to(dc.dtype.element_ty), N, length, MINE, H, N)


@gluon.jit(do_not_specialize=["rows", "chunks", "heads", "time"])
def rows_kernel(
    x_desc, y_desc, b_desc, c_desc, states_desc, vectors_desc, totals, dc, work,
    chunk_start, chunk_length, rows, chunks, heads, time,
    Q: gl.constexpr, P: gl.constexpr, N: gl.constexpr, GROUP: gl.constexpr, SLOTS: gl.constexpr, PACKED: gl.constexpr,
):  # fmt: skip
    """dC of GROUP heads, and their part of the gradients of the decays."""
    groups = heads // GROUP
    chunk = gl.program_id(0) // groups
    share = gl.program_id(0) % groups
    head = share * GROUP
    start, length = place(chunk, chunk_start, chunk_length, time, Q, PACKED)
    kind: gl.constexpr = x_desc.dtype
    if length > 0:
        c_tile = gl.allocate_shared_memory(kind, [Q, N], c_desc.layout)
        b_tile = gl.allocate_shared_memory(kind, [Q, N], b_desc.layout)
        xs = gl.allocate_shared_memory(kind, [SLOTS, Q, P], x_desc.layout)
        ys = gl.allocate_shared_memory(kind, [SLOTS, Q, P], y_desc.layout)
        held = gl.allocate_shared_memory(kind, [SLOTS, 2 * P, N], states_desc.layout)
        kept = gl.allocate_shared_memory(gl.float32, [SLOTS * KEPT, Q], vectors_desc.layout)
        ready, full, empty = barriers(SLOTS)
        gl.warp_specialize(
            [
                (rows_part, (c_tile, b_tile, xs, ys, held, kept, full, empty, ready, totals, dc, work,
                             start, length, share, chunk, head, rows, chunks, heads, 0, Q, P, N, GROUP, SLOTS)),
                (rows_part, (c_tile, b_tile, xs, ys, held, kept, full, empty, ready, totals, dc, work,
                             start, length, share, chunk, head, rows, chunks, heads, 1, Q, P, N, GROUP, SLOTS)),
                (loading, (c_desc, b_desc, x_desc, y_desc, states_desc, vectors_desc, c_tile, b_tile, xs, ys, held,
                           kept, full, empty, ready, start, chunk, head, heads, Q, P, N, GROUP, SLOTS, 0, KEPT,
                           True)),
            ],
            [4, 1],
            [240, 24],
        )  # fmt: skip


def write_rows(
    x: Tensor, b: Tensor, c: Tensor, dy: Tensor, vectors: Tensor, totals: Tensor, states: Tensor,
    start: Tensor, length: Tensor, dc: Tensor, work: Tensor, time: int, *, slots: int, packed: bool,
) -> None:  # fmt: skip
    """Launches the kernel; arguments as those of ssd/backward.py. dc: [shares, rows, state], each a share of heads."""
    chunks, heads, _, width, state = states.shape
    chunk, group = vectors.shape[-1], heads // dc.shape[0]
    rows_kernel[(chunks * dc.shape[0],)](
        described(rows_of(x), chunk, width), described(rows_of(dy), chunk, width), described(b, chunk, state),
        described(c, chunk, state), described(states.view(-1, state), 2 * width, state),
        described(vectors.view(-1), chunk), totals, dc, work, start, length,
        x.shape[0], chunks, heads, time, Q=chunk, P=width, N=state, GROUP=group, SLOTS=slots, PACKED=packed,
        num_warps=4,
    )  # fmt: skip
