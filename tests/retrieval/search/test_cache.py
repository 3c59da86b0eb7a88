"""Vectors in memory: read once, bounded, and right when many searches want room at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from retrieval.documents import Page, PageVectors
from retrieval.filters import EVERYTHING
from retrieval.ports import Store
from retrieval.search import SearchEngine
from retrieval.search.cache import VectorCache
from tests.conformance.builders import OTHER_TENANT, TENANT
from tests.fakes.encoder import FakeEncoder
from tests.retrieval.search.building import add_words, ask


class Counting:
    """The page index, counting which vectors are read."""

    def __init__(self, store: Store) -> None:
        self._pages = store.pages
        self.read: list[str] = []

    async def vectors(self, tenant: str, page_ids: Sequence[str]) -> Mapping[str, PageVectors]:
        self.read += page_ids
        return await self._pages.vectors(tenant, page_ids)

    async def get_many(self, tenant: str, page_ids: Sequence[str]) -> Mapping[str, Page]:
        return await self._pages.get_many(tenant, page_ids)


async def wanted(store: Store, tenant: str = TENANT) -> list[tuple[str, int]]:
    return await store.pages.matching(tenant, EVERYTHING, encoder="fake/1", limit=1000)


@pytest.fixture
def counting(store: Store) -> Counting:
    return Counting(store)


async def test_each_page_is_read_once(store: Store, encoder: FakeEncoder, counting: Counting) -> None:
    pages = await add_words(store, encoder, "C-1", "hail", "invoice", "total")
    cache = VectorCache(counting, encoder)  # type: ignore[arg-type]
    found = await wanted(store)
    await asyncio.gather(*(cache.select(TENANT, found[:size]) for size in (1, 2, 3, 3)))
    assert sorted(counting.read) == sorted(pages)


async def test_only_the_page_that_changed_is_read_again(store: Store, encoder: FakeEncoder, counting: Counting) -> None:
    pages = await add_words(store, encoder, "C-1", "hail", "invoice", "total")
    cache = VectorCache(counting, encoder)  # type: ignore[arg-type]
    await cache.select(TENANT, await wanted(store))
    counting.read.clear()
    vectors = (await store.pages.vectors(TENANT, pages))[pages[0]]
    await store.pages.replace_vectors(TENANT, pages[1], vectors, usage={})
    await cache.select(TENANT, await wanted(store))
    assert counting.read == [pages[1]]


async def test_memory_stays_below_the_limit(store: Store, encoder: FakeEncoder, counting: Counting) -> None:
    for tenant in (TENANT, OTHER_TENANT):
        await add_words(store, encoder, "C-1", *[f"w{number}" for number in range(20)], tenant=tenant)
    unbounded = VectorCache(counting, encoder)  # type: ignore[arg-type]
    await unbounded.select(TENANT, await wanted(store))
    whole = unbounded.size_bytes
    cache = VectorCache(counting, encoder, limit_bytes=whole * 3 // 2)  # type: ignore[arg-type]
    for tenant in (TENANT, OTHER_TENANT, TENANT):
        selection = await cache.select(tenant, await wanted(store, tenant))
        assert selection is not None
        assert len(selection.page_ids) == 20
        assert cache.size_bytes <= whole * 3 // 2


async def test_the_tenant_that_was_used_last_keeps_its_pages(
    store: Store, encoder: FakeEncoder, counting: Counting
) -> None:
    for tenant in (TENANT, OTHER_TENANT):
        await add_words(store, encoder, "C-1", *[f"w{number}" for number in range(20)], tenant=tenant)
    size = VectorCache(counting, encoder)  # type: ignore[arg-type]
    await size.select(TENANT, await wanted(store))
    cache = VectorCache(counting, encoder, limit_bytes=size.size_bytes * 3 // 2)  # type: ignore[arg-type]
    await cache.select(TENANT, await wanted(store))
    await cache.select(OTHER_TENANT, await wanted(store, OTHER_TENANT))
    counting.read.clear()
    await cache.select(OTHER_TENANT, await wanted(store, OTHER_TENANT))
    assert counting.read == []


async def test_searches_that_fight_for_room_stay_right(store: Store, encoder: FakeEncoder) -> None:
    for tenant in (TENANT, OTHER_TENANT):
        for number in range(6):
            await add_words(store, encoder, f"C-{number}", f"w{number}", "common", tenant=tenant)
    engine = SearchEngine(store, encoder, cache_bytes=2000)
    asked = [(tenant, number) for number in range(6) for tenant in (TENANT, OTHER_TENANT)] * 2
    results = await asyncio.gather(*(engine.search(tenant, ask(f"w{number}", limit=1)) for tenant, number in asked))
    assert [result.hits[0].claim.claim_id for result in results] == [f"C-{number}" for _, number in asked]
    assert {result.total for result in results} == {12}


async def test_a_page_that_is_gone_is_left_out(store: Store, encoder: FakeEncoder, counting: Counting) -> None:
    await add_words(store, encoder, "C-1", "hail")
    [kept] = await add_words(store, encoder, "C-2", "hail")
    found = await wanted(store)
    await store.claims.delete(TENANT, "C-1")
    selection = await VectorCache(counting, encoder).select(TENANT, found)  # type: ignore[arg-type]
    assert selection is not None
    assert selection.page_ids == [kept]
