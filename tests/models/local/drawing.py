"""Pictures with print at known places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from models.encoder import Embedding


def page(*lines: tuple[int, int, str], size: tuple[int, int] = (320, 200), height: int = 18) -> Image.Image:
    """Black words on white. lines: x, y of the upper left corner, and the text. height: of the letters in pixels."""
    picture = Image.new("RGB", size, "white")
    for x, y, text in lines:
        ImageDraw.Draw(picture).text((x, y), text, fill="black", font=ImageFont.load_default(height))
    return picture


def sideways(text: str, *, height: int = 18) -> Image.Image:
    """The line alone, to be read from top to bottom."""
    font = ImageFont.load_default(height)
    line = Image.new("RGB", (round(font.getlength(text)) + 8, 2 * height), "white")
    ImageDraw.Draw(line).text((4, height // 4), text, fill="black", font=font)
    return line.transpose(Image.Transpose.ROTATE_270)


def inked(picture: Image.Image) -> np.ndarray:
    """bool (height, width): what is darker than a middle grey."""
    return np.asarray(picture.convert("L")) < 128


def covered(embedding: Embedding, size: tuple[int, int], *, only: Sequence[int] | None = None) -> np.ndarray:
    """bool (height, width): pixels inside the boxes of the tokens, or of those of the rows in `only`."""
    mask = np.zeros(size[::-1], bool)
    assert embedding.cells is not None
    for x0, y0, x1, y1 in embedding.cells if only is None else embedding.cells[list(only)]:
        mask[int(np.floor(y0)) : int(np.ceil(y1)), int(np.floor(x0)) : int(np.ceil(x1))] = True
    return mask


def noise(size: tuple[int, int], seed: int) -> Image.Image:
    """A picture of coloured spots, like a photo of gravel."""
    spots = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(spots)
