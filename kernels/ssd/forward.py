"""Triton kernels of the forward scan: states of the chunks, walk over them, output. README.md has the drawing.

Rows are tokens of all documents laid end to end. Figures of tokens are kept by chunk and head, fp32 [VECTORS, Q], so
that they load aligned and without a mask. Offsets inside a tile are 32-bit; the base of a program is 64-bit.
Strides between rows come in steps of UNIT numbers (16 bytes where the tensor allows): the compiler then knows that a
row begins on 16 bytes. A plain stride of 1,688 is no multiple of 16, and every load would be of one number.
"""

from __future__ import annotations

import triton
import triton.language as tl

STRIDES = ("x_row", "x_head", "b_row", "c_row", "dtf_row", "dtf_head", "dtb_row", "dtb_head")
"""Not specialised by the compiler: one compiled kernel serves every layout, so a check of one layout holds for all."""
LEAST = tl.constexpr(-20.0)
TO_TWO = tl.constexpr(1.4426950408889634)
"""log2(e)."""
VECTORS = tl.constexpr(8)
"""Rows of fp32 [Q] that a chunk and head keep: aligned and without a mask, where rows of tokens would be neither."""
STEP_F, STEP_B, SUM_F, SUM_B = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2), tl.constexpr(3)
"""Steps, and sums of log2 decays: the forward ones hold the token's own, the mirrored ones do not."""
KEY_F, KEY_B = tl.constexpr(4), tl.constexpr(5)
"""log2 of a step, less (forward) or plus (mirrored) its sum: with the sum of a later or earlier token the weight."""
REACH, FROM = tl.constexpr(6), tl.constexpr(7)
"""Between the halves of a chunk: what a token writes as seen at the middle, and the decay from there to a token."""


@triton.jit
def softplus(raw):
    """log(1 + exp(raw)), exact for small results too, and linear above 20 as in PyTorch."""
    e = tl.exp(tl.minimum(raw, 20.0))
    # log1p: exact near zero, where log(1 + e) loses every digit of e.
    u = 1.0 + e
    small = tl.where(u == 1.0, e, tl.log(u) * (e / tl.where(u == 1.0, 1.0, u - 1.0)))
    return tl.where(raw > 20.0, raw, small)


@triton.jit
def place(chunk, chunk_start, chunk_length, time, Q: tl.constexpr, PACKED: tl.constexpr):
    """First row and number of rows of a chunk: from the tables for packed documents, else by counting."""
    if PACKED:
        start = tl.load(chunk_start + chunk).to(tl.int64)
        length = tl.load(chunk_length + chunk)
    else:
        each = (time + Q - 1) // Q
        inside = chunk % each * Q
        start = (chunk // each).to(tl.int64) * time + inside
        length = tl.minimum(time - inside, Q)
    return start, length


@triton.jit
def decays(
    dt, dt_row, a, bias, keep, gaps, rate, vectors, total_at, line, start, rows, i, real, mirrored,
    Q: tl.constexpr, SOFTPLUS: tl.constexpr, MASKED: tl.constexpr, GAPS: tl.constexpr,
):  # fmt: skip
    """Steps and sums of one direction of a chunk and head, kept. Returns what each token writes to the state that
    leaves the chunk, and the log2 decay over it. line: direction * heads + head. vectors: those of the chunk, at i."""
    H: tl.constexpr = Q // 2
    step = tl.load(dt + i * dt_row, mask=real, other=0.0).to(tl.float32)
    if SOFTPLUS:
        step = tl.where(real, softplus(step + tl.load(bias + line).to(tl.float32)), 0.0)
    shown = real
    if MASKED:
        shown = tl.load(keep + start + i, mask=real, other=0) != 0
        step = tl.where(shown, step, 0.0)
    log = step * tl.load(a + line).to(tl.float32)
    if GAPS:
        log += tl.load(gaps + mirrored * rows.to(tl.int64) + start + i, mask=shown, other=0.0) * tl.load(rate + line)
    log = tl.maximum(log, LEAST) * TO_TWO
    upto = tl.cumsum(log, 0)
    sums = tl.where(mirrored == 1, upto - log, upto)
    total = tl.sum(log, 0)
    tl.store(total_at, total)
    middle = tl.sum(tl.where(i < H, log, 0.0), 0)
    between = tl.exp2(tl.minimum(tl.where(i < H, middle - sums, sums - middle), 0.0))
    # -inf for a step of 0 and past the end, which then count for nothing.
    of_step = tl.where(step > 0.0, tl.log2(tl.maximum(step, 1e-37)), float("-inf"))
    tl.store(vectors + (STEP_F + mirrored) * Q, step)
    tl.store(vectors + (SUM_F + mirrored) * Q, sums)
    tl.store(vectors + (KEY_F + mirrored) * Q, tl.where(mirrored == 1, of_step + sums, of_step - sums))
    # The forward direction writes to the middle from the first half, the mirrored one from the second.
    writes = (i < H) == (mirrored == 0)
    tl.store(vectors + REACH * Q, between * step, mask=writes)
    tl.store(vectors + FROM * Q, between, mask=writes == 0)
    return tl.exp2(tl.minimum(tl.where(mirrored == 1, sums, total - sums), 0.0)) * step, total


@triton.jit(do_not_specialize=["rows", "chunks", "heads", "time", *STRIDES])
def states_kernel(
    x, b, dtf, dtb, a, bias, keep, gaps, rate, chunk_start, chunk_length, states, vectors, totals,
    rows, chunks, heads, time,
    x_row, x_head, b_row, dtf_row, dtf_head, dtb_row, dtb_head,
    Q: tl.constexpr, P: tl.constexpr, N: tl.constexpr, UNIT: tl.constexpr, SOFTPLUS: tl.constexpr,
    MASKED: tl.constexpr, GAPS: tl.constexpr, PACKED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One program a chunk and head: its vectors, and the state it adds in each direction."""
    chunk = tl.program_id(0) // heads
    head = tl.program_id(0) % heads
    start, length = place(chunk, chunk_start, chunk_length, time, Q, PACKED)
    if length > 0:
        i = tl.arange(0, Q)
        p = tl.arange(0, P)
        n = tl.arange(0, N)
        real = i < length
        tile_x = tl.load(x + start * (x_row * UNIT) + head * (x_head * UNIT) + i[:, None] * (x_row * UNIT) + p[None, :],
                         mask=real[:, None], other=0.0)  # fmt: skip
        tile_b = tl.load(b + start * (b_row * UNIT) + i[:, None] * (b_row * UNIT) + n[None, :],
                         mask=real[:, None], other=0.0)  # fmt: skip
        spot = chunk.to(tl.int64) * heads + head
        own = vectors + spot * (VECTORS * Q) + i
        write_f, _ = decays(
            dtf + start * dtf_row + head * dtf_head, dtf_row, a, bias, keep, gaps, rate, own,
            totals + head * chunks + chunk, head, start, rows, i, real, 0, Q, SOFTPLUS, MASKED, GAPS,
        )  # fmt: skip
        write_b, _ = decays(
            dtb + start * dtb_row + head * dtb_head, dtb_row, a, bias, keep, gaps, rate, own,
            totals + (heads + head) * chunks + chunk, heads + head, start, rows, i, real, 1, Q, SOFTPLUS, MASKED, GAPS,
        )  # fmt: skip
        turned = tl.trans(tile_x)
        wide = tile_b.to(tl.float32)
        state_f = tl.dot(turned, (wide * write_f[:, None]).to(tile_x.dtype), input_precision=PRECISION)
        state_b = tl.dot(turned, (wide * write_b[:, None]).to(tile_x.dtype), input_precision=PRECISION)
        out = states + spot * (2 * P * N)
        cell = p[:, None] * N + n[None, :]
        tl.store(out + cell, state_f.to(states.dtype.element_ty))
        tl.store(out + P * N + cell, state_b.to(states.dtype.element_ty))


@triton.jit(do_not_specialize=["rows", "chunks", "heads", "time", *STRIDES])
def entering_kernel(
    x, b, dtf, dtb, a, bias, keep, gaps, rate, states, vectors, totals,
    rows, chunks, heads, time,
    x_row, x_head, b_row, dtf_row, dtf_head, dtb_row, dtb_head,
    Q: tl.constexpr, P: tl.constexpr, N: tl.constexpr, PART: tl.constexpr, UNIT: tl.constexpr,
    SOFTPLUS: tl.constexpr, MASKED: tl.constexpr, GAPS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """states_kernel and walk_kernel in one for many short documents of one length: the states never go to memory
    before they are what enters a chunk. One program a document, head, direction and PART columns of the state walks
    the chunks; those of other columns write the same vectors."""
    lane = tl.program_id(0) // (N // PART)
    mirrored = lane % 2
    head = lane // 2 % heads
    document = lane // 2 // heads
    each = (time + Q - 1) // Q
    line = mirrored * heads + head
    i = tl.arange(0, Q)
    p = tl.arange(0, P)
    n = tl.program_id(0) % (N // PART) * PART + tl.arange(0, PART)
    cell = p[:, None] * N + n[None, :]
    running = tl.zeros((P, PART), tl.float32)
    if mirrored == 1:
        dt = dtb + head * dtb_head
        dt_row = dtb_row
    else:
        dt = dtf + head * dtf_head
        dt_row = dtf_row
    for k in range(each):
        inner = tl.where(mirrored == 1, each - 1 - k, k)
        chunk = document * each + inner
        start = document.to(tl.int64) * time + inner * Q
        real = i < time - inner * Q
        tile_x = tl.load(x + start * (x_row * UNIT) + head * (x_head * UNIT) + i[:, None] * (x_row * UNIT) + p[None, :],
                         mask=real[:, None], other=0.0)  # fmt: skip
        tile_b = tl.load(b + start * (b_row * UNIT) + i[:, None] * (b_row * UNIT) + n[None, :],
                         mask=real[:, None], other=0.0)  # fmt: skip
        spot = chunk.to(tl.int64) * heads + head
        out = states + (spot * 2 + mirrored) * (P * N)
        tl.store(out + cell, running.to(states.dtype.element_ty))
        write, total = decays(
            dt + start * dt_row, dt_row, a, bias, keep, gaps, rate, vectors + spot * (VECTORS * Q) + i,
            totals + line * chunks + chunk, line, start, rows, i, real, mirrored, Q, SOFTPLUS, MASKED, GAPS,
        )  # fmt: skip
        written = (tile_b.to(tl.float32) * write[:, None]).to(tile_x.dtype)
        running = tl.exp2(total) * running + tl.dot(tl.trans(tile_x), written, input_precision=PRECISION)


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
    for i in range(0, count, 4):
        # Four loads go out before the first store, so that their waits overlap.
        c0 = begin + stride * i
        c1 = c0 + stride
        c2 = c1 + stride
        c3 = c2 + stride
        s0 = tl.load(base + c0 * hop).to(tl.float32)
        s1 = tl.load(base + c1 * hop, mask=(cell < SIZE) & (i + 1 < count), other=0.0).to(tl.float32)
        s2 = tl.load(base + c2 * hop, mask=(cell < SIZE) & (i + 2 < count), other=0.0).to(tl.float32)
        s3 = tl.load(base + c3 * hop, mask=(cell < SIZE) & (i + 3 < count), other=0.0).to(tl.float32)
        d0 = tl.load(decay + c0)
        d1 = tl.load(decay + c1, mask=i + 1 < count, other=0.0)
        d2 = tl.load(decay + c2, mask=i + 2 < count, other=0.0)
        d3 = tl.load(decay + c3, mask=i + 3 < count, other=0.0)
        tl.store(base + c0 * hop, running.to(states.dtype.element_ty))
        running = tl.exp2(d0) * running + s0
        tl.store(base + c1 * hop, running.to(states.dtype.element_ty), mask=(cell < SIZE) & (i + 1 < count))
        running = tl.exp2(d1) * running + s1
        tl.store(base + c2 * hop, running.to(states.dtype.element_ty), mask=(cell < SIZE) & (i + 2 < count))
        running = tl.exp2(d2) * running + s2
        tl.store(base + c3 * hop, running.to(states.dtype.element_ty), mask=(cell < SIZE) & (i + 3 < count))
        running = tl.exp2(d3) * running + s3


@triton.jit(do_not_specialize=["chunks", "heads", "time", *STRIDES])
def output_kernel(
    x, b, c, skip, keep, vectors, totals, states, chunk_start, chunk_length, y,
    chunks, heads, time,
    x_row, x_head, b_row, c_row,
    Q: tl.constexpr, P: tl.constexpr, N: tl.constexpr, UNIT: tl.constexpr, GROUP: tl.constexpr, SKIP: tl.constexpr,
    MASKED: tl.constexpr, PACKED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One program half a chunk and GROUP heads, which share both products of C and B.

    Against its own half a token needs one power of two for each pair. Against the other half, all of which lies on
    one side, the decay is that up to the middle times that from it: two vectors.
    """
    H: tl.constexpr = Q // 2
    groups = heads // GROUP
    half = tl.program_id(0) // groups % 2
    chunk = tl.program_id(0) // groups // 2
    start, length = place(chunk, chunk_start, chunk_length, time, Q, PACKED)
    if half * H < length:
        r = tl.arange(0, H)
        p = tl.arange(0, P)
        n = tl.arange(0, N)
        i = half * H + r
        o = (1 - half) * H + r
        row_real = i < length
        other_real = o < length
        b_base = b + start * (b_row * UNIT)
        tile_c = tl.load(c + start * (c_row * UNIT) + i[:, None] * (c_row * UNIT) + n[None, :],
                         mask=row_real[:, None], other=0.0)  # fmt: skip
        own_b = tl.load(b_base + i[:, None] * (b_row * UNIT) + n[None, :], mask=row_real[:, None], other=0.0)
        other_b = tl.load(b_base + o[:, None] * (b_row * UNIT) + n[None, :], mask=other_real[:, None], other=0.0)
        back = r[:, None] >= r[None, :]
        same = r[:, None] == r[None, :]
        cell = p[:, None] * N + n[None, :]
        first_head = tl.program_id(0) % groups * GROUP
        for g in tl.range(0, GROUP, num_stages=1, disable_licm=True):
            head = first_head + g
            x_base = x + start * (x_row * UNIT) + head * (x_head * UNIT) + p[None, :]
            own_x = tl.load(x_base + i[:, None] * (x_row * UNIT), mask=row_real[:, None], other=0.0)
            spot = chunk.to(tl.int64) * heads + head
            own = vectors + spot * (VECTORS * Q) + half * H + r
            sum_f = tl.load(own + SUM_F * Q)
            sum_b = tl.load(own + SUM_B * Q)
            total_b = tl.load(totals + (heads + head) * chunks + chunk)
            # The exponent is chosen before the power: the wrong triangle would overflow.
            if PRECISION == "tf32x3":
                gap = tl.where(back, sum_f[:, None] - sum_f[None, :], sum_b[None, :] - sum_b[:, None])
                step = tl.where(back, tl.load(own + STEP_F * Q)[None, :], tl.load(own + STEP_B * Q)[None, :])
                weight = tl.exp2(tl.minimum(gap, 0.0)) * step
            else:
                # Two vectors of columns instead of four: registers. A large sum rounds the logarithm by up to 1e-4,
                # which 16-bit results do not see.
                key_f = tl.load(own + KEY_F * Q)
                key_b = tl.load(own + KEY_B * Q)
                weight = tl.exp2(tl.where(back, sum_f[:, None] + key_f[None, :], key_b[None, :] - sum_b[:, None]))
            # The forward term of a token itself is on the diagonal already; the mirrored one and the skip join it.
            weight += tl.where(same, tl.load(own + STEP_B * Q)[:, None], 0.0)
            scores = tl.dot(tile_c, tl.trans(own_b), input_precision=PRECISION)
            mixed = weight * scores
            if SKIP:
                mixed += tl.where(same, tl.load(skip + head).to(tl.float32), 0.0)
            out = tl.dot(mixed.to(own_x.dtype), own_x, input_precision=PRECISION)
            other_x = tl.load(x_base + o[:, None] * (x_row * UNIT), mask=other_real[:, None], other=0.0)
            crossed = tl.dot(tile_c, tl.trans(other_b), input_precision=PRECISION)
            reach = tl.load(vectors + spot * (VECTORS * Q) + REACH * Q + (1 - half) * H + r)
            far = tl.dot((crossed * reach[None, :]).to(other_x.dtype), other_x, input_precision=PRECISION)
            out += tl.load(own + FROM * Q)[:, None] * far
            state_f = tl.load(states + spot * (2 * P * N) + cell)
            seen = tl.dot(tile_c, tl.trans(state_f.to(tile_c.dtype)), input_precision=PRECISION)
            out += tl.exp2(sum_f)[:, None] * seen
            state_b = tl.load(states + spot * (2 * P * N) + P * N + cell)
            seen = tl.dot(tile_c, tl.trans(state_b.to(tile_c.dtype)), input_precision=PRECISION)
            out += tl.exp2(tl.minimum(total_b - sum_b, 0.0))[:, None] * seen
            if MASKED:
                on = tl.load(keep + start + i, mask=row_real, other=0) != 0
                out = tl.where(on[:, None], out, 0.0)
            y_base = y + (start * heads + head) * P
            tl.store(y_base + i[:, None] * (heads * P) + p[None, :], out.to(y.dtype.element_ty),
                     mask=row_real[:, None])  # fmt: skip
