"""Ink: what is darker than the paper around it, so that lighting, paper and scanner no longer matter."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

BLANK = 0.28
"""A cell whose smoothed ink stays below this is blank and dropped."""


def ink_of(page: Tensor) -> Tensor:
    """Grey pages [batch, 1, height, width], 0..1, sides multiples of 4 -> ink >= 0, about 1 for full black.

    Background = local maximum of the page on a grid of 4 px, smoothed. The scale is the 98.5th percentile of
    each page, at least 0.06, so that noise on an empty page is not raised to text.
    """
    height, width = page.shape[-2:]
    low = F.avg_pool2d(page, 4)
    # Along one side, then along the other: the same as over squares, in a third of the time.
    light = F.max_pool2d(F.max_pool2d(low, (1, 9), 1, (0, 4)), (9, 1), 1, (4, 0))
    paper = F.avg_pool2d(light, (1, 9), 1, (0, 4), count_include_pad=False)
    paper = F.avg_pool2d(paper, (9, 1), 1, (4, 0), count_include_pad=False)
    ink = (F.interpolate(paper, size=(height, width), mode="bilinear") - page).clamp(min=0)
    sample = ink[:, :, ::4, ::4].flatten(1)
    rank = max(1, int(sample.shape[1] * 0.985))
    return ink / sample.kthvalue(rank, 1).values.clamp(min=0.06)[:, None, None, None]


def inked_cells(ink: Tensor, height: int, width: int) -> Tensor:
    """bool [batch, rows * columns]: cells of height x width pixels that are not blank."""
    around = F.pad(ink[:, 0], (1, 1, 1, 1))
    wide = around[..., :-2] + around[..., 1:-1] + around[..., 2:]
    smooth = wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]
    darkest = smooth.unflatten(1, (-1, height)).amax(2).unflatten(2, (-1, width)).amax(3)
    return darkest.flatten(1) > BLANK * 9
