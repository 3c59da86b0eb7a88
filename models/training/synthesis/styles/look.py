"""The look of a page's print, and runs with that look: what every style starts from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.training.synthesis.assets import Assets
from models.training.synthesis.chance import Chance
from models.training.synthesis.scene import table_of

OFFICE_SHARE = 0.6
"""Share of text that is set in a face of offices."""
COMMON = 0.25
"""Share of a run's words that comes from the vocabulary of claims, if the style has no view."""


@dataclass(slots=True)
class Look:
    """How one face prints on each page, [pages, 1] each; fields as in Runs."""

    face: Tensor
    em: Tensor
    stretch: Tensor
    tracking: Tensor
    gap: Tensor
    slant: Tensor
    jitter: Tensor
    ink: Tensor
    uneven: Tensor
    weight: Tensor
    dots: Tensor


@dataclass(frozen=True, slots=True)
class Printer:
    """Draws looks and runs for the pages `page` (int64 numbers in the batch)."""

    assets: Assets
    chance: Chance
    page: Tensor

    @property
    def pages(self) -> int:
        """How many pages."""
        return self.page.shape[0]

    def faces(self, *shape: int, text: float, mono: float, pixel: float = 0.0) -> Tensor:
        """int64: faces by weight of their group; what is left over goes to handwriting."""
        draw = self.chance.uniform(0, 1, *shape)
        face = self.chance.integer(*self.assets.groups["hand"], *shape)
        parts = (("pixel", text + mono + pixel), ("mono", text + mono), ("text", text), ("office", OFFICE_SHARE * text))
        for group, limit in parts:
            face = torch.where(draw < limit, self.chance.integer(*self.assets.groups[group], *shape), face)
        return face

    def look(self, em: Tensor, *, text: float, mono: float, pixel: float = 0.0, needle: float = 0.0) -> Look:
        """Print by machine. needle: share of pages from a needle printer. em: [pages, 1]."""
        chance, n = self.chance, self.pages
        typed = chance.flag(0.25, n, 1)
        pitch = (em / 9).round().clamp(2, 5)
        return Look(
            face=self.faces(n, 1, text=text, mono=mono, pixel=pixel),
            em=em,
            stretch=chance.uniform(0.8, 1.2, n, 1),
            tracking=chance.normal(0.025, n, 1).clamp(-0.04, 0.12),
            gap=chance.uniform(0.22, 0.6, n, 1),
            slant=torch.zeros(n, 1, device=chance.device),
            jitter=torch.where(typed, chance.uniform(0.0, 0.03, n, 1), 0.0),
            ink=torch.where(chance.flag(0.3, n, 1), chance.uniform(0.55, 1, n, 1), 1.0),
            uneven=torch.where(typed, chance.uniform(0.0, 0.6, n, 1), 0.0),
            weight=chance.skewed(0.6, 1.5, n, 1),
            dots=torch.where(chance.flag(needle, n, 1) & (em > 11), pitch, 0.0),
        )

    def hand(self, em: Tensor) -> Look:
        """Handwriting: script faces that wander, lean and press unevenly. em: [pages, 1]."""
        chance, n = self.chance, self.pages
        return Look(
            face=self.faces(n, 1, text=0.0, mono=0.0),
            em=em * chance.uniform(1.0, 1.5, n, 1),
            stretch=chance.uniform(0.7, 1.3, n, 1),
            # some write one letter a box
            tracking=torch.where(
                chance.flag(0.1, n, 1), chance.uniform(0.15, 0.6, n, 1), chance.uniform(-0.07, 0.05, n, 1)
            ),
            gap=chance.uniform(0.3, 0.9, n, 1),
            slant=chance.uniform(-0.2, 0.45, n, 1),
            jitter=chance.uniform(0.01, 0.09, n, 1),
            ink=chance.uniform(0.7, 1.2, n, 1),
            uneven=chance.uniform(0.0, 0.3, n, 1),
            weight=chance.skewed(0.45, 1.4, n, 1),
            dots=torch.zeros(n, 1, device=chance.device),
        )

    def runs(
        self,
        look: Look,
        x: Tensor,
        y: Tensor,
        width: Tensor,
        *,
        numbers: Tensor | float,
        count: Tensor | int,
        on: Tensor | None = None,
        align: Tensor | float = 0.0,
        scale: Tensor | float = 1.0,
        common: float = COMMON,
        loose: Tensor | float = 0.0,
        angle: Tensor | float = 0.0,
        justify: Tensor | bool = False,
        over: bool = False,
    ) -> Tensor:
        """A table of runs at (x, y), whose shapes together give [pages, n]; all else is broadcast to it. scale: of
        the look's em. on: which runs there are, None = all."""
        return table_of(
            torch.broadcast_shapes(x.shape, y.shape),
            self.chance.device,
            self.page[:, None],
            count if on is None else on * count,
            numbers,
            common,
            x,
            y,
            width,
            align,
            justify,
            over,
            look.face,
            (look.em * scale).clamp(5.5, 68),
            look.stretch,
            look.tracking,
            look.gap,
            loose,
            look.slant,
            angle,
            look.jitter,
            look.ink,
            look.uneven,
            look.weight,
            look.dots,
        )

    def mixed(self, first: Look, second: Look, share: float, *shape: int) -> Look:
        """The first look with `share` of the runs [pages, n] in the second."""
        other = self.chance.flag(share, *shape)
        return chosen(other, second, first)


def chosen(condition: Tensor, yes: Look, no: Look) -> Look:
    """Field by field `yes` where the condition holds, else `no`."""
    return Look(
        face=torch.where(condition, yes.face, no.face),
        em=torch.where(condition, yes.em, no.em),
        stretch=torch.where(condition, yes.stretch, no.stretch),
        tracking=torch.where(condition, yes.tracking, no.tracking),
        gap=torch.where(condition, yes.gap, no.gap),
        slant=torch.where(condition, yes.slant, no.slant),
        jitter=torch.where(condition, yes.jitter, no.jitter),
        ink=torch.where(condition, yes.ink, no.ink),
        uneven=torch.where(condition, yes.uneven, no.uneven),
        weight=torch.where(condition, yes.weight, no.weight),
        dots=torch.where(condition, yes.dots, no.dots),
    )
