"""What can be measured of a page's look without having learnt anything: colours, light, shape, rules.

All numbers come from the thumbnail and from the ink of a copy of half the size, which the reader needs anyway.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.encoder import FloatArray

Bools = NDArray[np.bool_]

HUES = (
    ("red", -14, 14), ("orange", 14, 43), ("yellow", 43, 68), ("green", 68, 165), ("turquoise", 165, 192),
    ("blue", 192, 256), ("purple", 256, 304), ("pink", 304, 346),
)  # fmt: skip
"""Name, from and to: degrees of the colour circle. Dark orange counts as brown, pale red as pink."""
COLOURS = (*(name for name, _, _ in HUES), "brown")
INK = 0.12
"""Least darkness, against the paper, of a point whose colour counts."""
COLOURED = 0.4
"""Least share of a point's darkness that is missing in some of red, green and blue alone: the colour of its ink."""
DARK = 0.25
"""Brightness of a point of the thumbnail under which it is black; thin print is mixed with paper and stays above."""
BLOCK, RUN, THICK = 8, 3, 7
"""Of the half copy: a rule is inked over RUN blocks of so many pixels along it, and not over THICK pixels across."""


@dataclass(frozen=True, slots=True)
class Facts:
    """ink: share of the page under ink of each of COLOURS, as if it were solid; share: that of all ink. paper: names
    of its colour; tint: how much of it, 0..1. level: brightness of the paper, 0..1. contrast: its
    distance to the darkest print. edge: share of the outermost points that are dark; black: of all points, as in a bar
    or on a desk, not in print. grey: under an even grey. aspect: width / height.
    box: x0, y0, x1, y1, the part of the page with ink on it, in shares of its sides. inked: share of the page that
    print covers. across, down: length of the rules, in widths and heights of the page."""

    ink: FloatArray
    share: FloatArray
    paper: tuple[str, ...]
    tint: float
    level: float
    contrast: float
    edge: float
    black: float
    grey: float
    aspect: float
    box: tuple[float, float, float, float]
    inked: float
    across: float
    down: float


def measured(thumbnail: FloatArray, ink: Tensor, inked: Bools, *, aspect: float) -> Facts:
    """thumbnail: (3, side, side), RGB 0..1. ink: [height, width] of the half copy, as `ink_of` gives it. inked: (rows,
    columns), cells that hold ink. aspect: width / height of the picture."""
    light = (thumbnail[0] + thumbnail[1] + thumbnail[2]) / np.float32(3)
    bright = light >= np.percentile(light, 60)
    paper = np.median(thumbnail[:, bright], axis=1)
    amount, share = coloured(thumbnail, paper)
    high, low = float(paper.max()), float(paper.min())
    rim = np.concatenate([light[:4].ravel(), light[-4:].ravel(), light[:, :4].ravel(), light[:, -4:].ravel()])
    box = (0.0, 0.0, 1.0, 1.0)
    if inked.any():
        # One speck in a corner is no print: the outermost hundredth of the ink on each side is left out.
        (left, right), (top, bottom) = between(inked.sum(0)), between(inked.sum(1))
        box = (left, top, right, bottom)
    across, down = rules(ink)
    return Facts(
        ink=amount,
        share=share,
        paper=tuple(name for name, is_it in zip(COLOURS, of_hue(paper[:, None])[:, 0], strict=True) if is_it),
        tint=(high - low) / max(high, 0.05),
        level=high,
        contrast=float(np.median(light[bright]) - np.percentile(light, 1)),
        edge=float((rim < DARK).mean()),
        black=float((light < DARK).mean()),
        grey=grey_ground(light, high),
        aspect=aspect,
        box=box,
        inked=float(inked.mean()),
        across=across,
        down=down,
    )


def described(facts: Facts) -> dict[str, float]:
    """Words for what was measured, each with a probability that somebody would use it. Set by eye on the training
    pages, steep where people agree."""

    def above(value: float, half: float, steep: float) -> float:
        return float(0.5 + 0.5 * np.tanh(0.5 * steep * (value - half)))

    def amount(share: float, half: float, steep: float) -> float:
        return above(float(np.log(max(share, 1e-6))), float(np.log(half)), steep)

    area = (facts.box[2] - facts.box[0]) * (facts.box[3] - facts.box[1])
    tinted = above(facts.tint, 0.04, 60)
    named = {
        colour: max(amount(float(share), 0.002, 1.2), tinted * (colour in facts.paper))
        for colour, share in zip(COLOURS, facts.ink, strict=True)
    }
    several = float(np.clip(facts.ink / 0.004, 0, 1).sum())
    return named | {
        "colourful": above(several, 2.2, 2.5),
        "grey": max(above(-facts.level, -0.9, 30), amount(facts.grey, 0.03, 1.5)) * (1 - tinted),
        "monochrome": amount(1e-4 / max(float(facts.ink.sum()), 1e-6), 1.0, 2) * (1 - tinted),
        "dark": max(above(-facts.level, -0.8, 20), above(facts.edge, 0.6, 15)),
        "black": max(amount(facts.black, 0.04, 2), above(facts.edge, 0.3, 15)),
        "pale": above(-facts.contrast, -0.28, 20),
        "tall": above(-facts.aspect, -0.42, 25),
        "landscape": above(facts.aspect, 1.15, 20),
        "small": above(-area, -0.25, 25),
        "blank": above(-facts.inked, -0.05, 80),
        "dense": above(facts.inked, 0.5, 15),
        "grid": amount(facts.down, 2.5, 2.5),
    }


def grey_ground(light: FloatArray, level: float) -> float:
    """Share of points that are an even grey. level: brightness of the paper."""
    middle = light[1:-1, 1:-1]
    near = (light[1:-1, :-2], light[1:-1, 2:], light[:-2, 1:-1], light[2:, 1:-1])
    even = np.maximum.reduce([np.abs(other - middle) for other in near]) < 0.03
    return float((even & (middle > DARK) & (middle < level - 0.06)).mean())


def between(counts: NDArray[np.int64]) -> tuple[float, float]:
    """Shares of the length between which all but the outermost hundredths lie."""
    total = np.cumsum(counts) / counts.sum()
    first, last = np.searchsorted(total, 0.01), np.searchsorted(total, 0.99) + 1
    return float(first) / len(counts), min(1.0, float(last) / len(counts))


def of_hue(points: FloatArray) -> Bools:
    """(3, n) RGB -> (COLOURS, n): which colour each point has, grey ones too."""
    most, least = points.max(0), points.min(0)
    span = np.maximum(most - least, 1e-6)
    red, green, blue = points
    sixth = np.where(
        most == red,
        (green - blue) / span % 6,
        np.where(most == green, (blue - red) / span + 2, (red - green) / span + 4),
    )
    degrees = (sixth * 60 + 14) % 360 - 14
    table = np.stack([(degrees >= first) & (degrees < last) for _, first, last in HUES] + [np.zeros(len(most), bool)])
    name = {colour: row for row, colour in enumerate(COLOURS)}
    brown = table[name["orange"]] & (most < 0.66)
    pale = (table[name["red"]] & (span < 0.5) | table[name["orange"]] & (span < 0.15)) & (most > 0.85)
    table[name["brown"]], table[name["orange"]] = brown, table[name["orange"]] & ~brown
    # Thin red print is pale too once it is mixed with paper, so pale red is both.
    table[name["pink"]] |= pale
    return table


def coloured(thumbnail: FloatArray, paper: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(COLOURS,) shares of the page and of its ink that have each colour.

    Thin print is mixed with paper, so what counts is the ratio of its colour to its darkness: mixing leaves it alone.
    """
    points = np.minimum(thumbnail[:, ::2, ::2].reshape(3, -1) / np.maximum(paper[:, None], 0.05), 1.0)
    depth = 1.0 - points.min(0)
    span = points.max(0) - points.min(0)
    inked = depth > INK
    counts = inked & (span > COLOURED * depth)
    amount = of_hue(points[:, counts]) @ depth[counts]
    total = max(float(depth[inked].sum()), 1e-6)
    return (amount / points.shape[1]).astype(np.float32), (amount / total).astype(np.float32)


def rules(ink: Tensor) -> tuple[float, float]:
    """Length of thin straight lines across and down, in widths and heights of the page. ink: [height, width]."""
    solid = ink.numpy() > 0.3
    return _length(solid), _length(np.ascontiguousarray(solid.T))


def _length(solid: Bools) -> float:
    """Of the lines along the rows, in lengths of a row. A line is inked in RUN neighbouring blocks and is not THICK."""
    height, width = solid.shape
    if height <= THICK or width < RUN * BLOCK:
        return 0.0
    full: Bools = np.all(solid[:, : width // BLOCK * BLOCK].reshape(height, -1, BLOCK), axis=2)
    run = np.ones((height, full.shape[1] - RUN + 1), bool)
    for first in range(RUN):
        run &= full[:, first : run.shape[1] + first]
    thick = np.ones((height - THICK + 1, run.shape[1]), bool)
    for first in range(THICK):
        thick &= run[first : len(thick) + first]
    band = np.zeros_like(run)
    for first in range(THICK):
        band[first : height - THICK + 1 + first] |= thick
    thin = run & ~band
    # A line two pixels high is one line.
    begins = thin[1:] & ~thin[:-1]
    return float(begins.sum()) * BLOCK / width
