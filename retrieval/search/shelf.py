"""Vectors of many pages in one growing block, so that a search packs thousands of pages by slicing.

Pages are appended, a slot each; token rows lie in slot order. What a reader was handed never changes: appending
writes behind it, and growing or compacting makes new arrays. Large blocks are not copied while anybody waits.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.encoder import PackedPages
from retrieval.errors import EncoderMismatch
from retrieval.search.selection import Selection, ShelfEntry, rows_of, width_of

_GROWTH = 1.5
_MIN_SLOTS = 256
_MIN_ROWS = 4096
_COPIED_BYTES = 32 << 20
"""A block up to this size is copied when it grows, which takes some milliseconds; a larger one has room for all that
its shelf may hold. Memory that is reserved and not written costs nothing."""


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


@dataclass(frozen=True, slots=True)
class Move:
    """A smaller copy of a shelf: of the slots `kept`, made when it had `count` slots and had been moved so often."""

    target: _Block
    kept: NDArray[np.int64]
    count: int
    moves: int


class Shelf:
    """The pages of one tenant and one encoder. Safe to use from several threads. full_bytes: what it may grow to
    without being copied."""

    def __init__(self, encoder: str, *, full_bytes: int) -> None:
        self.encoder = encoder
        self._full_bytes = full_bytes
        self._lock = threading.Lock()
        self._slots: dict[str, int] = {}
        self._claims: dict[str, int] = {}
        self._block: _Block | None = None
        self._count = 0
        self._moves = 0
        self._bytes = 0
        self.last_used = 0

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def size_bytes(self) -> int:
        """Of the rows in use, dead ones included. Waits for nobody."""
        return self._bytes

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
        rows = sum(rows_of(entry.vectors) for entry in entries)
        with self._lock:
            block = self._room(entries, slots=len(entries), rows=rows, expect=expect)
            for entry in entries:
                self._append(block, entry)
            self._bytes = self._count * _slot_bytes(block) + int(block.starts[self._count]) * _row_bytes(block)

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
        move = self.begin_shrink(limit_bytes)
        if move is not None:
            self.end_shrink(move)

    def begin_shrink(self, limit_bytes: int) -> Move | None:
        """Copies what `shrink` keeps, which takes its time; others use the shelf meanwhile. None of an empty shelf."""
        with self._lock:
            block, count, moves = self._block, self._count, self._moves
            if block is None:
                return None
            alive = np.fromiter(self._slots.values(), np.int64, len(self._slots))
            alive = alive[np.argsort(-block.used[alive], kind="stable")]
            cost = _slot_bytes(block) + (block.starts[alive + 1] - block.starts[alive]) * _row_bytes(block)
            kept = np.sort(alive[np.cumsum(cost) <= limit_bytes])
        rows = int((block.starts[kept + 1] - block.starts[kept]).sum())
        target = self._reserved(block, slots=int(len(kept) * _GROWTH), rows=int(rows * _GROWTH))
        _copy(block, kept, target, 0)
        return Move(target, kept, count, moves)

    def end_shrink(self, move: Move) -> None:
        """Goes on with the copy, and what came since. Where that does not fit, all stays as it is."""
        with self._lock:
            block, target, kept = self._block, move.target, move.kept
            if block is None or self._moves != move.moves or block.tokens.shape[1] != target.tokens.shape[1]:
                return
            late = np.arange(move.count, self._count)
            count = len(kept) + len(late)
            late_rows = int(block.starts[self._count] - block.starts[move.count])
            if count > len(target.summaries) or int(target.starts[len(kept)]) + late_rows > len(target.tokens):
                return
            target.used[: len(kept)] = block.used[kept]
            _copy(block, late, target, len(kept))
            places = np.full(self._count, -1)
            places[np.concatenate([kept, late])] = np.arange(count)
            slots = np.fromiter(self._slots.values(), np.int64, len(self._slots))
            moved = zip(self._slots, places[slots].tolist(), strict=True)
            self._slots = {page_id: place for page_id, place in moved if place >= 0}
            self._block, self._count = (target, count) if count else (None, 0)
            self._bytes = count * _slot_bytes(target) + int(target.starts[count]) * _row_bytes(target)
            self._moves += 1

    @property
    def dead(self) -> int:
        """Slots whose page was replaced by a newer one, or dropped."""
        return self._count - len(self._slots)

    def _room(self, entries: Sequence[ShelfEntry], *, slots: int, rows: int, expect: int) -> _Block:
        block = self._block
        if block is None:
            block = _empty(len(entries[0].vectors.summary), width_of(entries), slots=slots, rows=rows)
            self._block = block
        used_rows = int(block.starts[self._count])
        if rows and not used_rows:
            # Pages without tokens came first: only now is the length of a token known.
            block.tokens = np.empty((len(block.tokens), width_of(entries)), np.int8)
        if self._count + slots > len(block.summaries) or used_rows + rows > len(block.tokens):
            ahead = 1 + expect / slots
            needed_slots = int(max(self._count * _GROWTH, self._count + slots * ahead))
            needed_rows = int(max(used_rows * _GROWTH, used_rows + rows * ahead))
            grown = self._reserved(block, slots=needed_slots, rows=needed_rows)
            _copy(block, np.arange(self._count), grown, 0)
            block = self._block = grown
        return block

    def _reserved(self, like: _Block, *, slots: int, rows: int) -> _Block:
        """An empty block for at least so many."""
        if slots * _slot_bytes(like) + rows * _row_bytes(like) > _COPIED_BYTES:
            slots = max(slots, self._full_bytes // _slot_bytes(like))
            rows = max(rows, self._full_bytes // _row_bytes(like))
        return _empty(like.summaries.shape[1], like.tokens.shape[1], slots=slots, rows=rows)

    def _append(self, block: _Block, entry: ShelfEntry) -> None:
        vectors = entry.vectors
        if vectors.encoder != self.encoder or vectors.summary.shape != block.summaries.shape[1:]:
            raise EncoderMismatch(f"Vectors of {vectors.encoder} do not fit those of {self.encoder}.")
        slot, start = self._count, int(block.starts[self._count])
        end = start + rows_of(vectors)
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


def _slot_bytes(block: _Block) -> int:
    return block.summaries.itemsize * block.summaries.shape[1] + 48


def _row_bytes(block: _Block) -> int:
    return block.tokens.shape[1] + 2


def _empty(dims: int, width: int, *, slots: int, rows: int) -> _Block:
    slots, rows = max(_MIN_SLOTS, slots), max(_MIN_ROWS, rows)
    return _Block(
        summaries=np.empty((slots, dims), np.float32),
        tokens=np.empty((rows, width), np.int8),
        scales=np.empty(rows, np.float16),
        starts=np.zeros(slots + 1, np.int64),
        revisions=np.empty(slots, np.int64),
        claims=np.empty(slots, np.int64),
        used=np.zeros(slots, np.int64),
    )


def _copy(block: _Block, slots: NDArray[np.int64], target: _Block, first: int) -> None:
    """Puts ascending slots of a block behind the first so many of another, which has room for them."""
    if not len(slots):
        return
    for start, end in _runs(slots):
        last = first + end - start
        row, row_end = int(block.starts[start]), int(block.starts[end])
        place = int(target.starts[first])
        target.summaries[first:last] = block.summaries[start:end]
        target.tokens[place : place + row_end - row] = block.tokens[row:row_end]
        target.scales[place : place + row_end - row] = block.scales[row:row_end]
        target.starts[first + 1 : last + 1] = block.starts[start + 1 : end + 1] - row + place
        target.revisions[first:last] = block.revisions[start:end]
        target.claims[first:last] = block.claims[start:end]
        target.used[first:last] = block.used[start:end]
        first = last


def _runs(slots: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Half-open runs of neighbouring slots, of ascending slots."""
    edges = np.flatnonzero(np.diff(slots) != 1) + 1
    firsts = slots[np.concatenate([[0], edges])]
    lasts = slots[np.concatenate([edges - 1, [len(slots) - 1]])]
    return zip(firsts.tolist(), (lasts + 1).tolist(), strict=True)


def _pack(block: _Block, slots: NDArray[np.int64], encoder: str) -> PackedPages:
    """One run of neighbours becomes views of the block; several are joined run by run."""
    counts = block.starts[slots + 1] - block.starts[slots]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    runs = list(_runs(slots))
    row_runs = [(int(block.starts[first]), int(block.starts[end])) for first, end in runs]
    if len(runs) == 1:
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
