"""Vectors of searched pages in memory, so that both engines read each page once.

Where all pages of a filter are compared, they lie side by side on the shelf of their tenant and are not copied. Pages
picked out of many would tear holes into that block as they come and go: they are kept each by itself.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from models.encoder import Encoder, encoder_id
from retrieval.documents import PageVectors
from retrieval.ports import PageIndex
from retrieval.search.selection import Selection, ShelfEntry, joined
from retrieval.search.shelf import Shelf

DEFAULT_CACHE_BYTES = 1 << 30
ANY_REVISION = -1
_BATCH = 256


class VectorCache:
    """Keeps at most `limit_bytes` of vectors. Where room is wanted, picked pages go first, down to a quarter of the
    limit; then the tenant, then the page, that was not used for longest.

    A page is read again when its revision in the store changed. What one search needs is handed out even when it
    is more than the limit; it is then not kept. No search waits for what is moved to make room: the smaller copy of
    a shelf is made beside it, so for that moment memory holds both.
    """

    def __init__(self, pages: PageIndex, encoder: Encoder, *, limit_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        self._pages = pages
        self._encoder = encoder_id(encoder)
        self._limit = limit_bytes
        self._shelves: dict[str, Shelf] = {}
        self._picked = _Picked()
        self._locks: dict[str, asyncio.Lock] = {}
        self._shrinking: dict[str, asyncio.Task[None]] = {}
        self._ticks = itertools.count(1)

    @property
    def size_bytes(self) -> int:
        return self._picked.size_bytes + self._shelved_bytes

    async def select(self, tenant: str, wanted: Sequence[tuple[str, int]]) -> Selection | None:
        """The pages of those (page_id, revision) that exist with this encoder, packed; None when none does.

        Raises EncoderMismatch when stored vectors do not fit each other.
        """
        shelf, lock = self._place_of(tenant)
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
            self._make_room(tenant, shelf)
        return selection

    async def warm(self, tenant: str, batch: Sequence[tuple[str, int]]) -> bool:
        """Reads those (page_id, revision) that are not here, before a search waits for them. False where less than a
        quarter is free: room is taken from nothing. Raises EncoderMismatch."""
        if self.size_bytes >= self._limit * 3 // 4:
            return False
        shelf, lock = self._place_of(tenant)
        async with lock:
            await self._fill(shelf, tenant, await asyncio.to_thread(shelf.missing, batch))
        return True

    async def pick(self, tenant: str, wanted: Sequence[tuple[str, int]]) -> Selection | None:
        """The same for few pages out of many."""
        found: dict[str, ShelfEntry] = {}
        for page_id, revision in wanted:
            entry = self._picked.get(tenant, page_id, revision)
            if entry is not None:
                found[page_id] = entry
        absent = [page for page in wanted if page[0] not in found]
        for start in range(0, len(absent), _BATCH):
            for entry in await self._read(tenant, absent[start : start + _BATCH]):
                found[entry.page_id] = entry
                self._picked.put(tenant, entry)
        self._picked.shrink(max(self._limit - self._shelved_bytes, self._limit // 4))
        ordered = [found[page_id] for page_id, _ in wanted if page_id in found]
        return await asyncio.to_thread(joined, ordered, self._encoder)

    async def settle(self) -> None:
        """Waits for what is moved in the background."""
        if self._shrinking:
            await asyncio.wait(set(self._shrinking.values()))

    def _place_of(self, tenant: str) -> tuple[Shelf, asyncio.Lock]:
        shelf = self._shelves.setdefault(tenant, Shelf(self._encoder, full_bytes=self._limit))
        return shelf, self._locks.setdefault(tenant, asyncio.Lock())

    @property
    def _shelved_bytes(self) -> int:
        return sum(shelf.size_bytes for shelf in self._shelves.values())

    async def _fill(self, shelf: Shelf, tenant: str, batch: Sequence[tuple[str, int]], *, expect: int = 0) -> None:
        """Reads what the store still has with this encoder; what it has no longer is taken off the shelf."""
        if not batch:
            return
        entries = await self._read(tenant, batch)
        await asyncio.to_thread(shelf.add, entries, expect=expect)
        await asyncio.to_thread(shelf.drop, {page_id for page_id, _ in batch} - {entry.page_id for entry in entries})

    async def _read(self, tenant: str, batch: Sequence[tuple[str, int]]) -> list[ShelfEntry]:
        revisions = dict(batch)
        ids = list(revisions)
        vectors, pages = await asyncio.gather(self._pages.vectors(tenant, ids), self._pages.get_many(tenant, ids))
        return [
            ShelfEntry(page_id, pages[page_id].claim_id, revisions[page_id], replace(vectors[page_id], cells=None))
            for page_id in ids
            if page_id in pages and page_id in vectors and vectors[page_id].encoder == self._encoder
        ]

    def _make_room(self, tenant: str, shelf: Shelf) -> None:
        self._picked.shrink(max(self._limit - self._shelved_bytes, self._limit // 4))
        others = sorted((other.last_used, name) for name, other in self._shelves.items() if name != tenant)
        for _, name in others:
            if self.size_bytes <= self._limit:
                break
            del self._shelves[name]
        if (self.size_bytes > self._limit or shelf.dead > len(shelf)) and tenant not in self._shrinking:
            # A quarter is left free, so that the next new page does not move the whole block again.
            room = (self._limit - self._picked.size_bytes) * 3 // 4
            task = asyncio.create_task(self._shrink(tenant, shelf, room), name="shrink-vectors")
            self._shrinking[tenant] = task
            task.add_done_callback(lambda _: self._shrinking.pop(tenant, None))

    async def _shrink(self, tenant: str, shelf: Shelf, room: int) -> None:
        move = await asyncio.to_thread(shelf.begin_shrink, room)
        if move is not None:
            # Not between what a search reads and what it takes.
            async with self._locks[tenant]:
                await asyncio.to_thread(shelf.end_shrink, move)


class _Picked:
    """Pages each by itself, of all tenants. What was used last goes last. Not for several threads."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._entries: OrderedDict[tuple[str, str], ShelfEntry] = OrderedDict()

    def get(self, tenant: str, page_id: str, revision: int) -> ShelfEntry | None:
        """revision: ANY_REVISION takes any."""
        entry = self._entries.get((tenant, page_id))
        if entry is None or revision not in (ANY_REVISION, entry.revision):
            return None
        self._entries.move_to_end((tenant, page_id))
        return entry

    def put(self, tenant: str, entry: ShelfEntry) -> None:
        old = self._entries.pop((tenant, entry.page_id), None)
        if old is not None:
            self.size_bytes -= _bytes_of(old.vectors)
        self._entries[tenant, entry.page_id] = entry
        self.size_bytes += _bytes_of(entry.vectors)

    def shrink(self, limit_bytes: int) -> None:
        while self.size_bytes > limit_bytes and self._entries:
            _, entry = self._entries.popitem(last=False)
            self.size_bytes -= _bytes_of(entry.vectors)


_OBJECTS_BYTES = 1024
"""About what Python takes for a page and its arrays."""


def _bytes_of(vectors: PageVectors) -> int:
    arrays = (vectors.summary, vectors.tokens, vectors.scales)
    return _OBJECTS_BYTES + sum(array.nbytes for array in arrays if array is not None)
