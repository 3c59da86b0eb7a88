"""Marks that are no text: signatures, ticks, seals, logos. Drawn once, kept in the atlas beside the faces."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

OVERSAMPLE = 4
KINDS = {"signature": 48, "tick": 24, "seal": 16, "logo": 40}
"""How many of each kind; in the atlas they follow each other in this order."""


@dataclass(frozen=True, slots=True)
class Pen:
    """A canvas of width x height pixels, drawn enlarged and averaged down."""

    image: Image.Image
    draw: ImageDraw.ImageDraw

    @classmethod
    def canvas(cls, width: int, height: int) -> Pen:
        """An empty canvas."""
        image = Image.new("L", (width * OVERSAMPLE, height * OVERSAMPLE), 0)
        return cls(image, ImageDraw.Draw(image))

    def stroke(self, points: list[tuple[float, float]], width: float) -> None:
        """A rounded line through points, in pixels."""
        large = [(x * OVERSAMPLE, y * OVERSAMPLE) for x, y in points]
        thick = max(1, round(width * OVERSAMPLE))
        self.draw.line(large, fill=255, width=thick, joint="curve")
        for x, y in (large[0], large[-1]):
            self.draw.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=255)

    def grey(self) -> NDArray[np.uint8]:
        """The drawing in its own size."""
        return np.asarray(self.image.reduce(OVERSAMPLE), np.uint8)


def smooth(points: list[tuple[float, float]], steps: int = 12) -> list[tuple[float, float]]:
    """Catmull-Rom curve through points."""
    padded = [points[0], *points, points[-1]]
    curve: list[tuple[float, float]] = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        for step in range(steps):
            t = step / steps
            curve.append(
                (
                    0.5 * (2 * b[0] + (c[0] - a[0]) * t + (2 * a[0] - 5 * b[0] + 4 * c[0] - d[0]) * t**2
                           + (3 * b[0] - a[0] - 3 * c[0] + d[0]) * t**3),
                    0.5 * (2 * b[1] + (c[1] - a[1]) * t + (2 * a[1] - 5 * b[1] + 4 * c[1] - d[1]) * t**2
                           + (3 * b[1] - a[1] - 3 * c[1] + d[1]) * t**3),
                )
            )  # fmt: skip
    return [*curve, points[-1]]


def signature(chance: random.Random) -> NDArray[np.uint8]:
    """Loops that run to the right, with a long stroke or two."""
    width, height = chance.randint(90, 190), chance.randint(30, 56)
    pen = Pen.canvas(width, height)
    weight = chance.uniform(1.0, 2.4)
    x, points = 4.0, []
    while x < width - 14:
        points.append((x, height * chance.uniform(0.12, 0.88)))
        x += chance.uniform(-5, 17)
    pen.stroke(smooth(points or [(4, 4), (20, 20)]), weight)
    for _ in range(chance.randint(0, 2)):
        y = height * chance.uniform(0.3, 0.95)
        ends = [(chance.uniform(2, width * 0.4), y), (width * 0.6, y + 4), (chance.uniform(width * 0.7, width - 3), y)]
        pen.stroke(smooth(ends), weight)
    return pen.grey()


def tick(chance: random.Random) -> NDArray[np.uint8]:
    """A check mark, a cross or a filled spot, by hand."""
    pen, side, weight = Pen.canvas(28, 28), 28.0, chance.uniform(1.6, 3.4)

    def spot(x: float, y: float) -> tuple[float, float]:
        return x * side + chance.uniform(-2, 2), y * side + chance.uniform(-2, 2)

    kind = chance.random()
    if kind < 0.4:
        pen.stroke(smooth([spot(0.15, 0.5), spot(0.4, 0.85), spot(0.88, 0.12)]), weight)
    elif kind < 0.85:
        pen.stroke(smooth([spot(0.15, 0.15), spot(0.5, 0.5), spot(0.85, 0.85)]), weight)
        pen.stroke(smooth([spot(0.85, 0.15), spot(0.5, 0.5), spot(0.15, 0.85)]), weight)
    else:
        pen.stroke([spot(0.4, 0.4), spot(0.6, 0.6)], 12)
    return pen.grey()


def seal(chance: random.Random) -> NDArray[np.uint8]:
    """Rings, ovals and frames of stamps."""
    width, height = chance.choice([(120, 120), (150, 110), (170, 70), (180, 56)])
    pen, weight = Pen.canvas(width, height), chance.uniform(1.5, 4)
    inner = chance.uniform(8, 16)
    for inset in (weight, weight + inner)[: chance.randint(1, 2)]:
        box = tuple(round(v * OVERSAMPLE) for v in (inset, inset, width - inset, height - inset))
        thick = round(weight * OVERSAMPLE)
        if width / height < 1.8:
            pen.draw.ellipse(box, outline=255, width=thick)
        else:
            pen.draw.rounded_rectangle(box, radius=round(chance.uniform(0, 40)), outline=255, width=thick)
    for _ in range(chance.choice((0, 0, 24))):
        angle = chance.uniform(0, 2 * math.pi)
        x, y = width / 2 + 0.44 * width * math.cos(angle), height / 2 + 0.44 * height * math.sin(angle)
        pen.stroke([(x, y), (x + 2, y + 2)], 2)
    return pen.grey()


def logo(chance: random.Random) -> NDArray[np.uint8]:
    """A few solid shapes on each other, some cut out."""
    side = chance.randint(48, 96)
    pen = Pen.canvas(side, side)
    for layer in range(chance.randint(2, 6)):
        fill = 0 if layer % 2 else chance.randint(120, 255)
        cx, cy, r = (chance.uniform(0.3, 0.7) * side * OVERSAMPLE for _ in range(3))
        r *= chance.uniform(0.3, 0.75)
        corners = chance.choice((0, 0, 3, 4, 4, 5, 6))
        turn = chance.uniform(0, 6.3)
        if corners == 0:
            pen.draw.ellipse((cx - r, cy - r * 0.8, cx + r, cy + r * 0.8), fill=fill)
        else:
            angles = [turn + 2 * math.pi * k / corners for k in range(corners)]
            pen.draw.polygon([(cx + r * math.cos(a), cy + r * math.sin(a)) for a in angles], fill=fill)
    return pen.grey()


def build_scribbles(seed: int = 0) -> list[NDArray[np.uint8]]:
    """All marks, by kind in the order of KINDS."""
    chance = random.Random(seed)
    makers = {"signature": signature, "tick": tick, "seal": seal, "logo": logo}
    return [makers[kind](chance) for kind, count in KINDS.items() for _ in range(count)]
