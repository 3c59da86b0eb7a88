"""Sketches of the pages of large collections in memory: what a search looks at where pages are too many to compare."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence

import numpy as np
import structlog
from numpy.typing import NDArray

from models.encoder import Embedding, Sketches, Sketching
from retrieval.documents import PageVectors
from retrieval.errors import ClaimsightError, EncoderTrouble
from retrieval.ports import PageIndex
from retrieval.search.probes import encoder_errors
from retrieval.search.selection import ShelfEntry
from retrieval.search.shelf import Located, Shelf

DEFAULT_SKETCH_BYTES = 1 << 30
LEAST_BYTES_A_PAGE = 2048
"""A page of 60 words; a collection that would not fit even so is searched without sketches."""
_BATCH = 256
_NO_SUMMARY = np.zeros(0, np.float32)

_log = structlog.get_logger("claimsight.search")


class SketchCache:
    """Keeps sketches of at most `limit_bytes`, of all tenants; the tenant that did not search for longest goes first.

    Follows the store by page id and revision, as a listing of all that pass a filter has them. Up to a batch of missing
    pages is read before a search goes on. More are read in the background, while searches do with what is there.
    """

    def __init__(
        self, pages: PageIndex, encoder: Sketching, version: str, *, limit_bytes: int = DEFAULT_SKETCH_BYTES
    ) -> None:
        self._pages = pages
        self._encoder = encoder
        self._version = version
        self._limit = limit_bytes
        self._shelves: dict[str, Shelf] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._working: dict[str, asyncio.Task[None]] = {}

    @property
    def most_pages(self) -> int:
        return self._limit // LEAST_BYTES_A_PAGE

    @property
    def size_bytes(self) -> int:
        return sum(shelf.size_bytes for shelf in self._shelves.values())

    def __len__(self) -> int:
        """Pages with a sketch."""
        return sum(len(shelf) for shelf in self._shelves.values())

    async def best(
        self, tenant: str, probe: Embedding, wanted: Sequence[tuple[str, int]], *, limit: int, complete: bool
    ) -> list[str]:
        """At most `limit` of the pages (page_id, revision), by page_id, that answer best by their tokens, the best
        first; none where the query has no tokens. complete: they are all that the tenant has.

        Raises EncoderTrouble, StoreUnavailable.
        """
        ids = [page_id for page_id, _ in wanted]
        revisions = np.fromiter((revision for _, revision in wanted), np.int64, len(wanted))
        located = await self._followed(tenant, ids, revisions, complete=complete)
        if located is None:
            return []
        there = np.flatnonzero(located.slots >= 0)
        order = np.argsort(located.slots[there], kind="stable")
        whole = located.whole
        sketches = Sketches(whole.tokens.view(np.uint8), whole.scales, whole.offsets, self._version)
        with encoder_errors():
            found = await self._encoder.coarse_score(probe, sketches, located.slots[there][order])
        if found is None:
            return []
        if found.shape != there.shape or np.isnan(found).any():
            raise EncoderTrouble(
                "The encoder gave scores that cannot be ranked.", code="encoder_unavailable", retryable=True
            )
        scores = np.empty_like(found)
        scores[order] = found
        return [ids[place] for place in there[np.argsort(-scores, kind="stable")[:limit]].tolist()]

    async def warm(self, tenant: str, batch: Sequence[tuple[str, int]]) -> bool:
        """Reads the sketches of those (page_id, revision), before a search does without them. False where no room is
        free: it is taken from nothing."""
        if self.size_bytes >= self._limit:
            return False
        await self._fill(tenant, self._shelf_of(tenant), batch)
        return True

    async def settle(self) -> None:
        """Waits for what is done in the background."""
        if self._working:
            await asyncio.wait(set(self._working.values()))

    async def aclose(self) -> None:
        """Stops what is done in the background."""
        for task in self._working.values():
            task.cancel()
        await self.settle()

    async def _followed(
        self, tenant: str, ids: Sequence[str], revisions: NDArray[np.int64], *, complete: bool
    ) -> Located | None:
        shelf = self._shelf_of(tenant)
        located = await asyncio.to_thread(shelf.locate, ids, revisions)
        absent = np.arange(len(ids)) if located is None else np.flatnonzero(located.slots < 0)
        if complete and len(shelf) > len(ids) - len(absent):
            await asyncio.to_thread(shelf.keep, ids)
        if shelf.dead > len(shelf):
            self._behind(f"shrink {tenant}", asyncio.to_thread(shelf.shrink, self._limit))
        if len(absent):
            missing = [(ids[place], int(revisions[place])) for place in absent.tolist()]
            if len(missing) <= _BATCH:
                await self._fill(tenant, shelf, missing)
                return await asyncio.to_thread(shelf.locate, ids, revisions)
            self._behind(f"fill {tenant}", self._fill_behind(tenant, shelf, missing))
        return located

    def _shelf_of(self, tenant: str) -> Shelf:
        # The tenant that searched last stands last.
        shelf = self._shelves[tenant] = self._shelves.pop(tenant, None) or Shelf(self._version, full_bytes=self._limit)
        return shelf

    def _behind(self, name: str, work: Coroutine[None, None, None]) -> None:
        """Does it in the background, unless that is what is being done."""
        if name in self._working:
            work.close()
            return
        self._working[name] = task = asyncio.create_task(work, name="sketches")
        task.add_done_callback(lambda _: self._working.pop(name, None))

    async def _fill_behind(self, tenant: str, shelf: Shelf, missing: Sequence[tuple[str, int]]) -> None:
        try:
            await self._fill(tenant, shelf, missing)
        except ClaimsightError as error:
            # The next search begins again where this stopped.
            _log.warning("sketches_not_filled", code=error.code, missing=len(missing))
        else:
            _log.info("sketches_filled", pages=len(shelf), missing=len(missing), size_bytes=shelf.size_bytes)

    async def _fill(self, tenant: str, shelf: Shelf, missing: Sequence[tuple[str, int]]) -> None:
        """Batch by batch, until memory is full."""
        lock = self._locks.setdefault(tenant, asyncio.Lock())
        for start in range(0, len(missing), _BATCH):
            async with lock:
                batch = dict(await asyncio.to_thread(shelf.missing, missing[start : start + _BATCH]))
                if not batch:
                    continue
                if self._shelves.get(tenant) is not shelf or not self._has_room(tenant):
                    return
                vectors = await self._pages.vectors(tenant, list(batch))
                entries = await asyncio.to_thread(self._sketched, batch, vectors)
                await asyncio.to_thread(shelf.add, entries, expect=max(0, len(missing) - start - _BATCH))

    def _sketched(self, batch: dict[str, int], vectors: dict[str, PageVectors]) -> list[ShelfEntry]:
        entries: list[ShelfEntry] = []
        for page_id, revision in batch.items():
            stored = vectors.get(page_id)
            if stored is None or stored.encoder != self._version:
                continue
            coarse = PageVectors(_NO_SUMMARY, self._version)
            if stored.tokens is not None and stored.scales is not None:
                codes, scales = self._encoder.sketch(stored.tokens, stored.scales)
                coarse = PageVectors(_NO_SUMMARY, self._version, codes.view(np.int8), scales)
            # Which claim a page belongs to plays no part here.
            entries.append(ShelfEntry(page_id, "", revision, coarse))
        return entries

    def _has_room(self, tenant: str) -> bool:
        """Other tenants make room first."""
        while self.size_bytes >= self._limit:
            oldest = next(iter(self._shelves))
            if oldest == tenant:
                return False
            del self._shelves[oldest]
        return True
