"""Damage that we have no openly licensed photo of, drawn by us: clearly drawings, still pictures to search."""

from __future__ import annotations

from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZE = (480, 360)
Colour = tuple[int, int, int]


def _grain(image: Image.Image, rng: Random, strength: float = 7) -> Image.Image:
    noise = np.random.default_rng(rng.randrange(2**32))
    values = np.asarray(image, dtype=np.float32)
    coarse = noise.normal(0, 1, (values.shape[0] // 6 + 1, values.shape[1] // 6 + 1))
    cloud = np.kron(coarse, np.ones((6, 6)))[: values.shape[0], : values.shape[1]]
    values = values + (noise.normal(0, strength * 0.5, values.shape[:2]) + cloud * strength * 0.5)[..., None]
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.6))


def _shift(colour: Colour, by: int) -> Colour:
    red, green, blue = (max(0, min(255, part + by)) for part in colour)
    return red, green, blue


def hail_roof(rng: Random, *, tile: Colour) -> Image.Image:
    """A tiled roof with broken tiles and hail marks under a grey sky."""
    image = Image.new("RGB", SIZE, (168, 178, 190))
    draw = ImageDraw.Draw(image)
    top = 70
    for row in range(12):
        y = top + row * 25
        for column in range(-1, 15):
            x = column * 36 + (row % 2) * 18
            shade = _shift(tile, rng.randrange(-18, 18) - row * 2)
            draw.rounded_rectangle((x, y, x + 35, y + 33), radius=12, fill=shade, outline=_shift(tile, -60))
            if rng.random() < 0.14:
                bottom = y + rng.randrange(14, 26)
                draw.polygon([(x + 6, y + 30), (x + 14, y + 12), (x + 22, bottom), (x + 31, y + 33)], fill=(48, 38, 34))
                draw.line((x + 14, y + 12, x + 30, y + 4), fill=(60, 44, 40), width=2)
    for _ in range(70):
        x, y, size = rng.randrange(SIZE[0]), rng.randrange(top, SIZE[1]), rng.randrange(3, 8)
        draw.ellipse((x, y, x + size, y + size * 0.8), fill=_shift(tile, -45), outline=_shift(tile, 40))
    for _ in range(40):
        x, y, size = rng.randrange(SIZE[0]), rng.randrange(top, SIZE[1]), rng.randrange(4, 9)
        draw.ellipse((x, y, x + size, y + size), fill=(232, 238, 243), outline=(190, 200, 208))
    draw.rectangle((0, SIZE[1] - 18, SIZE[0], SIZE[1]), fill=(120, 124, 128))
    draw.polygon([(0, 0), (0, top + 24), (150, top - 30), (200, 0)], fill=(140, 150, 163))
    return _grain(image, rng)


def ceiling_stain(rng: Random, *, wall: Colour) -> Image.Image:
    """A ceiling corner with brown water rings, drops and peeling paint."""
    image = Image.new("RGB", SIZE, (233, 230, 222))
    draw = ImageDraw.Draw(image)
    draw.polygon([(0, 250), (300, 215), (480, 262), (480, 360), (0, 360)], fill=wall)
    draw.line((300, 215, 300, 360), fill=_shift(wall, -22), width=3)
    draw.line((0, 250, 300, 215), fill=(250, 249, 245), width=7)
    draw.line((300, 215, 480, 262), fill=(250, 249, 245), width=7)
    stain = Image.new("L", SIZE, 0)
    pen = ImageDraw.Draw(stain)
    for ring, strength in ((1.0, 70), (0.82, 115), (0.6, 95), (0.4, 140)):
        middle = (rng.uniform(190, 240), rng.uniform(100, 130))
        points = []
        for step in range(30):
            angle = step / 30 * 2 * np.pi
            reach = ring * rng.uniform(88, 118)
            points.append((middle[0] + reach * 1.5 * np.cos(angle), middle[1] + reach * 0.8 * np.sin(angle)))
        pen.polygon(points, fill=strength)
    stain = stain.filter(ImageFilter.GaussianBlur(4))
    image.paste(Image.new("RGB", SIZE, (139, 97, 48)), (0, 0), stain)
    draw = ImageDraw.Draw(image)
    for _ in range(9):
        x, y = rng.randrange(130, 320), rng.randrange(80, 160)
        draw.polygon(
            [(x, y), (x + 22, y + 4), (x + 12, y + 20), (x - 4, y + 10)], fill=(214, 206, 190), outline=(160, 140, 110)
        )
    for _ in range(6):
        x, y = rng.randrange(30, 440), rng.randrange(245, 275)
        draw.line((x, y, x + rng.randrange(-3, 4), y + rng.randrange(40, 85)), fill=(150, 112, 66), width=3)
    return _grain(image, rng, 6)


def cracked_phone(rng: Random, *, desk: Colour) -> Image.Image:
    """A phone on a desk, its glass broken from one corner."""
    image = Image.new("RGB", SIZE, desk)
    draw = ImageDraw.Draw(image)
    for y in range(0, SIZE[1], 9):
        draw.line((0, y, SIZE[0], y + rng.randrange(-5, 6)), fill=_shift(desk, rng.randrange(-12, 8)), width=3)
    draw.rounded_rectangle((156, 20, 326, 344), radius=26, fill=(22, 24, 28))
    draw.rounded_rectangle((164, 30, 318, 334), radius=18, fill=(52, 70, 96))
    draw.ellipse((234, 36, 248, 50), fill=(8, 8, 10))
    for row in range(4):
        for column in range(3):
            box = (180 + column * 44, 78 + row * 52, 210 + column * 44, 108 + row * 52)
            draw.rounded_rectangle(box, radius=8, fill=rng.choice(((92, 150, 120), (190, 120, 80), (120, 120, 180))))
    hit = (rng.randrange(196, 288), rng.randrange(60, 250))
    spokes: list[list[tuple[float, float]]] = []
    for spoke in range(15):
        angle = spoke / 15 * 2 * np.pi + rng.uniform(-0.15, 0.15)
        points: list[tuple[float, float]] = [hit]
        for step in range(1, 8):
            angle += rng.uniform(-0.13, 0.13)
            reach = step * 34
            x, y = hit[0] + reach * np.cos(angle), hit[1] + reach * np.sin(angle)
            points.append((min(318, max(164, x)), min(334, max(30, y))))
        spokes.append(points)
        draw.line(points, fill=(224, 232, 240), width=2)
    for ring in (1, 2, 3):
        for first, second in zip(spokes, spokes[1:] + spokes[:1], strict=True):
            draw.line((*first[ring], *second[ring]), fill=(200, 212, 224), width=1)
    return _grain(image.rotate(rng.uniform(-14, 14), fillcolor=desk, resample=Image.Resampling.BICUBIC), rng, 5)


def broken_suitcase(rng: Random, *, shell: Colour) -> Image.Image:
    """A hard-shell suitcase with a hole, a crack and a missing wheel in an arrivals hall."""
    image = Image.new("RGB", SIZE, (196, 200, 204))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 250, 480, 360), fill=(148, 150, 152))
    for x in range(-60, 540, 60):
        draw.line((x, 360, x + 60, 250), fill=(132, 134, 137), width=2)
    draw.rectangle((190, 14, 196, 60), fill=(70, 72, 76))
    draw.rectangle((272, 14, 278, 60), fill=(70, 72, 76))
    draw.rectangle((190, 10, 278, 20), fill=(40, 42, 46))
    draw.rounded_rectangle((140, 54, 328, 316), radius=24, fill=shell, outline=_shift(shell, -60), width=4)
    for x in range(166, 320, 26):
        draw.line((x, 66, x, 304), fill=_shift(shell, -28), width=5)
    draw.polygon([(150, 210), (190, 184), (224, 214), (204, 262), (162, 258)], fill=(24, 22, 22))
    draw.line([(190, 184), (220, 150), (212, 120), (248, 92)], fill=(20, 20, 20), width=4)
    draw.line([(224, 214), (262, 232), (288, 222), (320, 248)], fill=(20, 20, 20), width=4)
    draw.ellipse((284, 306, 312, 336), fill=(30, 30, 32))
    draw.rectangle((160, 314, 176, 322), fill=(150, 60, 40))
    draw.rectangle((232, 54, 252, 92), fill=(240, 240, 236), outline=(120, 120, 120))
    for line in range(5):
        draw.line((236, 60 + line * 6, 248, 60 + line * 6), fill=(60, 60, 60), width=2)
    return _grain(image, rng, 6)


def fallen_tree(rng: Random, *, wall: Colour) -> Image.Image:
    """A tree that a storm laid across a garden fence and a shed."""
    image = Image.new("RGB", SIZE, (150, 160, 172))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 240, 480, 360), fill=(96, 118, 70))
    draw.rectangle((270, 130, 440, 270), fill=wall)
    draw.polygon([(255, 136), (355, 70), (456, 136)], fill=_shift(wall, -60))
    draw.polygon([(300, 100), (340, 84), (350, 132), (310, 136)], fill=(30, 28, 28))
    for x in range(0, 300, 22):
        lean = rng.randrange(-4, 5) if x < 120 else rng.randrange(10, 50)
        draw.polygon([(x, 290), (x + 14, 290), (x + 14 + lean, 205), (x + lean, 205)], fill=(140, 104, 68))
    draw.line((0, 330, 330, 100), fill=(78, 56, 40), width=26)
    draw.line((180, 206, 240, 120), fill=(78, 56, 40), width=10)
    draw.line((230, 172, 330, 180), fill=(78, 56, 40), width=9)
    for _ in range(420):
        x, y, size = rng.gauss(340, 52), rng.gauss(110, 42), rng.randrange(4, 15)
        green = rng.choice(((52, 88, 44), (70, 110, 52), (38, 70, 36), (92, 128, 66)))
        draw.ellipse((x, y, x + size, y + size * 0.7), fill=green)
    return _grain(image, rng, 8)


def wine_carpet(rng: Random, *, carpet: Colour) -> Image.Image:
    """A red wine stain on a light carpet, a glass beside it."""
    image = Image.new("RGB", SIZE, carpet)
    draw = ImageDraw.Draw(image)
    for _ in range(5200):
        x, y = rng.randrange(SIZE[0]), rng.randrange(SIZE[1])
        draw.line((x, y, x + rng.randrange(-3, 4), y + 4), fill=_shift(carpet, rng.randrange(-22, 14)))
    stain = Image.new("L", SIZE, 0)
    pen = ImageDraw.Draw(stain)
    for _ in range(34):
        x, y, reach = rng.gauss(230, 46), rng.gauss(190, 26), rng.uniform(10, 46)
        pen.ellipse((x - reach, y - reach * 0.7, x + reach, y + reach * 0.7), fill=210)
    for _ in range(60):
        x, y, reach = rng.gauss(240, 100), rng.gauss(190, 60), rng.uniform(1, 6)
        pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=190)
    stain = stain.filter(ImageFilter.GaussianBlur(2))
    image.paste(Image.new("RGB", SIZE, (112, 22, 44)), (0, 0), stain)
    draw = ImageDraw.Draw(image)
    draw.ellipse((348, 96, 430, 150), outline=(236, 240, 244), width=4)
    draw.ellipse((354, 104, 400, 142), fill=(120, 30, 50))
    draw.line((350, 128, 300, 160), fill=(232, 236, 240), width=6)
    draw.ellipse((270, 146, 312, 178), outline=(236, 240, 244), width=4)
    return _grain(image, rng, 5)


SCENES = {
    "hail_roof_red": lambda rng: hail_roof(rng, tile=(158, 84, 62)),
    "hail_roof_slate": lambda rng: hail_roof(rng, tile=(98, 104, 114)),
    "ceiling_white": lambda rng: ceiling_stain(rng, wall=(206, 212, 214)),
    "ceiling_yellow": lambda rng: ceiling_stain(rng, wall=(226, 208, 160)),
    "phone_oak": lambda rng: cracked_phone(rng, desk=(166, 126, 84)),
    "phone_grey": lambda rng: cracked_phone(rng, desk=(120, 124, 128)),
    "suitcase_teal": lambda rng: broken_suitcase(rng, shell=(38, 122, 128)),
    "suitcase_red": lambda rng: broken_suitcase(rng, shell=(164, 48, 50)),
    "tree_shed": lambda rng: fallen_tree(rng, wall=(148, 110, 78)),
    "wine_carpet": lambda rng: wine_carpet(rng, carpet=(214, 204, 188)),
}
