"""Parts that only the study needs; each takes the place of one that ships, with the same call."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.delta import bidirectional_delta
from kernels.filter import short_filter
from models.local.config import WORD_BYTES, NetworkConfig
from models.local.layers import AttentionLayer, ChunkPool, Router, ScanLayer
from models.local.layers.attention import HEAD_WIDTH, SHARPNESS, looked_at
from models.local.text_tower import TextTower

CERTAIN = 4.0
"""Logit of a boundary that nobody learns."""
PIECE = 3.0
"""Bytes of a piece that the ratio loss asks for."""


class Stride(nn.Module):
    """In place of the router: a boundary every `stride` cells, whatever stands there; 1 = every cell."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, h: Tensor) -> Tensor:
        """h: [batch, time, dim] -> fp32 logits [batch, time]."""
        here = torch.arange(h.shape[1], device=h.device) % self.stride == 0
        return torch.where(here, CERTAIN, -CERTAIN).expand(h.shape[0], -1)


class RotaryAttention(AttentionLayer):
    """Attention that knows how far apart two steps are (RoPE): without a scan nothing else tells it."""

    def mix(self, qkv: Tensor, mask: Tensor | None) -> Tensor:
        """As AttentionLayer.mix."""
        batch, time, width = qkv.shape
        q, k, v = qkv.view(batch, time, 3, self.heads, HEAD_WIDTH).permute(2, 0, 3, 1, 4)
        q, k = turned(F.normalize(q.float(), dim=-1) * SHARPNESS), turned(F.normalize(k.float(), dim=-1))
        mixed = F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v, attn_mask=looked_at(mask), scale=1.0)
        return mixed.transpose(1, 2).reshape(batch, time, width // 3)


def turned(x: Tensor) -> Tensor:
    """[..., time, width]: pairs of numbers turned by angles that grow with time."""
    time, half = x.shape[-2], x.shape[-1] // 2
    speed = torch.exp(torch.arange(half, device=x.device) * (-math.log(10000.0) / half))
    angle = torch.arange(time, device=x.device)[:, None] * speed
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


class DeltaLayer(ScanLayer):
    """The scan layer with the gated delta rule (Gated DeltaNet) in place of SSD; all else is alike."""

    def __init__(self, dim: int, *, state: int = 16, expand: int = 2, block: int = 64) -> None:
        super().__init__(dim, state=state, expand=expand, block=block)
        self.project = nn.Linear(dim, 2 * self.inner + 2 * state + 4 * self.heads, bias=False)

    def forward(self, u: Tensor, mask: Tensor | None) -> Tensor:
        """u: [batch, time, dim]. mask: bool [batch, time]; None = all count."""
        batch, time, _ = u.shape
        z, local, gates = self.project(self.norm(u)).split(
            [self.inner, self.inner + 2 * self.state, 4 * self.heads], dim=-1
        )
        local = short_filter(local, self.taps, self.tap_bias, mask=mask)
        v, k, q = local.split([self.inner, self.state, self.state], dim=-1)
        v = v.view(batch, time, self.heads, HEAD_WIDTH)
        k, q = (F.normalize(part.float(), dim=-1).to(v.dtype) for part in (k, q))
        gates = gates.float().view(batch, time, 4, self.heads)
        beta = torch.sigmoid(gates[:, :, :2])
        decay = -torch.exp(self.a_log.float()) * F.softplus(gates[:, :, 2:] + self.dt_bias)
        with torch.autocast(u.device.type, enabled=False):
            y = bidirectional_delta(
                v, k, q, beta[:, :, 0], beta[:, :, 1], decay[:, :, 0], decay[:, :, 1], mask=mask, block=self.block
            )
        y = y + v * self.skip.to(v.dtype)[:, None]
        return u + self.out(self.out_norm(y.reshape(batch, time, self.inner), gate=z))


class PieceTower(TextTower):
    """A text tower that cuts a word's bytes into pieces by a router of its own, after its first layer. Nothing says
    where a piece begins: `ratio`, of the last call, is the loss that keeps them about PIECE bytes long (H-Net)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        self.router = Router(config.text_dim)
        self.pool = ChunkPool(config.text_dim, config.text_dim, reach=WORD_BYTES)
        self.ratio = torch.zeros(())

    def features(self, words: Tensor) -> Tensor:
        """As TextTower.features, over pieces."""
        codes = words.long()
        width = words.shape[1]
        place = torch.arange(width, device=words.device)
        mask = (codes > 0) | (place == 0)
        length = mask.sum(1, keepdim=True)
        h = self.byte(codes) + self.place[:width] + self.from_end((length - place).clamp(0, WORD_BYTES))
        h = self.layers[0](h * mask[..., None], mask)
        logits = self.router(h)
        chance = torch.sigmoid(logits)
        boundary = ((logits > 0) | (place == 0)) & mask
        cut, said = _share(boundary.float(), mask), _share(chance, mask)
        self.ratio = PIECE / (PIECE - 1) * ((PIECE - 1) * cut * said + (1 - cut) * (1 - said))
        pieces = self.pool(h, mask, boundary, chance, width)
        h, mask = pieces.vectors, pieces.mask
        for layer in self.layers[1:]:
            h = layer(h, mask)
        h = self.norm(h) * mask[..., None]
        count = mask.sum(1, keepdim=True).clamp(min=1)
        return torch.cat([h.sum(1) / count.sqrt(), h.masked_fill(~mask[..., None], -9.0).amax(1)], dim=-1)


def _share(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum().clamp(min=1)
