"""Whether two photos are copies of one: their outlines laid over each other at every place and size.

A print is a small grey copy of a photo with its fine noise and its slow shading taken off, so that light, compression
and size do not count. One print is moved over the other, upright and mirrored, at sizes down to SMALLEST of its side:
so a cut-out, or a photo inside the frame of a screenshot, still lies on its original. What looks promising on a coarse
copy is looked at again on a finer one, between the sizes and slightly turned.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]

COARSE_SIDE, FINE_SIDE = 40, 80
"""Pixels of the longer side of the two grey copies."""
SMALLEST = 0.6
STEP = SMALLEST ** (1 / 9)
"""Ten sizes are tried, from 1 down to SMALLEST."""
COARSE_ANGLES = (0.0, -4.0, 4.0)
"""Degrees, tried on the coarse copy."""
FINE_ANGLES = (-2.0, -1.0, 0.0, 1.0, 2.0)
"""Degrees more, tried on the finer copy."""
PROMISING = 0.55
"""Likeness of the coarse copies from which the finer ones are compared."""
SHARP, BLURRED = 1 / 100, 1 / 20
"""Of the longer side: the blurs that take off the noise and the shading."""
RIM = 1 / 14
"""Of the longer side: the edge that is left out of a print laid over another, because what lies beyond it, such as the
bars of a screenshot, reaches in so far."""
FLAT = 2.0
"""Mean strength of the outlines, of 255 levels, below which a photo has nothing to compare."""
LEAST_ENERGY = 0.1
"""Of the mean: where the other print is flatter than that, an overlay does not count as a match of outlines."""

LEAST_AREA = 0.15
"""Of a print that another must cover to count."""


@dataclass(frozen=True, slots=True)
class Print:
    """Two small grey copies, their longer sides COARSE_SIDE and FINE_SIDE."""

    coarse: Image.Image
    fine: Image.Image


@dataclass(frozen=True, slots=True)
class Overlay:
    """The best overlay of two prints. likeness: -1..1, correlation of the outlines. mirrored: one had to be. share: of
    the side of one that the other covers, 1 for whole photos. first_inside: whether the first lies in the second.
    angle: degrees that the inner one had to be turned by."""

    likeness: float
    mirrored: bool = False
    share: float = 1.0
    first_inside: bool = False
    angle: float = 0.0


def print_of(photo: Image.Image) -> Print | None:
    """None for a photo without outlines, which would be like every other such."""
    grey = photo.convert("L")
    fine = _small(grey, FINE_SIDE)
    strength = float(np.abs(_outlines(fine)).mean())
    return Print(_small(grey, COARSE_SIDE), fine) if strength >= FLAT else None


def overlay(first: Print, second: Print) -> Overlay:
    """The best of all overlays, the second inside the first and the other way round."""
    found = max(
        _search(first.coarse, second.coarse, first_inside=False),
        _search(second.coarse, first.coarse, first_inside=True),
        key=lambda found: found.likeness,
    )
    if found.likeness < PROMISING:
        return found
    outer, inner = (second.fine, first.fine) if found.first_inside else (first.fine, second.fine)
    return _refined(outer, inner, found)


def _search(outer: Image.Image, inner: Image.Image, *, first_inside: bool) -> Overlay:
    field = _Field(_outlines(outer))
    best = Overlay(-1.0, first_inside=first_inside)
    turned = [_turned(inner, angle) for angle in COARSE_ANGLES]
    for place in range(10):
        size = STEP**place
        templates = np.stack([_template(one, outer, size) for one in turned])
        for mirrored in (False, True):
            found = field.best(templates[:, :, ::-1] if mirrored else templates)
            angle = int(found.argmax())
            if found[angle] > best.likeness:
                best = Overlay(float(found[angle]), mirrored, size, first_inside, COARSE_ANGLES[angle])
    return best


def _refined(outer: Image.Image, inner: Image.Image, found: Overlay) -> Overlay:
    field = _Field(_outlines(outer))
    best = Overlay(-1.0)
    turned = [_turned(inner, found.angle + angle) for angle in FINE_ANGLES]
    for size in {found.share, min(1.0, found.share / STEP**0.5), found.share * STEP**0.5}:
        templates = np.stack([_template(one, outer, size) for one in turned])
        likeness = field.best(templates[:, :, ::-1] if found.mirrored else templates)
        angle = int(likeness.argmax())
        if likeness[angle] > best.likeness:
            best = Overlay(
                float(likeness[angle]),
                found.mirrored,
                round(size, 2),
                found.first_inside,
                found.angle + FINE_ANGLES[angle],
            )
    return best


def _turned(grey: Image.Image, angle: float) -> Image.Image:
    if not angle:
        return grey
    return grey.rotate(angle, Image.Resampling.BICUBIC, fillcolor=int(np.asarray(grey).mean()))


def _small(grey: Image.Image, side: int) -> Image.Image:
    factor = side / max(grey.size)
    width, height = (max(16, round(length * factor)) for length in grey.size)
    return grey.resize((width, height), Image.Resampling.BOX)


def _template(inner: Image.Image, outer: Image.Image, size: float) -> Floats:
    """Outlines of `inner` as large as fits in `outer`, times `size`, without its rim."""
    rim = round(RIM * max(outer.size))
    factor = size * min(outer.width / inner.width, outer.height / inner.height)
    width, height = (max(3 * rim, round(length * factor)) for length in inner.size)
    scaled = inner.resize((width, height), Image.Resampling.BILINEAR)
    return _outlines(scaled, side=max(outer.size))[rim:-rim, rim:-rim]


class _Field:
    """Outlines that templates are moved over."""

    def __init__(self, outlines: Floats) -> None:
        self._shape = outlines.shape
        self._size = (-(-self._shape[0] // 8) * 8, -(-self._shape[1] // 8) * 8)
        self._spectrum = np.fft.rfft2(outlines, self._size)
        squares = np.square(outlines, dtype=np.float64)
        self._energy = np.zeros((squares.shape[0] + 1, squares.shape[1] + 1))
        self._energy[1:, 1:] = squares.cumsum(0).cumsum(1)
        self._least = LEAST_ENERGY * float(squares.mean())

    def best(self, templates: Floats) -> Floats:
        """(n, height, width) -> (n,): the correlation of each at its best place; -1 where they are larger than the
        field, or cover too little of it."""
        _, height, width = templates.shape
        rows, columns = self._shape[0] - height + 1, self._shape[1] - width + 1
        if rows < 1 or columns < 1 or height * width < LEAST_AREA * self._shape[0] * self._shape[1]:
            return np.full(len(templates), -1.0, np.float32)
        spectra = np.fft.rfft2(templates, self._size)
        product = np.fft.irfft2(self._spectrum * spectra.conj(), self._size)[:, :rows, :columns]
        upto = self._energy
        energy = upto[height:, width:] - upto[:rows, width:] - upto[height:, :columns] + upto[:rows, :columns]
        floor = np.maximum(energy, self._least * height * width)
        strength = np.square(templates).sum((1, 2))[:, None, None]
        likeness = product / np.sqrt(floor * strength + 1e-9)
        return np.asarray(likeness.max((1, 2)), np.float32)


def _outlines(grey: Image.Image, *, side: int = 0) -> Floats:
    """What lies between the two blurs. side: what their radii are shares of; 0 = the picture's own longer side."""
    pixels = np.asarray(grey, np.float32)
    sharp, blurred = SHARP * (side or max(grey.size)), BLURRED * (side or max(grey.size))
    rows, columns = pixels.shape
    kept = _blur(rows, sharp) @ pixels @ _blur(columns, sharp).T
    taken_off = _blur(rows, blurred) @ pixels @ _blur(columns, blurred).T
    return (kept - taken_off).astype(np.float32, copy=False)


@cache
def _blur(length: int, radius: float) -> Floats:
    """(length, length): a Gaussian blur along one side, edges repeated."""
    place = np.arange(length)
    reach = np.arange(-round(3 * radius) - 1, round(3 * radius) + 2)
    weight = np.exp(-0.5 * np.square(reach / radius))
    matrix = np.zeros((length, length))
    for step, part in zip(reach, weight / weight.sum(), strict=True):
        np.add.at(matrix, (place, np.clip(place + step, 0, length - 1)), part)
    return matrix.astype(np.float32)
