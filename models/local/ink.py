"""Ink: what is darker than the paper around it, so that lighting, paper and scanner no longer matter."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

BLANK = 0.28
"""A cell whose smoothed ink stays below this is blank and dropped."""
GRID = 4
"""Pixels of a step of the grid on which the paper is looked for."""
REACH = 4
"""Steps of it to each side from which the paper of a place is told."""
FAINTEST = 0.5
"""Ink is made as dark as it is elsewhere on the page, but not more than 1 / FAINTEST times as dark: thermal heads and
ribbons fade in places, and noise is no print."""
PATCH = 16
"""Pixels of a step of the grid on which the darkest ink is looked for, REACH steps to each side."""


def ink_of(page: Tensor) -> Tensor:
    """Grey pages [batch, 1, height, width], 0..1, sides multiples of 4 -> ink >= 0, about 1 for full black.

    Background = local maximum of the page on a grid of 4 px, smoothed. The scale is the 98.5th percentile of
    each page, at least 0.06, so that noise on an empty page is not raised to text.
    """
    rows = page[..., ::GRID, :] + page[..., 1::GRID, :] + page[..., 2::GRID, :] + page[..., 3::GRID, :]
    low = rows[..., ::GRID] + rows[..., 1::GRID] + rows[..., 2::GRID] + rows[..., 3::GRID]
    low /= GRID**2
    for dim in (-1, -2):
        low = joined_around(low, dim, REACH, torch.maximum, fill=-torch.inf)
    for dim in (-1, -2):
        full = F.pad(low.new_ones(low.shape[dim]), (REACH, REACH)).unfold(0, 2 * REACH + 1, 1).sum(1)
        low = joined_around(low, dim, REACH, torch.add, fill=0.0)
        low /= full if dim == -1 else full[:, None]
    ink = _enlarged(_enlarged(low, -1), -2).sub_(page).clamp_(min=0)
    sample = ink[:, :, ::4, ::4].flatten(1)
    rank = max(1, int(sample.shape[1] * 0.985))
    return ink.div_(sample.kthvalue(rank, 1).values.clamp(min=0.06)[:, None, None, None])


def evened(ink: Tensor) -> Tensor:
    """Ink [batch, 1, height, width], sides multiples of PATCH, with faint places as dark as the others, up to a limit.

    Darkest = maximum over small means on a grid of 16 px and around it, smoothed; at most 1, at least FAINTEST.
    """
    pairs = ink[..., ::2, :] + ink[..., 1::2, :]
    smooth = pairs[..., ::2] + pairs[..., 1::2]
    dark = smooth.unflatten(-2, (-1, PATCH // 2)).amax(-2).unflatten(-1, (-1, PATCH // 2)).amax(-1) / 4
    for dim in (-1, -2):
        dark = joined_around(dark, dim, REACH, torch.maximum, fill=0.0)
    dark = F.avg_pool2d(dark.clamp(max=1.0), 5, 1, 2, count_include_pad=False).clamp(min=FAINTEST)
    steps = F.interpolate(dark, scale_factor=PATCH // GRID, mode="bilinear")
    blocks = ink.unflatten(-1, (-1, GRID)).unflatten(-3, (-1, GRID))
    return (blocks / steps[..., :, None, :, None]).flatten(-4, -3).flatten(-2)


def inked_cells(ink: Tensor, height: int, width: int) -> Tensor:
    """bool [batch, rows * columns]: cells of height x width pixels that are not blank."""
    around = F.pad(ink[:, 0], (1, 1, 1, 1))
    wide = around[..., :-2] + around[..., 1:-1] + around[..., 2:]
    smooth = wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]
    darkest = smooth.unflatten(1, (-1, height)).amax(2).unflatten(2, (-1, width)).amax(3)
    return darkest.flatten(1) > BLANK * 9


def joined_around(
    values: Tensor, dim: int, reach: int, join: Callable[[Tensor, Tensor], Tensor], *, fill: float
) -> Tensor:
    """Of each place along `dim` and its neighbours up to a reach that is a power of two, what `join` makes of all of
    them: sums or maxima. fill: what lies beyond the edges. Twice as many at each step: quicker than pooling."""
    edges = (reach, reach) if dim == -1 else (0, 0, reach, reach)
    padded = F.pad(values, edges, value=fill)
    joined, span = padded, 1
    while span < 2 * reach:
        length = joined.shape[dim] - span
        joined = join(joined.narrow(dim, 0, length), joined.narrow(dim, span, length))
        span *= 2
    return join(joined.narrow(dim, 0, values.shape[dim]), padded.narrow(dim, span, values.shape[dim]))


def _enlarged(values: Tensor, dim: int) -> Tensor:
    """GRID times as long along `dim`, straight lines between the middles of the steps."""
    length = values.shape[dim]
    before = torch.cat((values.narrow(dim, 0, 1), values.narrow(dim, 0, length - 1)), dim)
    after = torch.cat((values.narrow(dim, 1, length - 1), values.narrow(dim, length - 1, 1)), dim)
    place = values.dim() + dim + 1
    parts = [torch.lerp(before, values, weight) for weight in (0.625, 0.875)]
    parts += [torch.lerp(values, after, weight) for weight in (0.125, 0.375)]
    return torch.stack(parts, place).flatten(place - 1, place)
