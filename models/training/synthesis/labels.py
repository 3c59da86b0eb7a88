"""Where signs and words lie after the page was bent: the labels of a batch."""

from __future__ import annotations

import torch
from torch import Tensor

from models.local.config import NetworkConfig
from models.training.batch import UNKNOWN
from models.training.synthesis.place import Glyphs, Words

SLOT = 4
"""Width of a slot in pixels."""
AROUND = [(rows, slots) for rows in (-1, 0, 1) for slots in (-2, -1, 0, 1, 2)]
"""Slots around a sign of unknown label that become unknown too: its strokes reach there."""


def sign_labels(
    glyphs: Glyphs, x: Tensor, y: Tensor, pages: int, height: int, width: int, network: NetworkConfig
) -> Tensor:
    """int64 [pages, cells, slots] of signs whose centres lie at (x, y). Two different signs in one slot make it
    unknown."""
    rows, slots = height // network.cell_height, width // SLOT
    row, slot = (y / network.cell_height).floor().long(), (x / SLOT).floor().long()
    # one spare place at the end takes what falls off the page
    size = pages * rows * slots

    def places(row: Tensor, slot: Tensor, page: Tensor, wanted: Tensor) -> Tensor:
        inside = wanted & (row >= 0) & (row < rows) & (slot >= 0) & (slot < slots)
        return torch.where(inside, (page * rows + row) * slots + slot, size)

    here = places(row, slot, glyphs.page, glyphs.known)
    highest = torch.zeros(size + 1, dtype=torch.int64, device=x.device).scatter_reduce_(0, here, glyphs.label, "amax")
    lowest = torch.full_like(highest, UNKNOWN).neg_().scatter_reduce_(0, here, glyphs.label, "amin")
    labels = torch.where((highest > 0) & (lowest != highest), UNKNOWN, highest)
    hidden = (~glyphs.known).nonzero(as_tuple=True)[0]
    around = torch.tensor(AROUND, device=x.device)
    row, slot = row[hidden, None] + around[:, 0], slot[hidden, None] + around[:, 1]
    labels[places(row, slot, glyphs.page[hidden, None], torch.ones_like(row, dtype=torch.bool))] = UNKNOWN
    return labels[:size].view(pages, rows * (width // network.cell_width), network.slots)


def word_labels(
    words: Words,
    start: tuple[Tensor, Tensor],
    end: tuple[Tensor, Tensor],
    pages: int,
    height: int,
    width: int,
    network: NetworkConfig,
) -> tuple[Tensor, Tensor, Tensor]:
    """(word_page, word_cell, word_bytes) of the words that lie on the page from `start`, the centre of the first
    sign, to `end`. Of words that start in one cell, as in print under 9 px, one is kept: a cell begins one chunk."""
    column, row = (start[0] / network.cell_width).floor().long(), (start[1] / network.cell_height).floor().long()
    columns, rows = width // network.cell_width, height // network.cell_height
    inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    inside &= (end[0] > -2) & (end[0] < width + 2) & (end[1] > -2) & (end[1] < height + 2)
    cells = pages * rows * columns
    cell = torch.where(inside, (words.page * rows + row) * columns + column, cells)
    number = torch.arange(cell.shape[0], device=cell.device)
    first = torch.full((cells + 1,), cell.shape[0], device=cell.device).scatter_reduce_(0, cell, number, "amin")
    kept = (inside & (first[cell] == number)).nonzero(as_tuple=True)[0]
    return words.page[kept], (row * columns + column)[kept], words.text[kept]
