"""Bending a page: turn, shear, scale, perspective and the waves of curled paper; and where a point goes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from models.training.synthesis.chance import Chance

ROUNDS = 4
"""Steps of the fixed-point iteration that inverts the waves; their slope is under 0.1, so 1e-4 px remain."""


@dataclass(frozen=True, slots=True)
class Warp:
    """Output pixel p to input pixel: h(p) + waves(p), h a homography about the page's centre.

    forward, back: [pages, 3, 3], back the inverse of forward. waves: [pages, 6]: amplitude in px, period in px and
    phase of a shift across x that runs along y, and of a shift across y that runs along x.
    """

    forward: Tensor
    back: Tensor
    waves: Tensor
    height: int
    width: int

    def centred(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels from the centre of the page."""
        return x - self.width / 2, y - self.height / 2

    def shift(self, waves: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The waves at the output point (x, y)."""
        size_x, period_x, phase_x, size_y, period_y, phase_y = waves.unbind(-1)
        across = size_x * torch.sin(y * (2 * math.pi) / period_x + phase_x)
        return across, size_y * torch.sin(x * (2 * math.pi) / period_y + phase_y)

    def bend(self, pages: Tensor) -> Tensor:
        """Pages [n, 1, height, width] as the camera or scanner sees them."""
        height, width = self.height, self.width
        y, x = torch.meshgrid(
            torch.arange(height, device=pages.device) + 0.5,
            torch.arange(width, device=pages.device) + 0.5,
            indexing="ij",
        )
        m = self.forward[:, :, :, None, None]
        cx, cy = self.centred(x, y)
        w = m[:, 2, 0] * cx + m[:, 2, 1] * cy + 1
        dx, dy = self.shift(self.waves[:, None, None], x, y)
        u = (m[:, 0, 0] * cx + m[:, 0, 1] * cy + m[:, 0, 2]) / w + dx
        v = (m[:, 1, 0] * cx + m[:, 1, 1] * cy + m[:, 1, 2]) / w + dy
        grid = torch.stack([u * (2 / width), v * (2 / height)], -1)
        return F.grid_sample(pages, grid, mode="bilinear", padding_mode="border", align_corners=False)

    def part(self, first: int) -> Warp:
        """The warps of the pages from `first` on."""
        return Warp(self.forward[first:], self.back[first:], self.waves[first:], self.height, self.width)

    def move(self, page: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Where input points of the pages `page` lie in the output."""
        m, waves = self.back[page], self.waves[page]
        out_x, out_y = x, y
        for _ in range(ROUNDS):
            dx, dy = self.shift(waves, out_x, out_y)
            cx, cy = self.centred(x - dx, y - dy)
            w = m[:, 2, 0] * cx + m[:, 2, 1] * cy + m[:, 2, 2]
            out_x = (m[:, 0, 0] * cx + m[:, 0, 1] * cy + m[:, 0, 2]) / w + self.width / 2
            out_y = (m[:, 1, 0] * cx + m[:, 1, 1] * cy + m[:, 1, 2]) / w + self.height / 2
        return out_x, out_y


def adjugate(m: Tensor) -> Tensor:
    """The inverse of [n, 3, 3] up to a factor, which a homography does not see; without a host wait."""
    a, b, c = m.unbind(1)
    return torch.stack(
        [torch.linalg.cross(b, c, dim=-1), torch.linalg.cross(c, a, dim=-1), torch.linalg.cross(a, b, dim=-1)], dim=2
    )


def draw_warp(chance: Chance, count: int, height: int, width: int, *, straight: int) -> Warp:
    """Random warps; the first `straight` pages keep their pixels (they came from a file, not from a scanner)."""
    bent = torch.arange(count, device=chance.device) >= straight
    turn = torch.where(bent & chance.flag(0.75, count), chance.normal(0.9 * math.pi / 180, count), 0.0)
    shear = torch.where(bent & chance.flag(0.35, count), chance.normal(0.02, count), 0.0)
    photo = bent & chance.flag(0.28, count)
    tilt_x = torch.where(photo, chance.normal(0.16 / width, count), 0.0)
    tilt_y = torch.where(photo, chance.normal(0.16 / height, count), 0.0)
    zoom_x = torch.where(bent, chance.uniform(0.95, 1.07, count), 1.0)
    zoom_y = torch.where(bent, chance.uniform(0.95, 1.07, count), 1.0)
    zero = torch.zeros(count, device=chance.device)
    forward = torch.stack(
        [
            turn.cos() * zoom_x, shear - turn.sin(), zero,
            turn.sin(), turn.cos() * zoom_y, zero,
            tilt_x, tilt_y, zero + 1,
        ],
        dim=1,
    ).view(count, 3, 3)  # fmt: skip
    curled = (bent & chance.flag(0.25, count)).float()
    waves = torch.stack(
        [
            curled * chance.normal(3.0, count), chance.uniform(350, 1500, count), chance.uniform(0, 6.3, count),
            curled * chance.normal(3.0, count), chance.uniform(350, 1500, count), chance.uniform(0, 6.3, count),
        ],
        dim=1,
    )  # fmt: skip
    return Warp(forward, adjugate(forward), waves, height, width)
