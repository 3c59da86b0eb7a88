"""Above the exact limit words are found by sketch: at once, after each change, inside the filter, in bounded memory."""

from __future__ import annotations

import asyncio

import pytest

from retrieval.documents import PageVectors
from retrieval.errors import StoreUnavailable
from retrieval.filters import EVERYTHING
from retrieval.ports import Store
from retrieval.search import SearchEngine, sketches
from retrieval.search.sketches import SketchCache
from tests.conformance.builders import OTHER_TENANT, TENANT
from tests.fakes.encoder import FakeEncoder, SketchingFake
from tests.retrieval.search.building import add_words, ask
from tests.retrieval.search.test_engine import ids, on_both_engines

PAGES = 30


@pytest.fixture
def encoder() -> SketchingFake:
    return SketchingFake()


def small(store: Store, encoder: FakeEncoder, **options: int) -> SearchEngine:
    """An engine to which a few pages are many."""
    return SearchEngine(store, encoder, exact_limit=10, nearest_limit=4, **options)


def crowded(word: str, number: int) -> str:
    """A page full of other words, so that its summary says nothing of the one."""
    return " ".join([word, *(f"w{number}x{place}" for place in range(15))])


async def add_crowd(store: Store, encoder: FakeEncoder, *, tenant: str = TENANT, pages: int = PAGES) -> list[str]:
    words = [crowded(f"needle{number}", number) for number in range(pages)]
    return await add_words(store, encoder, "CROWD", *words, tenant=tenant)


async def best(cache: SketchCache, store: Store, encoder: FakeEncoder, text: str, tenant: str = TENANT) -> list[str]:
    [probe] = await encoder.encode_queries([text])
    wanted = await store.pages.matching(tenant, EVERYTHING, encoder="fake/1", limit=1000)
    return await cache.best(tenant, probe, wanted, limit=2, complete=True)


@on_both_engines
async def test_a_word_that_only_tokens_tell_is_found_and_follows_the_store(
    store: Store, encoder: SketchingFake
) -> None:
    pages = await add_crowd(store, encoder)
    engine, without = small(store, encoder), small(store, FakeEncoder())
    found = [ids(await engine.search(TENANT, ask(f"needle{number}", limit=1))) for number in range(PAGES)]
    assert found == [[page] for page in pages]
    missed = [ids(await without.search(TENANT, ask(f"needle{number}", limit=1))) for number in range(PAGES)]
    assert sum(hit == [page] for hit, page in zip(missed, pages, strict=True)) < PAGES // 2

    [added] = await add_words(store, encoder, "NEW", crowded("fresh", 100), line="travel")
    assert ids(await engine.search(TENANT, ask("fresh", limit=1))) == [added]
    vectors = (await store.pages.vectors(TENANT, [added]))[added]
    await store.pages.replace_vectors(TENANT, pages[3], vectors, usage={})
    result = await engine.search(TENANT, ask("fresh", limit=2))
    assert set(ids(result)) == {added, pages[3]}
    assert result.hits[1].score > 0.9
    only = await engine.search(TENANT, ask("fresh", where={"line": {"ne": "travel"}}, limit=1))
    assert ids(only) == [pages[3]]
    await store.claims.delete(TENANT, "NEW")
    assert ids(await engine.search(TENANT, ask("fresh", limit=1))) == [pages[3]]
    assert engine.sketched == PAGES


async def test_a_search_does_not_wait_for_many_sketches(
    store: Store, encoder: SketchingFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sketches, "_BATCH", 4)
    pages = await add_crowd(store, encoder)
    cache = SketchCache(store.pages, encoder, "fake/1")
    assert await best(cache, store, encoder, "needle20") == []
    await cache.settle()
    assert len(cache) == PAGES
    assert (await best(cache, store, encoder, "needle20"))[0] == pages[20]
    assert encoder.coarse == [PAGES]


async def test_a_store_that_fails_meanwhile_is_asked_again(
    store: Store, encoder: SketchingFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sketches, "_BATCH", 4)
    pages = await add_crowd(store, encoder)
    cache = SketchCache(store.pages, encoder, "fake/1")

    async def away(tenant: str, page_ids: object) -> dict[str, PageVectors]:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(store.pages, "vectors", away)
        assert await best(cache, store, encoder, "needle20") == []
        await cache.settle()
    assert await best(cache, store, encoder, "needle20") == []
    await cache.settle()
    assert (await best(cache, store, encoder, "needle20"))[0] == pages[20]


async def test_memory_is_bounded_and_the_tenant_of_the_last_search_keeps_its_sketches(
    store: Store, encoder: SketchingFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sketches, "_BATCH", 4)
    pages = {tenant: await add_crowd(store, encoder, tenant=tenant) for tenant in (TENANT, OTHER_TENANT)}
    whole = SketchCache(store.pages, encoder, "fake/1")
    await best(whole, store, encoder, "needle1")
    await whole.settle()
    limit = whole.size_bytes + 1
    cache = SketchCache(store.pages, encoder, "fake/1", limit_bytes=limit)
    for tenant in (TENANT, OTHER_TENANT):
        await best(cache, store, encoder, "needle1", tenant)
        await cache.settle()
        assert (await best(cache, store, encoder, "needle1", tenant))[0] == pages[tenant][1]
        assert len(cache) == PAGES
    tight = SketchCache(store.pages, encoder, "fake/1", limit_bytes=limit // 3)
    await best(tight, store, encoder, "needle1")
    await tight.settle()
    assert tight.size_bytes < limit // 2


async def test_a_collection_too_large_for_sketches_is_searched_by_summary(store: Store, encoder: SketchingFake) -> None:
    await add_crowd(store, encoder)
    engine = small(store, encoder, sketch_bytes=20 * sketches.LEAST_BYTES_A_PAGE)
    assert (await engine.search(TENANT, ask("needle1"))).total == 4
    assert encoder.coarse == []


async def test_pictures_keep_all_places_where_sketches_say_nothing(store: Store, encoder: SketchingFake) -> None:
    pages = await add_crowd(store, encoder)
    [copy] = await add_words(store, encoder, "COPY", crowded("needle4", 4))
    result = await small(store, encoder).search(TENANT, ask(page_id=copy))
    assert (ids(result)[0], result.total) == (pages[4], 4)
    assert encoder.coarse == [PAGES]


async def test_a_closed_engine_reads_nothing_more(
    store: Store, encoder: SketchingFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sketches, "_BATCH", 4)
    await add_crowd(store, encoder)
    engine = small(store, encoder)
    await engine.search(TENANT, ask("needle1"))
    await engine.aclose()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "sketches"]
