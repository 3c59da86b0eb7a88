"""What is deleted is gone from every byte that the store keeps, and what is held is not deleted. On both engines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import encode

from retrieval.documents import DeletionReport, EntryState, Location
from retrieval.errors import Conflict, LeaseLost, NotFound
from retrieval.ports import EntryOutcome, Store
from retrieval.stores.mongo import MongoStore
from tests.conformance.builders import (
    FILE,
    OTHER_TENANT,
    TENANT,
    TTL,
    FakeClock,
    add_file,
    asset_id_of,
    claim,
    leased,
    new_page,
    stored,
    submit,
)

MARK = "Zq7unmistakable"
CLAIM = f"{MARK}-claim"
CONTENT = f"%PDF-1.7 {MARK} bytes of the file".encode()


async def all_bytes(store: Store, tmp_path: Path) -> Iterator[tuple[str, bytes]]:
    """Of the data folder, or of the documents on the server."""
    if isinstance(store, MongoStore):
        found: list[tuple[str, bytes]] = []
        for name in await store.link.db.list_collection_names():
            documents: list[dict[str, Any]] = await store.link.db[name].find({}).to_list()
            found += [(name, encode(document)) for document in documents]
        return iter(found)
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    return iter([(path.name, path.read_bytes()) for path in files])


async def holding(store: Store, tmp_path: Path, mark: str = MARK) -> set[str]:
    return {name for name, content in await all_bytes(store, tmp_path) if mark.encode() in content}


async def fill(store: Store) -> None:
    """A claim with the mark in everything that a user gives: facts, file, name, picture, job."""
    facts = {
        "description": f"{MARK} description " * 200, "attributes": {"note": f"{MARK} note"}, "policy_id": MARK,
        "damage_types": (MARK.lower(), MARK), "location": Location(city=MARK),
    }  # fmt: skip
    await store.claims.put(TENANT, claim(CLAIM, **facts))
    await add_file(store, claim_id=CLAIM, content=CONTENT, filename=f"{MARK}.pdf")
    lease = await leased(store, claim_id=CLAIM, content=CONTENT + b"2")
    await store.pages.put(lease, [new_page(lease, number, picture=MARK.encode()) for number in (1, 2)])
    await store.assets.warn(lease, [("odd", f"{MARK} is odd.")])
    await store.jobs.finish(lease, EntryOutcome(EntryState.failed, "damaged", f"{MARK}.pdf is damaged."))
    await store.jobs.submit(TENANT, CLAIM, [], idempotency_key=f"{MARK}-key")


async def test_no_byte_of_a_deleted_claim_is_left(store: Store, tmp_path: Path) -> None:
    await store.claims.put(TENANT, claim("C-other"))
    await fill(store)
    assert len(await holding(store, tmp_path)) >= 3
    report = await store.claims.delete(TENANT, CLAIM)
    assert report == DeletionReport(claims=1, assets=2, pages=2, size_bytes=2 * len(CONTENT) + 1)
    assert await holding(store, tmp_path) == set()
    assert await store.claims.count(TENANT) == 1


async def test_no_byte_of_a_deleted_file_is_left_not_even_its_name_in_jobs(store: Store, tmp_path: Path) -> None:
    await store.claims.put(TENANT, claim("C-1"))
    lease = await leased(store, content=CONTENT)  # named file-0.pdf
    await store.pages.put(lease, [new_page(lease, picture=MARK.encode())])
    await store.jobs.finish(lease, EntryOutcome(EntryState.failed, "damaged", "file-0.pdf is damaged."))
    kept = await submit(store, contents=[b"another"])
    report = await store.assets.delete(TENANT, asset_id_of(CONTENT))
    assert report == DeletionReport(assets=1, pages=1, size_bytes=len(CONTENT))
    assert await holding(store, tmp_path) == set()
    [entry] = (await store.jobs.get(TENANT, lease.job_id)).entries
    assert (entry.filename, entry.state, entry.code, entry.detail) == ("(deleted)", EntryState.failed, "damaged", None)
    assert (await store.jobs.get(TENANT, kept.job_id)).entries[0].filename == "file-0.pdf"


async def test_a_file_deleted_from_one_claim_keeps_its_name_in_the_other(store: Store) -> None:
    jobs = [await submit(store, claim_id=claim_id) for claim_id in ("C-1", "C-2")]
    await store.assets.delete(TENANT, asset_id_of(FILE), claim_id="C-1")
    names = [(await store.jobs.get(TENANT, job.job_id)).entries[0].filename for job in jobs]
    assert names == ["(deleted)", "file-0.pdf"]


async def test_an_ingest_that_runs_leaves_nothing_of_what_was_deleted(store: Store, tmp_path: Path) -> None:
    lease = await leased(store, claim_id=CLAIM, content=CONTENT)
    async with store.assets.local_copy(TENANT, asset_id_of(CONTENT)):
        await store.claims.delete(TENANT, CLAIM)
    with pytest.raises(LeaseLost):
        await store.pages.put(lease, [new_page(lease, picture=MARK.encode())])
    assert await holding(store, tmp_path) == set()
    assert await store.pages.counts() == {}


async def test_a_held_claim_is_not_deleted_until_it_is_released(store: Store, clock: FakeClock) -> None:
    [page] = await stored(store)
    before = await store.claims.get(TENANT, "C-1")
    clock.advance(timedelta(days=1))
    held = await store.claims.set_hold(TENANT, "C-1", True)
    assert (held.held, held.version, held.updated_at) == (True, before.version + 1, before.updated_at)
    for delete in (
        lambda: store.claims.delete(TENANT, "C-1"),
        lambda: store.assets.delete(TENANT, asset_id_of(FILE)),
        lambda: store.assets.delete(TENANT, asset_id_of(FILE), claim_id="C-1"),
    ):
        with pytest.raises(Conflict) as refused:
            await delete()
        assert refused.value.code == "claim_held"
    assert await store.pages.picture(TENANT, page.page_id)
    assert (await store.jobs.list(TENANT)).items[0].entries[0].filename == "file-0.pdf"
    released = await store.claims.set_hold(TENANT, "C-1", False)
    assert (released.held, released.version) == (False, before.version + 2)
    assert (await store.claims.delete(TENANT, "C-1")).pages == 1


async def test_a_file_of_a_held_claim_stays_in_all_or_goes_from_the_free_one(store: Store) -> None:
    for claim_id in ("C-1", "C-2"):
        await store.claims.put(TENANT, claim(claim_id))
        await add_file(store, claim_id=claim_id)
    await store.claims.set_hold(TENANT, "C-2", True)
    with pytest.raises(Conflict):
        await store.assets.delete(TENANT, asset_id_of(FILE))
    assert len(await store.assets.get(TENANT, asset_id_of(FILE))) == 2
    await store.assets.delete(TENANT, asset_id_of(FILE), claim_id="C-1")
    await store.claims.delete(TENANT, "C-1")
    assert b"".join([chunk async for chunk in store.assets.open(TENANT, asset_id_of(FILE))]) == FILE


async def test_a_hold_outlives_every_change_of_the_claim(store: Store) -> None:
    await store.claims.put(TENANT, claim(line="auto"))
    await store.claims.set_hold(TENANT, "C-1", True)
    replaced, _ = await store.claims.put(TENANT, claim(line="travel"))
    changed = await store.claims.update(TENANT, "C-1", lambda _: claim(line="health"))
    again = await store.claims.set_hold(TENANT, "C-1", True)
    assert [replaced.held, changed.held, again.held] == [True] * 3
    assert again.version == changed.version
    assert (await store.claims.get(TENANT, "C-1")).line == "health"
    fresh, _ = await store.claims.put(TENANT, claim("C-2"))
    assert not fresh.held


async def test_holds_are_of_one_tenant_and_of_claims_that_are_there(store: Store) -> None:
    for tenant in (TENANT, OTHER_TENANT):
        await store.claims.put(tenant, claim())
    await store.claims.set_hold(TENANT, "C-1", True)
    assert (await store.claims.delete(OTHER_TENANT, "C-1")).claims == 1
    for held in (True, False):
        with pytest.raises(NotFound):
            await store.claims.set_hold(OTHER_TENANT, "C-1", held)


async def test_a_claim_that_changed_is_not_deleted_by_who_saw_it_before(store: Store) -> None:
    seen, _ = await store.claims.put(TENANT, claim())
    await store.claims.put(TENANT, claim(status="open"))
    with pytest.raises(Conflict) as refused:
        await store.claims.delete(TENANT, "C-1", expected_version=seen.version)
    assert refused.value.code == "version_conflict"
    assert (await store.claims.delete(TENANT, "C-1", expected_version=seen.version + 1)).claims == 1


async def test_the_deleted_name_stays_while_the_entry_is_retried(store: Store, clock: FakeClock) -> None:
    job = await submit(store)
    await store.jobs.cancel(TENANT, job.job_id)
    await store.assets.delete(TENANT, asset_id_of(FILE))
    clock.advance(TTL)
    [entry] = (await store.jobs.retry(TENANT, job.job_id)).entries
    assert (entry.filename, entry.state) == ("(deleted)", EntryState.cancelled)
