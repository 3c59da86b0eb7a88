"""What a page looks like, in words: the few words of it that somebody would type to find it by its look.

Some are measured (colours, light, shape), the others said by linear heads over what the towers see anyway: the frozen
features of the thumbnail tell the kind of page, the cells of the page tower what stands where. The heads are trained by
models.training.looks and lie beside the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.encoder import FloatArray
from models.local.facts import Facts, described

THINGS = (
    "handwriting", "signature", "stamp", "barcode", "qrcode", "logo", "photo", "chart", "map", "diagram", "checkbox",
)  # fmt: skip
"""What a cell may belong to, beside print; in the order of the heads, from 1."""
WINDOW = (4, 10)
"""Rows and columns of cells in which a thing is looked for: 64 x 80 pixels."""
LEAST = 0.2
"""Words less sure than this are not said."""
SCENE = "scene"
"""Name of the head that tells a photo from a page: of a photo nothing is said."""

Box = tuple[float, float, float, float]
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Seen:
    """A word for the look of a page. sure: probability, 0..1. box: where, in shares of the page."""

    word: str
    sure: float
    box: Box


@dataclass(frozen=True, slots=True)
class Sight:
    """What the heads see of a page. features: (channels,), mean of the frozen features, a unit vector. cells: (n, dim),
    those that hold ink; place: (n,), their numbers in the grid of rows x columns."""

    features: FloatArray
    cells: FloatArray
    place: NDArray[np.int64]
    rows: int
    columns: int
    facts: Facts


@dataclass(frozen=True, slots=True)
class PageLooks:
    """The heads, and the vectors of what they say.

    signs: (names, token_dim), unit rows, unlike each other and unlike every token of print, so that what is seen and
    what is printed are never taken for each other. cell_weight: (dim, 1 + THINGS), cell_bias. words: of the page heads;
    page_weight: (inputs, words), page_bias; inputs as `inputs` gives them."""

    names: tuple[str, ...]
    signs: FloatArray
    cell_weight: FloatArray
    cell_bias: FloatArray
    words: tuple[str, ...]
    page_weight: FloatArray
    page_bias: FloatArray

    @classmethod
    def load(cls, path: Path) -> PageLooks:
        with np.load(path) as file:
            return cls(
                names=_words(file["names"]),
                signs=file["signs"].astype(np.float32),
                cell_weight=file["cell_weight"].astype(np.float32),
                cell_bias=file["cell_bias"].astype(np.float32),
                words=_words(file["words"]),
                page_weight=file["page_weight"].astype(np.float32),
                page_bias=file["page_bias"].astype(np.float32),
            )

    def save(self, path: Path) -> None:
        """In half precision."""
        np.savez_compressed(
            path,
            names=_bytes(self.names),
            signs=self.signs.astype(np.float16),
            cell_weight=self.cell_weight.astype(np.float16),
            cell_bias=self.cell_bias.astype(np.float16),
            words=_bytes(self.words),
            page_weight=self.page_weight.astype(np.float16),
            page_bias=self.page_bias.astype(np.float16),
        )

    def signs_of(self, names: Sequence[str]) -> FloatArray:
        """(n, token_dim); zeros, which answer nothing, for a name without a sign."""
        rows = [self.signs[self.names.index(name)] if name in self.names else 0 * self.signs[0] for name in names]
        return np.array(rows, np.float32).reshape(len(names), self.signs.shape[1])

    def found(self, sight: Sight) -> Found:
        return found_things(sight, self.cell_weight, self.cell_bias)

    def logits(self, sight: Sight, things: Found) -> FloatArray:
        """(words,): how sure each word is, on the logistic scale."""
        return inputs(sight, things) @ self.page_weight + self.page_bias

    def seen(self, sight: Sight) -> list[Seen]:
        """The words for a page, none for a photo."""
        things = self.found(sight)
        sure = dict(zip(self.words, (1 / (1 + np.exp(-self.logits(sight, things)))).tolist(), strict=True))
        if sure.pop(SCENE, 0.0) > 0.5:
            return []
        said = [
            Seen(word, value, things.boxes[THINGS.index(word)] if word in THINGS else WHOLE)
            for word, value in sure.items()
        ]
        said += [Seen(word, value, WHOLE) for word, value in described(sight.facts).items()]
        return [word for word in said if word.sure >= LEAST]


def _words(stored: NDArray[np.uint8]) -> tuple[str, ...]:
    return tuple(stored.tobytes().decode("ascii").split())


def _bytes(words: tuple[str, ...]) -> NDArray[np.uint8]:
    return np.frombuffer(" ".join(words).encode("ascii"), np.uint8)


@dataclass(frozen=True, slots=True)
class Found:
    """Things on a page. most: (THINGS,), largest sum of probabilities in a window; total: in all; boxes: around the
    likely cells near it, in shares of the page."""

    most: FloatArray
    total: FloatArray
    boxes: tuple[Box, ...]


def found_things(sight: Sight, weight: FloatArray, bias: FloatArray) -> Found:
    """Every cell that holds ink belongs to print or to one of THINGS; a thing is many cells of a kind together."""
    count = len(THINGS)
    if not len(sight.cells):
        return Found(np.zeros(count, np.float32), np.zeros(count, np.float32), (WHOLE,) * count)
    logit = sight.cells @ weight + bias
    chance = np.exp(logit - logit.max(1, keepdims=True))
    chance = (chance / chance.sum(1, keepdims=True))[:, 1:]
    grid = np.zeros((sight.rows * sight.columns, count), np.float32)
    grid[sight.place] = chance
    grid = grid.reshape(sight.rows, sight.columns, count)
    high, wide = min(WINDOW[0], sight.rows), min(WINDOW[1], sight.columns)
    sums = np.pad(grid.cumsum(0).cumsum(1), ((1, 0), (1, 0), (0, 0)))
    sums = sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
    best = sums.reshape(-1, count).argmax(0)
    boxes = tuple(_around(grid[..., kind], *divmod(int(best[kind]), sums.shape[1])) for kind in range(count))
    return Found(sums.reshape(-1, count).max(0), chance.sum(0), boxes)


def _around(grid: FloatArray, top: int, left: int) -> Box:
    """Box of the likely cells in the window that begins there and as far again around it."""
    rows, columns = grid.shape
    first_row, first_column = max(0, top - WINDOW[0]), max(0, left - WINDOW[1])
    part = grid[first_row : top + 2 * WINDOW[0], first_column : left + 2 * WINDOW[1]] > 0.5
    if not part.any():
        return (left / columns, top / rows, min(1.0, (left + WINDOW[1]) / columns), min(1.0, (top + WINDOW[0]) / rows))
    down, across = np.flatnonzero(part.any(1)) + first_row, np.flatnonzero(part.any(0)) + first_column
    return (
        float(across[0]) / columns,
        float(down[0]) / rows,
        float(across[-1] + 1) / columns,
        float(down[-1] + 1) / rows,
    )


def inputs(sight: Sight, things: Found) -> FloatArray:
    """What the page heads read: the frozen features, then how much of each thing there is, then what was measured."""
    facts = sight.facts
    numbers = (
        facts.level, facts.contrast, np.log(facts.aspect), facts.box[2] - facts.box[0], facts.box[3] - facts.box[1],
        facts.inked, np.log1p(facts.across), np.log1p(facts.down), facts.edge, min(1.0, facts.tint * 10),
        min(1.0, float(facts.ink.sum()) * 10),
    )  # fmt: skip
    return np.concatenate(
        [sight.features, np.log1p(things.most), np.log1p(things.total), np.array(numbers, np.float32)]
    )
