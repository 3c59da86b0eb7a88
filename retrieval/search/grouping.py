"""From scored pages to ranked answers: pages as they are, or claims by their best matching pages.

A claim is compared like for like. What was asked (one thing, several photos, all pages of a claim) is paired with the
claim's pages, one to one, best pair first, and the score is the mean of the best pairs. Only as many pairs count as
both sides have, and near copies of a page count once, so a claim gains nothing by the number of its photos.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.encoder import FloatArray
from retrieval.documents import GroupBy

FURTHER_PAGES = 10
MOST_PAIRS = 4
"""Of a claim, that count, all the same. On claims made of held-back training photos, with papers and without, this
found more right ones than an earlier pair that counts more than the next: a best pair alone is often chance."""
NEAR_COPY = 0.97
"""Cosine of the summaries of two pages of one claim from which they count as one."""
COMPARED_CLAIMS = 1000
"""Claims that are paired page by page when more than one thing is asked: those whose best page is best."""
DIVERSE_POOL = 100
"""Claims among which a diverse answer is chosen."""


@dataclass(frozen=True, slots=True)
class Pair:
    """probe: place of what was asked. score: of that probe alone on that page."""

    probe: int
    page_id: str
    score: float


@dataclass(frozen=True, slots=True)
class Group:
    """One answer. pages: (page_id, best score), best first; one page unless grouped by claim. pairs: one to one,
    best first; one unless grouped by claim."""

    score: float
    pages: tuple[tuple[str, float], ...]
    pairs: tuple[Pair, ...]

    @property
    def page_id(self) -> str:
        return self.pages[0][0]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Pages best first, ties by page_id. by_probe: float32 (m, n), a row for each thing asked. claims: int64 (n,),
    equal for pages of one claim. places: int64 (n,), the page's row in `summaries`. exact: ids of pages whose own text
    holds what was asked for exactly; they come first."""

    page_ids: list[str]
    by_probe: FloatArray
    claims: NDArray[np.int64]
    places: NDArray[np.int64]
    summaries: FloatArray
    exact: frozenset[str] = frozenset()

    @property
    def scores(self) -> FloatArray:
        return self.by_probe.max(0)

    def without(self, gone: Container[str]) -> Ranking:
        return self._kept(np.flatnonzero([page_id not in gone for page_id in self.page_ids]))

    def at_least(self, score: float) -> Ranking:
        return self._kept(np.flatnonzero(self.scores >= score))

    def _kept(self, keep: NDArray[np.int64]) -> Ranking:
        return replace(
            self,
            page_ids=[self.page_ids[place] for place in keep],
            by_probe=self.by_probe[:, keep],
            claims=self.claims[keep],
            places=self.places[keep],
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which answers: from `offset` on, at most `limit`, none below `min_score`. diversity: 0 = by score alone, towards
    1 = claims unlike those before them first."""

    group_by: GroupBy
    offset: int
    limit: int
    min_score: float = 0.0
    diversity: float = 0.0


def rank(
    page_ids: list[str],
    by_probe: FloatArray,
    claims: NDArray[np.int64],
    places: NDArray[np.int64],
    summaries: FloatArray,
    exact: frozenset[str] = frozenset(),
) -> Ranking:
    """page_ids in ascending order, the arrays in the same order. Pages in `exact` come first, in the order of their
    scores, and score at least as the best of the others, so that scores fall with the ranks."""
    scores = by_probe.max(0)
    named = np.array([page_id in exact for page_id in page_ids], bool)
    order = np.lexsort((-scores, ~named))
    if named.any() and not named.all():
        by_probe = np.where(named, np.maximum(by_probe, scores[~named].max()), by_probe)
    return Ranking(
        [page_ids[place] for place in order.tolist()],
        by_probe[:, order],
        claims[order],
        places[order],
        summaries,
        exact,
    )


def group(ranking: Ranking, wanted: Wanted) -> tuple[list[Group], int]:
    """The answers wanted, and how many there are in all. A claim lists at most `FURTHER_PAGES` beside its best page."""
    if wanted.group_by == "page":
        ranking = ranking.at_least(wanted.min_score)
        best, probes = ranking.scores, ranking.by_probe.argmax(0)
        window = range(wanted.offset, min(wanted.offset + wanted.limit, len(ranking.page_ids)))
        found = [Pair(int(probes[place]), ranking.page_ids[place], float(best[place])) for place in window]
        groups = [Group(pair.score, ((pair.page_id, pair.score),), (pair,)) for pair in found]
        return groups, len(ranking.page_ids)
    end = wanted.offset + wanted.limit
    claims, total = _claims(ranking, wanted.min_score, max(end, DIVERSE_POOL) if wanted.diversity else end)
    if wanted.diversity:
        claims = _diverse(ranking, claims, wanted.diversity)
    return [_group(ranking, found, wanted.min_score) for found in claims[wanted.offset : end]], total


@dataclass(frozen=True, slots=True)
class _Claim:
    """places: of its pages in the ranking, best first. pairs: (probe, place, score), best first."""

    score: float
    places: NDArray[np.int64]
    pairs: tuple[tuple[int, int, float], ...]


def _claims(ranking: Ranking, min_score: float, count: int) -> tuple[list[_Claim], int]:
    """The first `count` claims that reach `min_score`, best first, ties in the order of their best pages, and how many
    reach it."""
    names, firsts = np.unique(ranking.claims, return_index=True)
    order = np.argsort(firsts)

    def places_of(claim: int) -> NDArray[np.int64]:
        return np.flatnonzero(ranking.claims == names[claim])

    if len(ranking.by_probe) > 1:
        claims = [_paired(ranking, places_of(claim)) for claim in order[:COMPARED_CLAIMS]]
        claims = sorted((found for found in claims if found.score >= min_score), key=lambda found: -found.score)
        return claims[:count], len(claims)
    scores = ranking.by_probe[0, firsts[order]]
    total = int((scores >= min_score).sum())
    best = zip(order[: min(count, total)], scores.tolist(), strict=False)
    return [_Claim(score, places_of(claim), ((0, int(firsts[claim]), score),)) for claim, score in best], total


def _paired(ranking: Ranking, places: NDArray[np.int64]) -> _Claim:
    left = ranking.by_probe[:, places].copy()
    looks = ranking.summaries[ranking.places[places]]
    pairs: list[tuple[int, int, float]] = []
    while len(pairs) < MOST_PAIRS:
        probe, page = np.unravel_index(int(left.argmax()), left.shape)
        score = float(left[probe, page])
        if score < 0:
            break
        pairs.append((int(probe), int(places[page]), score))
        left[probe] = -1
        left[:, looks @ looks[page] >= NEAR_COPY] = -1
        left[:, page] = -1
    mean = sum(score for _, _, score in pairs) / len(pairs)
    return _Claim(mean, places, tuple(pairs))


def _diverse(ranking: Ranking, claims: list[_Claim], diversity: float) -> list[_Claim]:
    """Maximal marginal relevance: the next is the claim that scores most after its likeness to the nearest one before
    it is taken off; two claims are as alike as their best pages."""
    pool = claims[:DIVERSE_POOL]
    looks = ranking.summaries[ranking.places[[found.pairs[0][1] for found in pool]]]
    worth = (1 - diversity) * np.array([found.score for found in pool])
    nearest = np.zeros(len(pool))
    open_, chosen = np.ones(len(pool), bool), list[_Claim]()
    while open_.any():
        place = int(np.where(open_, worth - diversity * nearest, -np.inf).argmax())
        open_[place] = False
        chosen.append(pool[place])
        nearest = np.maximum(nearest, looks @ looks[place])
    return chosen + claims[DIVERSE_POOL:]


def _group(ranking: Ranking, found: _Claim, min_score: float) -> Group:
    paired = [place for _, place, _ in found.pairs]
    best = dict(zip(found.places.tolist(), ranking.by_probe[:, found.places].max(0).tolist(), strict=True))
    others = [place for place, score in best.items() if place not in paired and score >= min_score]
    listed = sorted([*paired, *others[: 1 + FURTHER_PAGES - len(paired)]])
    return Group(
        score=found.score,
        pages=tuple((ranking.page_ids[place], best[place]) for place in listed),
        pairs=tuple(Pair(probe, ranking.page_ids[place], score) for probe, place, score in found.pairs),
    )
