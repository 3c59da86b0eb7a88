"""Triton kernels of the gated delta rule: the solve of each chunk, then a walk over them. ../README.md has the drawing.

Both directions in one launch: the mirrored one reads the rows of a chunk from the last to the first.
"""

# Inside a kernel these are the compiler's values, not the host's that the package's types describe.
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["rows", "time", "heads"])
def solve_kernel(
    v, k, beta, decay, written, read, sums, rows, time, heads,
    v_row, v_head, k_row,
    Q: tl.constexpr, P: tl.constexpr, N: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One program a chunk, head and direction: U, W and the sums of log decays.

    (I + A)^-1 by products alone. A block of 16 on the diagonal is nilpotent: its inverse is
    (I + X)(I + X^2)(I + X^4)(I + X^8) with X = -A. With B the inverses of those blocks and L the rest of A, Y = -B L is
    nilpotent in blocks, and the whole inverse is (I + Y)(I + Y^2) B.
    """
    each = (time + Q - 1) // Q
    chunk = tl.program_id(0)
    head = tl.program_id(1) // 2
    mirrored = tl.program_id(1) % 2
    inside = chunk % each * Q
    start = (chunk // each).to(tl.int64) * time + inside
    length = tl.minimum(time - inside, Q)
    i = tl.arange(0, Q)
    p = tl.arange(0, P)
    n = tl.arange(0, N)
    real = i < length
    row = tl.where(mirrored == 1, length - 1 - i, i)
    line = (mirrored * heads + head).to(tl.int64) * rows + start
    rate = tl.load(beta + line + row, mask=real, other=0.0)
    total = tl.cumsum(tl.load(decay + line + row, mask=real, other=0.0), 0)
    tile_k = tl.load(k + start * k_row + row[:, None] * k_row + n[None, :], mask=real[:, None], other=0.0)
    below = i[:, None] > i[None, :]
    near = (i[:, None] // 16) == (i[None, :] // 16)
    gap = tl.where(below, total[:, None] - total[None, :], 0.0)
    product = tl.dot(tile_k, tl.trans(tile_k), input_precision=PRECISION)
    a = tl.where(below, rate[:, None] * tl.exp(tl.minimum(gap, 0.0)) * product, 0.0)
    one = tl.where(i[:, None] == i[None, :], 1.0, 0.0)
    x = tl.where(near, -a, 0.0)
    inverse = one + x
    for _ in tl.static_range(3):
        x = tl.dot(x, x, input_precision=PRECISION)
        inverse += tl.dot(inverse, x, input_precision=PRECISION)
    y = -tl.dot(inverse, tl.where(near, 0.0, a), input_precision=PRECISION)
    y += tl.dot(y, tl.dot(y, y, input_precision=PRECISION), input_precision=PRECISION) + tl.dot(
        y, y, input_precision=PRECISION
    )
    inverse += tl.dot(y, inverse, input_precision=PRECISION)

    tile_v = tl.load(v + start * v_row + head * v_head + row[:, None] * v_row + p[None, :],
                     mask=real[:, None], other=0.0)  # fmt: skip
    u = tl.dot(inverse, rate[:, None] * tile_v.to(tl.float32), input_precision=PRECISION)
    w = tl.dot(inverse, (rate * tl.exp(total))[:, None] * tile_k.to(tl.float32), input_precision=PRECISION)
    tl.store(sums + line + i, total, mask=real)
    at = line + i
    tl.store(written + at[:, None] * P + p[None, :], u.to(written.dtype.element_ty), mask=real[:, None])
    tl.store(read + at[:, None] * N + n[None, :], w.to(read.dtype.element_ty), mask=real[:, None])


@triton.jit(do_not_specialize=["rows", "time", "heads"])
def walk_kernel(
    k, q, written, read, sums, y, rows, time, heads,
    k_row, q_row,
    Q: tl.constexpr, P: tl.constexpr, N: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One program a document, head and direction walks the chunks, the state in registers. y: [2, rows, heads, P]."""
    each = (time + Q - 1) // Q
    document = tl.program_id(0)
    head = tl.program_id(1) // 2
    mirrored = tl.program_id(1) % 2
    i = tl.arange(0, Q)
    p = tl.arange(0, P)
    n = tl.arange(0, N)
    held = tl.zeros((N, P), tl.float32)
    for step in range(each):
        inside = tl.where(mirrored == 1, each - 1 - step, step) * Q
        start = document.to(tl.int64) * time + inside
        length = tl.minimum(time - inside, Q)
        real = i < length
        row = tl.where(mirrored == 1, length - 1 - i, i)
        line = (mirrored * heads + head).to(tl.int64) * rows + start
        at = line + i
        total = tl.load(sums + at, mask=real, other=0.0)
        last = tl.load(sums + line + length - 1)
        tile_k = tl.load(k + start * k_row + row[:, None] * k_row + n[None, :], mask=real[:, None], other=0.0)
        tile_q = tl.load(q + start * q_row + row[:, None] * q_row + n[None, :], mask=real[:, None], other=0.0)
        u = tl.load(written + at[:, None] * P + p[None, :], mask=real[:, None], other=0.0)
        w = tl.load(read + at[:, None] * N + n[None, :], mask=real[:, None], other=0.0)
        state = held.to(w.dtype)
        new = u.to(tl.float32) - tl.dot(w, state, input_precision=PRECISION)
        back = i[:, None] >= i[None, :]
        gap = tl.where(back, total[:, None] - total[None, :], 0.0)
        scores = tl.dot(tile_q, tl.trans(tile_k), input_precision=PRECISION)
        scores = tl.where(back, tl.exp(tl.minimum(gap, 0.0)) * scores, 0.0)
        out = tl.exp(total)[:, None] * tl.dot(tile_q, state, input_precision=PRECISION)
        out += tl.dot(scores.to(tile_q.dtype), new.to(tile_q.dtype), input_precision=PRECISION)
        reach = tl.where(real, tl.exp(tl.minimum(last - total, 0.0)), 0.0)
        left = (tile_k.to(tl.float32) * reach[:, None]).to(tile_k.dtype)
        held = tl.exp(last) * held + tl.dot(tl.trans(left), new.to(tile_k.dtype), input_precision=PRECISION)
        spot = ((mirrored.to(tl.int64) * rows + start) * heads + head) * P
        tl.store(y + spot + row[:, None] * (heads * P) + p[None, :], out.to(y.dtype.element_ty), mask=real[:, None])
