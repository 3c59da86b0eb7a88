"""Pictures that show a scene and hold no print worth a full reading, told from the features of the look at them.

A linear probe on the mean of the frozen features (models.training.photos.scenes makes it). In doubt a picture is read
in full: only where the probe is sure is a small copy looked at first, and where that shows a word the picture is read
after all.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

PROBE = Path(__file__).parent / "weights" / "scenes.npz"
SCENE_PIXELS = 192 * 192
"""Of the copy of a scene that is read. Letters lower than a twentieth of the photo are no longer legible on it."""
DOUBT = 0.1
"""Probability of print up to which a picture is taken for a scene. On training pages laid into photos that the probe
had not seen, none that covers a quarter of the picture stays below twice that."""


@torch.inference_mode()
def is_scene(features: Tensor) -> bool:
    """features: [1, channels, rows, columns], of the backbone."""
    weight, bias = _probe(features.device)
    return float(torch.sigmoid(mean_features(features)[0] @ weight + bias)) <= DOUBT


def mean_features(features: Tensor) -> Tensor:
    """[batch, channels, rows, columns] -> fp32 unit rows [batch, channels]."""
    return F.normalize(features.float().mean((2, 3)), dim=1)


@cache
def _probe(device: torch.device) -> tuple[Tensor, float]:
    with np.load(PROBE) as kept:
        return torch.from_numpy(kept["weight"].astype(np.float32)).to(device), float(kept["bias"])
