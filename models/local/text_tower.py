"""The text tower: typed words as bytes to the vectors that pages answer to, and to one summary of the query."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.local.config import WORD_BYTES, NetworkConfig
from models.local.layers import AttentionLayer, RMSNorm, ScanLayer


class TextTower(nn.Module):
    """Canonical bytes of words [n, 24], zero-padded, to token vectors and word features."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        dim = config.text_dim
        self.byte = nn.Embedding(256, dim)
        self.place = nn.Parameter(torch.randn(WORD_BYTES, dim) * 0.1)
        self.from_end = nn.Embedding(WORD_BYTES + 1, dim)
        nn.init.normal_(self.from_end.weight, std=0.1)
        self.layers = nn.ModuleList(
            AttentionLayer(dim) if kind == "a" else ScanLayer(dim, block=WORD_BYTES) for kind in config.text_layers
        )
        self.norm, self.token = RMSNorm(dim), nn.Linear(2 * dim, config.token_dim)
        self.topic, self.topic_weight = nn.Linear(2 * dim, config.summary_dim), nn.Linear(2 * dim, 1)
        self.summary = nn.Linear(config.summary_dim, config.summary_dim)

    def features(self, words: Tensor) -> Tensor:
        """uint8 [n, 24] -> [n, 2 * text_dim]: scaled sum and maximum over the bytes. Columns at the end that are all
        zero may be left out: the features are the same, the work is less."""
        codes = words.long()
        width = words.shape[1]
        place = torch.arange(width, device=words.device)
        mask = (codes > 0) | (place == 0)
        length = mask.sum(1, keepdim=True)
        h = self.byte(codes) + self.place[:width] + self.from_end((length - place).clamp(0, WORD_BYTES))
        h = h * mask[..., None]
        for layer in self.layers:
            h = layer(h, mask)
        h = self.norm(h) * mask[..., None]
        return torch.cat([h.sum(1) / length.sqrt(), h.masked_fill(~mask[..., None], -9.0).amax(1)], dim=-1)

    def tokens(self, features: Tensor) -> Tensor:
        """Word features -> fp32 unit vectors [n, token_dim]."""
        return F.normalize(self.token(features).float(), dim=-1)

    def summaries(self, features: Tensor, mask: Tensor) -> Tensor:
        """Word features [batch, words, 2 * text_dim], bool mask -> fp32 unit vectors [batch, summary_dim]."""
        weight = self.topic_weight(features)[..., 0].float().masked_fill(~mask, -1e4).softmax(-1)
        mixed = (weight[..., None] * F.gelu(self.topic(features)).float()).sum(1)
        return F.normalize(self.summary(mixed.to(features.dtype)).float(), dim=-1)
