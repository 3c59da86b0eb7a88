"""The grey copy of a page that is read: as large as the page, smaller where more holds ink than print does, larger
where its print is small.

The reader has met small print as often as other, and still tells words of it less surely than of the same print made
larger (docs/decisions/0037-small-print-is-enlarged.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from models.local.config import LocalConfig
from models.local.ink import ink_of, inked_cells
from models.local.pictures import brightness, padded, reading_copy

INKED = 0.2
"""Ink from which a point is no paper; less than a blank cell may hold, because thin print is pale at half size."""
STRIP = 16
"""Width of a strip in pixels of the half copy: a letter or two, so that a line that is a little skewed has gaps above
and below it."""
LOWEST, HIGHEST = 3, 40
"""Pixels of the half copy: what is lower is a rule or a speck, what is higher no line of print."""


@dataclass(frozen=True, slots=True)
class PageCopy:
    """grey: what is read. ink: [height, width] of the half size of the page, and inked: (rows, columns), about which of
    its cells hold ink; both from the page before it is enlarged. crowded: more held ink than print does."""

    grey: Image.Image
    ink: torch.Tensor
    inked: NDArray[np.bool_]
    crowded: bool


def page_copy(picture: Image.Image, config: LocalConfig) -> PageCopy:
    """Of a page, or of a picture that may hold print. On a processor whatever the network runs on, so that both read
    the same copy."""
    network, read = config.network, config.read
    copy = reading_copy(picture, pixels=read.pixels)
    ink, inked = coarse_ink(copy, cell_height=network.cell_height, cell_width=network.cell_width)
    crowded = float(inked.sum()) / read.cells
    if crowded > 1.0:
        copy = reading_copy(picture, pixels=int(copy.width * copy.height / crowded))
    elif crowded > 0.0 and print_height(ink) < read.small_print:
        copy = reading_copy(picture, pixels=read.pixels, enlarge=min(read.enlarge, math.sqrt(1.0 / crowded)))
    return PageCopy(copy, ink, inked, crowded > 1.0)


def coarse_ink(copy: Image.Image, *, cell_height: int, cell_width: int) -> tuple[torch.Tensor, NDArray[np.bool_]]:
    """Ink [height, width] of a copy of half the size, and about which cells (rows, columns) hold ink, told from it."""
    half = copy.reduce(2)
    ink = ink_of(torch.from_numpy(padded(brightness(half)))[None, None])
    inked = inked_cells(ink, cell_height // 2, cell_width // 2).view(-1, ink.shape[-1] * 2 // cell_width)
    return ink[0, 0, : half.height, : half.width], inked.numpy()


def print_height(ink: torch.Tensor) -> float:
    """Pixels of the page, about from the top of the tall letters of a line to the foot of those that hang; infinite
    where there is no print. ink: [height, width], of the half copy.

    The median height of what lies between paper above and below, in strips side by side. On the training pages its
    order is that of the annotated words' boxes (rank correlation 0.88).
    """
    strips = ink[:, : ink.shape[1] // STRIP * STRIP].unflatten(1, (-1, STRIP)).amax(2)
    inked = np.pad((strips > INKED).numpy().astype(np.int8), ((1, 1), (0, 0)))
    change = np.diff(inked, axis=0).T
    (_, begins), (_, ends) = np.nonzero(change == 1), np.nonzero(change == -1)
    heights = ends - begins
    # What begins or ends at the edge of the page may go on beyond it.
    whole = (begins > 0) & (ends < len(ink)) & (heights >= LOWEST) & (heights <= HIGHEST)
    return 2.0 * float(np.median(heights[whole])) if whole.any() else math.inf
