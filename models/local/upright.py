"""Which way up a page lies, told from its cells before anything of it is kept.

The reader knows upright print, and of a page that lies on its side or upside down it tells words that nobody typed. The
mean of its cells' vectors tells the four ways apart, though they were never asked to; the head is trained by
models.training.upright and lies beside the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.encoder import FloatArray
from models.local.page_tower import Cells

TURNS = (
    None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270,
)  # fmt: skip
"""By quarter turns to the left."""
FEWEST_CELLS = 64
"""Cells with ink from which a picture lies one way or another: some ten words."""


@dataclass(frozen=True, slots=True)
class Upright:
    """weight: float32 (dim, 4), bias: (4,): of the quarter turns to the left that set a page upright."""

    weight: FloatArray
    bias: FloatArray

    @classmethod
    def load(cls, path: Path) -> Upright:
        with np.load(path) as file:
            return cls(file["weight"].astype(np.float32), file["bias"].astype(np.float32))

    def save(self, path: Path) -> None:
        """In half precision."""
        np.savez_compressed(path, weight=self.weight.astype(np.float16), bias=self.bias.astype(np.float16))

    def turns(self, cells: Cells) -> int:
        """Quarter turns to the left that set one page upright, 0..3; 0 where it holds too little to tell."""
        if int(cells.mask.sum()) < FEWEST_CELLS:
            return 0
        return int(self.said(mean_cell(cells)))

    def said(self, means: FloatArray) -> NDArray[np.int64]:
        """Of means (..., dim) as `mean_cell` gives them, turns (...)."""
        return np.argmax(means @ self.weight + self.bias, axis=-1)


def mean_cell(cells: Cells) -> FloatArray:
    """(dim,), of one page."""
    return cells.hidden[0, cells.mask[0]].float().mean(0).cpu().numpy()


def turned(picture: Image.Image, turns: int) -> Image.Image:
    """turns: quarter turns to the left."""
    way = TURNS[turns]
    return picture if way is None else picture.transpose(way)


def turned_back(boxes: FloatArray, turns: int, *, width: int, height: int) -> FloatArray:
    """Boxes (n, 4) in pixels of a picture that was turned, in those of the picture before, of width x height."""
    x0, y0, x1, y1 = boxes.T
    match turns:
        case 1:
            sides = (width - y1, x0, width - y0, x1)
        case 2:
            sides = (width - x1, height - y1, width - x0, height - y0)
        case 3:
            sides = (y0, height - x1, y1, height - x0)
        case _:
            sides = (x0, y0, x1, y1)
    return np.stack(sides, axis=1)
