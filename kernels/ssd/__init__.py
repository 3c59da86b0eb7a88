"""Bidirectional selective state space scan (SSD): the door. Formula, layout and figures: ../README.md."""

from __future__ import annotations

import itertools
import warnings

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.dispatch import KernelUnavailable, choose, forced
from kernels.ssd.causal import entering_term, final_state
from kernels.ssd.chunked import ssd_chunked
from kernels.ssd.inference import ssd_inference
from kernels.ssd.reference import LEAST_LOG_DECAY, ssd_reference

__all__ = ["LEAST_LOG_DECAY", "bidirectional_ssd", "causal_ssd", "ssd_chunked", "ssd_reference"]

KERNEL_TYPES = (torch.bfloat16, torch.float16, torch.float32)
KERNEL_STATES = (16, 32, 64, 128)
KERNEL_WIDTHS = (16, 32, 64, 128)


def bidirectional_ssd(
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
    block: int = 64,
) -> Tensor:
    """y_t = C_t (h_t + g_t) + skip x_t, with h_t = exp(max(a dt_t, -20)) h_{t-1} + dt_t x_t B_t^T and g the mirror.

    Both directions count the term of t itself, each with its own dt and a. Differentiable in every float input.

    x: [batch, time, heads, width]. b, c: [batch, time, state], shared by the heads, in the type of x.
    dt_forward, dt_backward: [batch, time, heads], >= 0. With dt_bias [2, heads] they are raw instead, and
    softplus(dt + bias) in fp32 takes their place. a: fp32 [2, heads], < 0. skip: [heads] or None.
    mask: bool [batch, time]; a masked step has dt = 0 (it neither writes nor forgets) and gives 0.
    gaps: fp32 [2, batch, time] >= 0, steps that were left out before t (for the mirror: after t), and gap_rate: fp32
    [2, heads] <= 0, log decay of one of them; the decay of t is then exp(max(a dt_t + gap_rate gap_t, -20)).
    cu_seqlens: int32 or int64 [documents + 1], from 0 to time; then batch is 1 and the rows are documents laid
    end to end, each scanned alone. Empty documents are allowed. block: steps a chunk on the PyTorch path.
    Returns [batch, time, heads, width] in the type of x. Raises ValueError on shapes that do not fit.
    """
    _check(x, b, c, dt_forward, dt_backward, a, skip, dt_bias, mask, gaps, gap_rate, cu_seqlens)
    fits = x.dtype in KERNEL_TYPES and x.shape[-1] in KERNEL_WIDTHS and b.shape[-1] in KERNEL_STATES
    if choose(x, fits=fits and x.numel() > 0) == "triton" and _trusted(x, b, c, dt_forward, dt_backward, a):
        from kernels.ssd.triton import ssd_triton

        return ssd_triton(
            x, b, c, dt_forward, dt_backward, a,
            skip=skip, dt_bias=dt_bias, mask=mask, gaps=gaps, gap_rate=gap_rate, cu_seqlens=cu_seqlens,
        )  # fmt: skip
    with torch.autocast(x.device.type, enabled=False):
        return _in_pytorch(x, b, c, dt_forward, dt_backward, a, skip, dt_bias, mask, gaps, gap_rate, cu_seqlens, block)


def causal_ssd(
    x: Tensor,
    b: Tensor,
    c: Tensor,
    dt: Tensor,
    a: Tensor,
    *,
    skip: Tensor | None = None,
    initial: Tensor | None = None,
    block: int = 64,
) -> tuple[Tensor, Tensor]:
    """The forward direction alone, from a state and to a state: a row may be scanned in pieces.

    x, b, c, skip, block: as in `bidirectional_ssd`. dt: [batch, time, heads], >= 0. a: fp32 [heads], < 0.
    initial: fp32 [batch, heads, width, state], the state before the first step; None = 0.
    Returns y in the type of x and the fp32 state after the last step. Differentiable in every float input.
    The same kernels run, with steps of 0 for the mirrored direction.
    """
    rates = torch.stack((a, a))
    y = bidirectional_ssd(x, b, c, dt, torch.zeros_like(dt), rates, skip=skip, block=block)
    with torch.autocast(x.device.type, enabled=False):
        if initial is not None:
            y = y + entering_term(c, dt, a, initial).to(y.dtype)
        return y, final_state(x, b, dt, a, initial)


def _trusted(x: Tensor, *others: Tensor) -> bool:
    """False, with a warning, where the compiled gradients are wrong; such a scan takes the PyTorch path."""
    differentiable = torch.is_grad_enabled() and any(t.requires_grad for t in (x, *others))
    if not differentiable or torch.compiler.is_compiling() or not x.is_cuda or torch.cuda.is_current_stream_capturing():
        return True
    from kernels.ssd.trust import gradients_agree

    if gradients_agree(x.device, x.dtype, x.shape[2], x.shape[3], others[0].shape[-1]):
        return True
    if forced() == "triton":
        raise KernelUnavailable("this Triton makes wrong gradients of the scan on this device")
    warnings.warn("this Triton makes wrong gradients of the scan on this device: taking the slow path", stacklevel=3)
    return False


def _in_pytorch(
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
    block: int,
) -> Tensor:
    dt_forward, dt_backward = _at_least_fp32(dt_forward), _at_least_fp32(dt_backward)
    if dt_bias is not None:
        dt_forward, dt_backward = F.softplus(dt_forward + dt_bias[0]), F.softplus(dt_backward + dt_bias[1])
    if mask is not None:
        dt_forward = dt_forward.masked_fill(~mask[..., None], 0.0)
        dt_backward = dt_backward.masked_fill(~mask[..., None], 0.0)
        gaps = None if gaps is None else gaps.masked_fill(~mask, 0.0)
    if cu_seqlens is None:
        scan = ssd_chunked if torch.is_grad_enabled() else ssd_inference
        y = scan(x, b, c, dt_forward, dt_backward, a, skip, gaps, gap_rate, block=block)
    else:
        y = _each_document(x, b, c, dt_forward, dt_backward, a, skip, gaps, gap_rate, cu_seqlens, block)
    return y if mask is None else y.masked_fill(~mask[..., None, None], 0.0)


def _each_document(
    x: Tensor,
    b: Tensor,
    c: Tensor,
    dt_forward: Tensor,
    dt_backward: Tensor,
    a: Tensor,
    skip: Tensor | None,
    gaps: Tensor | None,
    gap_rate: Tensor | None,
    cu_seqlens: Tensor,
    block: int,
) -> Tensor:
    edges: list[int] = cu_seqlens.tolist()
    if edges[0] != 0 or edges[-1] != x.shape[1] or any(e < s for s, e in itertools.pairwise(edges)):
        raise ValueError(f"cu_seqlens must rise from 0 to {x.shape[1]}, got {edges[0]} to {edges[-1]}")
    parts: list[Tensor] = []
    for s, e in itertools.pairwise(edges):
        if e > s:
            own = (x[:, s:e], b[:, s:e], c[:, s:e], dt_forward[:, s:e], dt_backward[:, s:e])
            left_out = None if gaps is None else gaps[:, :, s:e]
            parts.append(ssd_chunked(*own, a, skip, left_out, gap_rate, block=block))
    return torch.cat(parts, dim=1) if parts else torch.zeros_like(x)


def _at_least_fp32(dt: Tensor) -> Tensor:
    return dt.to(torch.promote_types(dt.dtype, torch.float32))


def _check(
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
) -> None:
    if x.ndim != 4 or b.ndim != 3:
        raise ValueError(f"x must be [batch, time, heads, width], b [batch, time, state]; got {x.shape}, {b.shape}")
    batch, time, heads, _ = x.shape
    expected = {
        "b": (b, (batch, time, b.shape[-1])),
        "c": (c, (batch, time, b.shape[-1])),
        "dt_forward": (dt_forward, (batch, time, heads)),
        "dt_backward": (dt_backward, (batch, time, heads)),
        "a": (a, (2, heads)),
        "skip": (skip, (heads,)),
        "dt_bias": (dt_bias, (2, heads)),
        "mask": (mask, (batch, time)),
        "gaps": (gaps, (2, batch, time)),
        "gap_rate": (gap_rate, (2, heads)),
    }
    for name, (tensor, shape) in expected.items():
        if tensor is not None and tuple(tensor.shape) != shape:
            raise ValueError(f"{name} must be {list(shape)}, got {list(tensor.shape)}")
    if b.dtype != x.dtype or c.dtype != x.dtype:
        raise ValueError(f"b and c must have the type of x, got {b.dtype}, {c.dtype} and {x.dtype}")
    if (gaps is None) != (gap_rate is None):
        raise ValueError("gaps and gap_rate go together")
    if cu_seqlens is not None and (batch != 1 or cu_seqlens.ndim != 1 or len(cu_seqlens) < 1):
        raise ValueError("cu_seqlens goes with one row of documents laid end to end, so batch must be 1")
