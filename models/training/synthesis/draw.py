"""Ink on flat pages: sprites and rectangles become lists of pixels, added to the page in one pass each."""

from __future__ import annotations

import torch
from torch import Tensor

from models.training.synthesis.assets import Assets
from models.training.synthesis.place import Glyphs
from models.training.synthesis.scene import Rules

CHUNK = 60000
"""Sprites drawn at a time: bounds the memory for their pixels (about 250 each, 200 bytes a pixel)."""
NEEDLE = 0.22
"""Ink left between the dots of a needle printer."""
FULL = 1 << 20
"""A pixel's full ink. Ink is added up in whole numbers, whose sum is the same in any order; two thousand layers fit."""


def draw(assets: Assets, glyphs: Glyphs, rules: Rules, pages: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """(ink, ground), float32 [pages, height, width], 0..1. Ground: the shaded rectangles under the text."""
    ink = torch.zeros(pages * height * width, dtype=torch.int32, device=assets.data.device)
    add_glyphs(ink, assets, glyphs, height, width)
    ground = torch.zeros_like(ink)
    solid, shade = rules.ink * ~rules.shade, rules.ink * rules.shade
    add_rules(ink, ground, rules, solid, shade, height, width)
    return shown(ink).view(pages, height, width), shown(ground).view(pages, height, width)


def draw_glyphs(assets: Assets, glyphs: Glyphs, pages: int, height: int, width: int) -> Tensor:
    """Ink of sprites alone, as `draw` gives it."""
    ink = torch.zeros(pages * height * width, dtype=torch.int32, device=assets.data.device)
    add_glyphs(ink, assets, glyphs, height, width)
    return shown(ink).view(pages, height, width)


def add(ink: Tensor, index: Tensor, value: Tensor) -> None:
    """Add values, 1 = full ink, to pixels of `ink`, int32."""
    ink.index_add_(0, index, (value * FULL).round_().int())


def shown(ink: Tensor) -> Tensor:
    """Ink that was added up, 0..1."""
    return ink.clamp_(max=FULL).float().div_(FULL)


def pixels(counts: Tensor) -> tuple[Tensor, Tensor]:
    """counts int64 [n] -> (owner, place): for every pixel of every box, whose it is and its number in the box."""
    owner = torch.repeat_interleave(torch.arange(counts.shape[0], device=counts.device), counts)
    first = torch.cumsum(counts, 0) - counts
    return owner, torch.arange(owner.shape[0], device=counts.device) - first[owner]


def add_glyphs(ink: Tensor, assets: Assets, glyphs: Glyphs, height: int, width: int) -> None:
    """Add every sprite to `ink`, int32 [pages * height * width], under its own affine map.

    A stored pixel (u, v) lies on the page at pen + R(angle) (scale_x (u + left) - slant y, y) with
    y = scale_y (v + top). For each page pixel of the sprite's box the map is inverted and the sprite sampled
    bilinearly.
    """
    for first in range(0, glyphs.page.shape[0], CHUNK):
        part = slice(first, first + CHUNK)
        sprite = glyphs.sprite[part]
        h, w = assets.size[sprite].unbind(-1)
        left, top = assets.corner[sprite].unbind(-1)
        sx, sy, slant = glyphs.scale_x[part], glyphs.scale_y[part], glyphs.slant[part]
        cos, sin = glyphs.angle[part].cos(), glyphs.angle[part].sin()
        y_edges = torch.stack([top, top, top + h, top + h]) * sy
        x_edges = torch.stack([left, left + w, left, left + w]) * sx - slant * y_edges
        x_page = glyphs.x[part] + cos * x_edges - sin * y_edges
        y_page = glyphs.y[part] + sin * x_edges + cos * y_edges
        x0, x1 = (x_page.amin(0) - 0.5).floor().clamp(0, width), (x_page.amax(0) + 0.5).ceil().clamp(0, width)
        y0, y1 = (y_page.amin(0) - 0.5).floor().clamp(0, height), (y_page.amax(0) + 0.5).ceil().clamp(0, height)
        columns, rows = (x1 - x0).long(), (y1 - y0).long()
        columns = torch.where(sx > 0, columns, 0)
        owner, place = pixels(columns * rows)
        dy = x0 + 0.5 - glyphs.x[part], y0 + 0.5 - glyphs.y[part]
        # sprite coordinates of the box's first pixel, and their steps along x and y
        sx, sy = sx.clamp(min=1e-3), sy.clamp(min=1e-3)
        xl, yl = cos * dy[0] + sin * dy[1], cos * dy[1] - sin * dy[0]
        u, v = (xl + slant * yl) / sx - left - 0.5, yl / sy - top - 0.5
        u_x, u_y, v_x, v_y = (cos - slant * sin) / sx, (sin + slant * cos) / sx, -sin / sy, cos / sy
        table = torch.stack([u, u_x, u_y, v, v_x, v_y, glyphs.ink[part], glyphs.weight[part], glyphs.dots[part]], 1)
        places = torch.stack(
            [columns, x0.long(), y0.long() + glyphs.page[part] * height, assets.offset[sprite], h, w], 1
        )
        own, (columns, x0i, y0i, offset, h, w) = table[owner], places.int()[owner].unbind(1)
        place = place.int()
        jy = place // columns
        jx = place - jy * columns
        u = own[:, 0] + own[:, 1] * jx + own[:, 2] * jy
        v = own[:, 3] + own[:, 4] * jx + own[:, 5] * jy
        value = sampled(assets.data, u, v, offset, h, w)
        value = (value * (1 / 255)).clamp(0, 1).pow(own[:, 7]) * own[:, 6]
        x, y = x0i + jx, y0i + jy
        pitch = own[:, 8].int()
        gap = (pitch > 0) & ((x % pitch.clamp(min=1) == 0) | (y % pitch.clamp(min=1) == 0))
        add(ink, y.long() * width + x, torch.where(gap, value * NEEDLE, value))


def sampled(data: Tensor, u: Tensor, v: Tensor, offset: Tensor, h: Tensor, w: Tensor) -> Tensor:
    """Sprites at the places (u, v), 0..255, bilinear, 0 outside."""
    u0, v0 = u.floor(), v.floor()
    fu, fv = u - u0, v - v0
    column, row = u0.int(), v0.int()

    def tap(y: Tensor, x: Tensor) -> Tensor:
        inside = (y >= 0) & (y < h) & (x >= 0) & (x < w)
        return data[torch.where(inside, offset + y * w + x, 0)] * inside

    top = tap(row, column) * (1 - fu) + tap(row, column + 1) * fu
    bottom = tap(row + 1, column) * (1 - fu) + tap(row + 1, column + 1) * fu
    return top * (1 - fv) + bottom * fv


def add_rules(ink: Tensor, ground: Tensor, rules: Rules, solid: Tensor, shade: Tensor, height: int, width: int) -> None:
    """Add rectangles to ink or ground; a pixel gets the share of it that the rectangle covers."""
    x0, x1 = rules.x0.clamp(0, width), rules.x1.clamp(0, width)
    y0, y1 = rules.y0.clamp(0, height), rules.y1.clamp(0, height)
    left, top = x0.floor(), y0.floor()
    columns, rows = (x1.ceil() - left).clamp(min=0).long(), (y1.ceil() - top).clamp(min=0).long()
    columns = torch.where((x1 > x0) & (solid + shade > 0), columns, 0)
    owner, place = pixels(columns * rows)
    edges = torch.stack([x0, x1, y0, y1, left, top, solid, shade, rules.dash], 1)[owner]
    columns, page = columns[owner], rules.page[owner]
    jy = place // columns
    x = edges[:, 4] + (place - jy * columns)
    y = edges[:, 5] + jy
    cover = (torch.minimum(x + 1, edges[:, 1]) - torch.maximum(x, edges[:, 0])).clamp(0, 1)
    cover = cover * (torch.minimum(y + 1, edges[:, 3]) - torch.maximum(y, edges[:, 2])).clamp(0, 1)
    dash = edges[:, 8]
    cover = torch.where((dash > 0) & ((x + y) % dash.clamp(min=1) > 0.55 * dash), 0.0, cover)
    index = (page * height + y.long()) * width + x.long()
    add(ink, index, cover * edges[:, 6])
    add(ground, index, cover * edges[:, 7])
