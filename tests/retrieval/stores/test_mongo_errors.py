"""What a user of the store sees when MongoDB refuses, breaks, or is not there: errors of the domain, in time."""

from __future__ import annotations

import asyncio
import gc
import inspect
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import bson.errors
import gridfs.errors
import pymongo.errors
import pytest
from pymongo.errors import OperationFailure, PyMongoError

from retrieval.documents import AuditEvent, Claim, EntryState, Sort
from retrieval.errors import ClaimsightError, InvalidInput, NotFound, StoreUnavailable
from retrieval.filters import EVERYTHING
from retrieval.ports import EntryOutcome
from retrieval.stores.mongo import MongoStore
from retrieval.stores.mongo.failures import NO_SEARCH, domain_error, translated
from tests.conformance.builders import (
    DIMS,
    ENCODER,
    TENANT,
    TTL,
    FakeClock,
    claim,
    new_page,
    stored,
    submit,
    vectors,
)
from tests.e2e.processes import free_port
from tests.fakes.atlas_standin import AtlasStandin
from tests.fakes.mongo import MongoStoreFactory, running_server, uri_of

SECRET = "pa55word"
DRIVER_ERRORS = [
    error
    for module in (pymongo.errors, gridfs.errors, bson.errors)
    for _, error in inspect.getmembers(module, inspect.isclass)
    if issubclass(error, PyMongoError | bson.errors.BSONError)
]


@pytest.fixture
async def collected() -> AsyncIterator[None]:
    """The driver cancels a connection that it is making and forgets the socket: collected here, and not in a later
    test, which the warning would fail."""
    yield
    if others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others, timeout=5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def made(error: type[Exception]) -> Exception:
    """One of its kind, with something in its text that must not be seen."""
    if error is pymongo.errors.BulkWriteError:
        return pymongo.errors.BulkWriteError({"writeErrors": [{"errmsg": SECRET}]})
    if error is pymongo.errors.ClientBulkWriteException:
        return pymongo.errors.ClientBulkWriteException({"error": {"errmsg": SECRET}}, verbose=False)
    if error is pymongo.errors.EncryptedCollectionError:
        return pymongo.errors.EncryptedCollectionError(ValueError(SECRET), {})
    return error(SECRET)


@pytest.mark.parametrize("kind", DRIVER_ERRORS, ids=lambda kind: kind.__name__)
def test_no_exception_of_the_driver_leaves_the_store(kind: type[Exception]) -> None:
    with pytest.raises(ClaimsightError) as seen, translated(1.0):
        raise made(kind)
    assert SECRET not in seen.value.detail
    assert seen.value.code != ClaimsightError.code


def test_errors_of_the_domain_pass_unchanged() -> None:
    error = NotFound.of("claim", "C-1")
    with pytest.raises(NotFound) as seen, translated(1.0):
        raise error
    assert seen.value is error


PREFIX = "Executor error during aggregate command on namespace: db.pages :: caused by :: "
OLD_PREFIX = "PlanExecutor error during aggregation :: caused by :: "
STATE = "cannot query vector index 1 (vector index pages_8 collection pages (u) in database db) while in state "


@pytest.mark.parametrize("prefix", [PREFIX, OLD_PREFIX, ""])
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Index pages_8 not initialized", "index_building"),
        (STATE + "NOT_STARTED", "index_building"),
        (STATE + "INITIAL_SYNC", "index_building"),
        (STATE + "FAILED", "index_failed"),
        ("Path 'facts.line' needs to be indexed as filter", "index_outdated"),
        ("Path 'facts.line' needs to be indexed as token", "index_outdated"),
        ("summary_8 is not indexed as vector", "index_outdated"),
        ("Cannot execute $vectorSearch over search index", "index_outdated"),
        ("vector field is indexed with 1024 dimensions but queried with 512", "encoder_mismatch"),
        ("something new", "store_unavailable"),
    ],
)
def test_search_errors_are_told_apart_by_their_text(prefix: str, text: str, code: str) -> None:
    assert domain_error(OperationFailure(prefix + text, 8)).code == code


@pytest.mark.parametrize("code", [31082, 115])
def test_server_without_search_is_named_as_such(code: int) -> None:
    text = "Using Atlas Search Database Commands and the $listSearchIndexes stage requires additional configuration"
    assert domain_error(OperationFailure(text, code)).detail == NO_SEARCH


@pytest.mark.usefixtures("collected")
@pytest.mark.parametrize(
    "uri",
    [
        f"mongodb://user:{SECRET}@:0:0/",
        f"mongodb://user:{SECRET}@127.0.0.1:99999999/",
        f"mongodb://user:{SECRET}",
        "http://127.0.0.1/",
        f"mongodb://user:{SECRET}@127.0.0.1:1/",
    ],
)
async def test_bad_address_is_an_error_without_the_password(uri: str) -> None:
    with pytest.raises(StoreUnavailable) as refused:
        await MongoStore.open(uri, server_selection_timeout_s=0.2)
    told = refused.value.detail + repr(refused.value) + repr(refused.value.__cause__)
    assert SECRET not in told


async def test_single_server_is_refused_as_it_has_no_transactions(tmp_path: Path) -> None:
    with (
        running_server(tmp_path, standalone=True) as (host, port),
        pytest.raises(StoreUnavailable, match="replica set"),
    ):
        await MongoStore.open(uri_of(host, port))


async def test_server_without_vector_search_says_what_to_use(
    mongo_server: tuple[str, int], mongo_database: str, clock: FakeClock
) -> None:
    host, port = mongo_server
    store = await MongoStore.open(uri_of(host, port), database=mongo_database, clock=clock)
    try:
        with pytest.raises(StoreUnavailable) as refused:
            await store.ensure_index(dims=DIMS, wait_s=5.0)
        assert refused.value.detail == NO_SEARCH
        await store.claims.put(TENANT, claim())
        with pytest.raises(StoreUnavailable) as refused:
            await store.pages.nearest(TENANT, vectors(1), EVERYTHING, limit=5)
        assert refused.value.detail == NO_SEARCH
    finally:
        await store.close()


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"description": "x" * 17_000_000}, "too_large"),
        ({"description": "\ud800"}, "bad_value"),
        ({"attributes": {"count": 2**70}}, "bad_value"),
        ({"attributes": {"a\0b": 1}}, "bad_value"),
    ],
)
async def test_value_that_cannot_be_stored_is_the_users_fault(store: MongoStore, facts: dict, code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await store.claims.put(TENANT, claim(**facts))
    assert refused.value.code == code
    assert await store.claims.count(TENANT) == 0


async def test_closed_store_is_unavailable(mongo_store_factory: MongoStoreFactory, clock: FakeClock) -> None:
    store = await mongo_store_factory(clock=clock)
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.ping()


def calls_of(store: MongoStore, page_id: str, job_id: str) -> list[Callable[[], Awaitable[object]]]:
    """One or more of each port."""
    event = AuditEvent(store.link.clock(), "key-1", "claim.read", "C-1")
    return [
        store.ping,
        lambda: store.claims.get(TENANT, "C-1"),
        lambda: store.claims.put(TENANT, Claim("C-1", line="auto")),
        lambda: store.claims.list(TENANT, EVERYTHING, sort=Sort()),
        lambda: store.assets.list(TENANT, "C-1"),
        lambda: store.pages.get(TENANT, page_id),
        lambda: store.pages.picture(TENANT, page_id),
        lambda: store.pages.matching(TENANT, EVERYTHING, encoder=ENCODER, limit=5),
        lambda: store.jobs.get(TENANT, job_id),
        lambda: store.jobs.lease("worker-9", ttl=TTL),
        lambda: store.audit.append(TENANT, event),
        store.sweep,
    ]


@pytest.mark.usefixtures("collected")
async def test_store_that_is_down_says_so_and_works_again_afterwards(tmp_path: Path, clock: FakeClock) -> None:
    port = free_port()
    with running_server(tmp_path / "data", port=port) as (host, _):
        uri = uri_of(host, port, options="&heartbeatFrequencyMS=500")
        store = await MongoStore.open(uri, clock=clock, timeout_s=20.0, server_selection_timeout_s=0.3)
        [page] = await stored(store)
        job = await submit(store, contents=[b"another"])
    try:
        hasty = MongoStore(replace(store.link, timeout_s=1.0), max_attempts=5, spool=tmp_path, keys=None)
        for call in calls_of(hasty, page.page_id, job.job_id):
            with pytest.raises(StoreUnavailable):
                await call()
        with pytest.raises(StoreUnavailable):
            _ = [chunk async for chunk in hasty.assets.open(TENANT, page.asset_id)]
        with running_server(tmp_path / "data", port=port):
            await wait_until_up(store)
            for call in calls_of(store, page.page_id, job.job_id):
                await call()
            assert (await store.claims.get(TENANT, "C-1")).line == "auto"
            assert await store.pages.get(TENANT, page.page_id) == page
    finally:
        await store.close()


async def wait_until_up(store: MongoStore) -> None:
    """The driver notices the server at its next heartbeat."""
    while True:
        with suppress(StoreUnavailable):
            return await store.ping()


async def test_slow_server_is_unavailable_within_the_time_limit(store: MongoStore, tmp_path: Path) -> None:
    hasty = MongoStore(replace(store.link, timeout_s=1e-6), max_attempts=5, spool=tmp_path, keys=None)
    with pytest.raises(StoreUnavailable, match="in time"):
        await hasty.claims.get(TENANT, "C-1")


async def test_a_primary_that_steps_down_costs_no_write(store: MongoStore, atlas: AtlasStandin) -> None:
    """The driver finds the new primary and writes again what was refused, inside a transaction too."""
    job = await submit(store)
    lease = await store.jobs.lease("worker-1", ttl=TTL)
    assert lease is not None
    writes: list[Callable[[], Awaitable[object]]] = [
        lambda: store.claims.put(TENANT, claim("C-2", line="auto")),
        lambda: store.jobs.extend(lease, ttl=TTL),
        lambda: store.pages.put(lease, [new_page(lease)]),
        lambda: store.jobs.progress(lease, pages_total=1),
        lambda: store.jobs.finish(lease, EntryOutcome(EntryState.succeeded)),
    ]
    for write in writes:
        atlas.step_down(1)
        await write()
    assert (await store.claims.get(TENANT, "C-2")).version == 1
    [entry] = (await store.jobs.get(TENANT, job.job_id)).entries
    assert (entry.state, entry.pages_done, entry.attempts) == (EntryState.succeeded, 1, 1)


async def test_cut_connections_cost_no_call(store: MongoStore, atlas: AtlasStandin) -> None:
    [page] = await stored(store)
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: store.pages.get(TENANT, page.page_id),
        lambda: store.claims.put(TENANT, claim("C-2", line="auto")),
        lambda: store.jobs.depth(),
    ]
    for call in calls:
        atlas.hang_up()
        await call()
    assert (await store.claims.get(TENANT, "C-2")).version == 1
