"""The pairs that a photo search shows: each photo with its nearest others, and whether both show the same damage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHOWN = 10
LEAST_PHOTOS = 4
"""Photos of a label from which its photos ask."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """cosines: of the pairs. same: whether both photos have one fine label."""

    cosines: NDArray[np.float64]
    same: NDArray[np.bool_]


def nearest_pairs(vectors: NDArray[np.float32], labels: Sequence[str]) -> Neighbours:
    """The SHOWN nearest of every photo whose label has LEAST_PHOTOS, itself left out. vectors: unit rows."""
    cosines = (vectors @ vectors.T).astype(np.float64)
    np.fill_diagonal(cosines, -2.0)
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :SHOWN]
    names, count = np.array(labels), Counter(labels)
    asks = np.array([count[label] >= LEAST_PHOTOS for label in labels])
    same = names[nearest] == names[:, None]
    return Neighbours(np.take_along_axis(cosines, nearest, 1)[asks].ravel(), same[asks].ravel())


def fitted(pairs: Neighbours, *, rounds: int = 50) -> tuple[float, float]:
    """Slope and bias of the logistic curve through the pairs, by Newton's method."""
    known = np.stack([pairs.cosines, np.ones_like(pairs.cosines)], axis=1)
    weight = np.zeros(2)
    for _ in range(rounds):
        chance = 1 / (1 + np.exp(-known @ weight))
        bend = (known * (chance * (1 - chance))[:, None]).T @ known + 1e-9 * np.eye(2)
        weight += np.linalg.solve(bend, known.T @ (pairs.same - chance))
    return float(weight[0]), float(weight[1])
