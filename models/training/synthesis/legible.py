"""Whether a face draws what its signs stand for: fonts of symbols, of other scripts and of ornaments answer to letters
too, and a page set in one teaches that a heart is an a."""

from __future__ import annotations

import string
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

SIGNS = string.ascii_letters + string.digits
SIDE = 20
"""Pixels of the square to which a sign is stretched."""
EM = 40
LEAST = 0.5
"""Share of a face's signs that look like themselves; capitals may stand for small letters. Of 235 printed faces chosen
without this, 4 of symbols had less than 0.05, ornaments 0.19, Greek 0.44, sloping old style 0.55; script has 0.2 to
0.6."""
_ALIKE = {"0": "o", "1": "l", "i": "l", "5": "s", "9": "g", "q": "g"}

Shapes = NDArray[np.float32]


class Legibility:
    """Measures faces by the shapes of known ones."""

    def __init__(self, known: Sequence[Path]) -> None:
        """known: files of common faces, at least one."""
        self._shapes = np.concatenate([shapes(path) for path in known])
        self._classes = np.array([_class_of(sign) for sign in SIGNS] * len(known))

    def share(self, drawn: Shapes) -> float:
        """Of a face as `shapes` draws it: the share of SIGNS, 0..1, that look like themselves."""
        nearest = (drawn @ self._shapes.T).argmax(1)
        return float((self._classes[nearest] == self._classes[: len(SIGNS)]).mean())


def shapes(path: Path) -> Shapes:
    """float32 (SIGNS, SIDE * SIDE) of a font file: each sign cut out and stretched to a square, less its mean, of
    length 1; zeros for a sign without ink."""
    font = ImageFont.truetype(path, EM)
    rows = np.zeros((len(SIGNS), SIDE * SIDE), np.float32)
    for row, sign in enumerate(SIGNS):
        image = cut_out(font, sign)
        if image is not None:
            rows[row] = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32).ravel()
    rows -= rows.mean(1, keepdims=True)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


def cut_out(font: ImageFont.FreeTypeFont, sign: str) -> Image.Image | None:
    """The ink of a sign, grey, as large as its box; None without any."""
    x0, y0, x1, y1 = box_of(font, sign)
    if x1 <= x0 or y1 <= y0:
        return None
    image = Image.new("L", (x1 - x0, y1 - y0), 0)
    ImageDraw.Draw(image).text((-x0, -y0), sign, font=font, fill=255, anchor="ls")
    return image if image.getbbox() else None


def box_of(font: ImageFont.FreeTypeFont, sign: str) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a sign in whole pixels from the pen, cut towards it."""
    x0, y0, x1, y1 = (int(edge) for edge in font.getbbox(sign, anchor="ls"))
    return x0, y0, x1, y1


def _class_of(sign: str) -> str:
    lower = sign.lower()
    return _ALIKE.get(lower, lower)
