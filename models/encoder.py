"""The encoder door: what an encoder takes and gives. Light on purpose: numpy and Pillow only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FloatArray = NDArray[np.float32]
QueryInput = str | Image.Image


@dataclass(frozen=True, slots=True)
class Embedding:
    """Vectors of one page or query, as an encoder made them.

    summary: float32 (D,), length 1 within 1e-3.
    tokens: float32 (T, d), 1 <= T <= 1024, rows of length 1, shorter where they say unsurely what a page looks like;
        None if the encoder gives none.
    cells: float32 (T, 4), boxes x0, y0, x1, y1 in pixels of the encoded picture, one a token;
        None for words and for encoders without tokens.
    encoder: name and version, "local/1". Vectors of two encoders are never compared.
    words: the typed words that the tokens of a text query stand for; empty for pictures.
    usage: what the service charged for this input, for example {"image_pixels": 1171170}.
    """

    summary: FloatArray
    encoder: str
    tokens: FloatArray | None = None
    cells: FloatArray | None = None
    words: tuple[str, ...] = ()
    usage: Mapping[str, int] = field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        length = float(np.linalg.norm(self.summary.astype(np.float64)))
        if self.summary.ndim != 1 or not abs(length - 1.0) < 1e-3:
            raise ValueError(f"summary must be one vector of length 1, got {self.summary.shape} of length {length:.4f}")
        if self.tokens is not None and (self.tokens.ndim != 2 or not np.isfinite(self.tokens).all()):
            raise ValueError(f"tokens must be finite (T, d), got {self.tokens.shape}")
        if self.tokens is not None and self.cells is not None and len(self.cells) != len(self.tokens):
            raise ValueError(f"{len(self.tokens)} tokens but {len(self.cells)} cells")


@dataclass(frozen=True, slots=True)
class EncodingFailure:
    """One input that could not be encoded while its neighbours were.

    code: stable, snake_case ("image_refused", "image_too_large"). detail: a sentence for the user.
    """

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class PackedPages:
    """Stored vectors of many pages in one block, in the exact form used at search time.

    summaries: float32 (P, D). tokens: int8 (N, d), row i stands for tokens[i] * scales[i]
    (-15 to 15, or less, as `models.packing` makes them).
    scales: float16 (N,). offsets: int64 (P + 1,): page p owns rows offsets[p]:offsets[p + 1]
    (no rows where its encoder gives no tokens). encoder: of all pages.
    """

    summaries: FloatArray
    tokens: NDArray[np.int8]
    scales: NDArray[np.float16]
    offsets: NDArray[np.int64]
    encoder: str

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True, slots=True)
class Sketches:
    """Coarse copies of the token vectors of many pages, as `Sketching` makes them.

    codes: uint8 (N, c), a row a token vector. scales: float16 (N,). offsets: int64 (P + 1,): page p owns rows
    offsets[p]:offsets[p + 1]. encoder: of all pages.
    """

    codes: NDArray[np.uint8]
    scales: NDArray[np.float16]
    offsets: NDArray[np.int64]
    encoder: str


@dataclass(frozen=True, slots=True)
class SimilarityMap:
    """Which cells of a page answer which word of a query.

    words: W strings ("" for a picture query as a whole). scores: float32 (W, T) in 0..1.
    cells: float32 (T, 4) boxes in pixels of the encoded picture.
    """

    words: tuple[str, ...]
    scores: FloatArray
    cells: FloatArray


@dataclass(frozen=True, slots=True)
class Regions:
    """Parts of one picture that show something. vectors: float32 (n, d), rows of length 1. boxes: float32 (n, 4), x0,
    y0, x1, y1 in its pixels; they may overlap."""

    vectors: FloatArray
    boxes: FloatArray


class EncoderError(Exception):
    """An encoder could not do its work at all; the whole batch may be tried again if `retryable`.

    code: stable, snake_case: encoder_unavailable, encoder_rate_limited, encoder_unauthorised,
    encoder_misconfigured, query_refused, text_unsupported, explain_unsupported. retry_after_s: seconds to wait when
    the service said so.
    """

    def __init__(self, code: str, detail: str, *, retryable: bool, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.retryable = retryable
        self.retry_after_s = retry_after_s

    @classmethod
    def no_tokens(cls, encoder: str) -> EncoderError:
        """Why an encoder with one vector a page explains nothing. encoder: its name."""
        detail = f"The {encoder} encoder gives one vector a page, so it cannot say where a page matched."
        return cls("explain_unsupported", detail, retryable=False)


@runtime_checkable
class Encoder(Protocol):
    """Pictures and words to vectors, and their scores. Methods never block the event loop."""

    @property
    def name(self) -> str:
        """ "local", "voyage", "voyage+local" or "onnx"."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever the same input may give another vector."""
        ...

    @property
    def dims(self) -> int:
        """Length of the summary vector."""
        ...

    @property
    def batch_size(self) -> int:
        """Pages that one call of encode_pages should get; bounds the memory of an ingest."""
        ...

    async def encode_pages(self, images: Sequence[Image.Image]) -> list[Embedding | EncodingFailure]:
        """RGB pictures to embeddings, one each and in order; a result does not depend on its neighbours."""
        ...

    async def encode_queries(self, queries: Sequence[QueryInput]) -> list[Embedding]:
        """Typed words or RGB pictures to embeddings in the same space, one each and in order."""
        ...

    async def score(self, query: Embedding, pages: PackedPages) -> FloatArray:
        """Exact scores (P,) in 0..1, higher is more alike: late interaction where there are tokens,
        cosine where not."""
        ...

    async def explain(self, query: Embedding, page: Embedding) -> SimilarityMap:
        """Which cells of the page matched. Raises EncoderError explain_unsupported without tokens."""
        ...

    async def aclose(self) -> None:
        """Give back connections and threads."""
        ...


@runtime_checkable
class Calibrated(Protocol):
    """An encoder that can say how likely two photos show the same kind of damage."""

    async def same_kind(self, query: Embedding, page: Embedding) -> float | None:
        """0..1, right on average over the neighbours that searches show; None where one of the two is no photo."""
        ...


@runtime_checkable
class Reading(Protocol):
    """An encoder that reads the print on pages."""

    def is_read(self, page: Embedding) -> bool:
        """Whether it was read as paper and screens are, and not seen to be a scene that holds little print or none."""
        ...


@runtime_checkable
class Regional(Protocol):
    """An encoder that can look at a picture part by part."""

    async def regions(self, image: Image.Image) -> Regions:
        """Of an RGB picture; parts of two pictures are compared by cosine."""
        ...


@runtime_checkable
class Sketching(Protocol):
    """An encoder whose token vectors have coarse copies, so small that those of a large collection stay in memory."""

    def sketch(
        self, tokens: NDArray[np.int8], scales: NDArray[np.float16]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        """Codes (T, c) and scales (T,) of stored token vectors (T, d). Any thread may call it."""
        ...

    async def coarse_score(self, query: Embedding, sketches: Sketches, chosen: NDArray[np.int64]) -> FloatArray | None:
        """About how well the chosen pages (ascending) answer by their tokens, (len(chosen),), higher is better; not
        comparable with `score`. None where the query has no tokens that say more than its summary."""
        ...


def encoder_id(encoder: Encoder) -> str:
    """The name that embeddings carry, for example "local/1"."""
    return f"{encoder.name}/{encoder.version}"
