"""Pictures that show a scene and hold no print worth a full reading, told from the features of the look at them.

A linear probe on the mean of the frozen features (models.training.photos.scenes makes it). Where it sees print, a
picture is read in full. Where it is sure of a scene, nothing is read; where it is nearly sure, small copies are looked
at first, and where those show words, what is around them is read, or the whole picture when larger copies show more and
more. Where it is in doubt the largest copy says whether there is anything to read.
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
"""Of the first copy of a scene that is read. Letters lower than a twentieth of the photo are illegible on it."""
GLANCES = 4
"""Copies of a scene, each of twice the pixels; a fifth would be as large as the copy that is read in full."""
SURE = 0.05
"""Probability of print up to which nothing of a picture is read. Of training pages and plates laid into photos that the
probe had not seen, no page that covers a quarter of the picture stays below it, 2 of 88 pages that cover 15 %, and 7
of 400 plates."""
DOUBT = 0.1
"""Probability of print up to which a picture is taken for a scene. On training pages laid into photos that the probe
had not seen, none that covers a quarter of the picture stays below twice that."""
HALF_SURE = 0.2
"""Up to it a picture is taken for a scene too, but looked at no smaller than the third copy: of the plates laid into
photos that lie between, the first copy shows three in five, the third all that reading in full shows."""
DOUBTFUL = 0.5
"""Up to it a picture is read in full only where the last copy shows a word. Of the pages laid into photos that lie
between, the third copy shows none of a page of 268 words; the last shows words of every one."""
LATER, LAST = 2, GLANCES - 1
AROUND, SMALL_PART = 0.06, 0.5
"""Of the sides of a scene, what is read around words seen on a copy, where they may begin and end a little beyond what
was seen; and of its area, the part up to which not all is read."""


@torch.inference_mode()
def glances(features: Tensor) -> range | None:
    """The copies to look at, from 0, none where it is a scene for sure; None: no scene for sure, to be read in full.
    features: [1, channels, rows, columns], of the backbone."""
    weight, bias = _probe(features.device)
    chance = float(torch.sigmoid(mean_features(features)[0] @ weight + bias))
    if chance > DOUBTFUL:
        return None
    if chance <= SURE:
        return range(0)
    return range(0 if chance <= DOUBT else LATER if chance <= HALF_SURE else LAST, GLANCES)


def mean_features(features: Tensor) -> Tensor:
    """[batch, channels, rows, columns] -> fp32 unit rows [batch, channels]."""
    return F.normalize(features.float().mean((2, 3)), dim=1)


@cache
def _probe(device: torch.device) -> tuple[Tensor, float]:
    with np.load(PROBE) as kept:
        return torch.from_numpy(kept["weight"].astype(np.float32)).to(device), float(kept["bias"])
