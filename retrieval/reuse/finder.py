"""Finds copies of a claim's photos in other claims: the vector says where to look, the print says whether it is one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from PIL import Image

from retrieval.documents import Page, PageVectors, Reuse
from retrieval.errors import NotFound
from retrieval.filters import AllOf, Condition
from retrieval.ports import Store
from retrieval.reuse.prints import Overlay, Print, overlay, print_of
from retrieval.search.probes import open_picture

CANDIDATES = 20
"""Photos of other claims, nearest by vector, that a photo is laid over."""
COSINE_WEIGHT, LINE = 0.3, 1.136
"""A copy: likeness of the prints + COSINE_WEIGHT * cosine of the vectors reaches LINE. Drawn on training photos, at one
false alarm in a hundred photos: `scripts/bench_reuse.py PHOTOS --choose`."""
MOST_PHOTOS = 200
"""Photos of one claim that are looked up at once."""


class ReuseFinder:
    """Holds nothing; every answer is about the photos that exist now."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def of_photo(self, tenant: str, page: Page, vectors: PageVectors, photo: Image.Image) -> list[Reuse]:
        """Copies of this photo in other claims, the surest first. photo: as stored. Raises IndexNotReady."""
        where = AllOf((Condition("kind", "eq", "photo"), Condition("claim_id", "ne", page.claim_id)))
        near = await self._store.pages.nearest(tenant, vectors, where, limit=CANDIDATES)
        near = [found for found in near if 1.0 + COSINE_WEIGHT * found.score >= LINE]
        if not near:
            return []
        mine = await asyncio.to_thread(print_of, photo)
        others = await self._store.pages.get_many(tenant, [found.page_id for found in near])
        found: list[Reuse] = []
        for candidate in near:
            other = others.get(candidate.page_id)
            if other is None or other.claim_id == page.claim_id or other.kind != "photo":
                continue
            if other.asset_id == page.asset_id and other.number == page.number:
                found.append(Reuse(page, other, 1.0, same_file=True))
                continue
            laid = None if mine is None else await self._laid_over(tenant, mine, other.page_id)
            if laid is not None and laid.likeness + COSINE_WEIGHT * candidate.score >= LINE:
                likeness = round(min(1.0, laid.likeness), 3)
                found.append(Reuse(page, other, likeness, mirrored=laid.mirrored, share=laid.share))
        return sorted(found, key=lambda reuse: (not reuse.same_file, -reuse.likeness, reuse.other.page_id))

    async def of_claim(self, tenant: str, claim_id: str) -> list[Reuse]:
        """Of its first MOST_PHOTOS photos. Raises NotFound claim_not_found, IndexNotReady."""
        await self._store.claims.get(tenant, claim_id)
        photos = await self._photos(tenant, claim_id)
        vectors = await self._store.pages.vectors(tenant, [page.page_id for page in photos])
        found: list[Reuse] = []
        for page in photos:
            if page.page_id not in vectors:
                continue
            try:
                photo = await asyncio.to_thread(open_picture, await self._store.pages.picture(tenant, page.page_id))
            except NotFound:
                continue
            found += await self.of_photo(tenant, page, vectors[page.page_id], photo)
        return found

    async def _photos(self, tenant: str, claim_id: str) -> Sequence[Page]:
        photos: list[Page] = []
        cursor: str | None = None
        while len(photos) < MOST_PHOTOS:
            listing = await self._store.pages.list(tenant, claim_id=claim_id, cursor=cursor, limit=500)
            photos += [page for page in listing.items if page.kind == "photo"]
            cursor = listing.next_cursor
            if cursor is None:
                break
        return photos[:MOST_PHOTOS]

    async def _laid_over(self, tenant: str, mine: Print, page_id: str) -> Overlay | None:
        try:
            picture = await self._store.pages.picture(tenant, page_id)
        except NotFound:
            return None
        return await asyncio.to_thread(_compare, mine, picture)


def _compare(mine: Print, picture: bytes) -> Overlay | None:
    theirs = print_of(open_picture(picture))
    return None if theirs is None else overlay(mine, theirs)
