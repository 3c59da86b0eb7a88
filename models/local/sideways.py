"""Lines that stand on their side near an edge, such as numbers stamped on a margin: where to read a page turned.

Print on its side fills a narrow column without a break, while the lines of a text leave gaps between them. Rules do
not count: a column inked from end to end is one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from models.encoder import FloatArray
from models.local.ink import ink_of
from models.local.pictures import padded

COLUMN, LENGTH, LINE = 16, 48, 6
"""Pixels: width and length of a column that is looked at, and the stretch of it that may not be empty."""
LEAST_INK = 0.1
"""Of a stretch, to count as inked."""
LEAST_COVER = 0.95
"""Of the length that must be inked."""
RULE = 0.9
"""A column of pixels inked for more than this share of the length is a rule."""
SURROUND = 64
"""Pixels above and below that are read too."""
STEP_X, STEP_Y = 4, 8


@dataclass(frozen=True, slots=True)
class Sideways:
    """top, bottom: rows of the strip to read. spots: (n, 4), boxes in pixels of the strip that belong to such lines."""

    top: int
    bottom: int
    spots: FloatArray


def find_sideways(strip: FloatArray) -> Sideways | None:
    """strip: (height, width), grey 0..1. None when no line in it stands on its side."""
    height, width = strip.shape
    if width < COLUMN or height < LENGTH:
        return None
    ink = ink_of(torch.from_numpy(padded(strip))[None, None])[..., : height // 2 * 2, : width // 2 * 2]
    ink = (ink[..., ::2, ::2] + ink[..., 1::2, ::2] + ink[..., ::2, 1::2] + ink[..., 1::2, 1::2]) / 4
    inked = (ink > 0.3).float()
    inked = inked * (1.0 - _rules(inked))
    lines = (F.avg_pool2d(inked, (LINE // 2, COLUMN // 2), (1, STEP_X // 2)) > LEAST_INK).float()
    cover = F.avg_pool2d(lines, ((LENGTH - LINE) // 2, 1), (STEP_Y // 2, 1))[0, 0].numpy()
    row, column = np.nonzero(cover >= LEAST_COVER)
    if not len(row):
        return None
    left, top = column * STEP_X, row * STEP_Y
    spots = np.stack([left, top - LENGTH // 2, left + COLUMN, top + LENGTH + LENGTH // 2], axis=1).astype(np.float32)
    return Sideways(max(0, int(top.min()) - SURROUND), min(height, int(top.max()) + LENGTH + SURROUND), spots)


def _rules(inked: torch.Tensor) -> torch.Tensor:
    """1 where a column of pixels is inked over the whole length around it."""
    length, step = LENGTH // 2, STEP_Y // 2
    steps = inked[..., : inked.shape[-2] // step * step, :].unflatten(-2, (-1, step)).sum(-2)
    ruled = (steps.unfold(-2, length // step, 1).sum(-1) / length > RULE).float()
    spread = F.max_pool2d(ruled, (2 * (length // step) + 1, 1), 1, (length // step, 0))
    return F.interpolate(spread, size=inked.shape[-2:], mode="nearest")
