"""How good a ranking is: the four figures of page search and the three of photo search.

Equal to the scoring scripts that came with the two development sets (tests compare them on random runs).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

Figures = dict[str, float]

MRR_DEPTH = 100


def page_figures(relevant: Collection[str], ranked: Iterable[str]) -> Figures:
    """Of one query with equally relevant pages and the ids found, best first.

    recall@k divides by min(k, relevant pages), so that 1 can be reached; mrr looks at the first 100.
    """
    if not relevant:
        raise ValueError("a query without relevant pages has no figures")
    wanted = set(relevant)
    hits = np.array([page_id in wanted for page_id in list(dict.fromkeys(ranked))[:MRR_DEPTH]], float)
    found = np.flatnonzero(hits)
    return {
        "ndcg@5": _dcg(hits[:5]) / _dcg(np.ones(min(5, len(wanted)))),
        "recall@1": float(hits[:1].sum()),
        "recall@5": float(hits[:5].sum() / min(5, len(wanted))),
        "mrr": float(1 / (found[0] + 1)) if len(found) else 0.0,
    }


def photo_figures(relevant: Collection[str], scores: Mapping[str, float], gallery: Collection[str]) -> Figures:
    """Of one photo against all others. scores: of the photos found; others of the gallery come last.

    Equal scores count against the system: what is not relevant is ranked first.
    """
    if not relevant:
        raise ValueError("a photo without relevant others has no figures")
    wanted = set(relevant)
    order = sorted(gallery, key=lambda photo: (-scores.get(photo, -np.inf), photo in wanted))
    hits = np.array([photo in wanted for photo in order], float)
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return {
        "map": float((precision * hits).sum() / len(wanted)),
        "ndcg@10": _dcg(hits[:10]) / _dcg(np.ones(min(10, len(wanted)))),
        "p@5": float(hits[:5].mean()),
    }


def mean_figures(figures: Sequence[Figures]) -> Figures:
    """The mean of each figure over queries."""
    return {name: float(np.mean([one[name] for one in figures])) for name in figures[0]}


def _dcg(gains: np.ndarray) -> float:
    return float((gains / np.log2(np.arange(2, len(gains) + 2))).sum())
