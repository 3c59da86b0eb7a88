"""Root-mean-square norms in plain PyTorch: the truth, and the path on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def rms_norm_reference(x: Tensor, weight: Tensor, gate: Tensor | None, eps: float) -> Tensor:
    kind = torch.promote_types(x.dtype, torch.float32)
    # In place where a sum is not needed again, and lengths instead of squares and their mean: a CPU waits for memory.
    wide = x.to(kind) if gate is None else F.silu(gate.to(kind)).mul_(x)
    length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
    return (wide * torch.rsqrt(length.square() / x.shape[-1] + eps)).mul_(weight).to(x.dtype)


def add_rms_norm_reference(
    x: Tensor, residual: Tensor, weight: Tensor, scale: Tensor | None, eps: float
) -> tuple[Tensor, Tensor]:
    kind = torch.promote_types(torch.promote_types(x.dtype, residual.dtype), torch.float32)
    grown = x.to(kind) if scale is None else x.to(kind) * scale.to(kind)
    total = (residual.to(kind) + grown).to(residual.dtype)
    return rms_norm_reference(total, weight, None, eps), total
