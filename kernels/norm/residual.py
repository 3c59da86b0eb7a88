"""Triton kernels of the norm after a residual sum: the sum is read while it is made, not once more."""

# Inside a kernel these are the compiler's values, not the host's that the package's types describe.
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["rows"])
def add_forward_kernel(
    x, residual, scale, weight, y, total, rows, x_row, residual_row, eps,
    WIDTH: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr, SCALED: tl.constexpr,
):  # fmt: skip
    start = tl.program_id(0).to(tl.int64) * ROWS
    r = tl.arange(0, ROWS)
    w = tl.arange(0, PADDED)
    real = (start + r < rows)[:, None] & (w < WIDTH)[None, :]
    u = tl.load(x + start * x_row + r[:, None] * x_row + w[None, :], mask=real, other=0.0).to(tl.float32)
    if SCALED:
        u *= tl.load(scale + w, mask=w < WIDTH, other=0.0).to(tl.float32)[None, :]
    u += tl.load(residual + start * residual_row + r[:, None] * residual_row + w[None, :], mask=real, other=0.0).to(
        tl.float32
    )
    out = start * WIDTH + r[:, None] * WIDTH + w[None, :]
    # The norm is of the sum as it is stored, so that the backward pass sees the same numbers.
    kept = u.to(total.dtype.element_ty)
    tl.store(total + out, kept, mask=real)
    u = kept.to(tl.float32)
    root = tl.rsqrt(tl.sum(u * u, 1) / WIDTH + eps)
    factor = tl.load(weight + w, mask=w < WIDTH, other=0.0).to(tl.float32)
    tl.store(y + out, (u * root[:, None] * factor[None, :]).to(y.dtype.element_ty), mask=real)


@triton.jit(do_not_specialize=["rows"])
def add_backward_kernel(
    dy, dtotal, x, total, scale, weight, dresidual, dx, dweight, dscale, rows, x_row, eps,
    WIDTH: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr, SCALED: tl.constexpr,
):  # fmt: skip
    """Each program walks its share of the rows and keeps its own sums for weight and scale: no atomics, same bits."""
    r = tl.arange(0, ROWS)
    w = tl.arange(0, PADDED)
    factor = tl.load(weight + w, mask=w < WIDTH, other=0.0).to(tl.float32)
    of_weight = tl.zeros((ROWS, PADDED), tl.float32)
    of_scale = tl.zeros((ROWS, PADDED), tl.float32)
    hop = tl.num_programs(0) * ROWS
    for first in tl.range(tl.program_id(0) * ROWS, rows, hop, num_stages=3):
        start = tl.cast(first, tl.int64)
        real = (start + r < rows)[:, None] & (w < WIDTH)[None, :]
        out = start * WIDTH + r[:, None] * WIDTH + w[None, :]
        u = tl.load(total + out, mask=real, other=0.0).to(tl.float32)
        grad = tl.load(dy + out, mask=real, other=0.0).to(tl.float32)
        root = tl.rsqrt(tl.sum(u * u, 1) / WIDTH + eps)[:, None]
        unit = u * root
        of_weight += grad * unit
        grad = grad * factor[None, :]
        inner = tl.sum(grad * unit, 1) / WIDTH
        du = root * (grad - unit * inner[:, None])
        du += tl.load(dtotal + out, mask=real, other=0.0).to(tl.float32)
        tl.store(dresidual + out, du.to(dresidual.dtype.element_ty), mask=real)
        if SCALED:
            own = tl.load(x + start * x_row + r[:, None] * x_row + w[None, :], mask=real, other=0.0).to(tl.float32)
            of_scale += du * own
            grown = du * tl.load(scale + w, mask=w < WIDTH, other=0.0).to(tl.float32)[None, :]
            tl.store(dx + out, grown.to(dx.dtype.element_ty), mask=real)
    share = tl.program_id(0) * WIDTH + w
    tl.store(dweight + share, tl.sum(of_weight, 0), mask=w < WIDTH)
    if SCALED:
        tl.store(dscale + share, tl.sum(of_scale, 0), mask=w < WIDTH)
