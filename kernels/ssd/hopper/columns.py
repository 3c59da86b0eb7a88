"""Gradients of what is read, dx and dB: the same function as columns_kernel of ssd/backward.py.

Products of B and C are kept over the heads, and a factor of a row moves into the left side of a product, so that each
product adds to dx or dB where it stands: registers.
"""

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
    REACH,
    STEP_B,
    STEP_F,
    SUM_B,
    SUM_F,
    VECTORS,
    halved,
    loading,
    place,
    products,
    put,
    rows_of,
    vector,
)

WORK = gl.constexpr(handed.WORK.value)
DIRECT_F, DIRECT_B = gl.constexpr(handed.DIRECT_F.value), gl.constexpr(handed.DIRECT_B.value)
CHANGE_F, CHANGE_B = gl.constexpr(handed.CHANGE_F.value), gl.constexpr(handed.CHANGE_B.value)
PASSED_F, OWN = gl.constexpr(handed.PASSED_F.value), gl.constexpr(handed.OWN.value)
FIRST, KEPT = gl.constexpr(2), gl.constexpr(8)
"""Vectors read, from FIRST on."""


@gluon.jit
def columns(
    c_tile, b_tile, xs, ys, held, kept, full, empty, ready,
    skip, vectors, totals, dx, db, work, start, length, share, chunk, head, rows, chunks, heads,
    HALF: gl.constexpr, Q: gl.constexpr, P: gl.constexpr, N: gl.constexpr, GROUP: gl.constexpr, SLOTS: gl.constexpr,
    SKIP: gl.constexpr,
):  # fmt: skip
    """A warpgroup: half a chunk as the tokens j that are read."""
    H: gl.constexpr = Q // 2
    MINE: gl.constexpr = HALF * H
    OTHER: gl.constexpr = (1 - HALF) * H
    square: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, H, 16])
    wide: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, P, 16])
    deep: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, N, 16])
    left_w: gl.constexpr = gl.DotOperandLayout(0, wide, 2)
    left_d: gl.constexpr = gl.DotOperandLayout(0, deep, 2)
    of_row: gl.constexpr = gl.SliceLayout(1, square)
    of_column: gl.constexpr = gl.SliceLayout(0, square)
    of_wide: gl.constexpr = gl.SliceLayout(1, wide)
    kind: gl.constexpr = c_tile.dtype

    mbarrier.wait(ready, 0)
    own_b = b_tile.slice(MINE, H)
    own_c = c_tile.slice(MINE, H)
    other_c = c_tile.slice(OTHER, H)
    blank = gl.zeros((H, H), gl.float32, square)
    nothing = gl.zeros((H, P), gl.float32, wide)
    scores, crossed = products(own_b, c_tile, length, MINE, OTHER, H, square)  # [j, i]
    j = gl.arange(0, H, of_row)
    i = gl.arange(0, H, of_column)
    back = i[None, :] >= j[:, None]
    same = i[None, :] == j[:, None]
    own_product = gl.sum(gl.where(same, scores, 0.0), 1)
    scores, crossed, height = halved(scores, crossed)
    total_at = totals + head * chunks + chunk
    middle_at = vectors + (chunk.to(gl.int64) * heads + head) * (VECTORS * Q)
    middle_at += SUM_B * Q + H if HALF else SUM_F * Q + H - 1
    total = gl.load(total_at)
    middle = gl.load(middle_at)
    past_skip = 0.0
    if SKIP:
        past_skip = gl.load(skip + head).to(gl.float32)
    sum_db = gl.zeros((H, N), gl.float32, deep)
    for g in tl.range(0, GROUP, disable_licm=True):
        slot = g % SLOTS
        base = slot * KEPT - FIRST
        mbarrier.wait(full.index(slot), g // SLOTS & 1)
        own_x = xs.index(slot).slice(MINE, H)
        own_y = ys.index(slot).slice(MINE, H)
        other_y = ys.index(slot).slice(OTHER, H)
        leave_f = held.index(slot).slice(0, P)
        leave_b = held.index(slot).slice(P, P)
        asked_f = warpgroup_mma(own_b, leave_f.permute((1, 0)), nothing, use_acc=False, is_async=True)
        asked_b = warpgroup_mma(own_b, leave_b.permute((1, 0)), nothing, use_acc=False, is_async=True)
        next_total = gl.load(total_at + (g + 1) * chunks, mask=g + 1 < GROUP, other=0.0)
        next_middle = gl.load(middle_at + (g + 1) * (VECTORS * Q), mask=g + 1 < GROUP, other=0.0)
        next_skip = past_skip
        if SKIP:
            next_skip = gl.load(skip + head + g + 1, mask=g + 1 < GROUP, other=0.0).to(gl.float32)
        sum_f = vector(kept, base + SUM_F, MINE, H, of_row)
        sum_b = vector(kept, base + SUM_B, MINE, H, of_row)
        step_f = vector(kept, base + STEP_F, MINE, H, of_row)
        step_b = vector(kept, base + STEP_B, MINE, H, of_row)
        decay_f = gl.exp2(gl.minimum(total - sum_f, 0.0))
        decay_b = gl.exp2(gl.minimum(sum_b, 0.0))
        given_f = gl.convert_layout(decay_f * step_f, of_wide)
        given_b = gl.convert_layout(decay_b * step_b, of_wide)
        wide_x = own_x.load(wide)
        asked_f, asked_b = warpgroup_mma_wait(0, deps=(asked_f, asked_b))
        pull_f = gl.convert_layout(gl.sum(wide_x.to(gl.float32) * asked_f, 1), of_row) * decay_f
        pull_b = gl.convert_layout(gl.sum(wide_x.to(gl.float32) * asked_b, 1), of_row) * decay_b
        out = asked_f * given_f[:, None] + asked_b * given_b[:, None]
        passed_f = gl.convert_layout((wide_x.to(gl.float32) * given_f[:, None]).to(kind), left_d)
        passed_b = gl.convert_layout((wide_x.to(gl.float32) * given_b[:, None]).to(kind), left_d)
        sum_db = warpgroup_mma(passed_f, leave_f, sum_db, is_async=True)
        sum_db = warpgroup_mma(passed_b, leave_b, sum_db, is_async=True)
        match = warpgroup_mma(own_x, own_y.permute((1, 0)), blank, use_acc=False, is_async=True)  # [j, i]
        sum_db, match = warpgroup_mma_wait(0, deps=(sum_db, match))
        ask_f = vector(kept, base + ASK_F, MINE, H, of_column)
        ask_b = vector(kept, base + ASK_B, MINE, H, of_column)
        decay = gl.exp2(gl.where(back, ask_f[None, :] - sum_f[:, None], sum_b[:, None] - ask_b[None, :]))
        # Without the token itself: its own term, a thousand times the others where much is forgotten, is no part of
        # the gradients of decays, and must not leave the rounding of a kept product there.
        term = decay * scores.to(gl.float32) * match
        past = gl.sum(gl.where(back & (same == 0), term, 0.0), 1) * height
        ahead = gl.sum(gl.where(back, 0.0, term), 1) * height
        # Rows that show nothing have no gradient of y, and no token past the end does.
        there = vector(kept, base + ASK_F, MINE, H, of_row) > float("-inf")
        diagonal = gl.where(there, gl.sum(gl.where(same, match, 0.0), 1), 0.0)
        alone = diagonal * own_product
        # The forward term of a token itself is on the diagonal already; the mirrored one and the skip join it.
        weight = decay * gl.where(back, step_f[:, None], step_b[:, None])
        mixed = weight * (scores.to(gl.float32) * height[:, None])
        mixed += gl.where(same, (gl.where(there, past_skip, 0.0) + step_b * own_product)[:, None], 0.0)
        near = gl.convert_layout(mixed.to(kind), left_w)
        out = warpgroup_mma(near, own_y, out, is_async=True)
        weight += gl.where(same, step_b[:, None], 0.0)
        written = gl.convert_layout((weight * match).to(kind), left_d)
        sum_db = warpgroup_mma(written, own_c, sum_db, is_async=True)
        # The other half is all later (first half) or all earlier (second half).
        far = warpgroup_mma(own_x, other_y.permute((1, 0)), blank, use_acc=False, is_async=True)
        far, out, sum_db = warpgroup_mma_wait(0, deps=(far, out, sum_db))
        away = vector(kept, base + FROM, OTHER, H, of_column)
        reach = vector(kept, base + REACH, MINE, H, of_row)
        far *= away[None, :]
        beyond = gl.sum(crossed.to(gl.float32) * far, 1) * height
        if HALF:
            ahead += beyond * gl.exp2(gl.minimum(sum_b - middle, 0.0))
        else:
            past += beyond * gl.exp2(gl.minimum(middle - sum_f, 0.0))
        across = gl.convert_layout(
            (crossed.to(gl.float32) * away[None, :] * (reach * height)[:, None]).to(kind), left_w
        )
        out = warpgroup_mma(across, other_y, out, is_async=True)
        written = gl.convert_layout((far * reach[:, None]).to(kind), left_d)
        sum_db = warpgroup_mma(written, other_c, sum_db, is_async=True)
        spot = chunk.to(gl.int64) * heads + head + g
        at = work + spot * (WORK * Q) + MINE + j
        gl.store(at + OWN * Q, diagonal)
        gl.store(at + DIRECT_F * Q, past + alone + pull_f)
        gl.store(at + DIRECT_B * Q, ahead + alone + pull_b)
        gl.store(at + PASSED_F * Q, pull_f * step_f)
        gl.store(at + CHANGE_F * Q, -step_f * (past + pull_f))
        gl.store(at + CHANGE_B * Q, step_b * (ahead + pull_b))
        out, sum_db = warpgroup_mma_wait(0, deps=(out, sum_db))
        mbarrier.arrive(empty.index(slot), count=1)
        put(dx + (start.to(gl.int64) * heads + head + g) * P, out.to(kind), heads * P, length, MINE, H, P)
        total = next_total
        middle = next_middle
        past_skip = next_skip
    put(db + (share.to(gl.int64) * rows + start) * N, sum_db.to(db.dtype.element_ty), N, length, MINE, H, N)


@gluon.jit(do_not_specialize=["rows", "chunks", "heads", "time"])
def columns_kernel(
    x_desc, y_desc, b_desc, c_desc, adjoint_desc, vectors_desc, skip, vectors, totals, dx, db, work,
    chunk_start, chunk_length, rows, chunks, heads, time,
    Q: gl.constexpr, P: gl.constexpr, N: gl.constexpr, GROUP: gl.constexpr, SLOTS: gl.constexpr, SKIP: gl.constexpr,
    PACKED: gl.constexpr,
):  # fmt: skip
    """dx, dB of GROUP heads, and their part of the gradients of the steps."""
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
        held = gl.allocate_shared_memory(kind, [SLOTS, 2 * P, N], adjoint_desc.layout)
        kept = gl.allocate_shared_memory(gl.float32, [SLOTS * KEPT, Q], vectors_desc.layout)
        ready, full, empty = barriers(SLOTS)
        gl.warp_specialize(
            [
                (columns, (c_tile, b_tile, xs, ys, held, kept, full, empty, ready, skip, vectors, totals, dx, db, work,
                           start, length, share, chunk, head, rows, chunks, heads, 0, Q, P, N, GROUP, SLOTS, SKIP)),
                (columns, (c_tile, b_tile, xs, ys, held, kept, full, empty, ready, skip, vectors, totals, dx, db, work,
                           start, length, share, chunk, head, rows, chunks, heads, 1, Q, P, N, GROUP, SLOTS, SKIP)),
                (loading, (c_desc, b_desc, x_desc, y_desc, adjoint_desc, vectors_desc, c_tile, b_tile, xs, ys, held,
                           kept, full, empty, ready, start, chunk, head, heads, Q, P, N, GROUP, SLOTS, FIRST, KEPT,
                           True)),
            ],
            [4, 1],
            [240, 24],
        )  # fmt: skip


def write_columns(
    x: Tensor, b: Tensor, c: Tensor, dy: Tensor, skip: Tensor | None, vectors: Tensor, totals: Tensor, adjoint: Tensor,
    start: Tensor, length: Tensor, dx: Tensor, db: Tensor, work: Tensor, time: int, *, slots: int, packed: bool,
) -> None:  # fmt: skip
    """Launches the kernel; arguments as those of ssd/backward.py. db: [shares, rows, state], each a share of heads."""
    chunks, heads, _, width, state = adjoint.shape
    chunk, group = vectors.shape[-1], heads // db.shape[0]
    columns_kernel[(chunks * db.shape[0],)](
        described(rows_of(x), chunk, width), described(rows_of(dy), chunk, width), described(b, chunk, state),
        described(c, chunk, state), described(adjoint.view(-1, state), 2 * width, state),
        described(vectors.view(-1), chunk), skip, vectors, totals, dx, db, work, start, length,
        x.shape[0], chunks, heads, time, Q=chunk, P=width, N=state, GROUP=group, SLOTS=slots, SKIP=skip is not None,
        PACKED=packed, num_warps=4,
    )  # fmt: skip
