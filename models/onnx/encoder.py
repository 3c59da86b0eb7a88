"""An encoder of pictures, and where it has a text model of words, that somebody exported to ONNX."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from models.cosine import cosine_scores
from models.encoder import (
    Embedding,
    EncoderError,
    EncodingFailure,
    FloatArray,
    PackedPages,
    QueryInput,
    SimilarityMap,
)
from models.onnx.config import OnnxConfig, misconfigured, read_config
from models.onnx.pictures import prepared
from models.onnx.session import FLOATS, Session
from models.onnx.text import TextModel

NAME = "onnx"
HASH_DIGITS = 16
UNIT = 1e-3
"""How far from 1 the length of a vector may be that the model gives as a unit vector."""

_T = TypeVar("_T")


class OnnxEncoder:
    """One vector a picture, compared by cosine; no tokens. Made by `load`. Works in one thread of its own."""

    def __init__(self, config: OnnxConfig, session: Session, text: TextModel | None, version: str) -> None:
        self._config, self._session, self._text, self._version = config, session, text, version
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder")
        [self._input] = session.inputs
        self._dims = self._tried()
        if text is not None:
            self._embeddings(text(["car"]))

    @classmethod
    def load(cls, path: Path, *, threads: int = 0) -> OnnxEncoder:
        """path: the .onnx file, with a .json of the same name beside it. threads: of each model, 0 = one a core.

        Raises EncoderError encoder_misconfigured: a file is missing, is not what it should be, or does not fit.
        """
        if not path.is_file():
            raise misconfigured(f"There is no model file {path.name}.")
        config = read_config(path.with_suffix(".json"))
        session = Session(path, threads=threads, output=config.output, pool=config.pool)
        if len(session.inputs) != 1 or not set(session.inputs.values()) <= set(FLOATS):
            raise misconfigured(f"{path.name} must take one input of float numbers, the pictures.")
        text = TextModel(path.parent, config.text, threads=threads) if config.text else None
        return cls(config, session, text, _version(path, config))

    @property
    def name(self) -> str:
        return NAME

    @property
    def version(self) -> str:
        """Hash of the model, its JSON and the files that this names."""
        return self._version

    @property
    def dims(self) -> int:
        return self._dims

    @property
    def batch_size(self) -> int:
        return self._config.batch

    async def encode_pages(self, images: Sequence[Image.Image]) -> list[Embedding | EncodingFailure]:
        """A picture without pixels, or one that the model has no finite vector for, is an EncodingFailure
        image_refused."""
        found: list[Embedding | EncodingFailure] = []
        at_once = self._session.batch or self._config.batch
        for first in range(0, len(images), at_once):
            part = images[first : first + at_once]
            found += await self._run(lambda part=part: self._pictures(part))
        return found

    async def encode_queries(self, queries: Sequence[QueryInput]) -> list[Embedding]:
        """Raises EncoderError query_refused for a picture as above, text_unsupported for words without a text model."""
        return [await self._query(query) for query in queries]

    async def score(self, query: Embedding, pages: PackedPages) -> FloatArray:
        return await asyncio.to_thread(cosine_scores, query, pages)

    async def explain(self, query: Embedding, page: Embedding) -> SimilarityMap:
        raise EncoderError.no_tokens(self.name)

    async def aclose(self) -> None:
        await asyncio.to_thread(self._thread.shutdown)

    async def _query(self, query: QueryInput) -> Embedding:
        if isinstance(query, str):
            text = self._text
            if text is None:
                detail = "This encoder sees pictures only: search by a picture, or choose an encoder that reads words."
                raise EncoderError("text_unsupported", detail, retryable=False)
            [found] = await self._run(lambda: self._embeddings(text([query])))
        else:
            [found] = await self.encode_pages([query])
        if isinstance(found, EncodingFailure):
            raise EncoderError("query_refused", found.detail, retryable=False)
        return found

    def _pictures(self, images: Sequence[Image.Image]) -> list[Embedding | EncodingFailure]:
        empty = [not image.width or not image.height for image in images]
        seen = [image for image, without in zip(images, empty, strict=True) if not without]
        vectors = iter(self._embeddings(self._vectors(seen)) if seen else ())
        refused = EncodingFailure("image_refused", "The picture has no pixels.")
        return [refused if without else next(vectors) for without in empty]

    def _vectors(self, images: Sequence[Image.Image]) -> FloatArray:
        batch = np.stack([prepared(image, self._config) for image in images]).astype(self._session.inputs[self._input])
        missing = (self._session.batch or len(batch)) - len(batch)
        if missing:
            batch = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])
        return self._session.run({self._input: batch})[: len(images)]

    def _embeddings(self, vectors: FloatArray) -> list[Embedding | EncodingFailure]:
        if vectors.shape[1] != self._dims:
            raise misconfigured(f"The text model gives {vectors.shape[1]} numbers, the picture model {self._dims}.")
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
        found: list[Embedding | EncodingFailure] = []
        for vector, length in zip(vectors, lengths, strict=True):
            if not np.isfinite(length) or not length:
                found.append(EncodingFailure("image_refused", "The model gives no finite vector for this input."))
            elif self._config.normalise:
                found.append(Embedding((vector / length).astype(np.float32), f"{NAME}/{self._version}"))
            elif abs(length - 1.0) >= UNIT:
                raise misconfigured(f"A vector has length {length:.3f}: set normalise to true in the JSON file.")
            else:
                found.append(Embedding(vector, f"{NAME}/{self._version}"))
        return found

    def _tried(self) -> int:
        """Numbers of a vector, from one grey picture. Raises EncoderError encoder_misconfigured."""
        try:
            vectors = self._vectors([Image.new("RGB", (64, 64), (127, 127, 127))])
        except EncoderError as error:
            detail = f"The model does not take pictures of the size and layout in its JSON file: {error.detail}"
            raise misconfigured(detail) from None
        if not np.isfinite(vectors).all():
            raise misconfigured("The model gives numbers that are not finite for a plain grey picture.")
        return vectors.shape[1]

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _version(path: Path, config: OnnxConfig) -> str:
    """Files with weights that an exporter puts beside the model, `NAME.onnx_data` or `NAME.onnx.data`, count too."""
    files = [path, path.with_suffix(".json")]
    if config.text:
        files += [path.parent / config.text.model, path.parent / config.text.tokenizer]
    apart = [
        other
        for other in path.parent.iterdir()
        if other.name.endswith("data") and any(other.name.startswith(file.name) for file in files)
    ]
    whole = hashlib.sha256()
    for file in [*files, *sorted(apart)]:
        with file.open("rb") as content:
            whole.update(hashlib.file_digest(content, "sha256").digest())
    return whole.hexdigest()[:HASH_DIGITS]
