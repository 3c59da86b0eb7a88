"""Where MongoDB's vector search stays silent (docs of its index, its stage, its filters), this store does not."""

from __future__ import annotations

from typing import Any

import bson
import numpy as np
import pytest
from bson.binary import Binary
from pymongo.operations import SearchIndexModel

from retrieval.errors import EncoderMismatch, IndexNotReady
from retrieval.filters import EVERYTHING, parse_filter
from retrieval.stores.mongo import MongoStore, page_search
from retrieval.stores.mongo.indexes import definition_of
from retrieval.stores.mongo.search_stage import MAX_RESULTS, search_stage
from tests.conformance.builders import DIMS, ENCODER, TENANT, FakeClock, claim, stored, vectors
from tests.fakes.atlas_standin import AtlasStandin
from tests.fakes.mongo import MongoStoreFactory

INDEX = f"pages_{DIMS}"


@pytest.fixture
def namespace(mongo_database: str) -> str:
    return f"{mongo_database}.pages"


async def index_error(store: MongoStore) -> str:
    with pytest.raises(IndexNotReady) as refused:
        await store.pages.nearest(TENANT, vectors(1), EVERYTHING, limit=5)
    return refused.value.code


async def make_index(store: MongoStore, definition: dict[str, Any]) -> None:
    if "pages" not in await store.link.db.list_collection_names():
        await store.link.db.create_collection("pages")
    model = SearchIndexModel(definition=definition, name=INDEX, type="vectorSearch")
    await store.link.pages.create_search_index(model)


class TestMissingIndex:
    """MongoDB answers a search over an index that is not there with nothing, and no error."""

    async def test_search_before_any_index_is_an_error(
        self, mongo_store_factory: MongoStoreFactory, clock: FakeClock
    ) -> None:
        store = await mongo_store_factory(clock=clock)
        try:
            assert await index_error(store) == "index_missing"
            assert (await store.index_status()).state == "missing"
        finally:
            await store.close()

    async def test_index_that_went_after_it_was_seen_is_noticed(
        self, store: MongoStore, atlas: AtlasStandin, namespace: str
    ) -> None:
        await stored(store)
        assert len(await store.pages.nearest(TENANT, vectors(1), EVERYTHING, limit=5)) == 1
        atlas.lose_index(namespace, INDEX)
        assert await index_error(store) == "index_missing"
        assert (await store.index_status()).state == "missing"

    async def test_drop_and_ensure_again(self, store: MongoStore) -> None:
        await stored(store)
        await store.drop_index()
        assert await index_error(store) == "index_missing"
        status = await store.index_status()
        assert (status.state, status.pages, status.indexed) == ("missing", 1, 0)
        assert "claimsight index ensure" in status.detail
        status = await store.ensure_index(dims=DIMS, wait_s=30.0)
        assert (status.state, status.pages, status.indexed) == ("ready", 1, 1)


class TestLifeCycle:
    @pytest.mark.parametrize(("mode", "state"), [("stuck", "building"), ("fails", "failed")])
    async def test_index_that_does_not_serve_is_an_error_with_its_reason(
        self, mongo_store_factory: MongoStoreFactory, clock: FakeClock, atlas: AtlasStandin, mode: Any, state: str
    ) -> None:
        store = await mongo_store_factory(clock=clock)
        try:
            atlas.build_mode = mode
            status = await store.ensure_index(dims=DIMS, wait_s=0.1)
            assert (status.name, status.state) == (INDEX, state)
            assert status.detail
            assert await index_error(store) == f"index_{state}"
            [page] = await stored(store)
            assert not await store.pages.searchable(TENANT, [page.page_id])
        finally:
            await store.close()

    async def test_without_waiting_the_index_is_being_built(
        self, mongo_store_factory: MongoStoreFactory, clock: FakeClock, atlas: AtlasStandin
    ) -> None:
        store = await mongo_store_factory(clock=clock)
        try:
            atlas.build_mode = "stuck"
            assert (await store.ensure_index(dims=DIMS)).state == "building"
        finally:
            await store.close()

    async def test_ensure_is_idempotent_and_keeps_the_index(self, store: MongoStore) -> None:
        await stored(store)
        before = await (await store.link.pages.list_search_indexes()).to_list()
        status = await store.ensure_index(dims=DIMS, wait_s=30.0)
        after = await (await store.link.pages.list_search_indexes()).to_list()
        assert [index["id"] for index in after] == [index["id"] for index in before]
        assert (status.state, status.indexed) == ("ready", 1)

    async def test_status_is_that_of_another_process(
        self, store: MongoStore, mongo_store_factory: MongoStoreFactory, clock: FakeClock
    ) -> None:
        await stored(store)
        other = await mongo_store_factory(clock=clock)
        try:
            assert await other.index_status() == await store.index_status()
            assert len(await other.pages.nearest(TENANT, vectors(1), EVERYTHING, limit=5)) == 1
        finally:
            await other.close()

    async def test_vectors_of_two_lengths_have_an_index_each(self, store: MongoStore) -> None:
        await stored(store, content=b"one")
        await store.ensure_index(dims=2 * DIMS, wait_s=30.0)
        long = vectors(2, dims=2 * DIMS, encoder="long/1")
        [page] = await stored(store, content=b"two", given=[long])
        found = await store.pages.nearest(TENANT, long, EVERYTHING, limit=5)
        assert [hit.page_id for hit in found] == [page.page_id]
        assert len(await store.pages.nearest(TENANT, vectors(1), EVERYTHING, limit=5)) == 1


class TestDefinition:
    """MongoDB searches an index of another definition without complaint, or refuses filters in the middle of work."""

    @pytest.mark.parametrize(
        "change",
        [
            {"path": "summary", "numDimensions": DIMS},
            {"numDimensions": DIMS * 2},
            None,
        ],
        ids=["another path", "another length", "a filter is missing"],
    )
    async def test_other_definition_is_outdated_until_ensured(
        self, mongo_store_factory: MongoStoreFactory, clock: FakeClock, change: dict[str, Any] | None
    ) -> None:
        store = await mongo_store_factory(clock=clock)
        try:
            definition = definition_of(DIMS)
            if change is None:
                definition["fields"] = definition["fields"][:-1]
            else:
                definition["fields"][0] |= change
            await make_index(store, definition)
            assert await index_error(store) == "index_outdated"
            status = await store.ensure_index(dims=DIMS, wait_s=30.0)
            assert status.state == "ready"
            assert await store.pages.nearest(TENANT, vectors(1), EVERYTHING, limit=5) == []
        finally:
            await store.close()

    async def test_defaults_and_filters_of_others_are_accepted(
        self, mongo_store_factory: MongoStoreFactory, clock: FakeClock
    ) -> None:
        store = await mongo_store_factory(clock=clock)
        try:
            definition = definition_of(DIMS)
            definition["fields"][0] |= {"quantization": "none", "indexingMethod": "hnsw"}
            definition["fields"].append({"type": "filter", "path": "their_own"})
            await make_index(store, definition)
            assert (await store.ensure_index(dims=DIMS, wait_s=30.0)).state == "ready"
            [listed] = await (await store.link.pages.list_search_indexes()).to_list()
            assert listed["latestDefinitionVersion"]["version"] == 0, "nothing was rebuilt"
        finally:
            await store.close()

    def test_definition_fits_the_smallest_clusters(self) -> None:
        assert len(bson.encode(definition_of(8192))) < 3 * 1024


class TestStage:
    def test_tenant_comes_first_whatever_the_filter_says(self) -> None:
        where = {"$or": [{"tenant_id": {"$exists": True}}]}
        stage = search_stage("acme", encoder=ENCODER, vector=vectors(1).summary, where=where, limit=5, exact=False)[
            "$vectorSearch"
        ]
        assert stage["filter"]["$and"][:2] == [{"tenant_id": {"$eq": "acme"}}, {"encoder": {"$eq": ENCODER}}]

    @pytest.mark.parametrize(("limit", "candidates"), [(1, 200), (10, 200), (100, 2000), (MAX_RESULTS, MAX_RESULTS)])
    def test_candidates_follow_the_limit_within_bounds(self, limit: int, candidates: int) -> None:
        stage = search_stage("acme", encoder=ENCODER, vector=vectors(1).summary, where={}, limit=limit, exact=False)[
            "$vectorSearch"
        ]
        assert (stage["numCandidates"], "exact" in stage) == (candidates, False)

    async def test_few_pages_are_searched_exactly(self, store: MongoStore, atlas: AtlasStandin) -> None:
        """An approximate search behind a narrow filter may miss pages."""
        pages = await stored(store, pages=3)
        found = await store.link.pages.find({}, {"_id": 1}).to_list()
        atlas.missed = frozenset(page["_id"] for page in found)
        assert len(await store.pages.nearest(TENANT, vectors(1), EVERYTHING, limit=5)) == len(pages)

    async def test_many_pages_are_searched_approximately_unless_asked(
        self, store: MongoStore, atlas: AtlasStandin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await stored(store, pages=3)
        monkeypatch.setattr(page_search, "EXACT_BELOW", 2)
        atlas.searches.clear()
        for exact in (False, True):
            assert len(await store.pages.nearest(TENANT, vectors(1), EVERYTHING, limit=5, exact=exact)) == 3
        assert ["exact" in stage for _, stage in atlas.searches] == [False, True]

    async def test_limit_beyond_what_mongodb_gives_is_cut(self, store: MongoStore, atlas: AtlasStandin) -> None:
        await stored(store)
        atlas.searches.clear()
        assert len(await store.pages.nearest(TENANT, vectors(1), EVERYTHING, limit=50_000)) == 1
        assert [stage["limit"] for _, stage in atlas.searches] == [MAX_RESULTS]


class TestAttributeRanges:
    """`$vectorSearch` cannot order attributes, whose names nobody knows beforehand."""

    async def test_range_becomes_the_claims_that_meet_it(self, store: MongoStore, atlas: AtlasStandin) -> None:
        for place in range(3):
            await store.claims.put(TENANT, claim(f"C-{place}", attributes={"km": place * 100}))
            await stored(store, claim_id=f"C-{place}", content=str(place).encode())
        atlas.searches.clear()
        filter = parse_filter({"attributes.km": {"gte": 100}, "not": {"attributes.km": {"gt": 150}}})
        [hit] = await store.pages.nearest(TENANT, vectors(1), filter, limit=5)
        assert (await store.pages.get(TENANT, hit.page_id)).claim_id == "C-1"
        assert len(atlas.searches) == 1

    async def test_too_many_claims_are_scanned_instead_with_the_same_answer(
        self, store: MongoStore, atlas: AtlasStandin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for place in range(4):
            await store.claims.put(TENANT, claim(f"C-{place}", attributes={"km": place * 100}))
            await stored(store, claim_id=f"C-{place}", content=str(place).encode(), given=[vectors(place)])
        filter = parse_filter({"attributes.km": {"gte": 100}})
        searched = await store.pages.nearest(TENANT, vectors(1), filter, limit=2)
        monkeypatch.setattr(page_search, "MAX_RANGE_CLAIMS", 2)
        monkeypatch.setattr(page_search, "_SCAN_BATCH", 2)
        atlas.searches.clear()
        scanned = await store.pages.nearest(TENANT, vectors(1), filter, limit=2)
        assert atlas.searches == []
        assert [hit.page_id for hit in scanned] == [hit.page_id for hit in searched]
        assert [hit.score for hit in scanned] == pytest.approx([hit.score for hit in searched], abs=1e-6)


class TestSkippedVectors:
    """MongoDB leaves out a document with a vector that does not fit, and says nothing."""

    @pytest.mark.parametrize(
        "vector",
        [
            np.ones(DIMS + 1, np.float32),
            np.zeros(DIMS, np.float32),
            np.full(DIMS, np.nan, np.float32),
        ],
        ids=["too long", "zero", "not finite"],
    )
    async def test_page_that_the_index_left_out_is_counted(
        self, store: MongoStore, atlas: AtlasStandin, namespace: str, vector: np.ndarray
    ) -> None:
        pages = [page.page_id for page in await stored(store, pages=2)]
        bad = Binary.from_vector(vector, bson.binary.BinaryVectorDtype.FLOAT32)
        await store.link.pages.update_one({"page_id": pages[0]}, {"$set": {f"summary_{DIMS}": bad}})
        status = await store.index_status()
        assert (status.pages, status.indexed) == (2, 1)
        assert "1 pages are not in the vector index" in status.detail
        assert sum(atlas.skipped(namespace, INDEX).values()) == 1
        assert not await store.pages.searchable(TENANT, pages)


async def test_query_of_another_length_than_its_encoders_pages_is_refused(store: MongoStore) -> None:
    await stored(store)
    with pytest.raises(EncoderMismatch):
        await store.pages.nearest(TENANT, vectors(1, dims=DIMS * 2), EVERYTHING, limit=5)


async def test_vectors_are_stored_as_binary_and_pages_stay_small(store: MongoStore) -> None:
    await stored(store, given=[vectors(1, tokens=200)])
    page = await store.link.pages.find_one({})
    assert page is not None
    assert (page[f"summary_{DIMS}"].subtype, len(page[f"summary_{DIMS}"])) == (9, 2 + 4 * DIMS)
    assert not any(isinstance(value, list) and value and isinstance(value[0], float) for value in page.values())
    assert len(bson.encode(page)) < 2_000
