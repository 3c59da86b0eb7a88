"""A small deterministic encoder for tests: no weights, no torch.

A picture is read as a grid of 4 x 4 cells. A word is a code of four colours (`word_code`), and `draw_words` draws
up to sixteen words as coloured cells: a text query with a drawn word matches that picture in that cell, and no other.
Summaries follow the colours and a coarse thumbnail, so crops and recompressed copies stay near their original.

    encoder = FakeEncoder()
    [page] = await encoder.encode_pages([draw_words(["hail", "windshield"])])
    [query] = await encoder.encode_queries(["hail"])
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.encoder import (
    Embedding,
    EncoderError,
    EncodingFailure,
    FloatArray,
    PackedPages,
    QueryInput,
    Regions,
    SimilarityMap,
    Sketches,
    encoder_id,
)
from models.packing import dequantise_tokens

GRID = 4
TONES = 24
TOKEN_DIMS = 4 * TONES
DIMS = TONES + GRID * GRID

_random = np.random.default_rng(7)
_FREQUENCY = (_random.standard_normal((3, TONES)) / 32.0).astype(np.float32)
_PHASE = _random.uniform(0, 2 * np.pi, TONES).astype(np.float32)


def word_code(word: str) -> tuple[tuple[int, int, int], ...]:
    """Four RGB colours that stand for a word, case folded: upper left, upper right, lower left, lower right."""
    digest = hashlib.sha256(word.casefold().encode()).digest()
    levels = [byte % 6 * 51 for byte in digest[:12]]
    return tuple((levels[i], levels[i + 1], levels[i + 2]) for i in range(0, 12, 3))


def draw_words(words: Sequence[str], *, size: tuple[int, int] = (320, 320)) -> Image.Image:
    """A white picture with one coloured cell a word, from the upper left; at most 16 words."""
    if len(words) > GRID * GRID:
        raise ValueError(f"a picture holds {GRID * GRID} words, not {len(words)}")
    mosaic = np.full((2 * GRID, 2 * GRID, 3), 255, np.uint8)
    for place, word in enumerate(words):
        row, column = divmod(place, GRID)
        mosaic[2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = np.array(word_code(word)).reshape(2, 2, 3)
    return Image.fromarray(mosaic).resize(size, Image.Resampling.NEAREST)


def words_of(text: str) -> tuple[str, ...]:
    """The words of a query as the fake counts them."""
    return tuple(re.findall(r"\w+", text)) or (text.strip(),)


class FakeEncoder:
    """Implements models.encoder.Encoder.

    tokens=False: an encoder with summaries only. refuse: a picture for which it is true becomes an EncodingFailure
    image_refused. page_batches, query_batches: sizes of the calls so far. gate: while set to an asyncio.Event that
    is not set, calls of encode_pages wait for it (they are counted in `waiting`). started: set by the first call of
    encode_pages.
    """

    def __init__(
        self,
        *,
        name: str = "fake",
        version: str = "1",
        batch_size: int = 8,
        tokens: bool = True,
        refuse: Callable[[Image.Image], bool] | None = None,
    ) -> None:
        self._name = name
        self._version = version
        self._batch_size = batch_size
        self._tokens = tokens
        self._refuse = refuse
        self._errors: list[EncoderError] = []
        self.page_batches: list[int] = []
        self.query_batches: list[int] = []
        self.gate: asyncio.Event | None = None
        self.waiting = 0
        self.started = asyncio.Event()
        self.closed = False

    @property
    def name(self) -> str:
        return self._name

    @property
    def version(self) -> str:
        return self._version

    @property
    def dims(self) -> int:
        return DIMS

    @property
    def batch_size(self) -> int:
        return self._batch_size

    def fail_next(
        self,
        times: int = 1,
        *,
        code: str = "encoder_unavailable",
        retryable: bool = True,
        retry_after_s: float | None = None,
    ) -> None:
        """The next `times` calls of encode_pages or encode_queries raise an EncoderError."""
        error = EncoderError(code, "The encoder was told to fail.", retryable=retryable, retry_after_s=retry_after_s)
        self._errors.extend([error] * times)

    async def encode_pages(self, images: Sequence[Image.Image]) -> list[Embedding | EncodingFailure]:
        self.page_batches.append(len(images))
        self.started.set()
        if self.gate is not None:
            self.waiting += 1
            await self.gate.wait()
            self.waiting -= 1
        self._raise_planned()
        return await asyncio.to_thread(lambda: [self._page(image) for image in images])

    async def encode_queries(self, queries: Sequence[QueryInput]) -> list[Embedding]:
        self.query_batches.append(len(queries))
        self._raise_planned()
        return await asyncio.to_thread(lambda: [self._query(query) for query in queries])

    async def score(self, query: Embedding, pages: PackedPages) -> FloatArray:
        if query.encoder != encoder_id(self) or pages.encoder != encoder_id(self):
            raise ValueError(f"{encoder_id(self)} cannot compare {query.encoder} with {pages.encoder}")
        return await asyncio.to_thread(_score, query, pages)

    async def explain(self, query: Embedding, page: Embedding) -> SimilarityMap:
        if query.tokens is None or page.tokens is None or page.cells is None:
            raise EncoderError("explain_unsupported", "This encoder cannot say where a page matched.", retryable=False)
        scores = np.clip(query.tokens @ page.tokens.T, 0, 1)
        if query.words:
            return SimilarityMap(words=query.words, scores=scores, cells=page.cells)
        return SimilarityMap(words=("",), scores=scores.max(axis=0, keepdims=True), cells=page.cells)

    async def regions(self, image: Image.Image) -> Regions:
        """Its cells; without tokens there is nothing to look at."""
        if not self._tokens:
            raise EncoderError("explain_unsupported", "This encoder cannot say where a page matched.", retryable=False)
        return Regions(_cell_tokens(_mosaic(image)), _cells(*image.size))

    async def aclose(self) -> None:
        self.closed = True

    def _raise_planned(self) -> None:
        if self._errors:
            raise self._errors.pop(0)

    def _page(self, image: Image.Image) -> Embedding | EncodingFailure:
        if image.mode != "RGB":
            raise ValueError(f"pictures come as RGB, not {image.mode}")
        if self._refuse is not None and self._refuse(image):
            return EncodingFailure("image_refused", "The encoder does not take this picture.")
        mosaic = _mosaic(image)
        luminance = mosaic.reshape(GRID, 2, GRID, 2, 3).mean(axis=(1, 3, 4)).ravel() / 128.0
        summary = np.concatenate([_tone(mosaic.reshape(-1, 3)).mean(axis=0), (luminance - luminance.mean()) / 4])
        return Embedding(
            summary=_unit(summary),
            encoder=encoder_id(self),
            tokens=_cell_tokens(mosaic) if self._tokens else None,
            cells=_cells(*image.size) if self._tokens else None,
            usage={"image_pixels": image.width * image.height},
        )

    def _query(self, query: QueryInput) -> Embedding:
        if not isinstance(query, str):
            page = self._page(query)
            if isinstance(page, EncodingFailure):
                raise EncoderError(page.code, page.detail, retryable=False)
            return Embedding(summary=page.summary, encoder=page.encoder, tokens=page.tokens)
        words = words_of(query)
        colours = np.array([word_code(word) for word in words], np.float32)
        summary = np.concatenate([_tone(colours.reshape(-1, 3)).mean(axis=0), np.zeros(GRID * GRID)])
        tokens = _unit(_tone(colours).reshape(len(words), TOKEN_DIMS)) if self._tokens else None
        return Embedding(summary=_unit(summary), encoder=encoder_id(self), tokens=tokens, words=words)


class SketchingFake(FakeEncoder):
    """A FakeEncoder that is models.encoder.Sketching too. A sketch of a token is the token. coarse: how many pages each
    call of coarse_score looked at."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.coarse: list[int] = []

    def sketch(
        self, tokens: NDArray[np.int8], scales: NDArray[np.float16]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        return tokens.view(np.uint8), scales

    async def coarse_score(self, query: Embedding, sketches: Sketches, chosen: NDArray[np.int64]) -> FloatArray | None:
        self.coarse.append(len(chosen))
        if query.tokens is None or not query.words:
            return None
        rows = dequantise_tokens(sketches.codes.view(np.int8), sketches.scales) @ query.tokens.T
        ends = sketches.offsets[1:]
        return np.array([rows[sketches.offsets[page] : ends[page]].max(axis=0).mean() for page in chosen], np.float32)


def _mosaic(image: Image.Image) -> FloatArray:
    small = image.resize((8 * GRID, 8 * GRID), Image.Resampling.BOX)
    pixels = np.asarray(small, np.float32).reshape(2 * GRID, 4, 2 * GRID, 4, 3)
    return pixels.mean(axis=(1, 3))


def _tone(colours: FloatArray) -> FloatArray:
    """(..., 3) colours 0..255 to (..., TONES) features whose cosine falls from 1 with the distance in colour."""
    return np.cos(colours @ _FREQUENCY + _PHASE)


def _cell_tokens(mosaic: FloatArray) -> FloatArray:
    cells = mosaic.reshape(GRID, 2, GRID, 2, 3).transpose(0, 2, 1, 3, 4).reshape(GRID * GRID, 4, 3)
    return _unit(_tone(cells).reshape(GRID * GRID, TOKEN_DIMS))


def _cells(width: int, height: int) -> FloatArray:
    rows, columns = np.divmod(np.arange(GRID * GRID), GRID)
    corners = np.stack([columns, rows, columns + 1, rows + 1], axis=1).astype(np.float32)
    return corners * np.array([width, height, width, height], np.float32) / GRID


def _unit(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.maximum(lengths, 1e-9)).astype(np.float32)


def _score(query: Embedding, pages: PackedPages) -> FloatArray:
    cosine = np.clip(pages.summaries @ query.summary, 0, 1)
    if query.tokens is None or not len(pages.tokens):
        return cosine.astype(np.float32)
    similar = np.clip(dequantise_tokens(pages.tokens, pages.scales) @ query.tokens.T, 0, 1)
    best = np.maximum.reduceat(similar, pages.offsets[:-1], axis=0).mean(axis=1)
    return (best if query.words else 0.5 * best + 0.5 * cosine).astype(np.float32)
