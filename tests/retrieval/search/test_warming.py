"""After a start the first search finds in memory what it wants, and nothing waits for that or loses its room to it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from retrieval.documents import PageVectors
from retrieval.filters import EVERYTHING, Filter
from retrieval.ports import Store
from retrieval.search import SearchEngine, candidates
from retrieval.search.cache import VectorCache
from retrieval.search.sketches import SketchCache
from tests.conformance.builders import OTHER_TENANT, TENANT
from tests.fakes.encoder import FakeEncoder, SketchingFake
from tests.retrieval.search.building import add_words, ask
from tests.retrieval.search.test_engine import ids, on_both_engines

PAGES = 20
WORDS = [f"w{number}" for number in range(PAGES)]


@pytest.fixture
def read(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Pages whose vectors the store was asked for."""
    pages: list[str] = []
    vectors = store.pages.vectors

    async def counted(tenant: str, page_ids: Sequence[str]) -> Mapping[str, PageVectors]:
        pages.extend(page_ids)
        return await vectors(tenant, page_ids)

    monkeypatch.setattr(store.pages, "vectors", counted)
    return pages


async def at_once() -> None:
    """Nothing is more urgent."""


async def listed(store: Store, tenant: str = TENANT) -> list[tuple[str, int]]:
    return await store.pages.matching(tenant, EVERYTHING, encoder="fake/1", limit=1000)


@on_both_engines
async def test_the_first_search_reads_nothing_any_more(store: Store, encoder: FakeEncoder, read: list[str]) -> None:
    pages = {tenant: await add_words(store, encoder, "C-1", *WORDS, tenant=tenant) for tenant in (TENANT, OTHER_TENANT)}
    engine = SearchEngine(store, encoder)
    await engine.warm(first=OTHER_TENANT, turn=at_once)
    assert read == sorted(pages[OTHER_TENANT]) + sorted(pages[TENANT])
    for tenant, found in pages.items():
        read.clear()
        assert ids(await engine.search(tenant, ask("w7", limit=1))) == [found[7]]
        assert set(read) <= {found[7]}, "at most what is shown, to say why"


async def test_above_the_exact_limit_sketches_are_there_at_once(store: Store) -> None:
    encoder = SketchingFake()
    pages = await add_words(store, encoder, "C-1", *WORDS)
    engine = SearchEngine(store, encoder, exact_limit=10, nearest_limit=4)
    await engine.warm(first=TENANT, turn=at_once)
    assert engine.sketched == PAGES
    assert ids(await engine.search(TENANT, ask("w7", limit=1))) == [pages[7]]
    assert encoder.coarse == [PAGES]


async def test_what_is_more_urgent_comes_first(
    store: Store, encoder: FakeEncoder, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "_WARM_BATCH", 1)
    pages = await add_words(store, encoder, "C-1", *WORDS)
    [other] = await add_words(store, encoder, "C-2", "hail", line="travel")
    engine = SearchEngine(store, encoder)
    turns, standing, go_on = iter(range(3)), asyncio.Event(), asyncio.Event()

    async def turn() -> None:
        if next(turns, None) is None:
            standing.set()
            await go_on.wait()

    warming = asyncio.create_task(engine.warm(first=TENANT, turn=turn))
    await standing.wait()
    found = await engine.search(TENANT, ask("hail", where={"line": "travel"}))
    assert ids(found) == [other]
    assert read == [*sorted(pages)[:3], other, other]
    go_on.set()
    await warming
    assert sorted(read) == sorted([*pages, other, other]), "each once, and what was shown once more, to say why"


async def test_what_was_searched_keeps_its_room(store: Store) -> None:
    encoder = SketchingFake()
    for tenant in (TENANT, OTHER_TENANT):
        await add_words(store, encoder, "C-1", *WORDS, tenant=tenant)
    whole = VectorCache(store.pages, encoder)
    await whole.warm(TENANT, await listed(store))
    small = VectorCache(store.pages, encoder, limit_bytes=whole.size_bytes)
    await small.select(TENANT, await listed(store))
    await small.warm(OTHER_TENANT, await listed(store, OTHER_TENANT))
    assert small.size_bytes == whole.size_bytes

    every = SketchCache(store.pages, encoder, "fake/1")
    await every.warm(TENANT, await listed(store))
    tight = SketchCache(store.pages, encoder, "fake/1", limit_bytes=every.size_bytes)
    for tenant in (TENANT, OTHER_TENANT):
        await tight.warm(tenant, await listed(store, tenant))
    assert len(tight) == PAGES


async def test_of_many_tenants_those_are_left_that_find_no_room(
    store: Store, encoder: FakeEncoder, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    matching = store.pages.matching

    async def noted(tenant: str, filter: Filter, *, encoder: str, limit: int) -> list[tuple[str, int]]:
        asked.append(tenant)
        return await matching(tenant, filter, encoder=encoder, limit=limit)

    monkeypatch.setattr(store.pages, "matching", noted)
    monkeypatch.setattr(candidates, "_WARM_BATCH", 1)
    for tenant in (TENANT, OTHER_TENANT):
        await add_words(store, encoder, "C-1", *WORDS, tenant=tenant)
    await SearchEngine(store, encoder, cache_bytes=2000).warm(first=OTHER_TENANT, turn=at_once)
    assert asked == [OTHER_TENANT]
    assert 0 < len(read) < PAGES
