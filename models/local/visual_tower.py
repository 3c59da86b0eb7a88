"""The visual tower: a small colour copy of any picture to its summary vector.

A summary has two parts of fixed share. The base is a linear map of the mean of the frozen features, their principal
components: it knows no labels and keeps what was never labelled apart. The learned part reads the map of features
step by step, a bidirectional scan and an attention layer above, and gathers what the labels of the training call alike.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.local.backbone import STRIDE, Backbone
from models.local.config import NetworkConfig
from models.local.layers import AttentionLayer, RMSNorm, ScanLayer

POOL_HEADS = 8
LEARNED_NUMBERS = 4
"""One number of a summary in so many belongs to the learned part; the base has the others."""
LEARNED_SHARE = 0.7
"""Of the cosine of two summaries. Chosen on training photos: seen labels against labels that no training saw."""


def joined(base: Tensor, learned: Tensor, share: float = LEARNED_SHARE) -> Tensor:
    """Two unit vectors of each picture to one; the learned part has `share` of the cosine."""
    return torch.cat([learned * math.sqrt(share), base * math.sqrt(1 - share)], dim=-1)


class VisualHead(nn.Module):
    """Maps of the backbone and ln(width / height) of the picture -> the two parts of its summary."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        dim, steps = config.visual_dim, (-(-config.thumbnail // STRIDE)) ** 2
        learned = config.summary_dim // LEARNED_NUMBERS
        self.base = nn.Linear(Backbone.channels, config.summary_dim - learned)
        self.direct = nn.Linear(Backbone.channels, learned)
        self.enter = nn.Linear(Backbone.channels, dim)
        self.place = nn.Parameter(torch.randn(steps, dim) * 0.02)
        self.aspect = nn.Linear(1, dim)
        self.scan, self.look = ScanLayer(dim, block=steps), AttentionLayer(dim, mlp=1)
        self.norm, self.focus = RMSNorm(dim), nn.Linear(dim, POOL_HEADS)
        self.detail = nn.Linear(2 * dim, learned)
        nn.init.zeros_(self.detail.weight)
        nn.init.zeros_(self.detail.bias)

    def forward(self, features: Tensor, aspect: Tensor) -> tuple[Tensor, Tensor]:
        """[batch, channels, rows, columns], [batch] -> base and learned part, fp32 unit vectors."""
        steps = features.flatten(2).transpose(1, 2)
        mean = F.normalize(steps.float().mean(1), dim=-1).to(steps.dtype)
        learned = self.direct(mean).float() + self._detail(steps, aspect)
        return F.normalize(self.base(mean).float(), dim=-1), F.normalize(learned, dim=-1)

    def _detail(self, steps: Tensor, aspect: Tensor) -> Tensor:
        """[batch, steps, channels], [batch] -> what the layers add to the learned part, fp32 [batch, numbers], or
        [numbers] for all alike."""
        if not self.training and not self.detail.weight.any():
            # Of layers that were never refined only the constant is left.
            return self.detail.bias.float()
        h = self.enter(steps) + self.place + self.aspect(aspect[:, None].to(steps.dtype))[:, None]
        everything = torch.ones(h.shape[:2], dtype=torch.bool, device=h.device)
        h = self.norm(self.look(self.scan(h, everything), None))
        weight = self.focus(h).float().softmax(1)
        heads = h.float().unflatten(-1, (POOL_HEADS, -1))
        pooled = torch.cat([(weight[..., None] * heads).sum(1).flatten(1), h.float().mean(1)], dim=-1)
        return self.detail(pooled.to(h.dtype)).float()


class VisualTower(nn.Module):
    """Thumbnails [batch, 3, side, side], RGB 0..1, squashed to the side, and the log of width / height of the whole
    picture -> summaries. Only the head is in the state dict; see Backbone."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.backbone, self.head = Backbone(config.thumbnail), VisualHead(config)

    def forward(self, thumbnails: Tensor, aspect: Tensor) -> Tensor:
        """fp32 unit vectors [batch, summary_dim]. aspect: [batch], ln(width / height)."""
        return self.summaries(self.backbone(thumbnails), aspect)

    def summaries(self, features: Tensor, aspect: Tensor) -> Tensor:
        """The same from the features of the backbone."""
        return joined(*self.head(features, aspect))
