"""Triton kernel of the scan's output. README.md has the drawing."""

from __future__ import annotations

import triton
import triton.language as tl

from kernels.ssd.vectors import FROM, KEY_B, KEY_F, REACH, STEP_B, STEP_F, STRIDES, SUM_B, SUM_F, VECTORS, place


@triton.jit(do_not_specialize=["chunks", "heads", "time", *STRIDES])
def output_kernel(
    x, b, c, skip, keep, vectors, totals, states, chunk_start, chunk_length, y,
    chunks, heads, time,
    x_row, x_head, b_row, c_row,
    Q: tl.constexpr, P: tl.constexpr, N: tl.constexpr, UNIT: tl.constexpr, GROUP: tl.constexpr, SKIP: tl.constexpr,
    MASKED: tl.constexpr, PACKED: tl.constexpr, PRECISION: tl.constexpr, STAGES: tl.constexpr,
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
        b_base = b + start * (b_row * UNIT) + n[None, :]
        tile_c = tl.load(c + start * (c_row * UNIT) + i[:, None] * (c_row * UNIT) + n[None, :],
                         mask=row_real[:, None], other=0.0)  # fmt: skip
        own_b = tl.load(b_base + i[:, None] * (b_row * UNIT), mask=row_real[:, None], other=0.0)
        other_b = tl.load(b_base + o[:, None] * (b_row * UNIT), mask=other_real[:, None], other=0.0)
        scores = tl.dot(tile_c, tl.trans(own_b), input_precision=PRECISION)
        crossed = tl.dot(tile_c, tl.trans(other_b), input_precision=PRECISION)
        if PRECISION == "tf32x3":
            height = tl.full((H,), 1.0, tl.float32)
        else:
            # Kept over the heads as fp16, 11 bits where bf16 has 8, all of them down to 4e-6 of a row's largest: 16.
            height = tl.maximum(tl.max(tl.abs(scores), 1), tl.max(tl.abs(crossed), 1))
            height = tl.maximum(height, 1e-30) * (1.0 / 16.0)
            scores = (scores * (1.0 / height)[:, None]).to(tl.float16)
            crossed = (crossed * (1.0 / height)[:, None]).to(tl.float16)
        level = tl.log2(height)
        back = r[:, None] >= r[None, :]
        same = r[:, None] == r[None, :]
        cell = p[:, None] * N + n[None, :]
        for g in tl.range(0, GROUP, num_stages=STAGES, disable_licm=True):
            head = tl.program_id(0) % groups * GROUP + g
            x_base = x + start * (x_row * UNIT) + head * (x_head * UNIT) + p[None, :]
            own_x = tl.load(x_base + i[:, None] * (x_row * UNIT), mask=row_real[:, None], other=0.0)
            spot = chunk.to(tl.int64) * heads + head
            own = vectors + spot * (VECTORS * Q) + half * H + r
            sum_f = tl.load(own + SUM_F * Q)
            sum_b = tl.load(own + SUM_B * Q)
            step_b = tl.load(own + STEP_B * Q)
            total_b = tl.load(totals + (heads + head) * chunks + chunk)
            # The exponent is chosen before the power: the wrong triangle would overflow.
            if PRECISION == "tf32x3":
                gap = tl.where(back, sum_f[:, None] - sum_f[None, :], sum_b[None, :] - sum_b[:, None])
                step = tl.where(back, tl.load(own + STEP_F * Q)[None, :], step_b[None, :])
                weight = tl.exp2(tl.minimum(gap, 0.0)) * step
            else:
                # Two vectors of columns instead of four: registers. A large sum rounds the logarithm by up to 1e-4,
                # which 16-bit results do not see.
                key_f = tl.load(own + KEY_F * Q)
                key_b = tl.load(own + KEY_B * Q)
                weight = tl.exp2(tl.where(back, (sum_f + level)[:, None] + key_f[None, :],
                                          key_b[None, :] - (sum_b - level)[:, None]))  # fmt: skip
            # The forward term of a token itself is on the diagonal already; the mirrored one and the skip join it.
            weight += tl.where(same, (step_b * height)[:, None], 0.0)
            weight *= scores.to(tl.float32)
            if SKIP:
                weight += tl.where(same, tl.load(skip + head).to(tl.float32), 0.0)
            out = tl.dot(weight.to(own_x.dtype), own_x, input_precision=PRECISION)
            other_x = tl.load(x_base + o[:, None] * (x_row * UNIT), mask=other_real[:, None], other=0.0)
            reach = tl.load(vectors + spot * (VECTORS * Q) + REACH * Q + (1 - half) * H + r)
            written = (crossed.to(tl.float32) * reach[None, :]).to(other_x.dtype)
            far = tl.dot(written, other_x, input_precision=PRECISION)
            out += (tl.load(own + FROM * Q) * height)[:, None] * far
            state = tl.load(states + spot * (2 * P * N) + cell)
            seen = tl.dot(tile_c, tl.trans(state.to(tile_c.dtype)), input_precision=PRECISION)
            out += tl.exp2(sum_f)[:, None] * seen
            state = tl.load(states + spot * (2 * P * N) + P * N + cell)
            seen = tl.dot(tile_c, tl.trans(state.to(tile_c.dtype)), input_precision=PRECISION)
            out += tl.exp2(tl.minimum(total_b - sum_b, 0.0))[:, None] * seen
            if MASKED:
                on = tl.load(keep + start + i, mask=row_real, other=0) != 0
                out = tl.where(on[:, None], out, 0.0)
            y_base = y + (start * heads + head) * P
            tl.store(y_base + i[:, None] * (heads * P) + p[None, :], out.to(y.dtype.element_ty),
                     mask=row_real[:, None])  # fmt: skip
