"""Small things on a page: writing by hand, stamps, logos, codes, photos, boxes to tick."""

from __future__ import annotations

import math
import random

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from models.training.looks.sheet import BLACK, INKS, Box, Sheet, frame
from models.training.synthesis.scribbles import smooth


def hand_line(sheet: Sheet, x: float, y: float, room: float, size: float, *, count: int = 0) -> Box:
    """Words by hand, somewhat out of line; ink of a pen."""
    font = sheet.font("hand", size)
    ink = sheet.chance.choice((BLACK, BLACK, INKS["blue"], (40, 40, 110), INKS["red"]))
    where = y + sheet.chance.gauss(0, 0.1) * size
    return sheet.line(x, where, room, font, kind="handwriting", numbers=0.4, count=count, ink=ink)


def signature(sheet: Sheet, x: float, y: float, size: float) -> None:
    """Loops by a pen, `size` px wide."""
    chance, high = sheet.chance, size * sheet.chance.uniform(0.25, 0.5)
    ink = chance.choice((BLACK, BLACK, INKS["blue"], (30, 30, 100)))
    weight = max(1, round(size * chance.uniform(0.006, 0.018)))
    if chance.random() < 0.4:
        name = chance.choice(sheet.words)[:9].capitalize()
        font = sheet.font("hand", high)
        layer = Image.new("L", (int(size), int(high * 1.5)), 0)
        ImageDraw.Draw(layer).text((4, 0), name, font=font, fill=255, stroke_width=weight // 3)
        layer = layer.rotate(chance.uniform(-2, 9), resample=Image.Resampling.BICUBIC)
        sheet.image.paste(ink, (int(x), int(y)), layer)
    else:
        points, at, up = [], 0.0, 1
        while at < size:
            tall = chance.uniform(0.05, 0.5) * (2 if chance.random() < 0.25 else 1)
            points.append((x + at, y + high * (0.5 - up * tall)))
            at += size * chance.choice((-0.04, 0.02, 0.05, 0.08, 0.14, 0.2)) * chance.uniform(0.6, 1.2)
            up = -up
        sheet.draw.line(smooth(points or [(x, y), (x + size, y)]), fill=ink, width=weight, joint="curve")
    if chance.random() < 0.4:
        sheet.draw.line(
            smooth([(x, y + high), (x + size / 2, y + high * 0.8), (x + size, y + high * 0.9)]), fill=ink, width=weight
        )
    sheet.things.append(("signature", (x, y, x + size, y + high)))


def stamp(sheet: Sheet, x: float, y: float, size: float) -> None:
    """A seal or framed word, turned, in one ink."""
    chance = sheet.chance
    ink = chance.choice((INKS["red"], INKS["blue"], INKS["purple"], (60, 60, 60), BLACK, INKS["green"]))
    side = int(size)
    high = side if chance.random() < 0.5 else int(side * chance.uniform(0.3, 0.6))
    layer = Image.new("L", (side, high), 0)
    draw = ImageDraw.Draw(layer)
    thick = max(2, side // 30)
    if high == side or chance.random() < 0.3:
        for inset in (2, 2 + side // 8)[: chance.randint(1, 2)]:
            draw.ellipse((inset, inset, side - inset, high - inset), outline=255, width=thick)
    elif chance.random() < 0.8:
        draw.rectangle((2, 2, side - 3, high - 3), outline=255, width=thick)
    lines = chance.randint(1, 3)
    font = sheet.font("text", high * 0.5 / lines if high < side else high * 0.14)
    for number in range(lines):
        word = chance.choice(
            (
                "PAID",
                "RECEIVED",
                "APPROVED",
                "COPY",
                "POSTED",
                "VOID",
                "12 MAY 1998",
                chance.choice(sheet.words).upper(),
            )
        )
        top = high / 2 + (number - lines / 2) * font.size * 1.15
        draw.text((side / 2 - min(side * 0.42, font.getlength(word) / 2), top), word, font=font, fill=255)
    if chance.random() < 0.6:
        rough = np.asarray(layer, np.float32) * (
            np.random.default_rng(chance.randrange(1 << 30)).random((high, side)) > 0.25
        )
        layer = Image.fromarray(rough.astype(np.uint8))
    strength = chance.uniform(0.5, 1.0)
    layer = layer.rotate(chance.gauss(0, 12), expand=True, resample=Image.Resampling.BICUBIC).point(
        lambda v: v * strength
    )
    sheet.image.paste(ink, (int(x), int(y)), layer)
    sheet.things.append(("stamp", (x, y, x + layer.width, y + layer.height)))


def logo(sheet: Sheet, x: float, y: float, size: float) -> None:
    """A round emblem, a plate with a name, shapes on each other, or a name in large letters; in colour or black."""
    chance, draw = sheet.chance, sheet.draw
    ink = chance.choice([*INKS.values(), BLACK, BLACK, BLACK])
    other = chance.choice([*INKS.values(), (255, 255, 255), (255, 255, 255)])
    kind = chance.choice(("round", "plate", "shapes", "shapes", "name"))
    wide = size * (chance.uniform(1.2, 2.6) if kind == "plate" else 1.0)
    middle, radius = (x + size / 2, y + size / 2), size / 2
    if kind == "round":
        draw.ellipse((x, y, x + size, y + size), fill=ink)
        inner = size * chance.uniform(0.05, 0.3)
        draw.ellipse((x + inner, y + inner, x + size - inner, y + size - inner), fill=other)
        draw.polygon(_ring(middle, radius * 0.5, chance.choice((3, 4, 5, 6, 10)), chance), fill=ink)
    elif kind == "plate":
        draw.rounded_rectangle((x, y, x + wide, y + size), radius=chance.uniform(0, size / 2), fill=ink)
    elif kind == "shapes":
        for layer in range(chance.randint(1, 5)):
            shape = _ring(middle, radius * chance.uniform(0.4, 1.0), chance.choice((3, 4, 5, 6, 8, 12)), chance)
            draw.polygon(shape, fill=other if layer % 2 else ink)
    inside = kind == "plate"
    font = sheet.font("text", size * (chance.uniform(0.6, 0.9) if kind == "name" else chance.uniform(0.3, 0.6)))
    name = chance.choice(sheet.words)[: chance.randint(2, 9)]
    name = chance.choice((name.title(), name.upper()))
    while font.getlength(name) > (wide if inside else 4 * size):
        name = name[:-1]
    at = x + (wide - font.getlength(name)) / 2 if inside else x if kind == "name" else x + size * 1.1
    if kind == "name" or inside or chance.random() < 0.6:
        draw.text(
            (at, y + (size - font.size * 1.2) / 2), name, font=font, fill=other if inside and other != ink else ink
        )
        wide = max(wide, at - x + font.getlength(name))
    sheet.things.append(("logo", (x, y, x + wide, y + size)))


def _ring(middle: tuple[float, float], radius: float, corners: int, chance: random.Random) -> list[tuple[float, float]]:
    """A polygon; one of many corners is a star or a blot."""
    turn = chance.uniform(0, 6.3)
    shape: list[tuple[float, float]] = []
    for corner in range(corners):
        away = radius * (chance.uniform(0.35, 1.0) if corners > 6 else 1.0)
        angle = turn + 2 * math.pi * corner / corners
        shape.append((middle[0] + away * math.cos(angle), middle[1] + away * math.sin(angle)))
    return shape


def barcode(sheet: Sheet, box: Box) -> None:
    """Bars of 1 to 4 modules, sometimes with the number under them."""
    chance, draw = sheet.chance, sheet.draw
    module = max(1.0, (box[2] - box[0]) / chance.randint(80, 160))
    x = box[0]
    while x < box[2] - module:
        wide = module * chance.randint(1, 4)
        draw.rectangle((x, box[1], min(box[2], x + wide) - 1, box[3]), fill=sheet.ink)
        x += wide + module * chance.randint(1, 4)
    if chance.random() < 0.6:
        font = sheet.font("mono", (box[2] - box[0]) / 22)
        draw.text((box[0], box[3] + 2), "".join(chance.choices("0123456789", k=13)), font=font, fill=sheet.ink)
    sheet.things.append(("barcode", box))


def square_code(sheet: Sheet, x: float, y: float, size: float) -> None:
    """A QR code: modules at random, three finder squares."""
    count = sheet.chance.choice((21, 25, 29, 33, 41))
    grid = np.random.default_rng(sheet.chance.randrange(1 << 30)).random((count, count)) < 0.5
    finder = np.ones((9, 9), bool)
    finder[0], finder[8], finder[:, 0], finder[:, 8] = False, False, False, False
    finder[2:7, 2:7] = False
    finder[3:6, 3:6] = True
    grid[:8, :8], grid[:8, -8:], grid[-8:, :8] = finder[1:, 1:], finder[1:, :8], finder[:8, 1:]
    code = Image.fromarray(np.where(grid, 20, 255).astype(np.uint8)).resize(
        (int(size), int(size)), Image.Resampling.NEAREST
    )
    sheet.image.paste(code, (int(x), int(y)))
    sheet.things.append(("qrcode", (x, y, x + size, y + size)))


def photo(sheet: Sheet, box: Box) -> None:
    """A photo in the print, in colour, grey or raster."""
    size = (max(8, int(box[2] - box[0])), max(8, int(box[3] - box[1])))
    picture = sheet.chance.choice(sheet.photos).resize(size, Image.Resampling.BICUBIC)
    if sheet.chance.random() < 0.35:
        picture = picture.convert("L").convert("RGB")
    sheet.image.paste(picture, (int(box[0]), int(box[1])))
    sheet.things.append(("photo", box))


def portrait(sheet: Sheet, box: Box) -> None:
    """Head and shoulders, simplified, on a plain ground."""
    chance, draw = sheet.chance, sheet.draw
    ground = chance.choice(((200, 215, 235), (235, 235, 235), (180, 190, 200), (160, 60, 60)))
    frame(sheet, box, fill=ground, ink=ground)
    width, height = box[2] - box[0], box[3] - box[1]
    skin = chance.choice(((235, 200, 175), (200, 150, 120), (140, 95, 70), (190, 190, 190)))
    hair = chance.choice(((30, 25, 20), (90, 60, 30), (170, 130, 70), (120, 120, 120)))
    middle = box[0] + width / 2
    draw.ellipse(
        (middle - width * 0.45, box[1] + height * 0.68, middle + width * 0.45, box[3] + height * 0.4),
        fill=chance.choice(list(INKS.values())),
    )
    draw.rectangle(
        (box[0], box[3], box[2], box[3] + height * 0.45), fill=sheet.image.getpixel((int(box[0]) - 2, int(box[3]) + 2))
    )
    draw.ellipse(
        (middle - width * 0.27, box[1] + height * 0.12, middle + width * 0.27, box[1] + height * 0.6), fill=hair
    )
    draw.ellipse(
        (middle - width * 0.22, box[1] + height * 0.2, middle + width * 0.22, box[1] + height * 0.72), fill=skin
    )
    for side in (-1, 1):
        eye = middle + side * width * 0.09
        draw.ellipse((eye - width * 0.03, box[1] + height * 0.4, eye + width * 0.03, box[1] + height * 0.44), fill=hair)
    draw.line(
        (middle - width * 0.07, box[1] + height * 0.58, middle + width * 0.07, box[1] + height * 0.58),
        fill=(150, 60, 60),
        width=max(1, int(width / 40)),
    )
    sheet.things.append(("photo", box))


def checkboxes(sheet: Sheet, box: Box, font: ImageFont.FreeTypeFont) -> None:
    """Rows of small squares with words beside them, some ticked."""
    chance, side = sheet.chance, font.size * sheet.chance.uniform(0.8, 1.2)
    columns = chance.randint(1, 4)
    wide = (box[2] - box[0]) / columns
    y = box[1]
    while y + side < box[3]:
        for column in range(columns):
            x = box[0] + column * wide
            frame(sheet, (x, y, x + side, y + side), thick=1.3)
            sheet.things.append(("checkbox", (x, y, x + side, y + side)))
            if chance.random() < 0.35:
                for a, b in (((x, y), (x + side, y + side)), ((x, y + side), (x + side, y))):
                    sheet.draw.line((*a, *b), fill=BLACK, width=max(1, round(side / 7)))
            sheet.line(x + side * 1.5, y - side * 0.1, wide - side * 2, font, count=chance.randint(1, 4), numbers=0.05)
        y += font.size * 1.7
