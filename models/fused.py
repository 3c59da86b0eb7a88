"""Another encoder's vectors with the local encoder's look at each photo beside them: two spaces, joined by rank."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from PIL import Image

from models.encoder import (
    Embedding,
    Encoder,
    EncodingFailure,
    FloatArray,
    PackedPages,
    QueryInput,
    Regions,
    SimilarityMap,
    encoder_id,
)
from models.packing import dequantise_tokens

NEARNESS = 60.0
"""Of reciprocal rank fusion: how little the first ranks differ. The value of Cormack et al. (SIGIR 2009), not tuned."""


class Eyes(Protocol):
    """models.local.photo_looks.PhotoLooks, so that torch is not loaded for its type."""

    @property
    def version(self) -> str: ...
    async def vectors(self, images: Sequence[Image.Image]) -> list[FloatArray]: ...
    async def regions(self, image: Image.Image) -> Regions: ...
    def same_kind(self, cosine: float) -> float: ...
    async def aclose(self) -> None: ...


class FusedEncoder:
    """Implements models.encoder.Encoder, Calibrated and Regional.

    The summary of a page is the main encoder's; the look is kept as its only token vector. Words are asked of the main
    encoder alone. For a picture both rank the pages, and a page's score is the main encoder's for that place in the
    joint order, so that it means what it means without the looks.
    """

    def __init__(self, main: Encoder, looks: Eyes) -> None:
        self._main, self._looks = main, looks

    @property
    def name(self) -> str:
        return f"{self._main.name}+local"

    @property
    def version(self) -> str:
        return f"{self._main.version}+{self._looks.version}"

    @property
    def dims(self) -> int:
        return self._main.dims

    @property
    def batch_size(self) -> int:
        return self._main.batch_size

    async def encode_pages(self, images: Sequence[Image.Image]) -> list[Embedding | EncodingFailure]:
        pages, looks = await asyncio.gather(self._main.encode_pages(images), self._looks.vectors(images))
        return [
            page if isinstance(page, EncodingFailure) else self._with_look(page, look, image)
            for page, look, image in zip(pages, looks, images, strict=True)
        ]

    async def encode_queries(self, queries: Sequence[QueryInput]) -> list[Embedding]:
        pictures = [query for query in queries if not isinstance(query, str)]
        asked, looks = await asyncio.gather(self._main.encode_queries(queries), self._looks.vectors(pictures))
        left = iter(looks)
        return [
            replace(one, encoder=encoder_id(self))
            if isinstance(query, str)
            else self._with_look(one, next(left), query)
            for one, query in zip(asked, queries, strict=True)
        ]

    async def score(self, query: Embedding, pages: PackedPages) -> FloatArray:
        name = encoder_id(self._main)
        asked = replace(query, encoder=name, tokens=None, cells=None)
        scores = await self._main.score(asked, _without_looks(pages, name))
        if query.tokens is None or not len(pages.tokens):
            return scores
        return await asyncio.to_thread(_fused, scores, query.tokens[0], pages)

    async def explain(self, query: Embedding, page: Embedding) -> SimilarityMap:
        return await self._main.explain(query, page)

    async def same_kind(self, query: Embedding, page: Embedding) -> float | None:
        if query.tokens is None or page.tokens is None:
            return None
        return self._looks.same_kind(float(query.tokens[0] @ page.tokens[0]))

    async def regions(self, image: Image.Image) -> Regions:
        return await self._looks.regions(image)

    async def aclose(self) -> None:
        await asyncio.gather(self._main.aclose(), self._looks.aclose())

    def _with_look(self, one: Embedding, look: FloatArray, image: Image.Image) -> Embedding:
        whole = np.array([[0, 0, image.width, image.height]], np.float32)
        return replace(one, encoder=encoder_id(self), tokens=look[None], cells=whole)


def _without_looks(pages: PackedPages, encoder: str) -> PackedPages:
    """As the main encoder made them."""
    none = np.zeros((0, 1), np.int8), np.zeros(0, np.float16), np.zeros(len(pages) + 1, np.int64)
    return PackedPages(pages.summaries, *none, encoder=encoder)


def _fused(scores: FloatArray, look: FloatArray, pages: PackedPages) -> FloatArray:
    """The scores as they are, given out anew in the joint order. A page without a look stands last by looks."""
    likeness = np.full(len(pages), -1.0, np.float32)
    has_look = np.diff(pages.offsets) > 0
    firsts = pages.offsets[:-1][has_look]
    likeness[has_look] = dequantise_tokens(pages.tokens[firsts], pages.scales[firsts]) @ look
    worth = 1.0 / (NEARNESS + _ranks(scores)) + 1.0 / (NEARNESS + _ranks(likeness))
    fused = np.empty_like(scores)
    fused[np.argsort(-worth, kind="stable")] = np.sort(scores)[::-1]
    return fused


def _ranks(values: FloatArray) -> FloatArray:
    """From 1, the largest first; equal ones in the order of the pages."""
    ranks = np.empty(len(values), np.float32)
    ranks[np.argsort(-values, kind="stable")] = np.arange(1, len(values) + 1)
    return ranks
