"""Triton kernels of the short filter: one pass over the rows each way instead of a dozen."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.elementary import sigmoid
from kernels.launch import flags, operator, together


class Config(NamedTuple):
    """rows, columns: a tile. warps: of a program. The backward kernel has its own; a program walks `spans` tiles."""

    rows: int
    columns: int
    warps: int
    backward_rows: int
    backward_columns: int
    backward_warps: int
    spans: int


# For an H200.
CONFIGS = {"all": Config(64, 64, 4, 32, 32, 4, 16)}


@triton.jit
def load_row(u, keep, start, first, r, w, shift, rows, time, u_row, CHANNELS: tl.constexpr, MASKED: tl.constexpr):
    """Rows `shift` away, as fp32; 0 where the step lies in another row of the batch or is masked. first: step that row
    `start` is, so that no 64-bit number is divided row by row."""
    there = r + shift
    step = (first + r) % time + shift
    real = (start + r < rows) & (step >= 0) & (step < time)
    if MASKED:
        real = real & (tl.load(keep + start + there, mask=real, other=0) != 0)
    tile = real[:, None] & (w < CHANNELS)[None, :]
    at = u + start * u_row + there[:, None] * u_row + w[None, :]
    return tl.load(at, mask=tile, other=0.0).to(tl.float32), real


@triton.jit(do_not_specialize=["rows", "time"])
def forward_kernel(
    u, taps, bias, keep, y, rows, time, u_row,
    CHANNELS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    start = tl.program_id(0).to(tl.int64) * ROWS
    first = (start % time).to(tl.int32)
    r = tl.arange(0, ROWS)
    w = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = w < CHANNELS
    mixed = tl.zeros((ROWS, COLUMNS), tl.float32)
    mixed += tl.load(bias + w, mask=inside, other=0.0).to(tl.float32)[None, :]
    own, shown = load_row(u, keep, start, first, r, w, 0, rows, time, u_row, CHANNELS, MASKED)
    for k in tl.static_range(3):
        tile = own
        if k != 1:
            tile, _ = load_row(u, keep, start, first, r, w, k - 1, rows, time, u_row, CHANNELS, MASKED)
        mixed += tl.load(taps + k * CHANNELS + w, mask=inside, other=0.0).to(tl.float32)[None, :] * tile
    out = tl.where(shown[:, None], mixed * sigmoid(mixed), 0.0)
    at = start * CHANNELS + r[:, None] * CHANNELS + w[None, :]
    tl.store(y + at, out.to(y.dtype.element_ty), mask=(start + r < rows)[:, None] & inside[None, :])


@triton.jit(do_not_specialize=["rows", "time"])
def backward_kernel(
    dy, u, taps, bias, keep, du, sums, rows, time, u_row,
    CHANNELS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, SPANS: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """du, and this program's share of the gradients of taps and bias: sums [programs, 4, channels], no atomics.

    The slope of step t needs the steps t - 1 to t + 1, and du_t the slopes of t - 1 to t + 1: they are made three
    times over, from tiles that the cache holds.
    """
    r = tl.arange(0, ROWS)
    w = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = w < CHANNELS
    tap_0 = tl.load(taps + w, mask=inside, other=0.0).to(tl.float32)[None, :]
    tap_1 = tl.load(taps + CHANNELS + w, mask=inside, other=0.0).to(tl.float32)[None, :]
    tap_2 = tl.load(taps + 2 * CHANNELS + w, mask=inside, other=0.0).to(tl.float32)[None, :]
    base = tl.load(bias + w, mask=inside, other=0.0).to(tl.float32)[None, :]
    of_0 = tl.zeros((ROWS, COLUMNS), tl.float32)
    of_1 = tl.zeros((ROWS, COLUMNS), tl.float32)
    of_2 = tl.zeros((ROWS, COLUMNS), tl.float32)
    of_bias = tl.zeros((ROWS, COLUMNS), tl.float32)
    for span in range(SPANS):
        start = (tl.program_id(0).to(tl.int64) * SPANS + span) * ROWS
        first = (start % time).to(tl.int32)
        u_0, _ = load_row(u, keep, start, first, r, w, -2, rows, time, u_row, CHANNELS, MASKED)
        u_1, _ = load_row(u, keep, start, first, r, w, -1, rows, time, u_row, CHANNELS, MASKED)
        u_2, shown = load_row(u, keep, start, first, r, w, 0, rows, time, u_row, CHANNELS, MASKED)
        u_3, _ = load_row(u, keep, start, first, r, w, 1, rows, time, u_row, CHANNELS, MASKED)
        u_4, _ = load_row(u, keep, start, first, r, w, 2, rows, time, u_row, CHANNELS, MASKED)
        g_1, _ = load_row(dy, keep, start, first, r, w, -1, rows, time, CHANNELS, CHANNELS, MASKED)
        g_2, _ = load_row(dy, keep, start, first, r, w, 0, rows, time, CHANNELS, CHANNELS, MASKED)
        g_3, _ = load_row(dy, keep, start, first, r, w, 1, rows, time, CHANNELS, CHANNELS, MASKED)
        # A masked or absent step has a gradient of 0, whatever its own sum would be.
        before = g_1 * slope_of_silu(base + tap_0 * u_0 + tap_1 * u_1 + tap_2 * u_2)
        own = g_2 * slope_of_silu(base + tap_0 * u_1 + tap_1 * u_2 + tap_2 * u_3)
        after = g_3 * slope_of_silu(base + tap_0 * u_2 + tap_1 * u_3 + tap_2 * u_4)
        out = tl.where(shown[:, None], tap_2 * before + tap_1 * own + tap_0 * after, 0.0)
        at = start * CHANNELS + r[:, None] * CHANNELS + w[None, :]
        tl.store(du + at, out.to(du.dtype.element_ty), mask=(start + r < rows)[:, None] & inside[None, :])
        of_0 += own * u_1
        of_1 += own * u_2
        of_2 += own * u_3
        of_bias += own
    share = sums + tl.program_id(0).to(tl.int64) * (4 * CHANNELS) + w
    tl.store(share, tl.sum(of_0, 0), mask=inside)
    tl.store(share + CHANNELS, tl.sum(of_1, 0), mask=inside)
    tl.store(share + 2 * CHANNELS, tl.sum(of_2, 0), mask=inside)
    tl.store(share + 3 * CHANNELS, tl.sum(of_bias, 0), mask=inside)


@triton.jit
def slope_of_silu(v):
    s = sigmoid(v)
    return s * (1.0 + v * (1.0 - s))


@operator("filter_forward")
def filter_forward(u: Tensor, taps: Tensor, bias: Tensor, mask: Tensor | None, time: int) -> Tensor:
    """u: [rows, channels], rows of `time` steps laid end to end. mask: bool [rows]."""
    rows, channels = u.shape
    config = CONFIGS["all"]
    u = together(u)
    y = torch.empty((rows, channels), dtype=u.dtype, device=u.device)
    forward_kernel[(triton.cdiv(rows, config.rows), triton.cdiv(channels, config.columns))](
        u, taps.contiguous(), bias.contiguous(), flags(mask), y, rows, time, u.stride(0),
        CHANNELS=channels, ROWS=config.rows, COLUMNS=config.columns, MASKED=mask is not None, num_warps=config.warps,
    )  # fmt: skip
    return y


@torch.library.register_fake("claimsight::filter_forward")
def _(u: Tensor, taps: Tensor, bias: Tensor, mask: Tensor | None, time: int) -> Tensor:
    return torch.empty(u.shape, dtype=u.dtype, device=u.device)


@operator("filter_backward")
def filter_backward(
    dy: Tensor, u: Tensor, taps: Tensor, bias: Tensor, mask: Tensor | None, time: int
) -> tuple[Tensor, Tensor]:
    """du, and fp32 [4, channels]: gradients of the three taps and of the bias."""
    rows, channels = u.shape
    config = CONFIGS["all"]
    u, dy = together(u), dy.contiguous()
    du = torch.empty((rows, channels), dtype=u.dtype, device=u.device)
    programs = triton.cdiv(rows, config.backward_rows * config.spans)
    sums = torch.empty((programs, 4, channels), dtype=torch.float32, device=u.device)
    backward_kernel[(programs, triton.cdiv(channels, config.backward_columns))](
        dy, u, taps.contiguous(), bias.contiguous(), flags(mask), du, sums, rows, time, u.stride(0),
        CHANNELS=channels, ROWS=config.backward_rows, COLUMNS=config.backward_columns, SPANS=config.spans,
        MASKED=mask is not None, num_warps=config.backward_warps,
    )  # fmt: skip
    return du, sums.sum(0)


@torch.library.register_fake("claimsight::filter_backward")
def _(dy: Tensor, u: Tensor, taps: Tensor, bias: Tensor, mask: Tensor | None, time: int) -> tuple[Tensor, Tensor]:
    sums = torch.empty((4, u.shape[1]), dtype=torch.float32, device=u.device)
    return torch.empty(u.shape, dtype=u.dtype, device=u.device), sums


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.time = inputs
    ctx.save_for_backward(*tensors)


def _gradient(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    u, taps, bias, mask = ctx.saved_tensors
    du, sums = filter_backward(dy, u, taps, bias, mask, ctx.time)
    return du, sums[:3].to(taps.dtype), sums[3].to(bias.dtype), None, None


torch.library.register_autograd("claimsight::filter_forward", _gradient, setup_context=_keep)
