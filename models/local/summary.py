"""A summary: what a picture looks like and what the words on it mean, each in numbers of its own.

Both are part of one unit vector, so that a vector index finds pages by either; scores tell them apart again.
"""

from __future__ import annotations

import math

import numpy as np

from models.encoder import FloatArray
from models.local.probability import Doubles
from models.local.senses import SENSE_DIM

MEANING_SHARE = 0.3
"""Of the cosine of two pages that have words. Looks differ less from page to page than meanings do, so that less is
enough for a question in words, and photos beside a few words are still found by their look."""


def summary_of(look: FloatArray, meaning: FloatArray | None) -> FloatArray:
    """Unit vectors (D,) and (SENSE_DIM,) to one; a look without words keeps the whole length."""
    if meaning is None:
        return np.concatenate([look, np.zeros(SENSE_DIM, np.float32)])
    return np.concatenate([look * math.sqrt(1 - MEANING_SHARE), meaning * math.sqrt(MEANING_SHARE)])


def likeness(query: FloatArray, pages: FloatArray) -> tuple[Doubles, Doubles]:
    """Cosines (P,) of the looks, and of the meanings, 0 where one of the two has none. pages: summaries, (P, D)."""
    asked, means = query[-SENSE_DIM:], pages[:, -SENSE_DIM:]
    looks = (pages[:, :-SENSE_DIM] @ query[:-SENSE_DIM]).astype(np.float64)
    # Both parts together have length 1, and the meaning is the shorter sum.
    lengths = np.sqrt((1.0 - asked @ asked) * (1.0 - np.einsum("ij,ij->i", means, means)).astype(np.float64))
    return looks / lengths, (means @ asked).astype(np.float64) / MEANING_SHARE
