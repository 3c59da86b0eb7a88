"""The scan layer: gated, bidirectional SSD with a short local filter, after Mamba-2."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from kernels.filter import short_filter
from kernels.ssd import bidirectional_ssd
from models.local.layers.norm import RMSNorm

HEAD_WIDTH = 64


class ScanLayer(nn.Module):
    """Residual layer u -> u + W_o norm((ssd(x) + D x) silu(z)), with (z, x, B, C, dt) = W u.

    A step whose mask is False neither writes nor forgets, so padding changes nothing for its neighbours.
    """

    def __init__(self, dim: int, *, state: int = 16, expand: int = 2, block: int = 64) -> None:
        super().__init__()
        self.inner, self.state, self.block = dim * expand, state, block
        self.heads = self.inner // HEAD_WIDTH
        self.norm = RMSNorm(dim)
        self.project = nn.Linear(dim, 2 * self.inner + 2 * state + 2 * self.heads, bias=False)
        taps = torch.randn(3, self.inner + 2 * state) * 0.1
        taps[1] += 1.0
        self.taps, self.tap_bias = nn.Parameter(taps), nn.Parameter(torch.zeros(self.inner + 2 * state))
        dt = torch.exp(torch.rand(2, self.heads) * (math.log(0.5) - math.log(0.02)) + math.log(0.02))
        self.dt_bias = nn.Parameter(dt + torch.log(-torch.expm1(-dt)))
        self.a_log = nn.Parameter(torch.log(torch.rand(2, self.heads) * 3 + 0.5))
        self.skip = nn.Parameter(torch.ones(self.heads))
        self.out_norm = RMSNorm(self.inner)
        self.out = nn.Linear(self.inner, dim, bias=False)

    def forward(self, u: Tensor, mask: Tensor | None) -> Tensor:
        """u: [batch, time, dim]. mask: bool [batch, time]; None = all count."""
        batch, time, _ = u.shape
        z, local, dt = self.project(self.norm(u)).split(
            [self.inner, self.inner + 2 * self.state, 2 * self.heads], dim=-1
        )
        local = short_filter(local, self.taps, self.tap_bias, mask=mask)
        x, b, c = local.split([self.inner, self.state, self.state], dim=-1)
        dt = dt.view(batch, time, 2, self.heads)
        with torch.autocast(u.device.type, enabled=False):
            y = bidirectional_ssd(
                x.view(batch, time, self.heads, HEAD_WIDTH),
                b,
                c,
                dt[:, :, 0],
                dt[:, :, 1],
                -torch.exp(self.a_log.float()),
                skip=self.skip,
                dt_bias=self.dt_bias,
                mask=mask,
                block=self.block,
            )
        return u + self.out(self.out_norm(y.view(batch, time, self.inner), gate=z))
