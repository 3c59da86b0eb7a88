"""A vector index may lag behind the store. What a search shows is true all the same, and what it does not show yet is
known not to be searchable. The embedded engine never lags; it keeps the same promises."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from retrieval.filters import EVERYTHING, parse_filter
from retrieval.ports import Store
from tests.conformance.builders import ENCODER, TENANT, claim, stored, vectors
from tests.fakes.atlas_standin import AtlasStandin


@dataclass(frozen=True)
class Lag:
    """Holds the vector index of this test's store back, where there is one that can lag."""

    standin: AtlasStandin | None
    database: str

    def begin(self) -> None:
        if self.standin is not None:
            self.standin.hold(self.database)

    def end(self) -> None:
        if self.standin is not None:
            self.standin.flush(self.database)


@pytest.fixture
def lag(store: Store, request: pytest.FixtureRequest) -> Lag:
    if store.engine == "mongodb":
        return Lag(request.getfixturevalue("atlas"), request.getfixturevalue("mongo_database"))
    return Lag(None, "")


async def found(store: Store, source: object = None, *, seed: int = 1) -> list[str]:
    hits = await store.pages.nearest(TENANT, vectors(seed), parse_filter(source), limit=100)
    return sorted(hit.page_id for hit in hits)


async def test_new_pages_are_searchable_when_a_search_finds_them(store: Store, lag: Lag) -> None:
    lag.begin()
    pages = sorted(page.page_id for page in await stored(store, pages=3))
    assert await store.pages.searchable(TENANT, pages) is (await found(store) == pages)
    assert await store.pages.passing(TENANT, pages, EVERYTHING, encoder=ENCODER) == frozenset(pages)
    assert [page_id for page_id, _ in await store.pages.matching(TENANT, EVERYTHING, encoder=ENCODER, limit=9)] == pages
    lag.end()
    assert await found(store) == pages
    assert await store.pages.searchable(TENANT, pages)


async def test_deleted_page_never_appears(store: Store, lag: Lag) -> None:
    await stored(store, claim_id="C-1", content=b"one", pages=2)
    kept = sorted(page.page_id for page in await stored(store, claim_id="C-2", content=b"two"))
    lag.begin()
    await store.claims.delete(TENANT, "C-1")
    assert await found(store) == kept
    lag.end()
    assert await found(store) == kept


async def test_page_of_a_claim_that_changed_never_appears_under_its_old_facts(store: Store, lag: Lag) -> None:
    await store.claims.put(TENANT, claim(line="auto"))
    pages = [page.page_id for page in await stored(store)]
    lag.begin()
    await store.claims.update(TENANT, "C-1", lambda old: replace(old, line="travel"))
    assert await found(store, {"line": "auto"}) == []
    assert await store.pages.passing(TENANT, pages, parse_filter({"line": "auto"}), encoder=ENCODER) == frozenset()
    lag.end()
    assert await found(store, {"line": "travel"}) == pages


async def test_page_that_moved_to_another_encoder_never_appears_for_its_old_one(store: Store, lag: Lag) -> None:
    [page] = await stored(store)
    lag.begin()
    await store.pages.replace_vectors(TENANT, page.page_id, vectors(7, encoder="fake/2"), usage={})
    assert await found(store) == []
    lag.end()
    hits = await store.pages.nearest(TENANT, vectors(7, encoder="fake/2"), EVERYTHING, limit=5)
    assert [hit.page_id for hit in hits] == [page.page_id]


async def test_page_with_new_vectors_is_searchable_when_they_are(store: Store, lag: Lag) -> None:
    [page] = await stored(store)
    lag.begin()
    await store.pages.replace_vectors(TENANT, page.page_id, vectors(7), usage={})
    [hit] = await store.pages.nearest(TENANT, vectors(7), EVERYTHING, limit=5)
    assert await store.pages.searchable(TENANT, [page.page_id]) is (hit.score > 0.999)
    lag.end()
    [hit] = await store.pages.nearest(TENANT, vectors(7), EVERYTHING, limit=5)
    assert hit.score == pytest.approx(1.0, abs=1e-6)
    assert await store.pages.searchable(TENANT, [page.page_id])


async def test_index_status_tells_how_far_behind_the_index_is(store: Store, lag: Lag) -> None:
    await stored(store, content=b"one", pages=2)
    lag.begin()
    await stored(store, content=b"two", pages=3)
    status = await store.index_status()
    assert (status.state, status.pages) == ("ready", 5)
    assert status.indexed == len(await found(store))
    lag.end()
    assert (await store.index_status()).indexed == 5
