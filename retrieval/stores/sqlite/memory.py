"""Summary vectors of all pages in memory, one matrix an encoder, following the table across processes.

Rows are appended and never changed in place, so a search computes on what it was handed while others append. The
table's sequence says what is new since the last look; the log of removals says what went.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from retrieval.documents import ScoredPage

D = TypeVar("D", bound=np.generic)

_MIN_ROWS = 256
_LOAD_ROWS = 2000
_MIN_DEAD = 1000
# More than float32 rounding of a product of unit vectors, so that the shortlist holds every page that could tie.
_MARGIN = 1e-5


@dataclass(frozen=True, slots=True)
class Slice:
    """Some pages of a matrix, n of them, as they are now. slots: int64 (n,), rows of summaries (rows, D).
    names: the page_ids as UTF-8, which sort alike and in numpy much faster."""

    summaries: NDArray[np.float32]
    slots: NDArray[np.int64]
    page_ids: list[str]
    names: NDArray[np.bytes_]
    revisions: NDArray[np.int64]

    def nearest(self, query: NDArray[np.float32], limit: int) -> list[ScoredPage]:
        """Best first, ties by page_id.

        A product of float32 depends in its last bits on where a row lies, so it only makes the shortlist; scores
        are computed again row by row in float64, and equal vectors score exactly the same.
        """
        if not len(self.slots) or limit < 1:
            return []
        rough = self._products(query)
        kept = np.arange(len(rough))
        if limit < len(rough):
            least = np.partition(rough, len(rough) - limit)[len(rough) - limit]
            kept = np.flatnonzero(rough >= least - _MARGIN)
        slots = self.slots[kept]
        exact = np.einsum("ij,j->i", self.summaries[slots].astype(np.float64), query.astype(np.float64))
        scored = [
            ScoredPage(self.page_ids[slot], score)
            for slot, score in zip(_numbers(slots), np.clip(exact, -1.0, 1.0).tolist(), strict=True)
        ]
        scored.sort(key=lambda hit: (-hit.score, hit.page_id))
        return scored[:limit]

    def listed(self, limit: int) -> list[tuple[str, int]]:
        """(page_id, revision), by page_id."""
        slots = self.slots[np.argsort(self.names[self.slots], kind="stable")[:limit]]
        return list(
            zip((self.page_ids[slot] for slot in _numbers(slots)), _numbers(self.revisions[slots]), strict=True)
        )

    def _products(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Few rows are gathered first; for many it is cheaper to multiply all and pick."""
        if 2 * len(self.slots) < len(self.summaries):
            return self.summaries[self.slots] @ query
        return (self.summaries @ query)[self.slots]


class Matrix:
    """The pages of one encoder, of all tenants. Safe to use from several threads."""

    def __init__(self, encoder: str, dims: int) -> None:
        self.encoder = encoder
        self.dims = dims
        self._lock = threading.Lock()
        self._seen = 0
        self._clear()

    def pages_of_tenant(self, connection: sqlite3.Connection, tenant: str) -> Slice:
        with self._lock:
            self._follow(connection)
            code = self._tenant_codes.get(tenant, -1)
            return self._slice(self._tenants[: self._count] == code)

    def pages_of_claims(self, connection: sqlite3.Connection, claims: NDArray[np.int64]) -> Slice:
        """claims: rows of the table of claims."""
        with self._lock:
            self._follow(connection)
            return self._slice(np.isin(self._claims[: self._count], claims))

    def pages_of_keys(self, connection: sqlite3.Connection, keys: NDArray[np.int64]) -> Slice:
        """keys: rows of the table of pages."""
        with self._lock:
            self._follow(connection)
            return self._slice(np.isin(self._keys[: self._count], keys))

    def _slice(self, mask: NDArray[np.bool_]) -> Slice:
        slots = np.flatnonzero(mask & self._alive[: self._count])
        return Slice(self._summaries[: self._count], slots, self._page_ids, self._names, self._revisions)

    def _follow(self, connection: sqlite3.Connection) -> None:
        """Catches up with the connection's snapshot; a snapshot older than the last one changes nothing."""
        changes, removals_from = connection.execute("SELECT changes, removals_from FROM sequence").fetchone()
        if changes <= self._seen:
            return
        if self._seen < removals_from:
            self._clear()
            self._seen = 0
        if self._count:
            removed = connection.execute("SELECT page FROM removals WHERE revision > ?", (self._seen,))
            self._forget(int(row[0]) for row in removed)
        added = connection.execute(
            "SELECT p.id, p.claim, p.revision, p.tenant_id, p.page_id, s.summary FROM pages p "
            "JOIN summaries s ON s.page = p.id WHERE p.encoder = ? AND p.revision > ?",
            (self.encoder, self._seen),
        )
        while rows := added.fetchmany(_LOAD_ROWS):
            self._append(rows)
        self._seen = int(changes)
        self._compact()

    def _append(self, rows: list[sqlite3.Row]) -> None:
        self._forget(int(row[0]) for row in rows)
        first, last = self._count, self._count + len(rows)
        names = np.array([row[4].encode() for row in rows])
        if names.dtype.itemsize > self._names.dtype.itemsize:
            self._names = self._names.astype(names.dtype)
        self._grow(last)
        self._summaries[first:last] = np.frombuffer(b"".join(row[5] for row in rows), "<f4").reshape(-1, self.dims)
        self._keys[first:last] = [row[0] for row in rows]
        self._claims[first:last] = [row[1] for row in rows]
        self._revisions[first:last] = [row[2] for row in rows]
        codes = self._tenant_codes
        self._tenants[first:last] = [codes.setdefault(row[3], len(codes)) for row in rows]
        self._alive[first:last] = True
        self._page_ids.extend(row[4] for row in rows)
        self._names[first:last] = names
        self._slot_of.update(zip((row[0] for row in rows), range(first, last), strict=True))
        self._count = last

    def _forget(self, keys: Iterable[int]) -> None:
        for key in keys:
            slot = self._slot_of.pop(key, None)
            if slot is not None:
                self._alive[slot] = False

    def _grow(self, rows: int) -> None:
        """Capacity doubles. New arrays are made, so that slices handed out before keep theirs."""
        if rows <= len(self._keys):
            return
        self._move(np.arange(self._count), max(rows, 2 * len(self._keys), _MIN_ROWS))

    def _compact(self) -> None:
        """Drops dead rows once they are many and more than the living."""
        dead = self._count - len(self._slot_of)
        if dead < _MIN_DEAD or dead < len(self._slot_of):
            return
        kept = np.flatnonzero(self._alive[: self._count])
        self._page_ids = [self._page_ids[slot] for slot in kept.tolist()]
        self._move(kept, max(len(kept), _MIN_ROWS))
        self._count = len(kept)
        self._slot_of = dict(zip(self._keys[: self._count].tolist(), range(self._count), strict=True))

    def _move(self, kept: NDArray[np.int64], capacity: int) -> None:
        self._summaries = _moved(self._summaries, kept, capacity)
        self._keys = _moved(self._keys, kept, capacity)
        self._claims = _moved(self._claims, kept, capacity)
        self._revisions = _moved(self._revisions, kept, capacity)
        self._names = _moved(self._names, kept, capacity)
        self._tenants = _moved(self._tenants, kept, capacity)
        self._alive = _moved(self._alive, kept, capacity)

    def _clear(self) -> None:
        self._count = 0
        self._summaries = np.empty((0, self.dims), np.float32)
        self._keys = np.empty(0, np.int64)
        self._claims = np.empty(0, np.int64)
        self._revisions = np.empty(0, np.int64)
        self._names = np.empty(0, "S40")
        self._tenants = np.empty(0, np.int64)
        self._alive = np.empty(0, np.bool_)
        self._tenant_codes: dict[str, int] = {}
        self._page_ids: list[str] = []
        self._slot_of: dict[int, int] = {}


def _moved(old: NDArray[D], kept: NDArray[np.int64], capacity: int) -> NDArray[D]:
    new = np.zeros((capacity, *old.shape[1:]), old.dtype)
    np.take(old, kept, axis=0, out=new[: len(kept)])
    return new


def _numbers(array: NDArray[np.int64]) -> list[int]:
    return array.tolist()
