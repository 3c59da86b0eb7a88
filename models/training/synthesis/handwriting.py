"""What a pen does that a font does not: no letter is twice the same, strokes swell and fade, lines drift."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from models.training.synthesis.chance import Chance
from models.training.synthesis.degrade import blurred, column, enlarged

SLOW, QUICK = 40, 14
"""Pixels between the knots of the two wobbles: of a line, and of a letter."""


@dataclass(frozen=True, slots=True)
class Wobble:
    """Output pixel p shows input pixel p + field(p). field: [pages, 2, height, width] in px, x then y."""

    field: Tensor

    def bend(self, ink: Tensor) -> Tensor:
        """Ink [pages, height, width] as the hand moved."""
        _, height, width = ink.shape
        y, x = torch.meshgrid(
            torch.arange(height, device=ink.device) + 0.5, torch.arange(width, device=ink.device) + 0.5, indexing="ij"
        )
        grid = torch.stack([(x + self.field[:, 0]) * (2 / width), (y + self.field[:, 1]) * (2 / height)], -1) - 1
        return F.grid_sample(ink[:, None], grid, mode="bilinear", align_corners=False)[:, 0]

    def move(self, page: Tensor, x: Tensor, y: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
        """Where input points lie in the output; only those of `where` move. One step: the field is slow."""
        _, _, height, width = self.field.shape
        row, at = y.long().clamp(0, height - 1), x.long().clamp(0, width - 1)
        dx, dy = self.field[page, 0, row, at], self.field[page, 1, row, at]
        return torch.where(where, x - dx, x), torch.where(where, y - dy, y)


def draw_wobble(chance: Chance, em: Tensor, height: int, width: int) -> Wobble:
    """em: [pages], size of the writing; 0 = a page without any, which does not move."""
    count = em.shape[0]
    steady = chance.uniform(0, 1, count)
    field = torch.zeros(count, 2, height, width, device=em.device)
    for knots, amount in ((SLOW, 0.075), (QUICK, 0.03)):
        coarse = chance.normal(1.0, count, 2, height // knots + 2, width // knots + 2)
        size = (amount * em * steady)[:, None, None, None]
        field += size * F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=True)
    return Wobble(field)


def with_pen(ink: Tensor, chance: Chance) -> Tensor:
    """Ink [pages, height, width] of writing, 0..1: fine and blunt pens, strokes that run together or starve, uneven
    pressure, ball pens and pencils that are paler than print."""
    count, height, width = ink.shape
    kind = ink.dtype
    soft = blurred(ink, chance.uniform(0.35, 1.0, count))
    limit, gain = column(chance.uniform(0.12, 0.3, count)).to(kind), column(chance.uniform(1.6, 4, count)).to(kind)
    shaped = ((soft - limit) * gain + 0.5 * limit).clamp(0, 1)
    ink = torch.where(column(chance.flag(0.6, count)), shaped, ink)
    thick = F.max_pool2d(ink[:, None], 2, 1, 1)[:, 0, :height, :width]
    ink = torch.where(column(chance.flag(0.18, count)), thick, ink)
    press = enlarged(chance.uniform(0, 1, count, height // 24, width // 24).to(kind), height, width)
    ink = ink * (1 - press * column(chance.uniform(-0.3, 0.45, count).clamp(min=0)).to(kind))
    pale = torch.where(chance.flag(0.35, count), chance.uniform(0.55, 1, count), 1.0)
    return ink * column(pale).to(kind)
