"""A tenant finds nothing of another's and changes nothing of it, whichever call it makes and whatever ids it knows."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from retrieval.documents import AuditEvent, AuditHead, DeletionReport, EntryState, Lease, NewEntry, Sort
from retrieval.errors import ClaimsightError, LeaseLost, NotFound
from retrieval.filters import EVERYTHING
from retrieval.ports import AssetStore, AuditLog, ClaimStore, EntryOutcome, JobQueue, KeyStore, PageIndex, Store
from tests.conformance.builders import (
    ENCODER,
    FILE,
    OTHER_TENANT,
    TENANT,
    TTL,
    FakeClock,
    add_file,
    asset_id_of,
    claim,
    new_page,
    stored,
    vectors,
)

KEY = "upload-1"
TEXT = "invoice 4711"
ASSET_ID = asset_id_of(FILE)


@dataclass(frozen=True)
class Mine:
    """What TENANT has: a claim with a file, a page, a job that runs, an audit event."""

    page_id: str
    job_id: str
    lease: Lease

    @property
    def stolen(self) -> Lease:
        """The same lease in the other tenant's hands."""
        return replace(self.lease, tenant_id=OTHER_TENANT)


@pytest.fixture
async def mine(store: Store, clock: FakeClock) -> Mine:
    [page] = await stored(store, TENANT)
    [job] = (await store.jobs.list(TENANT)).items
    lease = Lease(
        tenant_id=TENANT,
        job_id=job.job_id,
        entry_index=0,
        claim_id="C-1",
        asset_id=ASSET_ID,
        filename="file-0.pdf",
        token=1,
        attempt=1,
        worker_id="worker-1",
        expires_at=clock() + TTL,
    )
    await store.pages.put(lease, [replace(new_page(lease), text=TEXT)])
    await store.jobs.submit(TENANT, "C-1", [NewEntry("again.pdf", ASSET_ID)], idempotency_key=KEY)
    await store.audit.append(TENANT, AuditEvent(clock(), "key-1", "claim.read", "C-1"))
    return Mine(page.page_id, job.job_id, lease)


async def picture_of_everything(store: Store, mine: Mine) -> Any:
    """All that TENANT can see."""
    page_ids = [mine.page_id]
    kept = await store.pages.vectors(TENANT, page_ids)
    return (
        await store.claims.list(TENANT, EVERYTHING, sort=Sort()),
        await store.assets.list(TENANT, "C-1"),
        [chunk async for chunk in store.assets.open(TENANT, ASSET_ID)],
        await store.pages.get_many(TENANT, page_ids),
        {page_id: one.summary.tobytes() for page_id, one in kept.items()},
        await store.pages.picture(TENANT, mine.page_id),
        await store.pages.matching(TENANT, EVERYTHING, encoder=ENCODER, limit=10),
        await store.pages.texts(TENANT, page_ids),
        await store.pages.containing(TENANT, [TEXT], EVERYTHING, encoder=ENCODER, limit=10),
        await store.pages.nearest(TENANT, vectors(1), EVERYTHING, limit=10),
        await store.jobs.list(TENANT),
        await store.audit.list(TENANT),
        await store.audit.records(TENANT),
        await store.audit.head(TENANT),
    )


async def drained(store: Store) -> bytes:
    return b"".join([chunk async for chunk in store.assets.open(OTHER_TENANT, ASSET_ID)])


async def copied(store: Store) -> None:
    async with store.assets.local_copy(OTHER_TENANT, ASSET_ID):
        pass


async def adopted_file(store: Store) -> None:
    [asset] = await store.assets.list(TENANT, "C-1")
    async with store.assets.local_copy(TENANT, ASSET_ID) as path:
        await store.assets.adopt(OTHER_TENANT, asset, path)


async def adopted_job(store: Store, mine: Mine) -> None:
    await store.jobs.adopt(OTHER_TENANT, await store.jobs.get(TENANT, mine.job_id))


Call = Callable[[Store, Mine], Awaitable[Any]]

# Of each call of each port: what the other tenant gets when it names the records of this one.
CALLS: dict[str, tuple[Call, Any]] = {
    "claims.get": (lambda s, m: s.claims.get(OTHER_TENANT, "C-1"), NotFound),
    "claims.get_many": (lambda s, m: s.claims.get_many(OTHER_TENANT, ["C-1"]), {}),
    "claims.update": (lambda s, m: s.claims.update(OTHER_TENANT, "C-1", lambda c: replace(c, line="auto")), NotFound),
    "claims.set_hold": (lambda s, m: s.claims.set_hold(OTHER_TENANT, "C-1", True), NotFound),
    "claims.delete": (lambda s, m: s.claims.delete(OTHER_TENANT, "C-1"), NotFound),
    "claims.list": (lambda s, m: s.claims.list(OTHER_TENANT, EVERYTHING, sort=Sort()), "empty listing"),
    "claims.facets": (lambda s, m: s.claims.facets(OTHER_TENANT, EVERYTHING, ["line"]), "empty facet"),
    "claims.count": (lambda s, m: s.claims.count(OTHER_TENANT), 0),
    "assets.add": (lambda s, m: add_file(s, OTHER_TENANT, "C-1"), NotFound),
    "assets.adopt": (lambda s, m: adopted_file(s), NotFound),
    "assets.get": (lambda s, m: s.assets.get(OTHER_TENANT, ASSET_ID), NotFound),
    "assets.stored_bytes": (lambda s, m: s.assets.stored_bytes(OTHER_TENANT), 0),
    "assets.list": (lambda s, m: s.assets.list(OTHER_TENANT, "C-1"), NotFound),
    "assets.describe": (lambda s, m: s.assets.describe(m.stolen, media_type="x/y", page_count=9), LeaseLost),
    "assets.warn": (lambda s, m: s.assets.warn(m.stolen, [("code", "Sentence.")]), LeaseLost),
    "assets.open": (lambda s, m: drained(s), NotFound),
    "assets.local_copy": (lambda s, m: copied(s), NotFound),
    "assets.delete": (lambda s, m: s.assets.delete(OTHER_TENANT, ASSET_ID), NotFound),
    "pages.put": (lambda s, m: s.pages.put(m.stolen, [new_page(m.stolen, 1, vectors(9))]), LeaseLost),
    "pages.adopt": (lambda s, m: s.pages.adopt(OTHER_TENANT, [new_page(m.lease, 1, vectors(9))]), NotFound),
    "pages.done": (lambda s, m: s.pages.done(OTHER_TENANT, "C-1", ASSET_ID, encoder=ENCODER), frozenset()),
    "pages.get": (lambda s, m: s.pages.get(OTHER_TENANT, m.page_id), NotFound),
    "pages.get_many": (lambda s, m: s.pages.get_many(OTHER_TENANT, [m.page_id]), {}),
    "pages.list": (lambda s, m: s.pages.list(OTHER_TENANT, claim_id="C-1"), "empty listing"),
    "pages.picture": (lambda s, m: s.pages.picture(OTHER_TENANT, m.page_id), NotFound),
    "pages.nearest": (lambda s, m: s.pages.nearest(OTHER_TENANT, vectors(1), EVERYTHING, limit=9), []),
    "pages.matching": (lambda s, m: s.pages.matching(OTHER_TENANT, EVERYTHING, encoder=ENCODER, limit=9), []),
    "pages.texts": (lambda s, m: s.pages.texts(OTHER_TENANT, [m.page_id]), {}),
    "pages.containing": (
        lambda s, m: s.pages.containing(OTHER_TENANT, [TEXT], EVERYTHING, encoder=ENCODER, limit=9),
        frozenset(),
    ),
    "pages.vectors": (lambda s, m: s.pages.vectors(OTHER_TENANT, [m.page_id]), {}),
    "pages.passing": (
        lambda s, m: s.pages.passing(OTHER_TENANT, [m.page_id], EVERYTHING, encoder=ENCODER),
        frozenset(),
    ),
    "pages.replace_vectors": (
        lambda s, m: s.pages.replace_vectors(OTHER_TENANT, m.page_id, vectors(9), usage={}),
        NotFound,
    ),
    "pages.counts": (lambda s, m: s.pages.counts(OTHER_TENANT), {}),
    "pages.searchable": (lambda s, m: s.pages.searchable(OTHER_TENANT, [m.page_id]), False),
    "jobs.submit": (lambda s, m: s.jobs.submit(OTHER_TENANT, "C-1", [NewEntry("a.pdf", ASSET_ID)]), NotFound),
    "jobs.adopt": (lambda s, m: adopted_job(s, m), NotFound),
    "jobs.find_by_key": (lambda s, m: s.jobs.find_by_key(OTHER_TENANT, KEY), None),
    "jobs.get": (lambda s, m: s.jobs.get(OTHER_TENANT, m.job_id), NotFound),
    "jobs.list": (lambda s, m: s.jobs.list(OTHER_TENANT, claim_id="C-1"), "empty listing"),
    "jobs.extend": (lambda s, m: s.jobs.extend(m.stolen, ttl=TTL), LeaseLost),
    "jobs.progress": (lambda s, m: s.jobs.progress(m.stolen, pages_total=9), LeaseLost),
    "jobs.finish": (lambda s, m: s.jobs.finish(m.stolen, EntryOutcome(EntryState.failed)), LeaseLost),
    "jobs.postpone": (lambda s, m: s.jobs.postpone(m.stolen, delay=TTL, code="c", detail="d"), LeaseLost),
    "jobs.release": (lambda s, m: s.jobs.release(m.stolen), None),
    "jobs.cancel": (lambda s, m: s.jobs.cancel(OTHER_TENANT, m.job_id), NotFound),
    "jobs.retry": (lambda s, m: s.jobs.retry(OTHER_TENANT, m.job_id), NotFound),
    "audit.list": (lambda s, m: s.audit.list(OTHER_TENANT), "empty listing"),
    "audit.records": (lambda s, m: s.audit.records(OTHER_TENANT), ()),
    "audit.head": (lambda s, m: s.audit.head(OTHER_TENANT), AuditHead()),
}

# These act for nobody in particular, or make records of the caller's own.
OF_NO_TENANT = {"jobs.lease", "jobs.depth", "pages.stale", "claims.put", "claims.adopt", "audit.append", "audit.adopt"}
# Keys are looked up before there is a tenant; tests/app/test_isolation.py sees to it that each opens its own alone.
OF_NO_TENANT |= {f"keys.{call}" for call in ("add", "adopt", "get", "list", "exist", "revoke", "rotate", "used")}


def test_every_call_of_the_ports_is_tried() -> None:
    ports = {
        "claims": ClaimStore,
        "assets": AssetStore,
        "pages": PageIndex,
        "jobs": JobQueue,
        "audit": AuditLog,
        "keys": KeyStore,
    }
    calls = {
        f"{name}.{call}"
        for name, port in ports.items()
        for call, _ in inspect.getmembers(port, inspect.isfunction)
        if not call.startswith("_")
    }
    assert calls == set(CALLS) | OF_NO_TENANT


@pytest.mark.parametrize("name", list(CALLS))
async def test_call_with_a_foreign_tenant_finds_and_changes_nothing(store: Store, mine: Mine, name: str) -> None:
    before = await picture_of_everything(store, mine)
    call, expected = CALLS[name]
    if inspect.isclass(expected) and issubclass(expected, ClaimsightError):
        with pytest.raises(expected):
            await call(store, mine)
    else:
        given = await call(store, mine)
        match expected:
            case "empty listing":
                assert (given.items, given.next_cursor) == ((), None)
            case "empty facet":
                assert [(facet.values, facet.minimum) for facet in given] == [((), None)]
            case _:
                assert given == expected
    assert await picture_of_everything(store, mine) == before


@pytest.mark.parametrize(
    "tenants", [("a", "a/b"), ("a/b", "a%2Fb"), ("acme", "ACME"), ("x", "x "), ("\u00e9", "e\u0301")]
)
async def test_ids_of_tenants_never_run_together(store: Store, tenants: tuple[str, str]) -> None:
    one, other = tenants
    await stored(store, one, "b/C-1")
    for claim_id in ("b/C-1", "C-1"):
        with pytest.raises(NotFound):
            await store.claims.get(other, claim_id)
    await stored(store, other, "C-1")
    assert await store.claims.count(one) == 1
    assert await store.claims.delete(other, "C-1") == DeletionReport(1, 1, 1, len(FILE))
    assert (await store.claims.get(one, "b/C-1")).claim_id == "b/C-1"
    assert await store.pages.counts(one) == {ENCODER: 1}


async def test_same_ids_in_two_tenants_are_two_records(store: Store, clock: FakeClock) -> None:
    [one] = await stored(store, TENANT)
    [other] = await stored(store, OTHER_TENANT)
    assert one.page_id == other.page_id
    await store.claims.update(TENANT, "C-1", lambda old: replace(old, line="auto"))
    assert (await store.claims.get(OTHER_TENANT, "C-1")).line == claim().line
    assert await store.pages.counts(TENANT) == await store.pages.counts(OTHER_TENANT) == {ENCODER: 1}
    await store.claims.delete(TENANT, "C-1")
    assert [chunk async for chunk in store.assets.open(OTHER_TENANT, ASSET_ID)] == [FILE]
    assert await store.pages.picture(OTHER_TENANT, other.page_id) == b"webp1"
    clock.advance(timedelta(hours=2))
    await store.sweep()
    assert [chunk async for chunk in store.assets.open(OTHER_TENANT, ASSET_ID)] == [FILE]


async def test_idempotency_keys_are_each_tenants_own(store: Store) -> None:
    for tenant in (TENANT, OTHER_TENANT):
        await store.claims.put(tenant, claim())
        asset, _ = await add_file(store, tenant)
        entries = [NewEntry(asset.filename, asset.asset_id)]
        job, new = await store.jobs.submit(tenant, "C-1", entries, idempotency_key=KEY)
        assert new
        assert (await store.jobs.find_by_key(tenant, KEY)) == job
