"""Parts of one picture as the visual tower sees them: the head's two linear maps at each place of the feature map."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.encoder import Regions
from models.local.visual_tower import VisualTower, joined

WINDOW = 2
"""Steps of the map that one part spans to each side: a single step sees too little to be told from others."""
FLAT = 0.02
"""Spread of the brightness in a part, of 1, below which it shows nothing and is left out."""


@torch.inference_mode()
def regions_of(tower: VisualTower, look: Tensor, *, width: int, height: int) -> Regions:
    """look: thumbnail [1, 3, side, side] of a picture of that size. The vectors are of the space of the summaries, that
    the head makes of the mean of the map: like parts make two pictures alike. No part of a picture that is flat."""
    features = tower.backbone(look)
    rows, columns = features.shape[-2:]
    unit = F.normalize(F.avg_pool2d(features, WINDOW, stride=1).flatten(2)[0].T.float(), dim=-1)
    vectors = joined(F.normalize(tower.head.base(unit), dim=-1), F.normalize(tower.head.direct(unit), dim=-1))
    grey = F.interpolate(look.mean(1, keepdim=True), size=(16 * rows, 16 * columns), mode="bilinear")
    mean, square = (F.avg_pool2d(part, 16 * WINDOW, stride=16).flatten() for part in (grey, grey.square()))
    shown = ((square - mean.square()).clamp(min=0).sqrt() >= FLAT).cpu().numpy()
    top, left = np.divmod(np.arange(len(vectors)), columns - WINDOW + 1)
    corners = np.stack([left, top, left + WINDOW, top + WINDOW], axis=1).astype(np.float32)
    scale = np.array([width / columns, height / rows] * 2, np.float32)
    return Regions(vectors.cpu().numpy()[shown], (corners * scale)[shown])
