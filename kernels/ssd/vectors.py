"""What the scan's kernels share: where a chunk lies, and its vectors of tokens. README.md has the drawing.

Rows are tokens of all documents laid end to end. Figures of tokens are kept by chunk and head, fp32 [VECTORS, Q], so
that they load aligned and without a mask. Offsets inside a tile are 32-bit; the base of a program is 64-bit.
Strides between rows come in steps of UNIT numbers (16 bytes where the tensor allows): the compiler then knows that a
row begins on 16 bytes. A plain stride of 1,688 is no multiple of 16, and every load would be of one number.
"""

from __future__ import annotations

import triton
import triton.language as tl

STRIDES = ("x_row", "x_head", "b_row", "c_row", "y_row", "y_head", "dtf_row", "dtf_head", "dtb_row", "dtb_head")
"""Not specialised by the compiler: one compiled kernel serves every layout, so a check of one layout holds for all."""
LEAST = tl.constexpr(-20.0)
TO_TWO = tl.constexpr(1.4426950408889634)
"""log2(e)."""
VECTORS = tl.constexpr(10)
"""Rows of fp32 [Q] that a chunk and head keep: aligned and without a mask, where rows of tokens would be neither. Their
order lets the first seven serve those who read, and the last eight those that are read."""
KEY_F, KEY_B = tl.constexpr(0), tl.constexpr(1)
"""log2 of a step, less (forward) or plus (mirrored) its sum: with the sum of a later or earlier token the weight."""
FROM, REACH = tl.constexpr(2), tl.constexpr(3)
"""Between the halves of a chunk: the decay from the middle to a token, 0 where it shows nothing, and what a token
writes as seen at the middle."""
ASK_F, ASK_B = tl.constexpr(4), tl.constexpr(5)
"""Sums of a token that reads: -inf and inf where its output is 0 or it is past the end: all decays to it are 0."""
STEP_B, STEP_F = tl.constexpr(6), tl.constexpr(7)
SUM_F, SUM_B = tl.constexpr(8), tl.constexpr(9)
"""Steps, and sums of log2 decays: the forward ones hold the token's own, the mirrored ones do not."""


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
    dt, dt_row, a, bias, keep, gaps, rate, vectors, total_at, line, start, rows, i, real, mirrored: tl.constexpr,
    Q: tl.constexpr, SOFTPLUS: tl.constexpr, MASKED: tl.constexpr, GAPS: tl.constexpr,
):  # fmt: skip
    """Steps, sums and what follows from them of one direction of a chunk and head. line: direction * heads + head.
    vectors: those of the chunk, at i."""
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
    sums = upto - log if mirrored else upto
    tl.store(total_at, tl.sum(log, 0))
    middle = tl.sum(tl.where(i < H, log, 0.0), 0)
    between = tl.exp2(tl.minimum(tl.where(i < H, middle - sums, sums - middle), 0.0))
    # -inf for a step of 0 and past the end, which then count for nothing.
    of_step = tl.where(step > 0.0, tl.log2(tl.maximum(step, 1e-37)), float("-inf"))
    tl.store(vectors + (STEP_F - mirrored) * Q, step)
    tl.store(vectors + (SUM_F + mirrored) * Q, sums)
    tl.store(vectors + (ASK_F + mirrored) * Q, tl.where(shown, sums, float("inf") if mirrored else float("-inf")))
    tl.store(vectors + (KEY_F + mirrored) * Q, of_step + sums if mirrored else of_step - sums)
    # The forward direction writes to the middle from the first half, the mirrored one from the second.
    writes = (i >= H) if mirrored else (i < H)
    tl.store(vectors + REACH * Q, between * step, mask=writes)
    tl.store(vectors + FROM * Q, tl.where(shown, between, 0.0), mask=writes == 0)


@triton.jit(do_not_specialize=["rows", "chunks", "heads", "time", *STRIDES])
def vectors_kernel(
    dtf, dtb, a, bias, keep, gaps, rate, chunk_start, chunk_length, vectors, totals,
    rows, chunks, heads, time,
    dtf_row, dtf_head, dtb_row, dtb_head,
    Q: tl.constexpr, SOFTPLUS: tl.constexpr, MASKED: tl.constexpr, GAPS: tl.constexpr, PACKED: tl.constexpr,
):  # fmt: skip
    """One program a chunk and head: what depends on the steps alone, so that no one who loads tiles waits for it."""
    chunk = tl.program_id(0) // heads
    head = tl.program_id(0) % heads
    start, length = place(chunk, chunk_start, chunk_length, time, Q, PACKED)
    if length > 0:
        i = tl.arange(0, Q)
        real = i < length
        own = vectors + (chunk.to(tl.int64) * heads + head) * (VECTORS * Q) + i
        decays(
            dtf + start * dtf_row + head * dtf_head, dtf_row, a, bias, keep, gaps, rate, own,
            totals + head * chunks + chunk, head, start, rows, i, real, 0, Q, SOFTPLUS, MASKED, GAPS,
        )  # fmt: skip
        decays(
            dtb + start * dtb_row + head * dtb_head, dtb_row, a, bias, keep, gaps, rate, own,
            totals + (heads + head) * chunks + chunk, heads + head, start, rows, i, real, 1, Q, SOFTPLUS, MASKED, GAPS,
        )  # fmt: skip


@triton.jit
def shown_rows(keep, start, row, real, MASKED: tl.constexpr):
    """Rows whose output was not set to 0, so that its gradient counts."""
    if MASKED:
        return real & (tl.load(keep + start + row, mask=real, other=0) != 0)
    return real
