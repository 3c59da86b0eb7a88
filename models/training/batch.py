"""What one training step reads: pages with the words and signs that stand on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

UNKNOWN = -100
"""Sign label that the loss skips (the default `ignore_index` of torch's cross entropy)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Pages and what is known of them. Cells are numbered row * columns + column.

    image: float32 [B, 1, H, W], 0..1, 1 = white paper. signs: int64 [B, cells, slots], class of the sign whose
    centre lies in that 4 px wide slot of the cell: 0 none, 1..36 = 0-9a-z, 37 any other sign, UNKNOWN.
    word_page: int64 [n], page of each word. word_cell: int64 [n], cell of the centre of the word's first sign.
    word_bytes: uint8 [n, 24], canonical bytes: lower case, [a-z0-9] only, zero padded.
    """

    image: Tensor
    signs: Tensor
    word_page: Tensor
    word_cell: Tensor
    word_bytes: Tensor

    def packed(self) -> tuple[Tensor, ...]:
        """The same in few bytes, on the CPU: pixels and sign classes as one byte each."""
        image = (self.image * 255 + 0.5).to(torch.uint8)
        return tuple(
            tensor.cpu()
            for tensor in (
                image,
                self.signs.to(torch.int8),
                self.word_page.int(),
                self.word_cell.int(),
                self.word_bytes,
            )
        )

    @classmethod
    def unpacked(cls, packed: Sequence[Tensor], device: torch.device | str) -> Batch:
        """What `packed` gave, on `device`; pixels are rounded to 255ths, as in any picture file."""
        image, signs, page, cell, words = (tensor.to(device, non_blocking=True) for tensor in packed)
        return cls(image.float() / 255, signs.long(), page.long(), cell.long(), words)


def filled(packed: Sequence[Tensor], words: int) -> tuple[Tensor, ...]:
    """A packed batch with at least so many words: the first ones stand there again. A word that stands twice counts as
    the same word everywhere in the loss."""
    image, signs, *known = packed
    again = torch.arange(max(words, len(known[-1])), device=image.device) % max(1, len(known[-1]))
    return image, signs, *(tensor[again] for tensor in known)


def join(batches: Sequence[Batch]) -> Batch:
    """One batch of several whose pages have the same size, on the same device; page numbers run on."""
    starts = [0]
    for batch in batches:
        starts.append(starts[-1] + batch.image.shape[0])
    return Batch(
        torch.cat([batch.image for batch in batches]),
        torch.cat([batch.signs for batch in batches]),
        torch.cat([batch.word_page + start for batch, start in zip(batches, starts, strict=False)]),
        torch.cat([batch.word_cell for batch in batches]),
        torch.cat([batch.word_bytes for batch in batches]),
    )
