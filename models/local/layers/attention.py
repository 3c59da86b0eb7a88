"""Attention with normalised queries and keys, and a small MLP."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.local.layers.norm import RMSNorm

HEAD_WIDTH = 64
SHARPNESS = 10.0
"""Queries and keys have length 1, so the scores lie between -10 and 10."""


class AttentionLayer(nn.Module):
    """Residual attention, then a residual MLP of `mlp` times the width.

    window: steps that look at each other; the sequence is cut into windows of that many. None = all look at all.
    """

    def __init__(self, dim: int, *, mlp: int = 3, window: int | None = None) -> None:
        super().__init__()
        self.heads, self.window = dim // HEAD_WIDTH, window
        self.norm, self.mlp_norm = RMSNorm(dim), RMSNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.up, self.down = nn.Linear(dim, mlp * dim), nn.Linear(mlp * dim, dim)

    def forward(self, u: Tensor, mask: Tensor | None) -> Tensor:
        """u: [batch, time, dim]. mask: bool [batch, time], False = not looked at; None = all count."""
        qkv = self.qkv(self.norm(u))
        mixed = self.mix(qkv, mask) if self.window is None else self.in_windows(qkv, mask, self.window)
        u = u + self.out(mixed)
        return u + self.down(F.gelu(self.up(self.mlp_norm(u))))

    def mix(self, qkv: Tensor, mask: Tensor | None) -> Tensor:
        """[batch, time, 3 * dim] -> [batch, time, dim]."""
        batch, time, width = qkv.shape
        q, k, v = qkv.view(batch, time, 3, self.heads, HEAD_WIDTH).permute(2, 0, 3, 1, 4)
        q, k = F.normalize(q, dim=-1) * SHARPNESS, F.normalize(k, dim=-1)
        mixed = F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v, attn_mask=looked_at(mask), scale=1.0)
        return mixed.transpose(1, 2).reshape(batch, time, width // 3)

    def in_windows(self, qkv: Tensor, mask: Tensor | None, window: int) -> Tensor:
        batch, time, width = qkv.shape
        if mask is None:
            whole = time - time % window
            windows = self.mix(qkv[:, :whole].reshape(-1, window, width), None).view(batch, whole, width // 3)
            return windows if whole == time else torch.cat([windows, self.mix(qkv[:, whole:], None)], dim=1)
        short = -time % window
        qkv, mask = F.pad(qkv, (0, 0, 0, short)), F.pad(mask, (0, short))
        mixed = self.mix(qkv.reshape(-1, window, width), mask.reshape(-1, window))
        return mixed.reshape(batch, time + short, width // 3)[:, :time]


def looked_at(mask: Tensor | None) -> Tensor | None:
    """bool [batch, time] -> bool [batch, 1, 1, time]: what each step looks at. A row of padding alone looks at all of
    it: softmax over nothing is not a number, and not every device's attention catches that."""
    return None if mask is None else (mask | ~mask.any(1, keepdim=True))[:, None, None, :]
