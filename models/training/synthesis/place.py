"""From runs of words to signs at places: the typesetting."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.training.synthesis.assets import Assets
from models.training.synthesis.chance import Chance
from models.training.synthesis.scene import Marks, Runs
from models.training.synthesis.signs import squeeze

MIDDLE = 0.45
"""A sign's centre in labels: this share of the height of a capital above the baseline."""
FLAT = 0.06
"""Radians up to which a line is read as upright; the signs of steeper lines are labelled unknown."""


@dataclass(slots=True)
class Glyphs:
    """Sprites to draw [n]. page, sprite: int64. x, y: pen in px. scale_x, scale_y: page px of a stored px. slant,
    angle, ink, weight, dots as in Runs. centre_x, centre_y, label: where the sign is labelled and as what. known:
    False where the label is to be unknown. hand: bool, written with a pen."""

    page: Tensor
    sprite: Tensor
    x: Tensor
    y: Tensor
    scale_x: Tensor
    scale_y: Tensor
    slant: Tensor
    angle: Tensor
    ink: Tensor
    weight: Tensor
    dots: Tensor
    centre_x: Tensor
    centre_y: Tensor
    label: Tensor
    known: Tensor
    hand: Tensor


@dataclass(slots=True)
class Words:
    """Words [n]: page, centre of the first sign, end of the last, canonical bytes, whether a pen wrote them."""

    page: Tensor
    x: Tensor
    y: Tensor
    end_x: Tensor
    end_y: Tensor
    text: Tensor
    hand: Tensor


def place(assets: Assets, chance: Chance, runs: Runs, words: Tensor, zones: Tensor | None) -> tuple[Glyphs, Words]:
    """Typeset the words uint8 [runs, n, 24] along their runs. Words that do not fit or touch a zone
    ([pages, n, 4]) are left out."""
    lines, most, _ = words.shape
    drawn = words > 0
    sign = assets.glyph[words.long()]
    wide = runs.em * runs.stretch
    advance = assets.advance[runs.face[:, None, None], sign] * wide[:, None, None]
    advance = (advance + (runs.tracking * runs.em)[:, None, None]) * drawn
    width = advance.sum(-1)
    gap = (wide * runs.gap + 2 * (runs.tracking * runs.em).clamp(min=0))[:, None].expand(-1, most)
    loose = torch.rand(lines, most, device=chance.device) < runs.loose[:, None]
    gap = gap + loose * wide[:, None] * chance.uniform(0.8, 6, lines, most)
    end = torch.cumsum(width + gap, -1) - gap
    order = torch.arange(most, device=chance.device)
    fits = (order < runs.count[:, None]) & (end <= runs.width[:, None]) & (width > 0)
    fits = torch.cumprod(fits.int(), -1) > 0
    right = torch.where(fits, end, 0.0).amax(-1)
    slack = (runs.width - right).clamp(min=0)
    between = (fits.sum(-1) - 1).clamp(min=1)
    spread = torch.where(runs.justify & (slack < 0.3 * runs.width), slack / between, 0.0)
    start = end - width + order * spread[:, None] + ((slack - spread * between) * runs.align)[:, None]
    if zones is not None:
        fits = fits & (clear_of(zones[runs.page], runs, start, width) | runs.over[:, None])
    drift = chance.normal(1.0, lines, most)
    glyphs = placed_glyphs(assets, chance, runs, words, start, drift, torch.cumsum(advance, -1) - advance, fits)
    return glyphs, placed_words(assets, runs, words, start, width, advance[..., 0], fits)


def placed_glyphs(
    assets: Assets,
    chance: Chance,
    runs: Runs,
    words: Tensor,
    start: Tensor,
    drift: Tensor,
    before: Tensor,
    fits: Tensor,
) -> Glyphs:
    """The signs of the words that fit. start, drift: [runs, words]; before: [runs, words, 24], pen in the word."""
    line, word, letter = ((words > 0) & fits[..., None]).nonzero(as_tuple=True)
    byte = words[line, word, letter].long()
    at = start[line, word] + before[line, word, letter]
    own = Runs.of(runs.table[line])
    count = at.shape[0]
    off = own.em * own.jitter * (torch.randn(count, device=chance.device) * 0.6 + drift[line, word])
    size = own.em * (1 + own.jitter * torch.randn(count, device=chance.device)).clamp(0.8, 1.25)
    cos, sin = own.angle.cos(), own.angle.sin()
    x, y = own.x + at * cos - off * sin, own.y + at * sin + off * cos
    sprite, stored = assets.sprite(own.face, size, assets.glyph[byte])
    scale_y = size / stored
    scale_x = scale_y * own.stretch
    middle = MIDDLE * assets.cap[own.face] * own.em
    across = (assets.corner[sprite, 0] + assets.size[sprite, 1] * 0.5) * scale_x + own.slant * middle
    return Glyphs(
        page=own.page,
        sprite=sprite,
        x=x,
        y=y,
        scale_x=scale_x,
        scale_y=scale_y,
        slant=own.slant,
        angle=own.angle + own.jitter * torch.randn(count, device=chance.device),
        ink=own.ink * (1 - own.uneven * torch.rand(count, device=chance.device)),
        weight=own.weight,
        dots=own.dots,
        centre_x=x + across * cos + middle * sin,
        centre_y=y + across * sin - middle * cos,
        label=assets.classes[byte],
        known=own.angle.abs() < FLAT,
        hand=assets.by_hand(own.face),
    )


def placed_words(
    assets: Assets, runs: Runs, words: Tensor, start: Tensor, width: Tensor, first: Tensor, fits: Tensor
) -> Words:
    """The words that fit and hold a letter or digit. first: [runs, words], advance of the first sign."""
    text = assets.canonical[words.long()]
    line, word = (fits & text.any(-1)).nonzero(as_tuple=True)
    own = Runs.of(runs.table[line])
    cos, sin = own.angle.cos(), own.angle.sin()
    middle = MIDDLE * assets.cap[own.face] * own.em
    x, y = own.x + middle * sin, own.y - middle * cos
    head = start[line, word] + first[line, word] * 0.5
    tail = start[line, word] + width[line, word]
    return Words(
        page=own.page,
        x=x + head * cos,
        y=y + head * sin,
        end_x=x + tail * cos,
        end_y=y + tail * sin,
        text=squeeze(text[line, word]),
        hand=assets.by_hand(own.face),
    )


def clear_of(zones: Tensor, runs: Runs, start: Tensor, width: Tensor) -> Tensor:
    """bool [runs, words]: words that touch none of their page's zones [runs, n, 4]. Upright words only."""
    x0 = (runs.x[:, None] + start)[..., None]
    y0, y1 = (runs.y - 0.85 * runs.em)[:, None, None], (runs.y + 0.25 * runs.em)[:, None, None]
    left, top, right, bottom = (edge[:, None] for edge in zones.unbind(-1))
    touches = (x0 < right) & (x0 + width[..., None] > left) & (y0 < bottom) & (y1 > top)
    return ~touches.any(-1)


def place_marks(marks: Marks) -> Glyphs:
    """Marks as sprites. Their labels mean nothing and are not to be used."""
    zero, none = torch.zeros_like(marks.x), torch.zeros_like(marks.page)
    scale = torch.where(marks.ink > 0, marks.scale, 0.0)
    return Glyphs(
        page=marks.page,
        sprite=marks.sprite,
        x=marks.x,
        y=marks.y,
        scale_x=scale,
        scale_y=scale,
        slant=zero,
        angle=marks.angle,
        ink=marks.ink,
        weight=torch.ones_like(zero),
        dots=zero,
        centre_x=zero,
        centre_y=zero,
        label=none,
        known=none > 0,
        hand=none > 0,
    )
