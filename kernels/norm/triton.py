"""Triton kernels of the norms. A program takes several rows: one row of 384 numbers is too little for one."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.elementary import sigmoid
from kernels.launch import operator, together
from kernels.norm.residual import add_backward_kernel, add_forward_kernel


class Config(NamedTuple):
    """rows a tile, warps of the forward kernel; the same of the backward one, and as many programs of it as the whole
    GPU runs at once. thirds: forward, a row of three times a power of two is read as three."""

    rows: int
    warps: int
    backward_rows: int
    backward_warps: int
    programs: int
    thirds: bool = False


# (width up to, gated) -> sizes, for an H200.
CONFIGS = {
    (512, False): Config(8, 4, 4, 4, 528),
    (512, True): Config(8, 8, 1, 1, 1584, thirds=True),
    (1024, False): Config(4, 4, 2, 4, 528),
    (1024, True): Config(1, 2, 2, 4, 396, thirds=True),
    (4096, False): Config(1, 4, 1, 8, 528),
    (4096, True): Config(1, 4, 1, 8, 528),
}


@triton.jit
def held(pointer, real, WHOLE: tl.constexpr):
    """WHOLE: there is nothing beyond the rows or their ends, and so no mask."""
    if WHOLE:
        return tl.load(pointer).to(tl.float32)
    return tl.load(pointer, mask=real, other=0.0).to(tl.float32)


@triton.jit
def gated(x, gate, at, gate_at, real, GATED: tl.constexpr, WHOLE: tl.constexpr):
    u = held(x + at, real, WHOLE)
    if GATED:
        z = held(gate + gate_at, real, WHOLE)
        u = u * z * sigmoid(z)
    return u


@triton.jit
def scaled(y, at, u, scale, factor, real, WHOLE: tl.constexpr):
    value = (u * scale[:, None] * factor[None, :]).to(y.dtype.element_ty)
    if WHOLE:
        tl.store(y + at, value)
    else:
        tl.store(y + at, value, mask=real)


@triton.jit(do_not_specialize=["rows"])
def forward_kernel(
    x, weight, gate, y, rows, x_row, gate_row, eps,
    WIDTH: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr, GATED: tl.constexpr, THIRDS: tl.constexpr,
    WHOLE: tl.constexpr,
):  # fmt: skip
    """PADDED: the power of two that holds a row, or with THIRDS the one that a row holds three times. The weights are
    asked for before the sum is known: there is nothing else to do while the rows are on their way."""
    start = tl.program_id(0).to(tl.int64) * ROWS
    r = tl.arange(0, ROWS)
    w = tl.arange(0, PADDED)
    known = w < WIDTH
    real = (start + r < rows)[:, None] & known[None, :]
    at = start * x_row + r[:, None] * x_row + w[None, :]
    gate_at = start * gate_row + r[:, None] * gate_row + w[None, :]
    out = start * WIDTH + r[:, None] * WIDTH + w[None, :]
    u = gated(x, gate, at, gate_at, real, GATED, WHOLE)
    squares = u * u
    if THIRDS:
        second = gated(x, gate, at + PADDED, gate_at + PADDED, real, GATED, WHOLE)
        third = gated(x, gate, at + 2 * PADDED, gate_at + 2 * PADDED, real, GATED, WHOLE)
        squares += second * second + third * third
    factor = held(weight + w, known, WHOLE)
    if THIRDS:
        factor2 = held(weight + PADDED + w, known, WHOLE)
        factor3 = held(weight + 2 * PADDED + w, known, WHOLE)
    scale = tl.rsqrt(tl.sum(squares, 1) / WIDTH + eps)
    scaled(y, out, u, scale, factor, real, WHOLE)
    if THIRDS:
        scaled(y, out + PADDED, second, scale, factor2, real, WHOLE)
        scaled(y, out + 2 * PADDED, third, scale, factor3, real, WHOLE)


@triton.jit(do_not_specialize=["rows"])
def backward_kernel(
    dy, x, weight, gate, dx, dgate, dweight, rows, x_row, gate_row, eps,
    WIDTH: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr, GATED: tl.constexpr,
):  # fmt: skip
    """Each program walks its share of the rows and keeps its own sum for the weight: without atomics, same bits."""
    r = tl.arange(0, ROWS)
    w = tl.arange(0, PADDED)
    factor = tl.load(weight + w, mask=w < WIDTH, other=0.0).to(tl.float32)
    collected = tl.zeros((ROWS, PADDED), tl.float32)
    hop = tl.num_programs(0) * ROWS
    # Two tiles ahead: with one, a multiprocessor has too few bytes under way to keep the memory busy.
    for first in tl.range(tl.program_id(0) * ROWS, rows, hop, num_stages=3):
        start = tl.cast(first, tl.int64)
        real = (start + r < rows)[:, None] & (w < WIDTH)[None, :]
        out = start * WIDTH + r[:, None] * WIDTH + w[None, :]
        own = tl.load(x + start * x_row + r[:, None] * x_row + w[None, :], mask=real, other=0.0).to(tl.float32)
        grad = tl.load(dy + out, mask=real, other=0.0).to(tl.float32)
        u = own
        if GATED:
            z = tl.load(gate + start * gate_row + r[:, None] * gate_row + w[None, :], mask=real, other=0.0)
            z = z.to(tl.float32)
            slope = sigmoid(z)
            u = own * z * slope
        scale = tl.rsqrt(tl.sum(u * u, 1) / WIDTH + eps)[:, None]
        unit = u * scale
        collected += grad * unit
        grad = grad * factor[None, :]
        inner = tl.sum(grad * unit, 1)[:, None] / WIDTH
        du = scale * (grad - unit * inner)
        if GATED:
            tl.store(dx + out, (du * z * slope).to(dx.dtype.element_ty), mask=real)
            dz = du * own * slope * (1.0 + z * (1.0 - slope))
            tl.store(dgate + out, dz.to(dgate.dtype.element_ty), mask=real)
        else:
            tl.store(dx + out, du.to(dx.dtype.element_ty), mask=real)
    tl.store(dweight + tl.program_id(0) * WIDTH + w, tl.sum(collected, 0), mask=w < WIDTH)


@operator("norm_forward")
def norm_forward(x: Tensor, weight: Tensor, gate: Tensor | None, eps: float) -> Tensor:
    """x, gate: [rows, width]. Returns [rows, width] in the type of x."""
    rows, width = x.shape
    config = config_for(width, gate is not None)
    x, gate = together(x), None if gate is None else together(gate)
    y = torch.empty((rows, width), dtype=x.dtype, device=x.device)
    # A row padded from 384 to 512 numbers leaves a quarter of the threads without a load.
    thirds = config.thirds and width % 3 == 0 and triton.next_power_of_2(width // 3) == width // 3
    padded = width // 3 if thirds else triton.next_power_of_2(width)
    whole = rows % config.rows == 0 and width % padded == 0
    forward_kernel[(triton.cdiv(rows, config.rows),)](
        x, weight, gate, y, rows, x.stride(0), 0 if gate is None else gate.stride(0), eps,
        WIDTH=width, PADDED=padded, ROWS=config.rows, GATED=gate is not None, THIRDS=thirds, WHOLE=whole,
        num_warps=config.warps,
    )  # fmt: skip
    return y


@torch.library.register_fake("claimsight::norm_forward")
def _(x: Tensor, weight: Tensor, gate: Tensor | None, eps: float) -> Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device=x.device)


@operator("norm_backward")
def norm_backward(
    dy: Tensor, x: Tensor, weight: Tensor, gate: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """dx, dgate (no rows without a gate), and the gradient of the weight in fp32."""
    rows, width = x.shape
    config = config_for(width, gate is not None)
    x, gate, dy = together(x), None if gate is None else together(gate), dy.contiguous()
    dx, dgate = _gradients(x, gate)
    programs = min(config.programs, triton.cdiv(rows, config.backward_rows))
    dweight = torch.empty((programs, width), dtype=torch.float32, device=x.device)
    backward_kernel[(programs,)](
        dy, x, weight, gate, dx, dgate, dweight, rows, x.stride(0), 0 if gate is None else gate.stride(0), eps,
        WIDTH=width, PADDED=triton.next_power_of_2(width), ROWS=config.backward_rows, GATED=gate is not None,
        num_warps=config.backward_warps,
    )  # fmt: skip
    return dx, dgate, dweight.sum(0)


@torch.library.register_fake("claimsight::norm_backward")
def _(dy: Tensor, x: Tensor, weight: Tensor, gate: Tensor | None, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    return *_gradients(x, gate), torch.empty(weight.shape, dtype=torch.float32, device=x.device)


def _gradients(x: Tensor, gate: Tensor | None) -> tuple[Tensor, Tensor]:
    rows, width = x.shape
    dx = torch.empty((rows, width), dtype=x.dtype, device=x.device)
    return dx, torch.empty((0 if gate is None else rows, width), dtype=x.dtype, device=x.device)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, gate, ctx.eps = inputs
    ctx.save_for_backward(x, weight, gate)


def _gradient(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    x, weight, gate = ctx.saved_tensors
    dx, dgate, dweight = norm_backward(dy, x, weight, gate, ctx.eps)
    return dx, dweight.to(weight.dtype), None if gate is None else dgate, None


torch.library.register_autograd("claimsight::norm_forward", _gradient, setup_context=_keep)


@operator("add_norm_forward")
def add_norm_forward(
    x: Tensor, residual: Tensor, weight: Tensor, scale: Tensor | None, eps: float
) -> tuple[Tensor, Tensor]:
    """x, residual: [rows, width]. Returns the norm and the sum, both in the type of residual."""
    rows, width = x.shape
    config = config_for(width, gated=True)
    x, residual = together(x), together(residual)
    y, total = (torch.empty((rows, width), dtype=residual.dtype, device=x.device) for _ in range(2))
    add_forward_kernel[(triton.cdiv(rows, config.rows),)](
        x, residual, scale, weight, y, total, rows, x.stride(0), residual.stride(0), eps,
        WIDTH=width, PADDED=triton.next_power_of_2(width), ROWS=config.rows, SCALED=scale is not None,
        num_warps=config.warps,
    )  # fmt: skip
    return y, total


@torch.library.register_fake("claimsight::add_norm_forward")
def _(x: Tensor, residual: Tensor, weight: Tensor, scale: Tensor | None, eps: float) -> tuple[Tensor, Tensor]:
    y = torch.empty(residual.shape, dtype=residual.dtype, device=x.device)
    return y, torch.empty_like(y)


@operator("add_norm_backward")
def add_norm_backward(
    dy: Tensor, dtotal: Tensor, x: Tensor, total: Tensor, weight: Tensor, scale: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """dresidual, dx (no rows without a scale: then it is dresidual), and fp32 gradients of weight and scale."""
    rows, width = x.shape
    config = config_for(width, gated=True)
    x, dy, dtotal = together(x), dy.contiguous(), dtotal.contiguous()
    dresidual, dx, programs = _sum_gradients(x, total, scale)
    dweight = torch.empty((programs, width), dtype=torch.float32, device=x.device)
    dscale = torch.empty((0 if scale is None else programs, width), dtype=torch.float32, device=x.device)
    add_backward_kernel[(programs,)](
        dy, dtotal, x, total, scale, weight, dresidual, dx, dweight, dscale, rows, x.stride(0), eps,
        WIDTH=width, PADDED=triton.next_power_of_2(width), ROWS=config.backward_rows, SCALED=scale is not None,
        num_warps=config.backward_warps,
    )  # fmt: skip
    return dresidual, dx, dweight.sum(0), dscale.sum(0)


@torch.library.register_fake("claimsight::add_norm_backward")
def _(
    dy: Tensor, dtotal: Tensor, x: Tensor, total: Tensor, weight: Tensor, scale: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dresidual, dx, _ = _sum_gradients(x, total, scale)
    dweight = torch.empty((x.shape[1],), dtype=torch.float32, device=x.device)
    return dresidual, dx, dweight, torch.empty_like(dweight)


def _sum_gradients(x: Tensor, total: Tensor, scale: Tensor | None) -> tuple[Tensor, Tensor, int]:
    rows, width = x.shape
    config = config_for(width, gated=True)
    dresidual = torch.empty((rows, width), dtype=total.dtype, device=x.device)
    dx = torch.empty((0 if scale is None else rows, width), dtype=x.dtype, device=x.device)
    return dresidual, dx, min(config.programs, triton.cdiv(rows, config.backward_rows))


def _keep_sum(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, residual, weight, scale, ctx.eps = inputs
    ctx.kinds = x.dtype, residual.dtype
    ctx.save_for_backward(x, weight, scale, output[1])


def _sum_gradient(ctx: Any, dy: Tensor, dtotal: Tensor) -> tuple[Tensor | None, ...]:
    x, weight, scale, total = ctx.saved_tensors
    dresidual, dx, dweight, dscale = add_norm_backward(dy, dtotal, x, total, weight, scale, ctx.eps)
    kind, _ = ctx.kinds
    if scale is None:
        return dresidual.to(kind), dresidual, dweight.to(weight.dtype), None, None
    return dx, dresidual, dweight.to(weight.dtype), dscale.to(scale.dtype), None


torch.library.register_autograd("claimsight::add_norm_forward", _sum_gradient, setup_context=_keep_sum)


def config_for(width: int, gated: bool) -> Config:
    return next(config for (most, with_gate), config in CONFIGS.items() if width <= most and with_gate == gated)
