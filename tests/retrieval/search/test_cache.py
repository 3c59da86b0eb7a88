"""Vectors in memory: read once, bounded, and right when many searches want room at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from retrieval.documents import Page, PageVectors
from retrieval.filters import EVERYTHING
from retrieval.ports import Store
from retrieval.search import SearchEngine
from retrieval.search.cache import VectorCache
from retrieval.search.shelf import Move, Shelf
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
        await cache.settle()
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


async def test_a_search_does_not_wait_for_what_is_moved(
    store: Store, encoder: FakeEncoder, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_words(store, encoder, "C-1", *[f"w{number}" for number in range(20)])
    found = await wanted(store)
    cache = VectorCache(counting, encoder, limit_bytes=5000)  # type: ignore[arg-type]
    go_on = threading.Event()
    begin = Shelf.begin_shrink

    def held_up(shelf: Shelf, limit_bytes: int) -> Move | None:
        assert go_on.wait(60)
        return begin(shelf, limit_bytes)

    monkeypatch.setattr(Shelf, "begin_shrink", held_up)
    try:
        whole = await cache.select(TENANT, found)
        part = await cache.select(TENANT, found[3:9])
    finally:
        go_on.set()
    assert whole is not None
    assert part is not None
    assert (whole.page_ids, part.page_ids) == ([page for page, _ in found], [page for page, _ in found[3:9]])
    assert cache.size_bytes > 5000
    await cache.settle()
    assert cache.size_bytes <= 5000


async def test_picked_pages_are_those_of_the_shelf(store: Store, encoder: FakeEncoder, counting: Counting) -> None:
    for claim in ("C-1", "C-2"):
        await add_words(store, encoder, claim, "hail storm", "invoice", "total theft of a bicycle")
    found = await wanted(store)
    cache = VectorCache(counting, encoder)  # type: ignore[arg-type]
    for chosen in ([found[4], found[0], found[3]], found[1:5]):
        picked, selected = await cache.pick(TENANT, chosen), await cache.select(TENANT, chosen)
        assert picked is not None
        assert selected is not None
        assert picked.page_ids == selected.page_ids == [page for page, _ in chosen]
        same_claim = [one.claims[:, None] == one.claims for one in (picked, selected)]
        np.testing.assert_array_equal(same_claim[0], same_claim[1])
        for at, place in enumerate(picked.places()):
            other = selected.places()[at]
            np.testing.assert_array_equal(picked.packed.summaries[place], selected.packed.summaries[other])
            rows, other_rows = (
                slice(*one.packed.offsets[[where, where + 1]]) for one, where in ((picked, place), (selected, other))
            )
            np.testing.assert_array_equal(picked.packed.tokens[rows], selected.packed.tokens[other_rows])
            np.testing.assert_array_equal(picked.packed.scales[rows], selected.packed.scales[other_rows])
    assert await cache.pick(TENANT, [("nowhere", 1)]) is None


async def test_picked_pages_are_read_once_and_the_last_used_stay(
    store: Store, encoder: FakeEncoder, counting: Counting
) -> None:
    await add_words(store, encoder, "C-1", *[f"w{number}" for number in range(12)])
    found = await wanted(store)
    cache = VectorCache(counting, encoder)  # type: ignore[arg-type]
    await cache.pick(TENANT, found[:4])
    await cache.pick(TENANT, found[:4])
    assert counting.read == [page for page, _ in found[:4]]
    limit = cache.size_bytes
    small = VectorCache(counting, encoder, limit_bytes=limit)  # type: ignore[arg-type]
    for start in (0, 4, 0, 8):
        await small.pick(TENANT, found[start : start + 2])
        assert small.size_bytes <= limit
    counting.read.clear()
    await small.pick(TENANT, [*found[:2], *found[8:10]])
    assert counting.read == []
    await small.pick(TENANT, found[4:6])
    assert counting.read == [page for page, _ in found[4:6]]
    changed = (await store.pages.vectors(TENANT, [found[5][0]]))[found[5][0]]
    await store.pages.replace_vectors(TENANT, found[4][0], changed, usage={})
    counting.read.clear()
    await small.pick(TENANT, (await wanted(store))[4:6])
    assert counting.read == [found[4][0]]


async def test_picked_pages_leave_room_for_whole_collections(
    store: Store, encoder: FakeEncoder, counting: Counting
) -> None:
    await add_words(store, encoder, "C-1", *[f"w{number}" for number in range(20)])
    found = await wanted(store)
    size = VectorCache(counting, encoder)  # type: ignore[arg-type]
    await size.pick(TENANT, found)
    limit = size.size_bytes
    cache = VectorCache(counting, encoder, limit_bytes=limit)  # type: ignore[arg-type]
    await cache.pick(TENANT, found)
    await cache.select(TENANT, found)
    await cache.settle()
    assert cache.size_bytes <= limit
    counting.read.clear()
    await cache.select(TENANT, found)
    assert counting.read == []


async def test_a_page_that_is_gone_is_left_out(store: Store, encoder: FakeEncoder, counting: Counting) -> None:
    await add_words(store, encoder, "C-1", "hail")
    [kept] = await add_words(store, encoder, "C-2", "hail")
    found = await wanted(store)
    await store.claims.delete(TENANT, "C-1")
    selection = await VectorCache(counting, encoder).select(TENANT, found)  # type: ignore[arg-type]
    assert selection is not None
    assert selection.page_ids == [kept]
