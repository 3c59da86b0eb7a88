"""A page being drawn, and its print."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image, ImageDraw, ImageFont

Box = tuple[float, float, float, float]
Colour = tuple[int, int, int]
INKS: dict[str, Colour] = {
    "red": (200, 30, 35), "blue": (35, 70, 180), "green": (30, 140, 60), "orange": (235, 130, 20),
    "purple": (120, 50, 150), "brown": (130, 80, 40), "yellow": (245, 215, 50), "pink": (235, 120, 160),
    "grey": (120, 120, 120), "black": (20, 20, 20),
}  # fmt: skip
BLACK: Colour = (20, 20, 20)


@dataclass(frozen=True, slots=True)
class Stock:
    """What sketches are made of: font files by group, words, photos."""

    faces: Mapping[str, Sequence[str]]
    words: Sequence[str]
    photos: Sequence[Image.Image]


@dataclass(slots=True)
class Sheet:
    """A page being drawn. things: (kind, box in pixels) of what stands on it; said: words for the page as a whole.
    chance: every draw comes from it. faces: font files by group. words: what print says. photos: pictures to paste."""

    image: Image.Image
    chance: random.Random
    faces: Mapping[str, Sequence[str]]
    words: Sequence[str]
    photos: Sequence[Image.Image]
    ink: Colour = BLACK
    things: list[tuple[str, Box]] = field(default_factory=list)
    said: set[str] = field(default_factory=set)

    @property
    def draw(self) -> ImageDraw.ImageDraw:
        return ImageDraw.Draw(self.image)

    @property
    def width(self) -> int:
        return self.image.width

    @property
    def height(self) -> int:
        return self.image.height

    def font(self, group: str, size: float) -> ImageFont.FreeTypeFont:
        return ImageFont.truetype(self.chance.choice(self.faces[group]), max(7, round(size)))

    def phrase(self, count: int, *, numbers: float = 0.2) -> str:
        said: list[str] = []
        for _ in range(count):
            if self.chance.random() < numbers:
                said.append(self.chance.choice(("{:.2f}", "{:.0f}", "{:,.2f}")).format(self.chance.uniform(1, 9999)))
            else:
                said.append(self.chance.choice(self.words))
        text = " ".join(said)
        case = self.chance.random()
        return (
            text if case < 0.35 else text.capitalize() if case < 0.75 else text.title() if case < 0.88 else text.upper()
        )

    def line(
        self, x: float, y: float, room: float, font: ImageFont.FreeTypeFont, *,
        kind: str = "print", numbers: float = 0.2, count: int = 0, align: float = 0.0, ink: Colour | None = None,
    ) -> Box:  # fmt: skip
        """One line of words from x, as long as the room allows; count: of words, 0 = a full line."""
        text = self.phrase(count or 30, numbers=numbers)
        while text and font.getlength(text) > room:
            text = text[: max(0, min(len(text) - 1, int(len(text) * room / font.getlength(text)) + 1))].rstrip()
        at = x + align * (room - font.getlength(text))
        self.draw.text((at, y), text, font=font, fill=ink or self.ink)
        box = (at, y, at + font.getlength(text), y + font.size * 1.2)
        if kind != "print" and text:
            self.things.append((kind, box))
        return box


def rule(sheet: Sheet, box: Box, *, thick: float = 1.5, ink: Colour | None = None) -> None:
    sheet.draw.line(box, fill=ink or sheet.ink, width=max(1, round(thick)))


def frame(sheet: Sheet, box: Box, *, thick: float = 1.5, ink: Colour | None = None, fill: Colour | None = None) -> None:
    sheet.draw.rectangle(box, outline=ink or sheet.ink, width=max(1, round(thick)), fill=fill)


def paragraph(
    sheet: Sheet, box: Box, font: ImageFont.FreeTypeFont, *, lead: float = 1.35, justify: bool = False,
    kind: str = "print", numbers: float = 0.05, ink: Colour | None = None, gaps: float = 0.15,
) -> float:  # fmt: skip
    """Lines that fill the box; returns where they end."""
    y = box[1]
    while y + font.size * 1.2 < box[3]:
        last = sheet.chance.random() < gaps
        room = (box[2] - box[0]) * (sheet.chance.uniform(0.3, 0.9) if last else 1.0 if justify else 0.97)
        sheet.line(box[0], y, room, font, kind=kind, numbers=numbers, ink=ink)
        y += font.size * (lead + (0.8 if last else 0))
    return y
