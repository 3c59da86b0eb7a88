"""The pages that one search compares, packed as an encoder takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.encoder import PackedPages
from retrieval.documents import PageVectors
from retrieval.errors import EncoderMismatch


@dataclass(frozen=True, slots=True)
class ShelfEntry:
    """One page to keep. revision: of its vectors, as the store said; -1 when it did not say."""

    page_id: str
    claim_id: str
    revision: int
    vectors: PageVectors


@dataclass(frozen=True, slots=True)
class Selection:
    """Pages to compare, n of them, in the order of the ids asked for.

    claims: int64 (n,), equal for pages of one claim. packed: the same pages in the order in which they lie;
    packed page k is asked page order[k].
    """

    page_ids: list[str]
    claims: NDArray[np.int64]
    packed: PackedPages
    order: NDArray[np.int64]

    def scores_as_asked(self, packed_scores: NDArray[np.float32]) -> NDArray[np.float32]:
        scores = np.empty_like(packed_scores)
        scores[self.order] = packed_scores
        return scores

    def places(self) -> NDArray[np.int64]:
        """(n,): where each asked page lies in `packed`."""
        places = np.empty_like(self.order)
        places[self.order] = np.arange(len(self.order))
        return places


def joined(entries: Sequence[ShelfEntry], encoder: str) -> Selection | None:
    """Pages that lie apart, copied side by side; None of none. Raises EncoderMismatch when they do not fit."""
    if not entries:
        return None
    width = width_of(entries)
    # So that there is always something to join.
    tokens, scales = [np.empty((0, width), np.int8)], [np.empty(0, np.float16)]
    offsets = [0]
    for entry in entries:
        vectors = entry.vectors
        if vectors.tokens is not None and vectors.scales is not None and len(vectors.tokens):
            tokens.append(vectors.tokens)
            scales.append(vectors.scales)
        offsets.append(offsets[-1] + rows_of(vectors))
    summaries = [entry.vectors.summary for entry in entries]
    if len({one.shape for one in summaries}) > 1 or len({one.shape[1] for one in tokens}) > 1:
        raise EncoderMismatch(f"Vectors of {encoder} differ in length.")
    packed = PackedPages(
        np.stack(summaries), np.concatenate(tokens), np.concatenate(scales), np.array(offsets, np.int64), encoder
    )
    numbers: dict[str, int] = {}
    claims = [numbers.setdefault(entry.claim_id, len(numbers)) for entry in entries]
    ids = [entry.page_id for entry in entries]
    return Selection(ids, np.array(claims, np.int64), packed, np.arange(len(entries)))


def rows_of(vectors: PageVectors) -> int:
    return 0 if vectors.tokens is None else len(vectors.tokens)


def width_of(entries: Sequence[ShelfEntry]) -> int:
    """Numbers of a token vector; 1 where no page has one."""
    tokens = (entry.vectors.tokens for entry in entries)
    return next((one.shape[1] for one in tokens if one is not None and len(one)), 1)
