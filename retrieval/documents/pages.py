"""A page, its vectors in stored form, and its id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Literal

import numpy as np
from numpy.typing import NDArray

PageKind = Literal["page", "photo"]


@dataclass(frozen=True, slots=True)
class Page:
    """One picture to search: a page of a document or a photo.

    page_id: see `page_id_of`. number: from 1 within its file. width, height: pixels of the stored picture.
    encoder: name and version that made its vectors. usage: what encoding it cost, as the encoder said.
    """

    page_id: str
    claim_id: str
    asset_id: str
    number: int
    kind: PageKind
    width: int
    height: int
    encoder: str
    usage: Mapping[str, int] = field(default_factory=dict[str, int])
    created_at: datetime | None = None


def page_id_of(claim_id: str, asset_id: str, number: int) -> str:
    """The same for the same file in the same claim, however often it is ingested: 32 hex digits, "-", number."""
    digest = sha256(f"{claim_id}\0{asset_id}".encode()).hexdigest()
    return f"{digest[:32]}-{number}"


@dataclass(frozen=True, slots=True)
class PageVectors:
    """Vectors of one page in stored form.

    summary: float32 (D,), length 1. tokens: int8 (T, d) with scales float16 (T,): row i stands for
    tokens[i] * scales[i]; cells: uint16 (T, 4), boxes x0, y0, x1, y1 in pixels of the stored picture.
    All three None together where the encoder gives no tokens. encoder: name and version.
    """

    summary: NDArray[np.float32]
    encoder: str
    tokens: NDArray[np.int8] | None = None
    scales: NDArray[np.float16] | None = None
    cells: NDArray[np.uint16] | None = None


@dataclass(frozen=True, slots=True)
class NewPage:
    """A page ready to be stored. picture: the encoded derived picture (WebP), no metadata in it. text: the page's own,
    as retrieval.exact.page_text gives it; empty where the file has none."""

    page: Page
    vectors: PageVectors
    picture: bytes
    text: str = ""


@dataclass(frozen=True, slots=True)
class ScoredPage:
    page_id: str
    score: float
