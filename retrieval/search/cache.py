"""Vectors of searched pages in memory, so that both engines read each page once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence

from models.encoder import Encoder, encoder_id
from retrieval.ports import PageIndex
from retrieval.search.shelf import Selection, Shelf, ShelfEntry

DEFAULT_CACHE_BYTES = 1 << 30
ANY_REVISION = -1
_BATCH = 256


class VectorCache:
    """Keeps at most `limit_bytes` of vectors; the tenant, then the page, that was not used for longest goes first.

    A page is read again when its revision in the store changed. What one search needs is handed out even when it
    is more than the limit; it is then not kept.
    """

    def __init__(self, pages: PageIndex, encoder: Encoder, *, limit_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        self._pages = pages
        self._encoder = encoder_id(encoder)
        self._limit = limit_bytes
        self._shelves: dict[str, Shelf] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._ticks = itertools.count(1)

    @property
    def size_bytes(self) -> int:
        return sum(shelf.size_bytes for shelf in self._shelves.values())

    async def select(self, tenant: str, wanted: Sequence[tuple[str, int]]) -> Selection | None:
        """The pages of those (page_id, revision) that exist with this encoder, packed; None when none does.

        Raises EncoderMismatch when stored vectors do not fit each other.
        """
        shelf = self._shelves.setdefault(tenant, Shelf(self._encoder))
        lock = self._locks.setdefault(tenant, asyncio.Lock())
        absent = await asyncio.to_thread(shelf.missing, wanted)
        # Batch by batch, so that a search that lacks few pages does not wait for one that lacks thousands.
        for start in range(0, len(absent), _BATCH):
            async with lock:
                batch = await asyncio.to_thread(shelf.missing, absent[start : start + _BATCH])
                await self._fill(shelf, tenant, batch, expect=max(0, len(absent) - start - _BATCH))
        async with lock:
            # What went missing again meanwhile, because another search needed the room, or is no longer there.
            lost = await asyncio.to_thread(shelf.missing, wanted)
            for start in range(0, len(lost), _BATCH):
                await self._fill(shelf, tenant, lost[start : start + _BATCH])
            selection = await asyncio.to_thread(
                shelf.select, [page_id for page_id, _ in wanted], tick=next(self._ticks)
            )
            if absent:
                await self._shrink(tenant, shelf)
        return selection

    async def _fill(self, shelf: Shelf, tenant: str, batch: Sequence[tuple[str, int]], *, expect: int = 0) -> None:
        """Reads what the store still has with this encoder; what it has no longer is taken off the shelf."""
        if not batch:
            return
        revisions = dict(batch)
        ids = list(revisions)
        vectors, pages = await asyncio.gather(self._pages.vectors(tenant, ids), self._pages.get_many(tenant, ids))
        entries = [
            ShelfEntry(page_id, pages[page_id].claim_id, revisions[page_id], vectors[page_id])
            for page_id in ids
            if page_id in pages and page_id in vectors and vectors[page_id].encoder == self._encoder
        ]
        await asyncio.to_thread(shelf.add, entries, expect=expect)
        await asyncio.to_thread(shelf.drop, set(ids) - {entry.page_id for entry in entries})

    async def _shrink(self, tenant: str, shelf: Shelf) -> None:
        others = sorted((other.last_used, name) for name, other in self._shelves.items() if name != tenant)
        for _, name in others:
            if self.size_bytes <= self._limit:
                break
            del self._shelves[name]
        if self.size_bytes > self._limit or shelf.dead > len(shelf):
            # A quarter is left free, so that the next new page does not move the whole block again.
            await asyncio.to_thread(shelf.shrink, self._limit * 3 // 4)
