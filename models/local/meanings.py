"""Words that say about the same as a typed one: other forms of it and words of like meaning, from a table that ships.

The table is made by models.training.meanings; the model card tells where it comes from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TABLE = Path(__file__).parent / "weights" / "meanings.npz"


@dataclass(frozen=True, slots=True)
class Meanings:
    """row: of each known word. Word `row` has the neighbours near[first[row] : first[row + 1]], rows as well, nearest
    first; likeness: of each, 0..255 for 0..1."""

    words: tuple[str, ...]
    row: dict[str, int]
    first: NDArray[np.uint32]
    near: NDArray[np.uint16]
    likeness: NDArray[np.uint8]

    @classmethod
    def load(cls, path: Path) -> Meanings:
        with np.load(path) as table:
            words = tuple(table["words"].tobytes().decode("ascii").split())
            rows = {word: row for row, word in enumerate(words)}
            return cls(words, rows, table["first"], table["near"], table["likeness"])

    def save(self, path: Path) -> None:
        words = np.frombuffer("\n".join(self.words).encode("ascii"), np.uint8)
        np.savez_compressed(path, words=words, first=self.first, near=self.near, likeness=self.likeness)

    def of(self, word: str) -> list[tuple[str, float]]:
        """(word, likeness 0..1) of the neighbours, nearest first; none for a word that is not known."""
        row = self.row.get(word)
        if row is None:
            return []
        place = slice(self.first[row], self.first[row + 1])
        return [(self.words[n], x / 255) for n, x in zip(self.near[place], self.likeness[place].tolist(), strict=True)]


@cache
def meanings() -> Meanings:
    """The table that ships, read once a process."""
    return Meanings.load(TABLE)
