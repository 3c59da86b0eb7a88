"""Whether words typed side by side stand side by side: a page's tokens are kept in reading order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.encoder import FloatArray, PackedPages
from models.local.config import ScoreConfig
from models.local.probability import Doubles, calibrated, value_of
from models.local.words import QueryPlan
from models.packing import tokens_of

REVERSED = 0.5
"""What counts of two words that stand side by side in the other order, as of a name."""


def together(
    plan: QueryPlan, tokens: FloatArray, pages: PackedPages, chosen: NDArray[np.int64], config: ScoreConfig
) -> Doubles:
    """(chosen,) in 0..1: over all pairs of neighbours in the query, the mean probability that they are neighbours on
    the page, or stand there as one word or as a date. tokens: (strings, d) of the plan, which has two words or more.

    A page keeps copies of a token only beside words that are new to it: of two words that both stood on earlier lines,
    but not together, the pair may be missed.
    """
    held, counts = tokens_of(pages, chosen)
    full = counts > 0
    found = np.zeros(len(chosen))
    if not full.any():
        return found
    length = np.repeat(counts[full], counts[full])[:, None]
    shown = calibrated((held @ tokens.T).astype(np.float64), length, config)
    word, pair = np.zeros((len(held), len(plan.words))), np.zeros((len(held), len(plan.words) - 1))
    for span in plan.spans:
        value = value_of(span, shown[:, span.rows].max(1), config)[:, None]
        if span.kind in ("word", "near"):
            word[:, span.first : span.end] = np.maximum(word[:, span.first : span.end], value)
        elif span.kind in ("join", "date"):
            pair[:, span.first : span.end - 1] = np.maximum(pair[:, span.first : span.end - 1], value)
    starts = np.cumsum(counts[full]) - counts[full]
    onward = np.minimum(word[:-1, :-1], word[1:, 1:])
    backward = REVERSED * np.minimum(word[:-1, 1:], word[1:, :-1])
    beside = np.maximum(onward, backward)
    beside[starts[1:] - 1] = 0.0  # the last word of a page and the first of the next
    pair[:-1] = np.maximum(pair[:-1], beside)
    found[full] = np.maximum.reduceat(pair, starts).mean(1)
    return found
