"""The reading half of the local encoder: page tower, text tower, and the calibration of their likeness.

The other half, models.local.visual_tower, sees pictures as a whole; it is trained apart and stored apart.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from models.local.config import NetworkConfig
from models.local.page_tower import PageTower
from models.local.text_tower import TextTower


class ReadingNetwork(nn.Module):
    """contrast_scale: log of the scale of word against word; presence_scale (log) and presence_bias: logit that a
    word stands on a page, from its best cosine there; topic_scale (log) and topic_bias: the same for summaries."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.page, self.text = PageTower(config), TextTower(config)
        self.contrast_scale = nn.Parameter(torch.tensor(math.log(15.0)))
        self.presence_scale = nn.Parameter(torch.tensor(math.log(15.0)))
        self.presence_bias = nn.Parameter(torch.tensor(-8.0))
        self.topic_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.topic_bias = nn.Parameter(torch.tensor(-4.0))
