"""What stands on the pages of one batch before any ink is drawn: runs of words, rules, marks, kept-free zones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T", bound="Any")


@dataclass(slots=True)
class Runs:
    """Words along straight lines: columns [n] of one table, so that joining and picking runs is one step on the
    device. Lengths in pixels of the flat page.

    page: int64. count: words wanted, 0 = no such run. numbers: share of numbers among them. common: share of the
    others from the vocabulary of claims. x, y: start of the baseline. width: room along the line. align: 0 left,
    0.5 centred, 1 right. justify: bool, spread to the full width. over: bool, written into zones too. face: int64.
    em: size. stretch: width over height of the signs. tracking, gap: space after a sign and between words, in em.
    loose: probability of a wide gap. slant: shear to the right. angle: of the baseline, radians, clockwise. jitter:
    wander of single signs in em. ink: 0..1. uneven: variation of ink from sign to sign. weight: exponent of the
    sign's grey, under 1 = bolder. dots: pitch in px of a needle printer, 0 = solid.
    """

    table: Tensor
    page: Tensor
    count: Tensor
    numbers: Tensor
    common: Tensor
    x: Tensor
    y: Tensor
    width: Tensor
    align: Tensor
    justify: Tensor
    over: Tensor
    face: Tensor
    em: Tensor
    stretch: Tensor
    tracking: Tensor
    gap: Tensor
    loose: Tensor
    slant: Tensor
    angle: Tensor
    jitter: Tensor
    ink: Tensor
    uneven: Tensor
    weight: Tensor
    dots: Tensor

    @classmethod
    def of(cls, table: Tensor) -> Runs:
        """Name the columns of float32 [n, fields]; whole numbers under 2^24 are exact in it."""
        runs = cls(table, *table.unbind(1))
        runs.page, runs.face = runs.page.long(), runs.face.long()
        runs.justify, runs.over = runs.justify > 0.5, runs.over > 0.5
        return runs


@dataclass(slots=True)
class Rules:
    """Filled rectangles [n]: page int64, edges x0, y0, x1, y1 in px, ink 0..1, dash = period in px, 0 = solid.
    shade: bool, a ground under the text: under 0.5 grey, above it the text on it is inverted."""

    page: Tensor
    x0: Tensor
    y0: Tensor
    x1: Tensor
    y1: Tensor
    ink: Tensor
    dash: Tensor
    shade: Tensor

    @classmethod
    def of(cls, table: Tensor) -> Rules:
        """Name the columns of float32 [n, 8]."""
        rules = cls(*table.unbind(1))
        rules.page, rules.shade = rules.page.long(), rules.shade > 0.5
        return rules


def table_of(shape: tuple[int, ...], device: torch.device, *columns: Tensor | float) -> Tensor:
    """float32 [product of shape, columns]: every column broadcast to `shape`, in one copy."""
    parts = [constant(part, device) if isinstance(part, bool | int | float) else part.float() for part in columns]
    return torch.stack([part.expand(shape) for part in parts], -1).view(-1, len(columns))


@cache
def constant(value: float, device: torch.device) -> Tensor:
    """A number on the device; each is copied there once."""
    return torch.tensor(float(value), device=device)


@dataclass(slots=True)
class Marks:
    """Sprites that are no signs [n]: page and sprite int64, x, y of the corner, scale, angle, ink (0 = absent)."""

    page: Tensor
    sprite: Tensor
    x: Tensor
    y: Tensor
    scale: Tensor
    angle: Tensor
    ink: Tensor


@dataclass(slots=True)
class Scene:
    """Everything on `count` pages. runs, rules: tables for Runs.of and Rules.of. paper: [pages, 4], the sheet's
    edges in px. zones: [pages, n, 4] each, x0, y0, x1, y1 of places that words leave free, except runs written
    over them."""

    count: int
    height: int
    width: int
    paper: Tensor
    runs: list[Tensor] = field(default_factory=list)
    rules: list[Tensor] = field(default_factory=list)
    marks: list[Marks] = field(default_factory=list)
    zones: list[Tensor] = field(default_factory=list)

    def add_rules(
        self,
        page: Tensor,
        x0: Tensor,
        y0: Tensor,
        x1: Tensor,
        y1: Tensor,
        on: Tensor,
        *,
        ink: Tensor | float = 1.0,
        dash: Tensor | float = 0.0,
        shade: bool = False,
    ) -> None:
        """Rectangles [pages, n], all shapes broadcast; `on` False leaves them without ink. page: int64 [pages]."""
        drawn = on * ink
        shape = torch.broadcast_shapes(x0.shape, y0.shape, x1.shape, y1.shape, drawn.shape)
        self.rules.append(table_of(shape, x0.device, page[:, None], x0, y0, x1, y1, drawn, dash, shade))


def picked(part: T, which: Tensor) -> T:
    """The rows of a record that the bool tensor names."""
    return type(part)(**{f.name: getattr(part, f.name)[which] for f in fields(part)})


def joined(parts: Sequence[T]) -> T:
    """One record of several: every field end to end."""
    kind = type(parts[0])
    return kind(**{f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(kind)})
