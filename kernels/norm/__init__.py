"""Root-mean-square norm, plain, gated or after a residual sum: the door. Formula and figures: ../README.md."""

from __future__ import annotations

import torch
from torch import Tensor

from kernels.dispatch import choose
from kernels.norm.reference import add_rms_norm_reference, rms_norm_reference

__all__ = ["add_rms_norm", "rms_norm"]

WIDEST = 4096


def rms_norm(x: Tensor, weight: Tensor, *, gate: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """u / sqrt(mean(u^2) + eps) * weight over the last dimension, with u = x, or x * silu(gate) with a gate.

    x, gate: float [..., width], of one shape and type. weight: float [width]. Inside in fp32 (fp64 for fp64).
    Returns the shape and type of x; differentiable in all three. Raises ValueError on shapes that do not fit.
    """
    if weight.shape != x.shape[-1:]:
        raise ValueError(f"weight must be {list(x.shape[-1:])}, got {list(weight.shape)}")
    if gate is not None and (gate.shape != x.shape or gate.dtype != x.dtype):
        raise ValueError(f"gate must be {list(x.shape)} {x.dtype}, got {list(gate.shape)} {gate.dtype}")
    fits = x.dtype != torch.float64 and 0 < x.shape[-1] <= WIDEST and x.numel() > 0
    if choose(x, fits=fits) == "reference":
        return rms_norm_reference(x, weight, gate, eps)
    from kernels.norm.triton import norm_forward

    flat = x.reshape(-1, x.shape[-1])
    side = None if gate is None else gate.reshape(flat.shape)
    return norm_forward(flat, weight, side, eps).view(x.shape)


def add_rms_norm(
    x: Tensor, residual: Tensor, weight: Tensor, *, scale: Tensor | None = None, eps: float = 1e-5
) -> tuple[Tensor, Tensor]:
    """The norm of s = residual + scale x, and s itself, which the next residual sum goes on from.

    x, residual: float [..., width], of one shape; their types may differ. weight, scale: float [width].
    Both results have the type of residual; differentiable in everything. Raises ValueError on shapes that do not fit.
    """
    if residual.shape != x.shape:
        raise ValueError(f"residual must be {list(x.shape)}, got {list(residual.shape)}")
    if weight.shape != x.shape[-1:] or (scale is not None and scale.shape != x.shape[-1:]):
        raise ValueError(f"weight and scale must be {list(x.shape[-1:])}")
    wide = torch.float64 in (x.dtype, residual.dtype)
    if choose(x, fits=not wide and 0 < x.shape[-1] <= WIDEST and x.numel() > 0) == "reference":
        return add_rms_norm_reference(x, residual, weight, scale, eps)
    from kernels.norm.triton import add_norm_forward

    y, total = add_norm_forward(x.reshape(-1, x.shape[-1]), residual.reshape(-1, x.shape[-1]), weight, scale, eps)
    return y.view(x.shape), total.view(x.shape)
