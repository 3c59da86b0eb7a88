"""Ways to find candidates among many pages without looking at all of their vectors as they are stored."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models import Embedding
from models.encoder import FloatArray, Sketches
from models.local.config import ScoreConfig
from models.local.probability import calibrated
from models.local.scoring import score_words
from models.local.sketches import coarse_scores, make_sketch
from models.local.words import plan_query
from scripts.bench.synthetic_pages import BLOCK, TOKENS, Collection

Way = Callable[[Embedding], FloatArray]
"""From a query to a score of each page, (P,)."""
PAGES_AT_ONCE = 100


def centroids(made: Collection, count: int) -> FloatArray:
    """k-means of some of the token vectors, (count, d)."""
    rng = np.random.default_rng(2)
    chosen = np.sort(rng.choice(len(made.pages.tokens), min(len(made.pages.tokens), 40 * count), replace=False))
    rows = made.pages.tokens[chosen] * made.pages.scales[chosen, None].astype(np.float32)
    middle = rows[rng.choice(len(rows), count, replace=False)]
    for _ in range(5):
        cell = nearest(rows, middle)
        size = np.bincount(cell, minlength=count)
        total = np.stack([np.bincount(cell, weights=column, minlength=count) for column in rows.T], axis=1)
        middle = np.where(size[:, None] > 0, total / np.maximum(size, 1)[:, None], middle).astype(np.float32)
    return middle


def nearest(rows: FloatArray, middle: FloatArray) -> NDArray[np.int64]:
    half = np.square(middle).sum(1) / 2
    parts = [(rows[at : at + BLOCK] @ middle.T - half).argmax(1) for at in range(0, len(rows), BLOCK)]
    return np.concatenate(parts)


class Cells:
    """Token vectors by the centroid they are nearest to. rows: their numbers, cell by cell; starts: of the cells."""

    def __init__(self, made: Collection, count: int) -> None:
        self.made, self.middle = made, centroids(made, count)
        cell = np.concatenate([nearest(rows, self.middle) for _, rows in made.rows()])
        self.rows = np.argsort(cell, kind="stable")
        self.starts = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=count))])

    def probed(self, vector: FloatArray, share: float) -> list[tuple[float, NDArray[np.int64]]]:
        """(product, rows) of the nearest cells, the nearest last, until they hold that share of all rows."""
        found: list[tuple[float, NDArray[np.int64]]] = []
        products, left = self.middle @ vector, share * len(self.rows)
        for cell in np.argsort(-products):
            if left <= 0:
                break
            rows = self.rows[self.starts[cell] : self.starts[cell + 1]]
            found.append((float(products[cell]), rows))
            left -= len(rows)
        return found[::-1]


def by_centroids(cells: Cells, config: ScoreConfig, share: float) -> Way:
    """A page has the product of the best centroid that one of its vectors belongs to."""

    def way(query: Embedding) -> FloatArray:
        assert query.tokens is not None
        best = np.full((len(cells.made.pages), len(query.tokens)), -1.0)
        for column, vector in enumerate(query.tokens):
            for product, rows in cells.probed(vector, share):
                best[rows // TOKENS, column] = product
        return combined(query, best, config)

    return way


def by_cells(cells: Cells, config: ScoreConfig, share: float) -> Way:
    """The vectors in the probed cells are compared exactly, the others not at all."""
    pages = cells.made.pages

    def way(query: Embedding) -> FloatArray:
        assert query.tokens is not None
        best = np.full((len(pages), len(query.tokens)), -1.0)
        for column, vector in enumerate(query.tokens):
            rows = np.sort(np.concatenate([rows for _, rows in cells.probed(vector, share)]))
            products = (pages.tokens[rows].astype(np.float32) @ vector) * pages.scales[rows].astype(np.float32)
            page = rows // TOKENS
            first = np.flatnonzero(np.diff(page, prepend=-1))
            best[page[first], column] = np.maximum.reduceat(products, first)
        return combined(query, best, config)

    return way


def combined(query: Embedding, best: NDArray[np.float64], config: ScoreConfig) -> FloatArray:
    return score_words(plan_query(query.words), calibrated(best, TOKENS, config), config).astype(np.float32)


def by_mean(made: Collection) -> Way:
    """One vector a page: the mean of its token vectors."""
    means = np.zeros((len(made.pages), made.vectors.shape[1]), np.float32)
    for page in range(len(means)):
        own = slice(page * TOKENS, (page + 1) * TOKENS)
        means[page] = made.pages.scales[own].astype(np.float32) @ made.pages.tokens[own].astype(np.float32)
    means -= means.mean(0)
    means /= np.linalg.norm(means, axis=1, keepdims=True)

    def way(query: Embedding) -> FloatArray:
        assert query.tokens is not None
        return means @ query.tokens.mean(0)

    return way


def by_fixed_encoding(made: Collection, *, bits: int = 4, repetitions: int = 4) -> Way:
    """As MUVERA: vectors fall into buckets by the signs of `bits` projections; a query adds up in each, a page is the
    mean in each; the encodings of all repetitions lie side by side."""
    rng = np.random.default_rng(3)
    dims, buckets = made.vectors.shape[1], 1 << bits
    planes = rng.standard_normal((repetitions, dims, bits)).astype(np.float32)
    middle = next(rows.mean(0) for _, rows in made.rows())

    def bucket(rows: FloatArray, repetition: int) -> NDArray[np.int64]:
        return (rows @ planes[repetition] > 0) @ (1 << np.arange(bits))

    pages = np.zeros((repetitions, len(made.pages), buckets, dims), np.float32)
    for part, rows in made.rows():
        page = np.arange(part.start, part.start + len(rows)) // TOKENS
        for repetition in range(repetitions):
            np.add.at(pages[repetition], (page, bucket(rows - middle, repetition)), rows - middle)
    pages /= np.maximum(np.linalg.norm(pages, axis=-1, keepdims=True), 1e-6)
    typed = made.vectors.mean(0)

    def way(query: Embedding) -> FloatArray:
        assert query.tokens is not None
        total = np.zeros(len(made.pages), np.float32)
        for repetition in range(repetitions):
            for vector, place in zip(query.tokens, bucket(query.tokens - typed, repetition), strict=True):
                total += pages[repetition, :, place] @ vector
        return total

    return way


def by_few_bits(made: Collection, config: ScoreConfig, bits: int) -> Way:
    """Page numbers without what all share, cut to 2**bits levels of the row's own deviation; the query in full. The
    products are taken in float32, so the time says nothing of what packed bits would take."""
    rows = np.concatenate([rows for _, rows in itertools.islice(made.rows(), 32)])
    middle = rows.mean(0)
    # The best uniform steps for normal numbers, in deviations (Max, 1960); of one bit only the sign is left.
    step, most = {1: (1.596, 1), 2: (0.996, 3), 3: (0.586, 7)}[bits]

    def way(query: Embedding) -> FloatArray:
        assert query.tokens is not None
        plan = plan_query(query.words).narrowed(0)
        asked = query.tokens[: len(plan.strings)].T
        best = np.empty((len(made.pages), asked.shape[1]))
        for start in range(0, len(best), PAGES_AT_ONCE):
            own = slice(start * TOKENS, (start + PAGES_AT_ONCE) * TOKENS)
            left = made.pages.tokens[own] * made.pages.scales[own, None].astype(np.float32) - middle
            size = np.linalg.norm(left, axis=1, keepdims=True) * (step / left.shape[1] ** 0.5)
            near = np.clip(np.floor(left / size) * 2 + 1, -most, most) * (size / 2) + middle
            best[start : start + PAGES_AT_ONCE] = (near @ asked).reshape(-1, TOKENS, asked.shape[1]).max(1)
        return score_words(plan, calibrated(best, TOKENS, config), config).astype(np.float32)

    return way


def by_sketches(made: Collection, config: ScoreConfig) -> Way:
    pages = made.pages
    known: list[tuple[NDArray[np.uint8], NDArray[np.float16]]] = []
    for page in range(len(pages)):
        own = slice(page * TOKENS, (page + 1) * TOKENS)
        known.append(make_sketch(pages.tokens[own], pages.scales[own]))
    codes, scales = np.concatenate([codes for codes, _ in known]), np.concatenate([scales for _, scales in known])
    sketches, every = Sketches(codes, scales, pages.offsets, pages.encoder), np.arange(len(pages))

    def way(query: Embedding) -> FloatArray:
        scores = coarse_scores(query, sketches, every, config)
        assert scores is not None
        return scores

    return way
