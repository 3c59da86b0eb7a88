"""Pictures in the two forms that the towers take: a grey copy to read and a colour thumbnail to look at."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from models.encoder import FloatArray

SIDE_MULTIPLE = 32
"""Both sides of what the page tower reads are multiples of it."""


def reading_copy(picture: Image.Image, *, pixels: int, enlarge: float = 1.0) -> Image.Image:
    """Grey, at most `pixels` pixels in the same aspect, at most `enlarge` times as wide and high."""
    width, height = picture.size
    # The longest side is bounded too: a strip one pixel wide is padded to SIDE_MULTIPLE.
    scale = min(enlarge, math.sqrt(pixels / (width * height)), pixels / SIDE_MULTIPLE / max(width, height))
    grey = picture.convert("L")
    if scale == 1.0:
        return grey
    size = (max(1, math.floor(width * scale)), max(1, math.floor(height * scale)))
    return grey.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def brightness(grey: Image.Image) -> FloatArray:
    """float32 (height, width), 0..1."""
    return np.asarray(grey, np.float32) / np.float32(255)


def padded(grey: FloatArray) -> FloatArray:
    """(height, width) to multiples of SIDE_MULTIPLE: the last row and column are repeated."""
    height, width = grey.shape
    return np.pad(grey, ((0, -height % SIDE_MULTIPLE), (0, -width % SIDE_MULTIPLE)), mode="edge")


def thumbnail(picture: Image.Image, *, side: int) -> FloatArray:
    """float32 (3, side, side), RGB 0..1, squashed to a square."""
    small = picture.convert("RGB").resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return np.asarray(small, np.float32).transpose(2, 0, 1) / np.float32(255)


def log_aspect(picture: Image.Image) -> float:
    """ln(width / height)."""
    return math.log(picture.width / picture.height)
