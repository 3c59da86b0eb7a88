"""Root-mean-square normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kernels.norm import rms_norm


class RMSNorm(nn.Module):
    """x / rms(x) * weight over the last dimension; with a gate, of x * silu(gate)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        return rms_norm(x, self.weight, gate=gate)
