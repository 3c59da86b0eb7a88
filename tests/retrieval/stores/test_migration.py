"""Data of older versions come forward whole, and data of newer ones are refused, on both engines."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from retrieval.audit import check_audit
from retrieval.documents import EntryState
from retrieval.errors import StoreUnavailable
from retrieval.stores.mongo import MongoStore
from retrieval.stores.mongo.migrations import VERSION
from retrieval.stores.sqlite import SqliteStore, backup, restore, schema, verify
from tests.conformance.builders import OTHER_TENANT, TENANT, TTL, FakeClock, asset_id_of, vectors
from tests.data.make_data_folder import CONTENTS, FULL, START, event_at
from tests.fakes.mongo import MongoStoreFactory

FOLDERS = sorted((Path(__file__).parents[2] / "data").glob("folder-v*"))
NEWEST = len(schema.MIGRATIONS)


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a data folder of an older version."""
    return Path(shutil.copytree(request.param, tmp_path / "data"))


def version_of(folder: Path) -> int:
    file = sqlite3.connect(folder / "claimsight.db")
    try:
        return int(file.execute("PRAGMA user_version").fetchone()[0])
    finally:
        file.close()


def tables_of(folder: Path) -> dict[str, str]:
    file = sqlite3.connect(folder / "claimsight.db")
    try:
        rows = file.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    finally:
        file.close()
    # ALTER TABLE writes a quoted name, and adds columns at the end of the line.
    return {name: " ".join(sql.replace('"', "").split()).replace(" ,", ",") for name, sql in rows}


def set_version(folder: Path, version: int) -> None:
    file = sqlite3.connect(folder / "claimsight.db")
    file.execute(f"PRAGMA user_version = {version}")
    file.close()


async def test_an_old_folder_comes_forward_whole(old: Path) -> None:
    assert version_of(old) < NEWEST
    store = await SqliteStore.open(old)
    assert version_of(old) == NEWEST
    claim = await store.claims.get(TENANT, "C-1")
    assert (claim.line, claim.loss_amount, claim.vehicle, claim.attributes, claim.created_at, claim.version) == (
        FULL.line, FULL.loss_amount, FULL.vehicle, FULL.attributes, START, 1,
    )  # fmt: skip
    for claim_id, content in CONTENTS.items():
        [asset] = [one for one in await store.assets.list(TENANT, claim_id) if one.media_type is not None]
        assert (asset.asset_id, asset.page_count) == (asset_id_of(content), 2)
        assert b"".join([chunk async for chunk in store.assets.open(TENANT, asset.asset_id)]) == content
        pages = (await store.pages.list(TENANT, claim_id=claim_id)).items
        assert [page.number for page in pages] == [1, 2]
        found = await store.pages.vectors(TENANT, [page.page_id for page in pages])
        for page in pages:
            assert found[page.page_id].summary.tobytes() == vectors(page.number).summary.tobytes()
            assert await store.pages.picture(TENANT, page.page_id) == b"webp" + str(page.number).encode()
    states = [entry.state for job in (await store.jobs.list(TENANT)).items for entry in job.entries]
    assert sorted(states) == [EntryState.failed, EntryState.queued, EntryState.succeeded, EntryState.succeeded]
    assert (await store.audit.list(TENANT)).items == tuple(event_at(number) for number in (5, 4, 3, 2, 1))
    assert await store.tenants() == (TENANT, OTHER_TENANT)
    for tenant, count in ((TENANT, 5), (OTHER_TENANT, 1)):
        check = await check_audit(store.audit, tenant)
        assert (check.records, check.faults) == (count, ())
    await store.close()
    assert verify(old, progress=lambda *_: None).faults == ()


async def test_an_old_folder_can_be_worked_in_when_it_came_forward(old: Path) -> None:
    store = await SqliteStore.open(old)
    lease = await store.jobs.lease("worker", ttl=TTL)
    assert lease is not None
    assert lease.asset_id == asset_id_of(b"waiting")
    await store.audit.append(TENANT, event_at(6))
    await store.claims.delete(TENANT, "C-1")
    assert await store.claims.count(TENANT) == 1
    await store.close()
    assert verify(old, progress=lambda *_: None).faults == ()


async def test_an_old_folder_ends_with_the_tables_of_a_new_one(old: Path, tmp_path: Path) -> None:
    for folder in (old, tmp_path / "new"):
        await (await SqliteStore.open(folder)).close()
    assert tables_of(old) == tables_of(tmp_path / "new")


async def test_several_processes_may_bring_it_forward_at_once(old: Path) -> None:
    stores = await asyncio.gather(*(SqliteStore.open(old) for _ in range(4)))
    assert [(await store.audit.head(TENANT)).number for store in stores] == [5] * 4
    for store in stores:
        await store.close()


async def test_a_step_that_fails_changes_nothing(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, tables = version_of(old), tables_of(old)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE claims (id INTEGER);\n"))
    with pytest.raises(StoreUnavailable):
        await SqliteStore.open(old)
    assert (version_of(old), tables_of(old)) == (before, tables)


async def test_a_folder_of_a_newer_version_is_refused_by_everything(tmp_path: Path) -> None:
    await (await SqliteStore.open(tmp_path / "data")).close()
    backup(tmp_path / "data", tmp_path / "backup", now=datetime.now(UTC), progress=lambda *_: None)
    set_version(tmp_path / "data", NEWEST + 1)
    with pytest.raises(StoreUnavailable) as refused:
        await SqliteStore.open(tmp_path / "data")
    assert refused.value.code == "store_newer"
    assert str(NEWEST + 1) in refused.value.detail
    for work in (
        lambda: backup(tmp_path / "data", tmp_path / "other", now=datetime.now(UTC), progress=lambda *_: None),
        lambda: verify(tmp_path / "data", progress=lambda *_: None),
    ):
        with pytest.raises(StoreUnavailable) as refused:
            work()
        assert refused.value.code == "store_newer"
    assert not (tmp_path / "other").exists()


async def test_a_backup_of_an_old_folder_is_restored_and_comes_forward(old: Path, tmp_path: Path) -> None:
    before = version_of(old)
    about = backup(old, tmp_path / "backup", now=datetime.now(UTC), progress=lambda *_: None)
    assert about.tables == before == version_of(tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "restored", progress=lambda *_: None)
    store = await SqliteStore.open(tmp_path / "restored")
    assert await store.claims.count(TENANT) == 2
    await store.close()


def old_event(tenant: str, number: int) -> dict[str, Any]:
    event = event_at(number)
    return {
        "_id": f"0193a1b2-0000-7000-8000-00000000000{number}", "tenant_id": tenant,
        "at": event.at.isoformat(timespec="microseconds"), "actor": event.actor, "action": event.action,
        "target": event.target, "request_id": event.request_id, "details": dict(event.details),
    }  # fmt: skip


async def test_an_old_database_comes_forward(store: MongoStore) -> None:
    """Version 1 is what stands in a database whose version is not noted."""
    await store.link.meta.delete_one({"_id": "schema"})
    await store.link.audit.insert_many([old_event(TENANT, number) for number in (1, 2, 3)])
    await store.link.audit.insert_one(old_event(OTHER_TENANT, 4))
    for _ in range(2):
        await asyncio.gather(*(store.ensure_index(dims=8) for _ in range(2)))
        assert [record.event for record in await store.audit.records(TENANT)] == [event_at(n) for n in (1, 2, 3)]
        for tenant, count in ((TENANT, 3), (OTHER_TENANT, 1)):
            check = await check_audit(store.audit, tenant)
            assert (check.records, check.faults) == (count, ())
            assert (await store.audit.head(tenant)).number == count
    noted = await store.link.meta.find_one({"_id": "schema"})
    assert noted == {"_id": "schema", "version": VERSION}


async def test_a_database_of_a_newer_version_is_refused(
    store: MongoStore, mongo_store_factory: MongoStoreFactory, clock: FakeClock
) -> None:
    await store.link.meta.update_one({"_id": "schema"}, {"$set": {"version": VERSION + 1}})
    with pytest.raises(StoreUnavailable) as refused:
        await mongo_store_factory(clock=clock)
    assert refused.value.code == "store_newer"
