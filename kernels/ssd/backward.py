"""Triton kernels of the gradients of the scan. README.md has the formulas.

The adjoint of the scan is a scan in the other direction, so its states take the same walk. No kernel transposes a
product: where B C^T is needed it is computed as such (Triton 3.4 to 3.7.0 miscompiles a transposed accumulator).
Sums over heads are kept in a program or written apart and added in order, so the same inputs give the same bits.
"""

from __future__ import annotations

import triton
import triton.language as tl

from kernels.ssd.vectors import (
    FROM,
    KEY_B,
    KEY_F,
    LEAST,
    REACH,
    STEP_B,
    STEP_F,
    STRIDES,
    SUM_B,
    SUM_F,
    VECTORS,
    place,
    shown_rows,
)

WORK = tl.constexpr(9)
"""Rows of fp32 [Q] that a chunk and head hand to the last kernel."""
DIRECT_F, DIRECT_B = tl.constexpr(0), tl.constexpr(1)
"""Gradient of a step as a factor."""
CHANGE_F, CHANGE_B, ASKED_F, ASKED_B = tl.constexpr(2), tl.constexpr(3), tl.constexpr(4), tl.constexpr(5)
"""Gradient of a sum of log decays, from what reads the token and from what the token reads."""
OWN = tl.constexpr(6)
"""dy . x, the gradient of the skip."""
PASSED_F, PASSED_B = tl.constexpr(7), tl.constexpr(8)
"""Part of the gradient of the decay over the whole chunk: what a token writes that passes its end, forward, and what it
reads that passes its beginning, mirrored."""


@triton.jit(do_not_specialize=["rows", "chunks", "heads", "time", *STRIDES])
def columns_kernel(
    x, b, c, dy, skip, keep, vectors, totals, adjoint, chunk_start, chunk_length,
    dx, db, work,
    rows, chunks, heads, time,
    x_row, x_head, b_row, c_row,
    Q: tl.constexpr, P: tl.constexpr, N: tl.constexpr, UNIT: tl.constexpr, GROUP: tl.constexpr, SKIP: tl.constexpr,
    MASKED: tl.constexpr, PACKED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Half a chunk as the tokens j that are read: dx, its share of dB, and their part of the gradients of the steps."""
    H: tl.constexpr = Q // 2
    half = tl.program_id(0) % 2
    chunk = tl.program_id(0) // 2
    start, length = place(chunk, chunk_start, chunk_length, time, Q, PACKED)
    if half * H < length:
        r = tl.arange(0, H)
        p = tl.arange(0, P)
        n = tl.arange(0, N)
        j = half * H + r
        o = (1 - half) * H + r
        real = j < length
        other_real = o < length
        tile_b = tl.load(b + start * (b_row * UNIT) + j[:, None] * (b_row * UNIT) + n[None, :],
                         mask=real[:, None], other=0.0)  # fmt: skip
        c_base = c + start * (c_row * UNIT) + n[None, :]
        own_c = tl.load(c_base + j[:, None] * (c_row * UNIT), mask=real[:, None], other=0.0)
        other_c = tl.load(c_base + o[:, None] * (c_row * UNIT), mask=other_real[:, None], other=0.0)
        own_product = tl.sum(tile_b.to(tl.float32) * own_c.to(tl.float32), 1)
        shown = shown_rows(keep, start, j, real, MASKED)
        other_shown = shown_rows(keep, start, o, other_real, MASKED)
        back = r[None, :] >= r[:, None]
        same = r[None, :] == r[:, None]
        cell = p[:, None] * N + n[None, :]
        db_sum = tl.zeros((H, N), tl.float32)
        for g in tl.range(0, GROUP, num_stages=1, disable_licm=True):
            head = tl.program_id(1) * GROUP + g
            tile_x = tl.load(x + start * (x_row * UNIT) + head * (x_head * UNIT) + j[:, None] * (x_row * UNIT)
                             + p[None, :], mask=real[:, None], other=0.0)  # fmt: skip
            y_base = dy + (start * heads + head) * P + p[None, :]
            own_y = tl.load(y_base + j[:, None] * (heads * P), mask=shown[:, None], other=0.0)
            spot = chunk.to(tl.int64) * heads + head
            whole = vectors + spot * (VECTORS * Q)
            own = whole + half * H + r
            sum_f = tl.load(own + SUM_F * Q)
            sum_b = tl.load(own + SUM_B * Q)
            step_f = tl.load(own + STEP_F * Q)
            step_b = tl.load(own + STEP_B * Q)
            total_f = tl.load(totals + head * chunks + chunk)

            match = tl.dot(tile_x, tl.trans(own_y), input_precision=PRECISION)  # [j, i]
            gap = tl.where(back, sum_f[None, :] - sum_f[:, None], sum_b[:, None] - sum_b[None, :])
            decay = tl.exp2(gap)
            weight = decay * tl.where(back, step_f[:, None], step_b[:, None])
            weight += tl.where(same, step_b[:, None], 0.0)
            scores = tl.dot(tile_b, tl.trans(own_c), input_precision=PRECISION)  # [j, i]
            mixed = weight * scores
            if SKIP:
                mixed += tl.where(same, tl.load(skip + head).to(tl.float32), 0.0)
            dx_sum = tl.dot(mixed.to(tile_x.dtype), own_y, input_precision=PRECISION)
            db_sum = tl.dot((weight * match).to(tile_x.dtype), own_c, db_sum, input_precision=PRECISION)
            term = decay * scores * match
            past = tl.sum(tl.where(back, term, 0.0), 1)  # with the token's own term, as `ahead` below
            diagonal = tl.sum(tl.where(same, match, 0.0), 1)  # dy . x
            alone = diagonal * own_product
            ahead = tl.sum(term, 1) - past + alone
            if SKIP:
                tl.store(work + spot * (WORK * Q) + OWN * Q + j, diagonal)

            # The other half is all later (first half) or all earlier (second half).
            other_y = tl.load(y_base + o[:, None] * (heads * P), mask=other_shown[:, None], other=0.0)
            crossed = tl.dot(tile_b, tl.trans(other_c), input_precision=PRECISION)
            away = tl.load(whole + FROM * Q + o)
            reach = tl.load(own + REACH * Q)
            far = tl.dot(tile_x, tl.trans(other_y), input_precision=PRECISION) * away[None, :]
            dx_sum += reach[:, None] * tl.dot((crossed * away[None, :]).to(tile_x.dtype), other_y,
                                              input_precision=PRECISION)  # fmt: skip
            db_sum += reach[:, None] * tl.dot(far.to(tile_x.dtype), other_c, input_precision=PRECISION)
            middle = tl.load(whole + tl.where(half == 0, SUM_F * Q + H - 1, SUM_B * Q + H))
            to_middle = tl.exp2(tl.minimum(tl.where(half == 0, middle - sum_f, sum_b - middle), 0.0))
            beyond = tl.sum(crossed * far, 1) * to_middle
            past += tl.where(half == 0, beyond, 0.0)
            ahead += tl.where(half == 0, 0.0, beyond)

            decay_f = tl.exp2(tl.minimum(total_f - sum_f, 0.0))
            decay_b = tl.exp2(tl.minimum(sum_b, 0.0))
            wide_b = tile_b.to(tl.float32)
            leave_f = tl.load(adjoint + spot * (2 * P * N) + cell)
            seen = tl.dot(tile_x, leave_f.to(tile_x.dtype), input_precision=PRECISION)
            pull_f = tl.sum(seen * wide_b, 1) * decay_f
            db_sum += (decay_f * step_f)[:, None] * seen
            dx_sum += (decay_f * step_f)[:, None] * tl.dot(tile_b, tl.trans(leave_f).to(tile_x.dtype),
                                                           input_precision=PRECISION)  # fmt: skip
            leave_b = tl.load(adjoint + spot * (2 * P * N) + P * N + cell)
            seen = tl.dot(tile_x, leave_b.to(tile_x.dtype), input_precision=PRECISION)
            pull_b = tl.sum(seen * wide_b, 1) * decay_b
            db_sum += (decay_b * step_b)[:, None] * seen
            dx_sum += (decay_b * step_b)[:, None] * tl.dot(tile_b, tl.trans(leave_b).to(tile_x.dtype),
                                                           input_precision=PRECISION)  # fmt: skip
            out = work + spot * (WORK * Q) + j
            tl.store(out + DIRECT_F * Q, past + pull_f)
            tl.store(out + DIRECT_B * Q, ahead + pull_b)
            tl.store(out + PASSED_F * Q, pull_f * step_f)
            tl.store(out + CHANGE_F * Q, -step_f * (past - alone + pull_f))
            tl.store(out + CHANGE_B * Q, step_b * (ahead - alone + pull_b))
            tl.store(dx + (start * heads + head) * P + j[:, None] * (heads * P) + p[None, :],
                     dx_sum.to(dx.dtype.element_ty), mask=real[:, None])  # fmt: skip
        share = db + (tl.program_id(1).to(tl.int64) * rows + start) * N
        tl.store(share + j[:, None] * N + n[None, :], db_sum.to(db.dtype.element_ty), mask=real[:, None])


@triton.jit(do_not_specialize=["rows", "chunks", "heads", "time", *STRIDES])
def rows_kernel(
    x, b, c, dy, keep, vectors, totals, states, chunk_start, chunk_length,
    dc, work,
    rows, chunks, heads, time,
    x_row, x_head, b_row, c_row,
    Q: tl.constexpr, P: tl.constexpr, N: tl.constexpr, UNIT: tl.constexpr, GROUP: tl.constexpr, MASKED: tl.constexpr,
    PACKED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Half a chunk as the tokens i that read: their share of dC and their part of the gradients of the decays."""
    H: tl.constexpr = Q // 2
    half = tl.program_id(0) % 2
    chunk = tl.program_id(0) // 2
    start, length = place(chunk, chunk_start, chunk_length, time, Q, PACKED)
    if half * H < length:
        r = tl.arange(0, H)
        p = tl.arange(0, P)
        n = tl.arange(0, N)
        i = half * H + r
        o = (1 - half) * H + r
        real = i < length
        other_real = o < length
        tile_c = tl.load(c + start * (c_row * UNIT) + i[:, None] * (c_row * UNIT) + n[None, :],
                         mask=real[:, None], other=0.0)  # fmt: skip
        b_base = b + start * (b_row * UNIT) + n[None, :]
        own_b = tl.load(b_base + i[:, None] * (b_row * UNIT), mask=real[:, None], other=0.0)
        other_b = tl.load(b_base + o[:, None] * (b_row * UNIT), mask=other_real[:, None], other=0.0)
        shown = shown_rows(keep, start, i, real, MASKED)
        back = r[:, None] >= r[None, :]
        same = r[:, None] == r[None, :]
        cell = p[:, None] * N + n[None, :]
        dc_sum = tl.zeros((H, N), tl.float32)
        for g in tl.range(0, GROUP, num_stages=1, disable_licm=True):
            head = tl.program_id(1) * GROUP + g
            x_base = x + start * (x_row * UNIT) + head * (x_head * UNIT) + p[None, :]
            own_x = tl.load(x_base + i[:, None] * (x_row * UNIT), mask=real[:, None], other=0.0)
            tile_y = tl.load(dy + (start * heads + head) * P + i[:, None] * (heads * P) + p[None, :],
                             mask=shown[:, None], other=0.0)  # fmt: skip
            spot = chunk.to(tl.int64) * heads + head
            whole = vectors + spot * (VECTORS * Q)
            own = whole + half * H + r
            sum_f = tl.load(own + SUM_F * Q)
            sum_b = tl.load(own + SUM_B * Q)
            if PRECISION == "tf32x3":
                gap = tl.where(back, sum_f[:, None] - sum_f[None, :], sum_b[None, :] - sum_b[:, None])
                step = tl.where(back, tl.load(own + STEP_F * Q)[None, :], tl.load(own + STEP_B * Q)[None, :])
                weight = tl.exp2(tl.minimum(gap, 0.0)) * step
            else:
                key_f = tl.load(own + KEY_F * Q)
                key_b = tl.load(own + KEY_B * Q)
                weight = tl.exp2(tl.where(back, sum_f[:, None] + key_f[None, :], key_b[None, :] - sum_b[:, None]))
            weight += tl.where(same, tl.load(own + STEP_B * Q)[:, None], 0.0)
            weight *= tl.dot(tile_y, tl.trans(own_x), input_precision=PRECISION)  # [i, j]
            dc_sum = tl.dot(weight.to(tile_c.dtype), own_b, dc_sum, input_precision=PRECISION)
            scores = tl.dot(tile_c, tl.trans(own_b), input_precision=PRECISION)  # [i, j]
            term = weight * scores
            past = tl.sum(tl.where(back & (same == 0), term, 0.0), 1)
            ahead = tl.sum(tl.where(back, 0.0, term), 1)

            other_x = tl.load(x_base + o[:, None] * (x_row * UNIT), mask=other_real[:, None], other=0.0)
            reach = tl.load(whole + REACH * Q + o)
            crossed = tl.dot(tile_c, tl.trans(other_b), input_precision=PRECISION)
            away = tl.load(own + FROM * Q)
            far = tl.dot(tile_y, tl.trans(other_x), input_precision=PRECISION) * reach[None, :]
            dc_sum += away[:, None] * tl.dot(far.to(tile_c.dtype), other_b, input_precision=PRECISION)
            beyond = tl.sum(crossed * far, 1) * away
            past += tl.where(half == 1, beyond, 0.0)
            ahead += tl.where(half == 1, 0.0, beyond)

            total_b = tl.load(totals + (heads + head) * chunks + chunk)
            read_f = tl.exp2(tl.minimum(sum_f, 0.0))
            read_b = tl.exp2(tl.minimum(total_b - sum_b, 0.0))
            wide_c = tile_c.to(tl.float32)
            given = tl.dot(tile_y, tl.load(states + spot * (2 * P * N) + cell).to(tile_y.dtype),
                           input_precision=PRECISION)  # fmt: skip
            given *= read_f[:, None]
            dc_sum += given
            from_f = tl.sum(given * wide_c, 1)
            given = tl.dot(tile_y, tl.load(states + spot * (2 * P * N) + P * N + cell).to(tile_y.dtype),
                           input_precision=PRECISION)  # fmt: skip
            given *= read_b[:, None]
            dc_sum += given
            from_b = tl.sum(given * wide_c, 1)
            out = work + spot * (WORK * Q) + i
            tl.store(out + PASSED_B * Q, from_b)
            tl.store(out + ASKED_F * Q, past + from_f)
            tl.store(out + ASKED_B * Q, -(ahead + from_b))
        share = dc + (tl.program_id(1).to(tl.int64) * rows + start) * N
        tl.store(share + i[:, None] * N + n[None, :], dc_sum.to(dc.dtype.element_ty), mask=real[:, None])


@triton.jit
def inner_product(states, adjoint, offset, SIZE: tl.constexpr):
    """Of the state that enters a chunk and of what is asked of the one that leaves it."""
    PIECE: tl.constexpr = 2048 if SIZE > 2048 else SIZE
    total = 0.0
    for low in range(0, SIZE, PIECE):
        cell = offset + low + tl.arange(0, PIECE)
        total += tl.sum(tl.load(states + cell).to(tl.float32) * tl.load(adjoint + cell).to(tl.float32), 0)
    return total


@triton.jit(do_not_specialize=["rows", "chunks", "heads", "time"])
def steps_kernel(
    a, keep, gaps, gap_rate, vectors, totals, work, states, adjoint, chunk_start, chunk_length,
    ddt, da, drate, dskip,
    rows, chunks, heads, time,
    Q: tl.constexpr, SIZE: tl.constexpr, SKIP: tl.constexpr, SOFTPLUS: tl.constexpr, MASKED: tl.constexpr,
    GAPS: tl.constexpr, PACKED: tl.constexpr,
):  # fmt: skip
    """Gradients of the sums of log decays to gradients of the steps and, one figure a chunk, of a.

    ddt: [2, heads, rows], of the raw step when there is a softplus. da, drate: [2, heads, chunks].
    dskip: [heads, chunks].
    """
    chunk = tl.program_id(0)
    line = tl.program_id(1)  # direction * heads + head
    start, length = place(chunk, chunk_start, chunk_length, time, Q, PACKED)
    spot = line * chunks + chunk
    if length > 0:
        i = tl.arange(0, Q)
        real = i < length
        at = line.to(tl.int64) * rows + start
        # Half a chunk past the end was never written.
        way = line // heads
        spread = chunk.to(tl.int64) * heads + line % heads
        step = tl.load(vectors + spread * (VECTORS * Q) + (STEP_F - way) * Q + i)
        given = work + spread * (WORK * Q) + way * Q + i
        rate = tl.load(a + line).to(tl.float32)
        moved = tl.load(given + CHANGE_F * Q, mask=real, other=0.0)
        moved += tl.load(given + ASKED_F * Q, mask=real, other=0.0)
        # Gradient of the decay over the whole chunk: of what passes it whole, and of what passes one end of it.
        whole = tl.exp2(tl.load(totals + spot)) * inner_product(states, adjoint, (spread * 2 + way) * SIZE, SIZE)
        whole += tl.sum(tl.load(work + spread * (WORK * Q) + (PASSED_F + way) * Q + i, mask=real, other=0.0), 0)
        # A log decay at t moves the forward sums of t and later; the mirrored sums exclude t itself.
        after = tl.sum(moved, 0) - tl.cumsum(moved, 0)
        slope = whole + after + tl.where(line < heads, moved, 0.0)
        log = step * rate
        if GAPS:
            # The mirrored direction has its own row of gaps.
            side = way.to(tl.int64) * rows + start
            gap = tl.load(gaps + side + i, mask=shown_rows(keep, start, i, real, MASKED), other=0.0)
            log += gap * tl.load(gap_rate + line)
            slope = tl.where(log > LEAST, slope, 0.0)
            tl.store(drate + spot, tl.sum(slope * gap, 0))
        slope = tl.where(log > LEAST, slope, 0.0)
        gradient = tl.load(given + DIRECT_F * Q, mask=real, other=0.0) + slope * rate
        if SOFTPLUS:
            # The slope of softplus is 1 - exp(-dt); its series near zero keeps the digits.
            slow = step * (1.0 - step * (0.5 - step * (1.0 / 6.0)))
            gradient *= tl.where(step < 1e-2, slow, 1.0 - tl.exp(-step))
        if MASKED:
            gradient = tl.where(shown_rows(keep, start, i, real, MASKED), gradient, 0.0)
        tl.store(ddt + at + i, gradient, mask=real)
        tl.store(da + spot, tl.sum(tl.where(real, slope * step, 0.0)))
        if SKIP and line < heads:
            own = tl.load(work + spread * (WORK * Q) + OWN * Q + i, mask=real, other=0.0)
            tl.store(dskip + spot, tl.sum(own, 0))
    else:
        tl.store(da + spot, 0.0)
        if GAPS:
            tl.store(drate + spot, 0.0)
        if SKIP and line < heads:
            tl.store(dskip + spot, 0.0)
