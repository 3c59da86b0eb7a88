"""A collection of synthetic pages whose token vectors are like those of real ones, and questions that name a page."""

from __future__ import annotations

import itertools
import random
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models import Embedding, PackedPages, encoder_id, quantise_tokens
from models.encoder import Encoder, FloatArray
from models.local.words import plan_query
from models.training.real_pages import known_pages

TOKENS = 162
"""Token vectors of a page, the mean of real ones."""
RARE = 5
"""Words of a page that stand on about RARE_PAGES pages each."""
RARE_PAGES = 8
MATCHED = 0.3
"""Cosine above which a real page's best vector counts as that of a word known to stand there."""
EVERY = 5
"""Of the real pages, one in so many is read."""
BLOCK = 8192


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
