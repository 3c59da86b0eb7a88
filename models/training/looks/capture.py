"""How a page becomes a picture: scanned, copied, faxed, photographed on a desk, or straight out of a file."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Set
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from models.training.looks.sheet import Box, Sheet

SKEWED = 2.5
"""Degrees from which a page is called skewed."""
Things = list[tuple[str, Box]]


@dataclass(frozen=True, slots=True)
class Picture:
    """things: with boxes in pixels of the image. said: words for the page; doubtful: words that may be said or not."""

    image: Image.Image
    things: Things
    said: frozenset[str]
    doubtful: frozenset[str]


def captured(sheet: Sheet, doubtful: Set[str]) -> Picture:
    """The page as one of the four."""
    chance = sheet.chance
    image, things, said = sheet.image, list(sheet.things), set(sheet.said)
    way = chance.choices(("file", "scan", "copy", "desk"), (0.34, 0.3, 0.16, 0.2))[0]
    if way == "desk":
        degrees = chance.gauss(0, 4)
        image, things = on_desk(image, things, degrees, chance)
        said |= {"skewed"} if abs(degrees) > SKEWED else set()
    elif way != "file" and chance.random() < 0.7:
        degrees = chance.gauss(0, 3 if chance.random() < 0.25 else 0.8)
        image, things = turned(image, things, degrees, (255, 255, 255), chance)
        said |= {"skewed"} if abs(degrees) > SKEWED else set()
    if way in ("scan", "desk"):
        image, folded = shaded(image, chance, strong=way == "desk")
        said |= {"crumpled"} if folded else set()
        if chance.random() < 0.4:
            image = image.filter(ImageFilter.GaussianBlur(chance.uniform(0.3, 1.3)))
    if way == "copy" or (way == "scan" and chance.random() < 0.4):
        image = image.convert("L")
        if chance.random() < 0.5:
            copied(image, chance)
        if chance.random() < 0.6:
            limit = chance.uniform(120, 200)
            image = image.point([max(0, min(255, round((v - limit) * 6 + 128))) for v in range(256)])
        image = image.convert("RGB")
    if way != "file" or chance.random() < 0.3:
        small = io.BytesIO()
        image.save(small, "JPEG", quality=chance.randint(35, 90))
        image = Image.open(small).convert("RGB")
    said |= {"photographed"} if way == "desk" else set()
    return Picture(image, things, frozenset(said), frozenset(doubtful))


def moved(box: Box, turn: float, centre: tuple[float, float], shift: tuple[float, float], scale: float) -> Box:
    """The box around a turned and moved box. turn: radians, clockwise."""
    corners = [(box[a], box[b]) for a in (0, 2) for b in (1, 3)]
    cos, sin = math.cos(turn), math.sin(turn)
    xs = [((x - centre[0]) * cos - (y - centre[1]) * sin) * scale + shift[0] for x, y in corners]
    ys = [((x - centre[0]) * sin + (y - centre[1]) * cos) * scale + shift[1] for x, y in corners]
    return min(xs), min(ys), max(xs), max(ys)


def turned(
    image: Image.Image, things: Things, degrees: float, ground: tuple[int, int, int], chance: random.Random
) -> tuple[Image.Image, Things]:
    """Skewed a little on the glass of a scanner, whose lid is white or black."""
    lid = ground if chance.random() < 0.8 else (10, 10, 10)
    out = image.rotate(-degrees, resample=Image.Resampling.BICUBIC, fillcolor=lid)
    centre = (image.width / 2, image.height / 2)
    return out, [(kind, moved(box, math.radians(degrees), centre, centre, 1.0)) for kind, box in things]


def copied(image: Image.Image, chance: random.Random) -> None:
    """What a copier adds to a grey page: black edges, punched holes, specks."""
    draw, (width, height) = ImageDraw.Draw(image), image.size
    for edge in chance.sample(("left", "right", "top", "bottom"), chance.randint(0, 3)):
        deep = chance.uniform(0.004, 0.04) * width
        corner = {
            "left": (0, 0, deep, height), "right": (width - deep, 0, width, height),
            "top": (0, 0, width, deep), "bottom": (0, height - deep, width, height),
        }[edge]  # fmt: skip
        draw.rectangle(corner, fill=chance.randint(0, 60))
    for place in range(chance.choice((0, 0, 2, 3))):
        x, y, radius = width * 0.03, height * (0.2 + 0.3 * place), width * 0.012
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=20)
    for _ in range(chance.randint(0, 150)):
        x, y, radius = chance.uniform(0, width), chance.uniform(0, height), chance.uniform(0.3, 1.6)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=30)


def on_desk(image: Image.Image, things: Things, degrees: float, chance: random.Random) -> tuple[Image.Image, Things]:
    """A sheet that lies on something, seen from above, turned and sometimes cut."""
    ground = tuple(
        chance.choice(
            ((30, 28, 26), (90, 70, 50), (140, 110, 80), (60, 60, 65), (190, 185, 180), (15, 15, 15), (120, 120, 125))
        )
    )
    margin = chance.uniform(0.02, 0.2)
    width, height = int(image.width * (1 + 2 * margin)), int(image.height * (1 + 2 * margin * chance.uniform(0.3, 1)))
    noise = np.random.default_rng(chance.randrange(1 << 30))
    grain = noise.normal(0, 9, (height // 8 + 1, width // 60 + 1)).astype(np.float32)
    texture = np.asarray(Image.fromarray(grain).resize((width, height), Image.Resampling.BICUBIC))
    desk = Image.fromarray(np.clip(np.array(ground, np.float32) + texture[..., None], 0, 255).astype(np.uint8))
    layer = image.convert("RGBA").rotate(-degrees, resample=Image.Resampling.BICUBIC, expand=True)
    centre = (width / 2 + chance.gauss(0, 0.02) * width, height / 2 + chance.gauss(0, 0.02) * height)
    desk.paste(layer, (round(centre[0] - layer.width / 2), round(centre[1] - layer.height / 2)), layer)
    middle = (image.width / 2, image.height / 2)
    return desk, [(kind, moved(box, math.radians(degrees), middle, centre, 1.0)) for kind, box in things]


def shaded(image: Image.Image, chance: random.Random, *, strong: bool) -> tuple[Image.Image, bool]:
    """Uneven light, folds, noise; sometimes far too dark or pale. And whether there are folds."""
    noise = np.random.default_rng(chance.randrange(1 << 30))
    width, height = image.size
    coarse = noise.normal(0, 0.12 if strong else 0.03, (3, 3)).astype(np.float32)
    light = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    level = chance.uniform(0.35, 1.05) if chance.random() < (0.6 if strong else 0.3) else chance.uniform(0.85, 1.05)
    pixels = np.asarray(image, np.float32)
    if chance.random() < 0.15:
        pixels = 255 - (255 - pixels) * chance.uniform(0.25, 0.6)
    folds = chance.randint(2, 9) if strong and chance.random() < 0.35 else 0
    for _ in range(folds):
        angle, place = chance.uniform(0, math.pi), chance.uniform(0.1, 0.9)
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        away = (x / width - place) * math.cos(angle) + (y / height - place) * math.sin(angle)
        light = light + chance.uniform(-0.12, 0.12) * np.exp(-np.abs(away) * chance.uniform(20, 80)) * np.sign(away)
    tone = np.array([1, chance.uniform(0.93, 1.0), chance.uniform(0.82, 1.0)] if strong else [1, 1, 1], np.float32)
    pixels = pixels * (level * (1 + light))[..., None] * tone
    pixels = pixels + noise.normal(0, chance.uniform(0, 7), pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), folds > 0
