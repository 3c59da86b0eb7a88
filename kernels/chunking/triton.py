"""Launch and gradient of the Triton kernels of dynamic chunking."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from kernels.chunking.kernels import (
    average_kernel,
    gather_kernel,
    likeness_kernel,
    number_kernel,
    place_kernel,
    slopes_kernel,
    smooth_slopes_kernel,
    spread_kernel,
    take_kernel,
)
from kernels.launch import AMPERE, HOPPER, flags, for_device, operator, precision, together

LEAST_NORM = 1e-6


class Config(NamedTuple):
    """rows, columns: a tile of the projections. step: of their inner dimension. warps, stages: of a program."""

    rows: int
    columns: int
    step: int
    warps: int
    stages: int


# 16-bit inputs -> sizes for an H200.
CONFIGS = {True: Config(128, 128, 64, 8, 3), False: Config(64, 64, 32, 4, 2)}
# Compiled for 8.0 and 8.9, not timed there.
SMALLER = {True: Config(64, 64, 32, 4, 2), False: Config(32, 64, 32, 4, 2)}
TABLES = {HOPPER: CONFIGS, AMPERE: SMALLER}


def _sizes(h: Tensor, query: Tensor) -> tuple[Config, dict[str, Any]]:
    config, width, dim = for_device(TABLES, h.device)[h.element_size() == 2], query.shape[0], h.shape[1]
    columns = next(n for n in (config.columns, 64, 32, 16) if n <= config.columns and (width % n == 0 or n == 16))
    step = config.step if dim % config.step == 0 else 32
    return config, {"DIM": dim, "WIDTH": width, "ROWS": config.rows, "COLUMNS": columns, "STEP": step,
                    "PRECISION": precision(h), "num_warps": config.warps, "num_stages": config.stages}  # fmt: skip


@operator("chunk_likeness")
def likeness(h: Tensor, query: Tensor, key: Tensor, time: int) -> tuple[Tensor, Tensor]:
    """fp32 cosines [rows] and norms [2, rows]; rows are sequences of `time` tokens laid end to end."""
    rows = h.shape[0]
    h = together(h)
    config, sizes = _sizes(h, query)
    out = torch.empty((rows,), dtype=torch.float32, device=h.device)
    norms = torch.empty((2, rows), dtype=torch.float32, device=h.device)
    likeness_kernel[(triton.cdiv(rows, config.rows),)](
        h, query.contiguous(), key.contiguous(), out, norms, rows, time, h.stride(0), LEAST=LEAST_NORM, **sizes
    )
    return out, norms


@torch.library.register_fake("claimsight::chunk_likeness")
def _(h: Tensor, query: Tensor, key: Tensor, time: int) -> tuple[Tensor, Tensor]:
    out = torch.empty((h.shape[0],), dtype=torch.float32, device=h.device)
    return out, torch.empty((2, h.shape[0]), dtype=torch.float32, device=h.device)


@operator("chunk_slopes")
def slopes(dout: Tensor, h: Tensor, query: Tensor, key: Tensor, cosines: Tensor, norms: Tensor, time: int) -> Tensor:
    """Gradients of both projections [rows, 2 width] in the type of h."""
    rows, width = h.shape[0], query.shape[0]
    h = together(h)
    config, sizes = _sizes(h, query)
    out = torch.empty((rows, 2 * width), dtype=h.dtype, device=h.device)
    slopes_kernel[(triton.cdiv(rows, config.rows), triton.cdiv(width, sizes["COLUMNS"]))](
        dout.contiguous(),
        h,
        query.contiguous(),
        key.contiguous(),
        cosines,
        norms,
        out,
        rows,
        time,
        h.stride(0),
        **sizes,
    )
    return out


@torch.library.register_fake("claimsight::chunk_slopes")
def _(dout: Tensor, h: Tensor, query: Tensor, key: Tensor, cosines: Tensor, norms: Tensor, time: int) -> Tensor:
    return torch.empty((h.shape[0], 2 * query.shape[0]), dtype=h.dtype, device=h.device)


def _keep_likeness(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    h, query, key, ctx.time = inputs
    ctx.save_for_backward(h, query, key, *output)
    ctx.mark_non_differentiable(output[1])


def _likeness_gradient(ctx: Any, dout: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    h, query, key, cosines, norms = ctx.saved_tensors
    with torch.autocast(h.device.type, enabled=False):
        both = slopes(dout, h, query, key, cosines, norms, ctx.time)
        dh = both @ torch.cat((query, key))
        dquery, dkey = (both.T @ h).chunk(2)
    return dh, dquery, dkey, None


torch.library.register_autograd("claimsight::chunk_likeness", _likeness_gradient, setup_context=_keep_likeness)


@operator("chunk_number")
def number(boundary: Tensor, mask: Tensor | None, limit: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """member, start, real, offset as in Chunks; boundary, mask: bool [batch, time]."""
    batch, time = boundary.shape
    member, start, real, offset = _numbers(boundary, limit)
    number_kernel[(batch,)](
        flags(boundary), flags(mask), member, offset, start, real.view(torch.uint8), time, limit,
        MASKED=mask is not None, BLOCK=1024, num_warps=4,
    )  # fmt: skip
    return member, start, real, offset


@torch.library.register_fake("claimsight::chunk_number")
def _(boundary: Tensor, mask: Tensor | None, limit: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _numbers(boundary, limit)


def _numbers(boundary: Tensor, limit: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    batch, time = boundary.shape
    wide = {"dtype": torch.int64, "device": boundary.device}
    real = torch.empty((batch, limit), dtype=torch.bool, device=boundary.device)
    return (
        torch.empty((batch, time), **wide),
        torch.empty((batch, limit), **wide),
        real,
        torch.empty((batch, time), **wide),
    )


@operator("chunk_average")
def average(vectors: Tensor, probability: Tensor, reverse: bool) -> Tensor:
    """fp32 [batch, limit, dim]: the moving average over chunks, or its adjoint."""
    batch, limit, dim = vectors.shape
    out = torch.empty((batch, limit, dim), dtype=torch.float32, device=vectors.device)
    columns = 32
    average_kernel[(batch, triton.cdiv(dim, columns))](
        vectors, probability, out, limit, DIM=dim, ROWS=32, COLUMNS=columns, REVERSED=reverse, num_warps=2
    )
    return out


@torch.library.register_fake("claimsight::chunk_average")
def _(vectors: Tensor, probability: Tensor, reverse: bool) -> Tensor:
    return torch.empty(vectors.shape, dtype=torch.float32, device=vectors.device)


@operator("chunk_smooth")
def smooth(vectors: Tensor, probability: Tensor, member: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens [batch, time, dim] in the type of vectors, and the averages in fp32."""
    (batch, limit, dim), time = vectors.shape, member.shape[1]
    averages = average(vectors, probability, False)
    out = torch.empty((batch, time, dim), dtype=vectors.dtype, device=vectors.device)
    rows = batch * time
    spread_kernel[(triton.cdiv(rows, 8),)](
        averages, member.contiguous(), out, rows, time, limit, DIM=dim, PADDED=triton.next_power_of_2(dim), ROWS=8,
        num_warps=4,
    )  # fmt: skip
    return out, averages


@torch.library.register_fake("claimsight::chunk_smooth")
def _(vectors: Tensor, probability: Tensor, member: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    out = torch.empty((*member.shape, vectors.shape[-1]), dtype=vectors.dtype, device=vectors.device)
    return out, torch.empty(vectors.shape, dtype=torch.float32, device=vectors.device)


@operator("chunk_gather")
def gather(dy: Tensor, member: Tensor, start: Tensor) -> Tensor:
    """fp32 [batch, limit, dim]: sum of dy over the tokens of each chunk."""
    (batch, time, dim), limit = dy.shape, start.shape[1]
    out = torch.empty((batch, limit, dim), dtype=torch.float32, device=dy.device)
    gather_kernel[(limit, batch)](
        dy.contiguous(), member.contiguous(), start.contiguous(), out, time, limit,
        DIM=dim, PADDED=triton.next_power_of_2(dim), ROWS=8, num_warps=4,
    )  # fmt: skip
    return out


@torch.library.register_fake("claimsight::chunk_gather")
def _(dy: Tensor, member: Tensor, start: Tensor) -> Tensor:
    return torch.empty((dy.shape[0], start.shape[1], dy.shape[2]), dtype=torch.float32, device=dy.device)


@operator("chunk_smooth_slopes")
def smooth_slopes(slope: Tensor, vectors: Tensor, probability: Tensor, averages: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of the vectors, in their type, and of the probabilities, fp32, from that of the averages."""
    batch, limit, dim = vectors.shape
    dvectors = torch.empty((batch, limit, dim), dtype=vectors.dtype, device=vectors.device)
    dprobability = torch.empty((batch, limit), dtype=torch.float32, device=vectors.device)
    smooth_slopes_kernel[(triton.cdiv(batch * limit, 4),)](
        slope, vectors, probability, averages, dvectors, dprobability, batch * limit, limit,
        DIM=dim, PADDED=triton.next_power_of_2(dim), ROWS=4, num_warps=4,
    )  # fmt: skip
    return dvectors, dprobability


@torch.library.register_fake("claimsight::chunk_smooth_slopes")
def _(slope: Tensor, vectors: Tensor, probability: Tensor, averages: Tensor) -> tuple[Tensor, Tensor]:
    dvectors = torch.empty(vectors.shape, dtype=vectors.dtype, device=vectors.device)
    return dvectors, torch.empty(vectors.shape[:2], dtype=torch.float32, device=vectors.device)


def _keep_smooth(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs, output[1])
    ctx.mark_non_differentiable(output[1])


def _smooth_gradient(ctx: Any, dy: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    vectors, probability, member, start, averages = ctx.saved_tensors
    slope = average(gather(dy, member, start), probability, True)
    return *smooth_slopes(slope, vectors, probability, averages), None, None


torch.library.register_autograd("claimsight::chunk_smooth", _smooth_gradient, setup_context=_keep_smooth)


def smooth_and_spread(vectors: Tensor, probability: Tensor, member: Tensor, start: Tensor) -> Tensor:
    out, _ = smooth(vectors, probability, member, start)
    return out


@operator("chunk_take")
def take(h: Tensor, member: Tensor, start: Tensor, real: Tensor, offset: Tensor) -> Tensor:
    """[batch, limit, dim] in the type of h: the first token of each chunk."""
    (batch, time, dim), limit = h.shape, start.shape[1]
    out = torch.empty((batch, limit, dim), dtype=h.dtype, device=h.device)
    take_kernel[(triton.cdiv(batch * limit, 8),)](
        h.contiguous(), start.contiguous(), flags(real), out, batch * limit, time, limit,
        DIM=dim, PADDED=triton.next_power_of_2(dim), ROWS=8, num_warps=4,
    )  # fmt: skip
    return out


@torch.library.register_fake("claimsight::chunk_take")
def _(h: Tensor, member: Tensor, start: Tensor, real: Tensor, offset: Tensor) -> Tensor:
    return torch.empty((h.shape[0], start.shape[1], h.shape[2]), dtype=h.dtype, device=h.device)


@operator("chunk_place")
def place(dout: Tensor, member: Tensor, offset: Tensor) -> Tensor:
    """[batch, time, dim]: rows of chunks at their first tokens, 0 elsewhere."""
    (batch, limit, dim), time = dout.shape, member.shape[1]
    dh = torch.empty((batch, time, dim), dtype=dout.dtype, device=dout.device)
    place_kernel[(triton.cdiv(batch * time, 8),)](
        dout.contiguous(), member.contiguous(), offset.contiguous(), dh, batch * time, time, limit,
        DIM=dim, PADDED=triton.next_power_of_2(dim), ROWS=8, num_warps=4,
    )  # fmt: skip
    return dh


@torch.library.register_fake("claimsight::chunk_place")
def _(dout: Tensor, member: Tensor, offset: Tensor) -> Tensor:
    return torch.empty((*member.shape, dout.shape[-1]), dtype=dout.dtype, device=dout.device)


def _keep_take(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, member, _, _, offset = inputs
    ctx.save_for_backward(member, offset)


def _take_gradient(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
    member, offset = ctx.saved_tensors
    return place(dout, member, offset), None, None, None, None


torch.library.register_autograd("claimsight::chunk_take", _take_gradient, setup_context=_keep_take)
