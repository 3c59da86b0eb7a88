"""How many of the first ten pages of the exact scan each way to find candidates keeps, on synthetic pages.

    python scripts/bench_candidates.py PAGES [--pages 100000] [--real 60] [--queries 100]

PAGES: a folder of pages with known words, as models.training.real_pages reads it. From some of them a model of a page's
token vector is fitted: a linear map of the text tower's vector of the word that stands there, and a noise with the
covariance of what is left. Synthetic pages draw words by Zipf's law and some rare ones, and get vectors by that model,
stored as real ones are. A query is one to three neighbouring words of a page, a rare one among them. Exact is
`score_pages` over all pages; a way keeps one page in a hundred. Indexes and coarser numbers are tried in small
collections alone, see FEW and SOME. Writes docs/benchmarks/candidates.csv; rows of other collection sizes stay in it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import string
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from models import Embedding, EncoderOptions, PackedPages, create_encoder, encoder_id, quantise_tokens
from models.encoder import Encoder, FloatArray, Sketches
from models.local.config import LocalConfig, ScoreConfig
from models.local.encoder import WEIGHTS
from models.local.probability import calibrated
from models.local.scoring import score_pages, score_words
from models.local.sketches import coarse_scores, make_sketch
from models.local.words import plan_query
from models.training.real_pages import known_pages
from scripts.bench import record

TARGET = record.BENCHMARKS / "candidates.csv"
TOKENS = 162
"""Token vectors of a page, the mean of real ones."""
RARE = 5
"""Words of a page that stand on about RARE_PAGES pages each."""
RARE_PAGES = 8
MATCHED = 0.3
"""Cosine above which a real page's best vector counts as that of a word known to stand there."""
FIRST = 10
EVERY = 5
"""Of the real pages, one in so many is read."""
KEPT = 100
"""One page in so many is kept as a candidate."""
BLOCK = 8192
FEW, SOME = 5_000, 20_000
"""Pages up to which indexes, and up to which numbers of one to three bits are tried too."""

Way = Callable[[Embedding], FloatArray]


@dataclass(frozen=True)
class Collection:
    """strings with their text vectors (S, d); words: (P, TOKENS), rows of strings; pages: their vectors as stored."""

    strings: list[str]
    vectors: FloatArray
    words: NDArray[np.int64]
    pages: PackedPages

    def rows(self) -> Iterator[tuple[slice, FloatArray]]:
        """The token vectors, some at a time."""
        for start in range(0, len(self.pages.tokens), BLOCK):
            part = slice(start, start + BLOCK)
            yield part, self.pages.tokens[part] * self.pages.scales[part, None].astype(np.float32)


async def text_vectors(encoder: Encoder, strings: Sequence[str]) -> FloatArray:
    found: list[FloatArray] = []
    for start in range(0, len(strings), 32):
        # The first tokens of a query are those of its words; joined neighbours follow.
        part = strings[start : start + 32]
        [query] = await encoder.encode_queries([" ".join(part)])
        assert query.tokens is not None
        rows = [span.rows[0] for span in plan_query(query.words).spans if span.kind == "word"]
        found.append(query.tokens[rows])
    return np.concatenate(found)


async def fitted_pairs(encoder: Encoder, folder: Path, count: int) -> tuple[FloatArray, FloatArray, list[str]]:
    """Text vectors of words and the page vectors that answer them, (n, d) each; the words."""
    typed: list[FloatArray] = []
    shown: list[FloatArray] = []
    known: set[str] = set()
    # Sources follow each other in the folder, so every few pages are taken.
    for page in itertools.islice(known_pages(folder, research_only=False), 0, count * EVERY, EVERY):
        [found] = await encoder.encode_pages([Image.fromarray(page.picture).convert("RGB")])
        words = sorted({word for word, *_ in page.words if len(word) > 1})
        if not isinstance(found, Embedding) or found.tokens is None or not words:
            continue
        vectors = await text_vectors(encoder, words)
        cosines = vectors @ found.tokens.T
        sure = cosines.max(1) > MATCHED
        typed.append(vectors[sure])
        shown.append(found.tokens[cosines.argmax(1)[sure]])
        known.update(words)
    return np.concatenate(typed), np.concatenate(shown), sorted(known)


async def collection(encoder: Encoder, folder: Path, *, pages: int, real: int) -> Collection:
    rng, chance = np.random.default_rng(0), random.Random(0)
    typed, shown, common = await fitted_pairs(encoder, folder, real)
    rare = ["".join(chance.choices(string.digits + string.ascii_lowercase[:6], k=chance.randint(5, 9)))
            for _ in range(max(500, pages * RARE // RARE_PAGES))]  # fmt: skip
    strings = [*common, *rare]
    vectors = await text_vectors(encoder, strings)
    known = np.concatenate([typed, np.ones((len(typed), 1), np.float32)], axis=1)
    mapping = np.linalg.lstsq(known, shown, rcond=None)[0]
    left = shown - known @ mapping
    noise = np.linalg.cholesky(np.cov(left.T) + 1e-7 * np.eye(left.shape[1])).astype(np.float32)
    print(f"{len(typed)} pairs; the map explains {1 - left.var(0).sum() / shown.var(0).sum():.2f} of the variance")
    clean = (np.concatenate([vectors, np.ones((len(vectors), 1), np.float32)], axis=1) @ mapping).astype(np.float32)
    weight = 1.0 / np.arange(1, len(common) + 1)
    words = rng.choice(rng.permutation(len(common)), (pages, TOKENS), p=weight / weight.sum())
    places = rng.permuted(np.tile(np.arange(TOKENS), (pages, 1)), axis=1)[:, :RARE]
    np.put_along_axis(words, places, rng.integers(len(common), len(strings), (pages, RARE)), axis=1)
    tokens = np.empty((pages * TOKENS, clean.shape[1]), np.int8)
    scales = np.empty(pages * TOKENS, np.float16)
    for page in range(pages):
        made = clean[words[page]] + rng.standard_normal((TOKENS, clean.shape[1]), np.float32) @ noise.T
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        own = slice(page * TOKENS, (page + 1) * TOKENS)
        tokens[own], scales[own] = quantise_tokens(made)
    summaries = np.zeros((pages, encoder.dims), np.float32)
    summaries[:, 0] = 1.0
    offsets = np.arange(pages + 1, dtype=np.int64) * TOKENS
    return Collection(strings, vectors, words, PackedPages(summaries, tokens, scales, offsets, encoder_id(encoder)))


def questions(made: Collection, count: int) -> list[str]:
    rng = np.random.default_rng(1)
    common = int(made.words.max()) + 1 - max(500, len(made.words) * RARE // RARE_PAGES)
    asked: list[str] = []
    while len(asked) < count:
        page = made.words[rng.integers(len(made.words))]
        place, length = rng.integers(TOKENS - 2), rng.integers(1, 4)
        if page[place] >= common:
            asked.append(" ".join(made.strings[row] for row in page[place : place + length]))
    return asked


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
        for start in range(0, len(best), FEW // 50):
            own = slice(start * TOKENS, (start + FEW // 50) * TOKENS)
            left = made.pages.tokens[own] * made.pages.scales[own, None].astype(np.float32) - middle
            size = np.linalg.norm(left, axis=1, keepdims=True) * (step / left.shape[1] ** 0.5)
            near = np.clip(np.floor(left / size) * 2 + 1, -most, most) * (size / 2) + middle
            best[start : start + FEW // 50] = (near @ asked).reshape(-1, TOKENS, asked.shape[1]).max(1)
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


def measured(name: str, way: Way, queries: Sequence[Embedding], first: Sequence[NDArray[np.int64]],
             keep: int) -> dict[str, object]:  # fmt: skip
    kept: list[float] = []
    spent = 0.0
    for query, wanted in zip(queries, first, strict=True):
        started = time.process_time()
        scores = way(query)
        spent += time.process_time() - started
        kept.append(float(np.isin(wanted, np.argsort(-scores, kind="stable")[:keep]).mean()))
    return {"way": name, "recall": round(float(np.mean(kept)), 3), "cpu_ms_a_query": round(1000 * spent / len(kept), 1)}


async def run(given: argparse.Namespace) -> list[dict[str, object]]:
    config = LocalConfig.from_json(WEIGHTS / "config.json").score
    encoder = create_encoder("local", EncoderOptions(device="cpu", threads=1))
    try:
        made = await collection(encoder, given.folder, pages=given.pages, real=given.real)
        queries = await encoder.encode_queries(questions(made, given.queries))
    finally:
        await encoder.aclose()

    def exact(query: Embedding) -> FloatArray:
        return score_pages(query, made.pages, config, torch.device("cpu"))

    first = [np.argsort(-exact(query), kind="stable")[:FIRST] for query in queries]
    keep = given.pages // KEPT
    common = {"pages": given.pages, "candidates": keep, "queries": given.queries}
    ways: list[tuple[str, Callable[[], Way]]] = [
        ("exact scan", lambda: exact),
        ("sketches, four bits a number", lambda: by_sketches(made, config)),
        ("mean of the vectors", lambda: by_mean(made)),
    ]
    for bits in (1, 2, 3) if given.pages <= SOME else ():
        ways.append((f"{bits} bits a number, unpacked", lambda b=bits: by_few_bits(made, config, b)))
    if given.pages <= FEW:
        ways.append(("fixed encoding, 4,096 numbers", lambda: by_fixed_encoding(made)))
    for count in (256, 2048) if given.pages <= FEW else ():
        cells = Cells(made, count)
        for share in (0.05, 0.2):
            label = f"{count} cells, {share:.0%} of the vectors"
            ways.append((f"{label}, by centroid", lambda c=cells, s=share: by_centroids(c, config, s)))
            ways.append((f"{label}, compared exactly", lambda c=cells, s=share: by_cells(c, config, s)))
    rows: list[dict[str, object]] = []
    for name, make in ways:
        rows.append({**common, **measured(name, make(), queries, first, keep)})
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="PAGES")
    parser.add_argument("--pages", type=int, default=100_000)
    parser.add_argument("--real", type=int, default=60)
    parser.add_argument("--queries", type=int, default=100)
    given = parser.parse_args()
    stamp = record.stamp(["torch", "numpy"])
    rows = [{**row, **stamp} for row in asyncio.run(run(given))]
    record.replace_rows(TARGET, rows, key="pages")
    record.show(rows)


if __name__ == "__main__":
    main()
