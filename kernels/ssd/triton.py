"""Launch and gradient of the Triton scan. Forward: three or four launches, backward: four or five; no atomic sums."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kernels.launch import aligned, flags, operator, precision
from kernels.ssd.backward import WORK, columns_kernel, rows_kernel, steps_kernel
from kernels.ssd.output import output_kernel
from kernels.ssd.sizes import MULTIPROCESSORS, config_for, hopper_serves
from kernels.ssd.states import write_states
from kernels.ssd.tables import Layout, most_chunks, packed_layout
from kernels.ssd.vectors import VECTORS, vectors_kernel


def ssd_triton(
    x: Tensor,
    b: Tensor,
    c: Tensor,
    dt_forward: Tensor,
    dt_backward: Tensor,
    a: Tensor,
    *,
    skip: Tensor | None = None,
    dt_bias: Tensor | None = None,
    mask: Tensor | None = None,
    gaps: Tensor | None = None,
    gap_rate: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    chunk: int | None = None,
) -> Tensor:
    """The door's operator on checked inputs. chunk: tokens a state instead of the table's, a power of two >= 32."""
    batch, time, heads, width = x.shape
    rows = batch * time
    y, *_ = scan_forward(
        x.reshape(rows, heads, width),
        b.reshape(rows, -1),
        c.reshape(rows, -1),
        dt_forward.reshape(rows, heads),
        dt_backward.reshape(rows, heads),
        a.float().contiguous(),
        skip,
        dt_bias if dt_bias is None else dt_bias.contiguous(),
        mask if mask is None else mask.reshape(rows).contiguous(),
        gaps if gaps is None else gaps.float().reshape(2, rows).contiguous(),
        gap_rate if gap_rate is None else gap_rate.float().contiguous(),
        cu_seqlens,
        time,
        chunk or config_for(x.dtype, b.shape[-1], x.device).chunk,
    )
    return y.view(batch, time, heads, width)


@operator("scan_forward")
def scan_forward(
    x: Tensor,
    b: Tensor,
    c: Tensor,
    dt_forward: Tensor,
    dt_backward: Tensor,
    a: Tensor,
    skip: Tensor | None,
    dt_bias: Tensor | None,
    mask: Tensor | None,
    gaps: Tensor | None,
    gap_rate: Tensor | None,
    cu_seqlens: Tensor | None,
    time: int,
    chunk: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """y [rows, heads, width], and what the gradient needs: entering states, vectors and totals of the chunks, and
    the three tables of packed documents (empty without). Rows are documents of `time` tokens unless packed."""
    rows, heads, width = x.shape
    state, packed = b.shape[-1], cu_seqlens is not None
    x, b, c = aligned(x), aligned(b), aligned(c)
    config = config_for(x.dtype, state, x.device)
    layout = _no_tables(x) if cu_seqlens is None else packed_layout(cu_seqlens, rows, chunk)
    chunks = _chunks(rows, time, cu_seqlens, chunk)
    y = torch.empty((rows, heads, width), dtype=x.dtype, device=x.device)
    states, vectors, totals = _scratch(x, state, chunks, chunk)
    unit, keep = 16 // x.element_size(), flags(mask)
    tiles = {"Q": chunk, "P": width, "N": state, "UNIT": unit, "PRECISION": precision(x)}
    flagged = {"MASKED": mask is not None, "PACKED": packed}
    vectors_kernel[(chunks * heads,)](
        dt_forward, dt_backward, a, dt_bias, keep, gaps, gap_rate, layout.start, layout.length, vectors, totals,
        rows, chunks, heads, time, *dt_forward.stride(), *dt_backward.stride(),
        Q=chunk, SOFTPLUS=dt_bias is not None, GAPS=gaps is not None, num_warps=1, **flagged,
    )  # fmt: skip
    write_states(x, b, keep, layout, vectors, totals, states, time, tiles | flagged, config, adjoint=False)
    if config.slots and hopper_serves(x, chunk):
        from kernels.ssd import hopper

        hopper.write_output(
            x, b, c, skip, keep, vectors, totals, states, layout.start, layout.length, y, time,
            group=_group(heads, chunks * heads // MULTIPROCESSORS), slots=config.slots, packed=packed,
        )  # fmt: skip
        return y, states, vectors, totals, layout.start, layout.length, layout.first
    group = _group(heads, config.group)
    output_kernel[(2 * chunks * heads // group,)](
        x, b, c, skip, keep, vectors, totals, states, layout.start, layout.length, y,
        chunks, heads, time, x.stride(0) // unit, x.stride(1) // unit, b.stride(0) // unit, c.stride(0) // unit,
        GROUP=group, SKIP=skip is not None, num_warps=config.output_warps, maxnreg=config.output_registers,
        STAGES=config.output_stages, **tiles, **flagged,
    )  # fmt: skip
    return y, states, vectors, totals, layout.start, layout.length, layout.first


@torch.library.register_fake("claimsight::scan_forward")
def _(
    x: Tensor,
    b: Tensor,
    c: Tensor,
    dt_forward: Tensor,
    dt_backward: Tensor,
    a: Tensor,
    skip: Tensor | None,
    dt_bias: Tensor | None,
    mask: Tensor | None,
    gaps: Tensor | None,
    gap_rate: Tensor | None,
    cu_seqlens: Tensor | None,
    time: int,
    chunk: int,
) -> tuple[Tensor, ...]:
    chunks = _chunks(x.shape[0], time, cu_seqlens, chunk)
    tables = (0, 0, 0) if cu_seqlens is None else (chunks, chunks, cu_seqlens.shape[0])
    return (
        torch.empty(x.shape, dtype=x.dtype, device=x.device),
        *_scratch(x, b.shape[-1], chunks, chunk),
        *(torch.empty((size,), dtype=torch.int32, device=x.device) for size in tables),
    )


def _chunks(rows: int, time: int, cu_seqlens: Tensor | None, chunk: int) -> int:
    if cu_seqlens is None:
        return rows // max(time, 1) * -(-time // chunk)
    return most_chunks(rows, cu_seqlens.shape[0] - 1, chunk)


def _no_tables(x: Tensor) -> Layout:
    return Layout(*(torch.empty((0,), dtype=torch.int32, device=x.device) for _ in range(3)))


def _scratch(x: Tensor, state: int, chunks: int, chunk: int) -> tuple[Tensor, Tensor, Tensor]:
    _, heads, width = x.shape
    kept = torch.float32 if x.dtype == torch.float32 else torch.bfloat16
    return (
        torch.empty((chunks, heads, 2, width, state), dtype=kept, device=x.device),
        torch.empty((chunks, heads, VECTORS.value, chunk), dtype=torch.float32, device=x.device),
        torch.empty((2, heads, chunks), dtype=torch.float32, device=x.device),
    )


@operator("scan_backward")
def scan_backward(
    dy: Tensor,
    x: Tensor,
    b: Tensor,
    c: Tensor,
    a: Tensor,
    skip: Tensor | None,
    mask: Tensor | None,
    gaps: Tensor | None,
    gap_rate: Tensor | None,
    softplus: bool,
    states: Tensor,
    vectors: Tensor,
    totals: Tensor,
    start: Tensor,
    length: Tensor,
    first: Tensor,
    time: int,
    chunk: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """dx, db, dc in the type of x; in fp32 ddt [2, heads, rows] (raw where `softplus`), da [2, heads], dskip [heads]
    and the gradient of the rate of gaps [2, heads]."""
    rows, heads, width = x.shape
    state, chunks = b.shape[-1], states.shape[0]
    packed = first.shape[0] > 0
    config = config_for(x.dtype, state, x.device)
    x, b, c, dy = aligned(x), aligned(b), aligned(c), aligned(dy.contiguous())
    keep = flags(mask)
    unit = 16 // x.element_size()
    common = {"Q": chunk, "MASKED": mask is not None, "PACKED": packed}
    sizes = {"P": width, "N": state, "UNIT": unit, "PRECISION": precision(x), **common}
    adjoint = torch.empty_like(states)
    write_states(dy, c, keep, Layout(start, length, first), vectors, totals, adjoint, time, sizes, config, adjoint=True)
    group = _group(heads, config.backward_group)
    shares = heads // group
    dx = torch.empty((rows, heads, width), dtype=x.dtype, device=x.device)
    # Summed over all heads in one program the sum is rounded there.
    db = torch.empty((shares, rows, state), dtype=b.dtype if shares == 1 else torch.float32, device=x.device)
    dc = torch.empty_like(db)
    work = torch.empty((chunks, heads, WORK.value, chunk), dtype=torch.float32, device=x.device)
    ddt = torch.empty((2, heads, rows), dtype=torch.float32, device=x.device)
    da = torch.empty((2, heads, chunks), dtype=torch.float32, device=x.device)
    drate = torch.empty((2, heads, chunks if gaps is not None else 0), dtype=torch.float32, device=x.device)
    dskip = torch.empty((heads, chunks if skip is not None else 0), dtype=torch.float32, device=x.device)
    if config.gradient_slots and hopper_serves(x, chunk):
        from kernels.ssd import hopper

        hopper.write_columns(x, b, c, dy, skip, vectors, totals, adjoint, start, length, dx, db, work, time,
                             slots=config.gradient_slots, packed=packed)  # fmt: skip
        hopper.write_rows(x, b, c, dy, vectors, totals, states, start, length, dc, work, time,
                          slots=config.gradient_slots, packed=packed)  # fmt: skip
    else:
        strides = (x.stride(0) // unit, x.stride(1) // unit, b.stride(0) // unit, c.stride(0) // unit)
        columns_kernel[(2 * chunks, shares)](
            x, b, c, dy, skip, keep, vectors, totals, adjoint, start, length,
            dx, db, work, rows, chunks, heads, time, *strides,
            GROUP=group, SKIP=skip is not None, num_warps=config.backward_warps, **sizes,
        )  # fmt: skip
        rows_kernel[(2 * chunks, shares)](
            x, b, c, dy, keep, vectors, totals, states, start, length,
            dc, work, rows, chunks, heads, time, *strides,
            GROUP=group, num_warps=config.backward_warps, **sizes,
        )  # fmt: skip
    steps_kernel[(chunks, 2 * heads)](
        a, keep, gaps, gap_rate, vectors, totals, work, states, adjoint, start, length, ddt, da, drate, dskip,
        rows, chunks, heads, time, SIZE=width * state, SKIP=skip is not None, SOFTPLUS=softplus,
        GAPS=gaps is not None, num_warps=4, **common,
    )  # fmt: skip
    db, dc = (share[0] if shares == 1 else share.sum(0).to(b.dtype) for share in (db, dc))
    return dx, db, dc, ddt, da.sum(-1), dskip.sum(-1), drate.sum(-1)


@torch.library.register_fake("claimsight::scan_backward")
def _(
    dy: Tensor,
    x: Tensor,
    b: Tensor,
    c: Tensor,
    a: Tensor,
    skip: Tensor | None,
    mask: Tensor | None,
    gaps: Tensor | None,
    gap_rate: Tensor | None,
    softplus: bool,
    states: Tensor,
    vectors: Tensor,
    totals: Tensor,
    start: Tensor,
    length: Tensor,
    first: Tensor,
    time: int,
    chunk: int,
) -> tuple[Tensor, ...]:
    wide = {"dtype": torch.float32, "device": x.device}
    return (
        torch.empty(x.shape, dtype=x.dtype, device=x.device),
        torch.empty(b.shape, dtype=b.dtype, device=x.device),
        torch.empty(c.shape, dtype=c.dtype, device=x.device),
        torch.empty((2, x.shape[1], x.shape[0]), **wide),
        torch.empty((2, x.shape[1]), **wide),
        torch.empty((x.shape[1],), **wide),
        torch.empty((2, x.shape[1]), **wide),
    )


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, b, c, dt_forward, dt_backward, a, skip, dt_bias, mask, gaps, rate, _, ctx.time, ctx.chunk = inputs
    ctx.has_bias = dt_bias is not None
    ctx.kinds = (dt_forward.dtype, dt_backward.dtype, a.dtype, None if skip is None else skip.dtype,
                 None if dt_bias is None else dt_bias.dtype)  # fmt: skip
    ctx.save_for_backward(x, b, c, a, skip, mask, gaps, rate, *output[1:])
    ctx.mark_non_differentiable(*output[1:])


def _gradient(ctx: Any, dy: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    x, b, c, a, skip, mask, gaps, rate, *kept = ctx.saved_tensors
    dx, db, dc, ddt, da, dskip, drate = scan_backward(
        dy, x, b, c, a, skip, mask, gaps, rate, ctx.has_bias, *kept, ctx.time, ctx.chunk
    )  # fmt: skip
    kind_f, kind_b, kind_a, kind_skip, kind_bias = ctx.kinds
    return (
        dx, db, dc, ddt[0].t().to(kind_f), ddt[1].t().to(kind_b), da.to(kind_a),
        None if kind_skip is None else dskip.to(kind_skip),
        None if kind_bias is None else ddt.sum(-1).to(kind_bias),
        None, None, None if rate is None else drate, None, None, None,
    )  # fmt: skip


torch.library.register_autograd("claimsight::scan_forward", _gradient, setup_context=_keep)


def _group(heads: int, wanted: int) -> int:
    return next(g for g in range(min(max(wanted, 1), heads), 0, -1) if heads % g == 0)
