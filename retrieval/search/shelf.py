"""Vectors of many pages in one growing block, so that a search packs thousands of pages by slicing.

Pages are appended, a slot each; token rows lie in slot order. What a reader was handed never changes: appending
writes behind it, and growing or compacting makes new arrays.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.encoder import PackedPages
from retrieval.documents import PageVectors
from retrieval.errors import EncoderMismatch

_GROWTH = 1.5
_MIN_SLOTS = 256
_MIN_ROWS = 4096


@dataclass(frozen=True, slots=True)
class ShelfEntry:
    """One page to keep. revision: of its vectors, as the store said; -1 when it did not say."""

    page_id: str
    claim_id: str
    revision: int
    vectors: PageVectors


@dataclass(frozen=True, slots=True)
class Selection:
    """Pages taken off a shelf, n of them, in the order of the ids asked for.

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


@dataclass(frozen=True, slots=True)
class Located:
    """Where pages lie on a shelf. whole: all that lies there, dead slots too, as views. slots: int64 (n,), of the asked
    ids, -1 where a page is not there, or with another revision."""

    whole: PackedPages
    slots: NDArray[np.int64]


@dataclass(slots=True)
class _Block:
    """slots used: n; starts int64 (capacity + 1,): page i owns token rows starts[i]:starts[i + 1]."""

    summaries: NDArray[np.float32]
    tokens: NDArray[np.int8]
    scales: NDArray[np.float16]
    starts: NDArray[np.int64]
    revisions: NDArray[np.int64]
    claims: NDArray[np.int64]
    used: NDArray[np.int64]


class Shelf:
    """The pages of one tenant and one encoder. Safe to use from several threads."""

    def __init__(self, encoder: str) -> None:
        self.encoder = encoder
        self._lock = threading.Lock()
        self._slots: dict[str, int] = {}
        self._claims: dict[str, int] = {}
        self._block: _Block | None = None
        self._count = 0
        self.last_used = 0

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def size_bytes(self) -> int:
        """Of the rows in use, dead ones included."""
        with self._lock:
            block = self._block
            if block is None:
                return 0
            rows = int(block.starts[self._count])
            return self._count * (block.summaries.itemsize * block.summaries.shape[1] + 48) + rows * (
                block.tokens.shape[1] + 2
            )

    def missing(self, wanted: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        """Those (page_id, revision) that are not here, or here with another revision; -1 takes any."""
        with self._lock:
            if self._block is None:
                return list(wanted)
            revisions = self._block.revisions
            absent: list[tuple[str, int]] = []
            for page_id, revision in wanted:
                slot = self._slots.get(page_id)
                if slot is None or (revision >= 0 and revisions[slot] != revision):
                    absent.append((page_id, revision))
            return absent

    def locate(self, page_ids: Sequence[str], revisions: NDArray[np.int64]) -> Located | None:
        """Without copying anything; None while the shelf is empty."""
        with self._lock:
            block, count = self._block, self._count
            if block is None:
                return None
            slots = np.fromiter(map(self._slots.get, page_ids, itertools.repeat(-1)), np.int64, len(page_ids))
            slots[block.revisions[slots] != revisions] = -1
        rows = int(block.starts[count])
        whole = PackedPages(
            block.summaries[:count], block.tokens[:rows], block.scales[:rows], block.starts[: count + 1], self.encoder
        )
        return Located(whole, slots)

    def add(self, entries: Sequence[ShelfEntry], *, expect: int = 0) -> None:
        """Puts pages on the shelf; one that is here is replaced. expect: further pages to make room for.

        Raises EncoderMismatch for vectors that do not fit the others.
        """
        if not entries:
            return
        rows = sum(_rows(entry.vectors) for entry in entries)
        with self._lock:
            block = self._room(entries, slots=len(entries), rows=rows, expect=expect)
            for entry in entries:
                self._append(block, entry)

    def drop(self, page_ids: Collection[str]) -> None:
        """Forgets pages; their rows go with the next `shrink`."""
        with self._lock:
            for page_id in page_ids:
                self._slots.pop(page_id, None)

    def keep(self, page_ids: Collection[str]) -> None:
        """Forgets all pages but these."""
        with self._lock:
            gone = self._slots.keys() - set(page_ids)
            for page_id in gone:
                del self._slots[page_id]

    def select(self, page_ids: Sequence[str], *, tick: int) -> Selection | None:
        """The pages of those ids that are here; None when none is. tick: grows with each use."""
        with self._lock:
            block = self._block
            found = [(page_id, slot) for page_id in page_ids if (slot := self._slots.get(page_id)) is not None]
            if block is None or not found:
                return None
            slots = np.fromiter((slot for _, slot in found), np.int64, len(found))
            block.used[slots] = tick
            self.last_used = max(self.last_used, tick)
        order = np.argsort(slots, kind="stable")
        packed = _pack(block, slots[order], self.encoder)
        return Selection([page_id for page_id, _ in found], block.claims[slots], packed, order)

    def shrink(self, limit_bytes: int) -> None:
        """Keeps the most recently used pages that fit in `limit_bytes`, and drops dead slots."""
        with self._lock:
            block = self._block
            if block is None:
                return
            alive = np.fromiter(self._slots.values(), np.int64, len(self._slots))
            alive = alive[np.argsort(-block.used[alive], kind="stable")]
            rows = block.starts[alive + 1] - block.starts[alive]
            cost = block.summaries.itemsize * block.summaries.shape[1] + 48 + rows * (block.tokens.shape[1] + 2)
            keep = np.sort(alive[np.cumsum(cost) <= limit_bytes])
            self._keep(block, keep)

    @property
    def dead(self) -> int:
        """Slots whose page was replaced by a newer one, or dropped."""
        return self._count - len(self._slots)

    def _room(self, entries: Sequence[ShelfEntry], *, slots: int, rows: int, expect: int) -> _Block:
        block = self._block
        if block is None:
            block = _empty(entries, slots=max(_MIN_SLOTS, slots), rows=max(_MIN_ROWS, rows))
            self._block = block
        used_rows = int(block.starts[self._count])
        if rows and not used_rows:
            # Pages without tokens came first: only now is the length of a token known.
            block.tokens = np.empty((len(block.tokens), _width(entries)), np.int8)
        if self._count + slots > len(block.summaries) or used_rows + rows > len(block.tokens):
            # Memory that is reserved and not written costs nothing, so make room for all that is announced.
            ahead = 1 + expect / slots
            block = _grown(
                block,
                count=self._count,
                slots=int(max(self._count * _GROWTH, self._count + slots * ahead)),
                rows=int(max(used_rows * _GROWTH, used_rows + rows * ahead)),
            )
            self._block = block
        return block

    def _append(self, block: _Block, entry: ShelfEntry) -> None:
        vectors = entry.vectors
        if vectors.encoder != self.encoder or vectors.summary.shape != block.summaries.shape[1:]:
            raise EncoderMismatch(f"Vectors of {vectors.encoder} do not fit those of {self.encoder}.")
        slot, start = self._count, int(block.starts[self._count])
        end = start + _rows(vectors)
        if vectors.tokens is not None and vectors.scales is not None and end > start:
            if vectors.tokens.shape[1] != block.tokens.shape[1]:
                raise EncoderMismatch(f"Tokens of {self.encoder} differ in length.")
            block.tokens[start:end] = vectors.tokens
            block.scales[start:end] = vectors.scales
        block.summaries[slot] = vectors.summary
        block.starts[slot + 1] = end
        block.revisions[slot] = entry.revision
        block.claims[slot] = self._claims.setdefault(entry.claim_id, len(self._claims))
        block.used[slot] = 0
        self._slots[entry.page_id] = slot
        self._count = slot + 1

    def _keep(self, block: _Block, keep: NDArray[np.int64]) -> None:
        moved = {int(slot): place for place, slot in enumerate(keep)}
        self._slots = {page_id: moved[slot] for page_id, slot in self._slots.items() if slot in moved}
        if not moved:
            self._block, self._count = None, 0
            return
        packed = _pack(block, keep, self.encoder, copy=True)
        self._block = _Block(
            packed.summaries,
            packed.tokens,
            packed.scales,
            packed.offsets,
            block.revisions[keep],
            block.claims[keep],
            block.used[keep],
        )
        self._count = len(keep)


def _rows(vectors: PageVectors) -> int:
    return 0 if vectors.tokens is None else len(vectors.tokens)


def _width(entries: Sequence[ShelfEntry]) -> int:
    return next((entry.vectors.tokens.shape[1] for entry in entries if entry.vectors.tokens is not None), 1)


def _empty(entries: Sequence[ShelfEntry], *, slots: int, rows: int) -> _Block:
    return _Block(
        summaries=np.empty((slots, len(entries[0].vectors.summary)), np.float32),
        tokens=np.empty((rows, _width(entries)), np.int8),
        scales=np.empty(rows, np.float16),
        starts=np.zeros(slots + 1, np.int64),
        revisions=np.empty(slots, np.int64),
        claims=np.empty(slots, np.int64),
        used=np.zeros(slots, np.int64),
    )


def _grown(block: _Block, *, count: int, slots: int, rows: int) -> _Block:
    used_rows = int(block.starts[count])
    grown = _Block(
        summaries=np.empty((slots, block.summaries.shape[1]), np.float32),
        tokens=np.empty((rows, block.tokens.shape[1]), np.int8),
        scales=np.empty(rows, np.float16),
        starts=np.zeros(slots + 1, np.int64),
        revisions=np.empty(slots, np.int64),
        claims=np.empty(slots, np.int64),
        used=np.zeros(slots, np.int64),
    )
    grown.summaries[:count] = block.summaries[:count]
    grown.tokens[:used_rows] = block.tokens[:used_rows]
    grown.scales[:used_rows] = block.scales[:used_rows]
    grown.starts[: count + 1] = block.starts[: count + 1]
    grown.revisions[:count] = block.revisions[:count]
    grown.claims[:count] = block.claims[:count]
    grown.used[:count] = block.used[:count]
    return grown


def _runs(slots: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Half-open runs of neighbouring slots, of ascending slots."""
    edges = np.flatnonzero(np.diff(slots) != 1) + 1
    firsts = slots[np.concatenate([[0], edges])]
    lasts = slots[np.concatenate([edges - 1, [len(slots) - 1]])]
    return zip(firsts.tolist(), (lasts + 1).tolist(), strict=True)


def _pack(block: _Block, slots: NDArray[np.int64], encoder: str, *, copy: bool = False) -> PackedPages:
    """One run of neighbours becomes views of the block (unless copy); several are joined run by run."""
    counts = block.starts[slots + 1] - block.starts[slots]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    runs = list(_runs(slots))
    row_runs = [(int(block.starts[first]), int(block.starts[end])) for first, end in runs]
    if len(runs) == 1 and not copy:
        (first, end), (row, row_end) = runs[0], row_runs[0]
        return PackedPages(
            block.summaries[first:end], block.tokens[row:row_end], block.scales[row:row_end], offsets, encoder
        )
    return PackedPages(
        summaries=np.concatenate([block.summaries[first:end] for first, end in runs]),
        tokens=np.concatenate([block.tokens[row:row_end] for row, row_end in row_runs]),
        scales=np.concatenate([block.scales[row:row_end] for row, row_end in row_runs]),
        offsets=offsets,
        encoder=encoder,
    )
