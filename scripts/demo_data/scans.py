"""What a scanner, a fax or a phone does to a clean page; deterministic for a given generator of numbers."""

from __future__ import annotations

from random import Random

import numpy as np
from PIL import Image, ImageFilter


def scanned(page: Image.Image, rng: Random) -> Image.Image:
    """An office scanner: a little skew, soft shadows at an edge, speckles, grain."""
    page = page.rotate(rng.uniform(-1.3, 1.3), resample=Image.Resampling.BICUBIC, fillcolor=(244, 243, 239))
    page = page.filter(ImageFilter.GaussianBlur(0.45))
    noise = np.random.default_rng(rng.randrange(2**32))
    values = np.asarray(page, dtype=np.float32)
    shade = np.linspace(rng.uniform(0.9, 1.0), 1.0, values.shape[1], dtype=np.float32)[None, :, None]
    values = values * shade * 0.985 + noise.normal(0, 1.6, values.shape[:2])[..., None]
    for _ in range(rng.randrange(12, 40)):
        y, x = rng.randrange(values.shape[0] - 2), rng.randrange(values.shape[1] - 2)
        values[y : y + 2, x : x + 2] = rng.uniform(70, 150)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def photographed(page: Image.Image, rng: Random) -> Image.Image:
    """A sheet on a table under a lamp, taken with a phone from slightly aside."""
    width, height = page.size
    margin = 46
    table = Image.new("RGB", (width + 2 * margin, height + 2 * margin), rng.choice(((118, 92, 66), (84, 88, 92))))
    lean = [rng.uniform(4, 34) for _ in range(8)]
    corners = (
        (margin + lean[0], margin + lean[1]),
        (margin + lean[2], margin + height - lean[3]),
        (margin + width - lean[4], margin + height - lean[5]),
        (margin + width - lean[6], margin + lean[7]),
    )
    source = ((0, 0), (0, height), (width, height), (width, 0))
    coefficients = _perspective(corners, source)
    sheet = page.transform(table.size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC)
    mask = Image.new("L", page.size, 255).transform(table.size, Image.Transform.PERSPECTIVE, coefficients)
    table.paste(sheet, (0, 0), mask)
    values = np.asarray(table, dtype=np.float32)
    rows, columns = np.mgrid[0 : values.shape[0], 0 : values.shape[1]].astype(np.float32)
    lamp_y, lamp_x = rng.uniform(0.1, 0.6) * values.shape[0], rng.uniform(0.2, 0.8) * values.shape[1]
    distance = np.hypot(rows - lamp_y, columns - lamp_x) / max(values.shape[:2])
    noise = np.random.default_rng(rng.randrange(2**32))
    light = (1.04 - 0.3 * distance)[..., None] * np.array([1.0, 0.985, 0.94], dtype=np.float32)
    values = values * light + noise.normal(0, 1.5, values.shape[:2])[..., None]
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def faxed(page: Image.Image, rng: Random) -> Image.Image:
    """One bit a pixel, slightly turned."""
    turned = page.rotate(rng.uniform(-0.8, 0.8), resample=Image.Resampling.BICUBIC, fillcolor=(255, 255, 255))
    return turned.convert("L").point(lambda value: 255 if value > 168 else 0).convert("1")


def _perspective(target: tuple[tuple[float, float], ...], source: tuple[tuple[float, float], ...]) -> tuple[float, ...]:
    """The eight numbers that Pillow wants to map the target's corners back to the source's."""
    rows: list[list[float]] = []
    for (x, y), (u, v) in zip(target, source, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    wanted = np.array([value for corner in source for value in corner], dtype=np.float64)
    return tuple(float(value) for value in np.linalg.solve(np.array(rows, dtype=np.float64), wanted))
