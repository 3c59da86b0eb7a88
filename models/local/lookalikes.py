"""A number that differs from the typed one by a digit lies near it: which of the two a page's token is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.encoder import FloatArray, PackedPages
from models.local.config import ScoreConfig
from models.local.probability import Doubles, calibrated
from models.local.words import QueryPlan
from models.packing import tokens_of

ALIKE = {
    "0": "689", "1": "47", "2": "37", "3": "589", "4": "19",
    "5": "368", "6": "058", "7": "12", "8": "0369", "9": "0348",
}  # fmt: skip
"""Digits that share most of their strokes, and are taken for each other in small or worn print."""
LONGEST = 9
"""Letters of a number that has lookalikes: longer ones hardly ever stand on other pages with one digit changed."""
SHARE = 0.5
MOST_MARGIN = 0.04
"""What a token is nearer to the number than to all its lookalikes counts so much beside its cosine, and counts up to
this: a page where a digit was misread may fall behind one that is as near otherwise, not behind any other."""


def lookalikes(string: str) -> tuple[str, ...]:
    """The strings with one digit changed to one that looks like it, or left out."""
    if len(string) > LONGEST:
        return ()
    others = [
        string[:place] + digit + string[place + 1 :]
        for place, typed in enumerate(string)
        if typed in ALIKE
        for digit in (*ALIKE[typed], *([""] if len(string) > 2 else []))
    ]
    return tuple(dict.fromkeys(others))


def numbers_of(plan: QueryPlan) -> dict[int, tuple[str, ...]]:
    """Rows of the plan's strings that are typed words with digits, and the lookalikes of each."""
    typed = dict.fromkeys(span.rows[0] for span in plan.spans if span.kind == "word")
    return {row: others for row in typed if (others := lookalikes(plan.strings[row]))}


def read_as_typed(
    numbers: Mapping[int, Sequence[str]],
    tokens: FloatArray,
    alike: FloatArray,
    pages: PackedPages,
    chosen: NDArray[np.int64],
    config: ScoreConfig,
) -> Doubles:
    """(chosen, numbers): probability that a page shows each number, rather than one that looks like it.

    tokens: (strings, d) of the plan. alike: (n, d) of all lookalikes, number by number. chosen: numbers of pages.
    """
    held, counts = tokens_of(pages, chosen)
    full = counts > 0
    shown = np.zeros((len(chosen), len(numbers)))
    if not full.any():
        return shown
    starts = (np.cumsum(counts) - counts)[full]
    first = 0
    for column, (row, others) in enumerate(numbers.items()):
        cosine = (held @ tokens[row]).astype(np.float64)
        margin = cosine - (held @ alike[first : first + len(others)].T).max(1)
        first += len(others)
        told = cosine + SHARE * np.clip(margin, -MOST_MARGIN, MOST_MARGIN)
        shown[full, column] = calibrated(np.maximum.reduceat(told, starts), counts[full], config)
    return shown
