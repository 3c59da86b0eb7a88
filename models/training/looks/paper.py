"""Empty paper, the head of a letter, and what people add to any page."""

from __future__ import annotations

import random

from PIL import Image

from models.training.looks import marks
from models.training.looks.sheet import BLACK, INKS, Colour, Sheet, Stock


def blank(stock: Stock, chance: random.Random, width: int, height: int, paper: Colour = (255, 255, 255)) -> Sheet:
    return Sheet(Image.new("RGB", (width, height), paper), chance, stock.faces, stock.words, stock.photos)


def tinted(chance: random.Random, share: float) -> Colour:
    """White paper, or with probability `share` some other."""
    if chance.random() >= share:
        return (255, 255, 255)
    return chance.choice(
        (
            (255, 250, 235),
            (252, 225, 225),
            (220, 232, 250),
            (225, 245, 225),
            (250, 245, 190),
            (235, 225, 245),
            (232, 232, 228),
            (245, 222, 190),
        )
    )


def a4(stock: Stock, chance: random.Random, tint: float = 0.1) -> Sheet:
    wide = chance.randint(620, 840)
    sheet = blank(stock, chance, wide, int(wide * chance.choice((1.414, 1.294, 1.294))), tinted(chance, tint))
    if chance.random() < 0.08:
        sheet.ink = chance.choice(((40, 40, 120), INKS["brown"], (110, 30, 40), (20, 80, 50), INKS["red"]))
    return sheet


def letterhead(sheet: Sheet, margin: float, *, marked: float = 0.5) -> float:
    """A logo or name, an address; returns where it ends."""
    chance, wide, y = sheet.chance, sheet.width, sheet.height * sheet.chance.uniform(0.02, 0.05)
    size = wide * chance.uniform(0.05, 0.12)
    place = chance.choice((margin, wide * 0.42, wide * 0.68))
    if chance.random() < marked:
        marks.logo(sheet, place, y, size)
        y += size * 1.1
    elif chance.random() < 0.7:
        sheet.line(
            margin,
            y,
            wide - 2 * margin,
            sheet.font("text", wide * chance.uniform(0.02, 0.045)),
            count=chance.randint(1, 4),
            numbers=0,
            align=chance.choice((0, 0.5)),
        )
        y += wide * 0.05
    small = sheet.font("text", wide * 0.013)
    for _ in range(chance.randint(0, 4)):
        sheet.line(place if place > margin else margin, y, wide * 0.3, small, count=chance.randint(2, 5))
        y += small.size * 1.3
    return y + wide * 0.02


def extras(sheet: Sheet, *, hand: float = 0.1, stamped: float = 0.1) -> None:
    """What people add to any page: notes, circles, ticks, stamps."""
    chance, wide = sheet.chance, sheet.width
    if chance.random() < hand:
        size, y = wide * chance.uniform(0.025, 0.055), chance.uniform(0.02, 0.9) * sheet.height
        for _ in range(chance.randint(1, 4)):
            marks.hand_line(sheet, chance.uniform(0.03, 0.5) * wide, y, wide * chance.uniform(0.15, 0.5), size)
            y += size * 1.3
        if chance.random() < 0.3:
            x, radius = chance.uniform(0.3, 0.8) * wide, size * chance.uniform(1.5, 3)
            sheet.draw.ellipse(
                (x, y, x + radius * 2, y + radius), outline=chance.choice((BLACK, INKS["blue"], INKS["red"])), width=2
            )
    if chance.random() < stamped:
        size = wide * chance.uniform(0.14, 0.3)
        marks.stamp(sheet, chance.uniform(0.05, 0.7) * wide, chance.uniform(0.05, 0.8) * sheet.height, size)
