"""Cosines to probabilities that a word stands on a page."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.encoder import FloatArray
from models.local.config import ScoreConfig
from models.local.words import Span

Doubles = NDArray[np.float64]

USUAL_TOKENS = 125
"""Tokens of a page for which no correction of length is made."""
FEWEST_TOKENS = 48
"""Shorter pages are corrected like pages of this length: of eight specks that are no print some are like any word."""


def calibrated(cosines: Doubles, tokens: NDArray[np.int64] | int, config: ScoreConfig) -> Doubles:
    """Cosines to probabilities. tokens: how many the page has; a long page holds more chance matches."""
    excess = np.log(np.maximum(tokens, FEWEST_TOKENS) / USUAL_TOKENS)
    return sigmoid(config.slope * cosines + config.bias - config.length * excess)


def cosine_for(chance: FloatArray, tokens: int, config: ScoreConfig) -> FloatArray:
    """The cosines that `calibrated` turns into these probabilities on a page of so many tokens."""
    excess = np.log(max(tokens, FEWEST_TOKENS) / USUAL_TOKENS)
    return (np.log(chance / (1.0 - chance)) - config.bias + config.length * excess) / config.slope


def rarity(found: Doubles, pages: int) -> Doubles:
    """Inverse document frequency > 0 of things found on that many of the pages (a sum of probabilities)."""
    return np.log1p((pages - found + 0.5) / (found + 0.5))


def value_of(span: Span, shown: Doubles, config: ScoreConfig) -> Doubles:
    """0..1: what a span counts where its strings stand with probability `shown`."""
    if span.kind == "near":
        likeness = max(0.0, span.likeness - config.near_from) / (1.0 - config.near_from)
        return config.near * likeness * np.maximum(0.0, shown - config.near_doubt) / (1.0 - config.near_doubt)
    return {"word": 1.0, "join": config.join, "date": config.date, "look": 1.0}[span.kind] * shown


def sigmoid(x: Doubles) -> Doubles:
    return 0.5 * (1.0 + np.tanh(0.5 * x))
