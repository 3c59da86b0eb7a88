"""A sheet of paper with the few marks that insurance papers are made of. Sizes are pixels of a 110 dpi page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw, ImageFont

A4 = (910, 1287)
INK = (28, 32, 38)
GREY = (110, 116, 124)
FAINT = (205, 209, 214)
PEN = (28, 52, 140)

_LIBERATION = Path("/usr/share/fonts/truetype/liberation")
_FACES = {
    "sans": "LiberationSans-Regular",
    "bold": "LiberationSans-Bold",
    "narrow": "LiberationSansNarrow-Regular",
    "narrow-bold": "LiberationSansNarrow-Bold",
    "serif": "LiberationSerif-Regular",
    "serif-bold": "LiberationSerif-Bold",
    "italic": "LiberationSerif-Italic",
    "mono": "LiberationMono-Regular",
    "mono-bold": "LiberationMono-Bold",
}
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Words:
    """Words on a page, from their left edge and their baseline on. size: of the letters."""

    x: float
    y: float
    text: str
    size: int


def font(face: str, size: int) -> ImageFont.FreeTypeFont:
    """One of the Liberation faces (Debian package fonts-liberation), laid out without any outside library."""
    path = _LIBERATION / f"{_FACES[face]}.ttf"
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


class Sheet:
    """Draws from the top left; methods that flow text return the y below what they drew. What is written, stamps
    excepted, is kept as Words in the picture's `info["words"]`."""

    def __init__(self, rng: Random, size: tuple[int, int] = A4, paper: Colour = (255, 255, 255)) -> None:
        self.rng = rng
        self.image = Image.new("RGB", size, paper)
        self.draw = ImageDraw.Draw(self.image)
        self.width, self.height = size
        self.words: list[Words] = []
        self.image.info["words"] = self.words

    def text(
        self, x: float, y: float, words: str, *, size: int = 15, face: str = "sans", ink: Colour = INK, at: str = "la"
    ) -> float:
        letters = font(face, size)
        self.draw.text((x, y), words, font=letters, fill=ink, anchor=at)
        left, _, _, bottom = self.draw.textbbox((x, y), words, font=letters, anchor=at)
        self.words.append(Words(left, bottom, words, size))
        return y + size * 1.35

    def paragraph(
        self, x: float, y: float, width: float, words: str, *, size: int = 15, face: str = "sans", ink: Colour = INK
    ) -> float:
        letters = font(face, size)
        for block in words.split("\n"):
            line = ""
            for word in block.split():
                longer = f"{line} {word}".strip()
                if letters.getlength(longer) > width and line:
                    y = self.text(x, y, line, size=size, face=face, ink=ink)
                    line = word
                else:
                    line = longer
            y = self.text(x, y, line, size=size, face=face, ink=ink)
        return y

    def line(self, x0: float, y0: float, x1: float, y1: float, *, ink: Colour = INK, width: int = 1) -> None:
        self.draw.line((x0, y0, x1, y1), fill=ink, width=width)

    def box(
        self, x: float, y: float, width: float, height: float, *, edge: Colour | None = INK, fill: Colour | None = None
    ) -> None:
        self.draw.rectangle((x, y, x + width, y + height), outline=edge, fill=fill)

    def field(self, x: float, y: float, width: float, label: str, value: str, *, pen: bool = False) -> None:
        """A boxed field with a small caption, typed or filled in by hand."""
        self.box(x, y, width, 46, edge=GREY)
        self.text(x + 6, y + 4, label, size=11, ink=GREY)
        if pen:
            self.hand(x + 10, y + 18, value, size=21)
        else:
            self.text(x + 8, y + 21, value, size=16)

    def tick(self, x: float, y: float, label: str, ticked: bool, *, size: int = 14) -> float:
        """A checkbox; the x behind its label."""
        self.box(x, y, 14, 14)
        if ticked:
            self.draw.line((x + 2, y + 7, x + 6, y + 13, x + 17, y - 3), fill=PEN, width=3)
        self.text(x + 21, y - 1, label, size=size)
        return x + 42 + font("sans", size).getlength(label)

    def hand(self, x: float, y: float, words: str, *, size: int = 21, ink: Colour = PEN) -> float:
        """Words as if by pen: an italic face whose letters wander a little."""
        self.words.append(Words(x, y + size, words, size))
        for letter in words:
            letters = font("italic", size + self.rng.choice((-1, 0, 0, 1)))
            self.draw.text((x, y + self.rng.uniform(-1.6, 1.6)), letter, font=letters, fill=ink)
            x += letters.getlength(letter) + self.rng.uniform(-0.4, 0.5)
        return x

    def signature(self, x: float, y: float, name: str) -> None:
        points: list[tuple[float, float]] = []
        for step in range(26):
            points.append((x + step * 6.2 + self.rng.uniform(-5, 5), y + self.rng.uniform(-15, 15) * (1 - step / 34)))
        self.draw.line(points, fill=PEN, width=2, joint="curve")
        self.text(x, y + 24, name, size=12, ink=GREY)

    def stamp(self, x: float, y: float, words: str, *, ink: Colour = (178, 34, 44), angle: float = 12) -> None:
        """A rubber stamp, worn and turned."""
        letters = font("bold", 30)
        width, height = int(letters.getlength(words)) + 36, 58
        mark = Image.new("L", (width, height), 0)
        pen = ImageDraw.Draw(mark)
        pen.rounded_rectangle((2, 2, width - 3, height - 3), radius=8, outline=215, width=4)
        pen.text((width / 2, height / 2), words, font=letters, fill=215, anchor="mm")
        for _ in range(width * 4):
            px, py = self.rng.randrange(width), self.rng.randrange(height)
            mark.putpixel((px, py), 0)
        mark = mark.rotate(angle, expand=True, resample=Image.Resampling.BICUBIC)
        self.image.paste(Image.new("RGB", mark.size, ink), (int(x), int(y)), mark)

    def logo(self, x: float, y: float, kind: str, colour: Colour, *, size: int = 56) -> None:
        """One of our own plain emblems: shield, wrench, cross, wing, flame, house."""
        d, s = self.draw, size
        if kind == "shield":
            d.polygon([(x, y), (x + s, y), (x + s, y + s * 0.55), (x + s / 2, y + s), (x, y + s * 0.55)], fill=colour)
            d.line((x + s * 0.25, y + s * 0.42, x + s * 0.45, y + s * 0.62, x + s * 0.78, y + s * 0.25), "white", 5)
        elif kind == "wrench":
            d.ellipse((x, y, x + s, y + s), fill=colour)
            d.line((x + s * 0.28, y + s * 0.72, x + s * 0.66, y + s * 0.34), "white", 8)
            d.ellipse((x + s * 0.54, y + s * 0.18, x + s * 0.82, y + s * 0.46), fill="white")
            d.rectangle((x + s * 0.66, y + s * 0.14, x + s * 0.76, y + s * 0.32), fill=colour)
        elif kind == "cross":
            d.rounded_rectangle((x, y, x + s, y + s), radius=10, fill=colour)
            d.rectangle((x + s * 0.42, y + s * 0.18, x + s * 0.58, y + s * 0.82), fill="white")
            d.rectangle((x + s * 0.18, y + s * 0.42, x + s * 0.82, y + s * 0.58), fill="white")
        elif kind == "wing":
            d.polygon([(x, y + s * 0.7), (x + s, y), (x + s * 0.62, y + s * 0.9), (x + s * 0.42, y + s * 0.6)], colour)
        elif kind == "flame":
            d.polygon(
                [(x + s * 0.5, y), (x + s * 0.9, y + s * 0.6), (x + s * 0.5, y + s), (x + s * 0.1, y + s * 0.6)], colour
            )
            d.ellipse((x + s * 0.36, y + s * 0.55, x + s * 0.64, y + s * 0.95), fill=(255, 205, 90))
        else:
            d.polygon([(x, y + s * 0.5), (x + s / 2, y), (x + s, y + s * 0.5)], fill=colour)
            d.rectangle((x + s * 0.14, y + s * 0.5, x + s * 0.86, y + s), fill=colour)
            d.rectangle((x + s * 0.4, y + s * 0.62, x + s * 0.6, y + s), fill="white")

    def barcode(self, x: float, y: float, width: float, height: float) -> None:
        end = x + width
        while x < end:
            bar = self.rng.choice((1, 1, 2, 3))
            self.draw.rectangle((x, y, x + bar - 1, y + height), fill=INK)
            x += bar + self.rng.choice((1, 2, 2, 3))

    def table(
        self,
        x: float,
        y: float,
        widths: Sequence[float],
        rows: Sequence[Sequence[str]],
        *,
        head: Colour | None = (232, 236, 241),
        rules: bool = True,
        size: int = 14,
        right: Sequence[int] = (),
        face: str = "sans",
    ) -> float:
        """Rows of cells, the first one a heading; columns in `right` end at their right edge."""
        height = size * 1.9
        for place, row in enumerate(rows):
            if place == 0 and head is not None:
                self.box(x, y, sum(widths), height, edge=None, fill=head)
            left = x
            for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
                weight = "bold" if place == 0 and face == "sans" else face
                if column in right:
                    self.text(left + width - 8, y + height / 2, cell, size=size, face=weight, at="rm")
                else:
                    self.text(left + 8, y + height / 2, cell, size=size, face=weight, at="lm")
                left += width
            y += height
            if rules:
                self.line(x, y, x + sum(widths), y, ink=FAINT)
        if rules:
            left = x
            for width in (*widths, 0):
                self.line(left, y - height * len(rows), left, y, ink=FAINT)
                left += width
        return y
