"""Word search over plain text: BM25 of words, alone or half and half with BM25 of character 4-grams.

This is what a user would set up instead of a page encoder, so it is kept as strong as it is simple.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np

K1, B = 1.2, 0.75
GRAM = 4

_WORD = re.compile(r"[^\W_]+")
_NUMBER = re.compile(r"\d+(?:[.,/-]\d+)+")
Terms = Callable[[str], list[str]]


def words(text: str) -> list[str]:
    """Runs of letters and digits in lower case; a number with points, commas, slashes or hyphens counts once more as
    a whole, so that 4,090.56 is found among all the 4s and 56s."""
    lowered = text.lower()
    return _WORD.findall(lowered) + _NUMBER.findall(lowered)


def grams(text: str) -> list[str]:
    """Character 4-grams of the words in a row, one space between two of them: they forgive a misread letter."""
    row = f" {' '.join(_WORD.findall(text.lower()))} "
    return [row[start : start + GRAM] for start in range(len(row) - GRAM + 1)]


class Bm25:
    """Okapi BM25 over a fixed collection of texts."""

    def __init__(self, texts: Sequence[str], terms: Terms) -> None:
        self._terms = terms
        counted = [Counter(terms(text)) for text in texts]
        lengths = np.array([counts.total() for counts in counted], float)
        self._count = len(texts)
        self._norms = K1 * (1 - B + B * lengths / max(1.0, float(lengths.mean())))
        self._postings: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for place, counts in enumerate(counted):
            for term, times in counts.items():
                self._postings[term].append((place, times))

    def scores(self, query: str) -> np.ndarray:
        """float64, one a text; 0 where no term of the query stands."""
        found = np.zeros(self._count)
        for term in self._terms(query):
            postings = self._postings.get(term)
            if not postings:
                continue
            rarity = np.log(1 + (self._count - len(postings) + 0.5) / (len(postings) + 0.5))
            for place, times in postings:
                found[place] += rarity * times * (K1 + 1) / (times + self._norms[place])
        return found


class WordSearch:
    """Ranks pages by their text. with_grams: half and half with 4-grams, the best page of each counting 1."""

    def __init__(self, texts: Mapping[str, str], *, with_grams: bool) -> None:
        self._ids = list(texts)
        self._words = Bm25(list(texts.values()), words)
        self._grams = Bm25(list(texts.values()), grams) if with_grams else None

    def rank(self, query: str) -> list[str]:
        """Ids of the pages that hold anything of the query, best first; ties in the order of the ids given."""
        scores = self._words.scores(query)
        if self._grams is not None:
            scores = _share(scores) + _share(self._grams.scores(query))
        order = np.argsort(-scores, kind="stable")
        return [self._ids[place] for place in order if scores[place] > 0]


def _share(scores: np.ndarray) -> np.ndarray:
    best = scores.max(initial=0.0)
    return scores / best / 2 if best > 0 else scores
