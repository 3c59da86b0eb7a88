"""The local encoder: models.encoder.Encoder on this machine's CPU or GPU, off the event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
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
)
from models.local.config import LocalConfig
from models.local.memory import give_back, keep_blocks
from models.local.page_looks import PageLooks
from models.local.reading import Reader
from models.local.rotation import rotate_tokens
from models.local.scoring import explain_words, is_read, same_kind, score_pages
from models.local.senses import SENSE_DIM, Senses, SenseTable
from models.local.sentences import SentenceEncoder
from models.local.sketches import coarse_scores, make_sketch
from models.local.upright import Upright
from models.local.weights import read_weights

NAME = "local"
LOOKS, SENSES, UPRIGHT = "looks.npz", "senses.npz", "upright.npz"
WITHOUT_SENTENCES = "-words"
"""After the version where the sentence encoder is not installed: vectors are others then."""
WEIGHTS = Path(__file__).parent / "weights"
BATCH_PAGES = 8

_T = TypeVar("_T")


class LocalEncoder:
    """Pages to word vectors and a summary, words to the vectors that pages answer to. Made by `load`.

    All work is done in one thread of its own, a picture at a time, so a query waits for one page at most.
    """

    def __init__(self, config: LocalConfig, reader: Reader) -> None:
        self._config, self._reader = config, reader
        self._since_given_back = 0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder")

    @classmethod
    def load(cls, device: str = "auto", threads: int = 0, *, weights: Path | None = None) -> LocalEncoder:
        """device: "auto", "cpu" or "cuda". threads: of the whole process for torch, 0 = the cores it may use.
        weights: a folder; None for the one that ships.

        Raises EncoderError encoder_misconfigured: no weights, weights of other code, no such device.
        """
        keep_blocks()
        place = _device(device)
        weights = weights or WEIGHTS
        config, network = read_weights(weights)
        rotate_tokens(network)
        # What OMP_NUM_THREADS allows is torch's number before anybody changes it.
        torch.set_num_threads(threads or min(_cores(), torch.get_num_threads()))
        half = place.type == "cuda" or torch.cpu.get_capabilities().get("avx512_bf16", False)
        senses = None
        if (weights / SENSES).exists():
            sentences = SentenceEncoder.installed(place, torch.bfloat16 if half else torch.float32)
            if sentences is None:
                config = replace(config, version=f"{config.version}{WITHOUT_SENTENCES}")
            else:
                senses = Senses(SenseTable.load(weights / SENSES), sentences)
        encoder = f"{NAME}/{config.version}"
        looks = PageLooks.load(weights / LOOKS) if (weights / LOOKS).exists() else None
        upright = Upright.load(weights / UPRIGHT) if (weights / UPRIGHT).exists() else None
        reader = Reader(
            config, network, device=place, half=half, encoder=encoder, looks=looks, senses=senses, upright=upright
        )
        return cls(config, reader)

    @property
    def name(self) -> str:
        return NAME

    @property
    def version(self) -> str:
        return self._config.version

    @property
    def dims(self) -> int:
        return self._config.network.summary_dim + SENSE_DIM

    @property
    def batch_size(self) -> int:
        return BATCH_PAGES

    async def encode_pages(self, images: Sequence[Image.Image]) -> list[Embedding | EncodingFailure]:
        encoded = [await self._page(image) for image in images]
        self._since_given_back += len(images)
        if self._since_given_back >= BATCH_PAGES:
            self._since_given_back = 0
            await self._run(give_back)
        return encoded

    async def encode_queries(self, queries: Sequence[QueryInput]) -> list[Embedding]:
        """Raises EncoderError query_refused for a picture without pixels."""
        return [await self._query(query) for query in queries]

    async def score(self, query: Embedding, pages: PackedPages) -> FloatArray:
        return await self._run(lambda: score_pages(query, pages, self._config.score, self._reader.device))

    def sketch(
        self, tokens: NDArray[np.int8], scales: NDArray[np.float16]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        return make_sketch(tokens, scales)

    async def coarse_score(self, query: Embedding, sketches: Sketches, chosen: NDArray[np.int64]) -> FloatArray | None:
        return await self._run(lambda: coarse_scores(query, sketches, chosen, self._config.score))

    async def explain(self, query: Embedding, page: Embedding) -> SimilarityMap:
        tokens, cells = page.tokens, page.cells
        if tokens is None or cells is None:
            raise EncoderError("explain_unsupported", "Nothing on this page could be read as words.", retryable=False)
        words, scores = await self._run(lambda: explain_words(query, tokens, self._config.score))
        return SimilarityMap(words=words, scores=scores, cells=cells)

    async def same_kind(self, query: Embedding, page: Embedding) -> float | None:
        return same_kind(query, page, self._config.score)

    def is_read(self, page: Embedding) -> bool:
        return is_read(page)

    async def regions(self, image: Image.Image) -> Regions:
        return await self._run(lambda: self._reader.regions(image))

    async def aclose(self) -> None:
        await asyncio.to_thread(self._thread.shutdown)

    async def _page(self, image: Image.Image) -> Embedding | EncodingFailure:
        if not image.width or not image.height:
            return EncodingFailure("image_refused", "The picture has no pixels.")
        return await self._run(lambda: self._reader.picture(image))

    async def _query(self, query: QueryInput) -> Embedding:
        if isinstance(query, str):
            return await self._run(lambda: self._reader.text(query))
        page = await self._page(query)
        if isinstance(page, EncodingFailure):
            raise EncoderError("query_refused", page.detail, retryable=False)
        return page

    async def _run(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise EncoderError("encoder_unavailable", "The local encoder ran out of memory.", retryable=True) from error


def _device(name: str) -> torch.device:
    if name not in ("auto", "cpu", "cuda"):
        raise EncoderError("encoder_misconfigured", f"The device is auto, cpu or cuda, not {name}.", retryable=False)
    if name == "cuda" and not torch.cuda.is_available():
        raise EncoderError("encoder_misconfigured", "There is no CUDA device that torch can use.", retryable=False)
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _cores() -> int:
    """Cores that this process may run on; in a container, those of its quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return allowed
    return allowed if quota == "max" else max(1, min(allowed, round(int(quota) / int(period))))
