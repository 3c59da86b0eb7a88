"""What happens at once, and what is left when something stops half-way."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError, PyMongoError

from retrieval.documents import Asset, Sort
from retrieval.errors import Conflict, LeaseLost, NotFound
from retrieval.filters import EVERYTHING, parse_filter
from retrieval.stores.mongo import MongoStore
from tests.conformance.builders import (
    DIMS,
    ENCODER,
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
    vectors,
)
from tests.fakes.mongo import MongoStoreFactory, running_server, uri_of

ASSET_ID = asset_id_of(FILE)
KEPT_FOR_EVER = {"audit", "meta"}


@pytest.fixture
async def other(mongo_store_factory: MongoStoreFactory, clock: FakeClock) -> AsyncIterator[MongoStore]:
    """A second process on the same database."""
    opened = await mongo_store_factory(clock=clock)
    yield opened
    await opened.close()


async def rests(store: MongoStore) -> dict[str, int]:
    """Documents in every collection that should be empty when nothing is stored."""
    names = await store.link.db.list_collection_names()
    counts = {name: await store.link.db[name].count_documents({}) for name in names if name not in KEPT_FOR_EVER}
    return {name: count for name, count in counts.items() if count}


def once_before(
    monkeypatch: pytest.MonkeyPatch, method: str, collection: str, meanwhile: Callable[[], Awaitable[object]]
) -> None:
    """Lets `meanwhile` happen as a whole just before the next call of that method of that collection."""
    call = getattr(AsyncCollection, method)
    left = [True]

    async def patched(self: AsyncCollection[Any], *args: Any, **kwargs: Any) -> Any:
        if self.name == collection and left:
            left.clear()
            await meanwhile()
        return await call(self, *args, **kwargs)

    monkeypatch.setattr(AsyncCollection, method, patched)


class TestInBetween:
    """Somebody else is faster, at the worst moment."""

    async def test_page_never_keeps_facts_that_changed_while_it_was_stored(
        self, store: MongoStore, other: MongoStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lease = await leased(store)
        once_before(
            monkeypatch, "find_one_and_update", "assets", lambda: other.claims.put(TENANT, claim(line="travel"))
        )
        await store.pages.put(lease, [new_page(lease)])
        found = await store.pages.matching(TENANT, parse_filter({"line": "travel"}), encoder=ENCODER, limit=5)
        assert len(found) == 1

    async def test_lease_that_is_lost_while_pictures_are_uploaded_is_noticed(
        self, store: MongoStore, other: MongoStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lease = await leased(store)

        async def take_over() -> None:
            clock.advance(TTL + timedelta(seconds=1))
            assert await other.jobs.lease("worker-2", ttl=TTL) is not None

        once_before(monkeypatch, "insert_many", "loose_files", take_over)
        with pytest.raises(LeaseLost):
            await store.pages.put(lease, [new_page(lease)])
        assert await store.pages.counts(TENANT) == {}

    async def test_file_keeps_its_bytes_when_another_claim_gets_it_while_the_last_one_goes(
        self, store: MongoStore, other: MongoStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for claim_id in ("gone", "kept"):
            await store.claims.put(TENANT, claim(claim_id))
        await add_file(store, TENANT, "gone")
        once_before(monkeypatch, "find_one_and_delete", "blobs", lambda: add_file(other, TENANT, "kept"))
        assert (await store.claims.delete(TENANT, "gone")).size_bytes == 0
        assert [chunk async for chunk in store.assets.open(TENANT, ASSET_ID)] == [FILE]

    async def test_claim_that_goes_while_a_job_is_submitted_has_no_job(
        self, store: MongoStore, other: MongoStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await store.claims.put(TENANT, claim())
        once_before(monkeypatch, "update_one", "claims", lambda: other.claims.delete(TENANT, "C-1"))
        with pytest.raises(NotFound):
            await store.jobs.submit(TENANT, "C-1", [])
        assert await rests(store) == {}

    async def test_record_that_somebody_else_creates_first_is_found_at_the_second_try(self, store: MongoStore) -> None:
        tries: list[int] = []

        async def work(session: object) -> str:
            tries.append(1)
            if len(tries) == 1:
                raise DuplicateKeyError("E11000")
            return "found"

        assert await store.link.transaction(work) == "found"


class TestFactsAndPages:
    async def test_pages_stored_while_the_claim_changes_end_with_its_facts(
        self, store: MongoStore, other: MongoStore
    ) -> None:
        lease = await leased(store)

        async def store_pages() -> None:
            for number in range(1, 7):
                await store.pages.put(lease, [new_page(lease, number)])

        async def change_facts() -> None:
            for year in range(2001, 2007):
                await other.claims.put(TENANT, claim("C-1", vehicle=replace(claim().vehicle, year=year)))

        await asyncio.gather(store_pages(), change_facts())
        found = await store.pages.matching(TENANT, parse_filter({"vehicle.year": 2006}), encoder=ENCODER, limit=10)
        assert len(found) == 6
        assert len(await store.pages.nearest(TENANT, vectors(1), parse_filter({"vehicle.year": 2006}), limit=10)) == 6

    async def test_no_change_is_lost_among_many(self, store: MongoStore, other: MongoStore) -> None:
        await store.claims.put(TENANT, claim(loss_amount=0.0))

        async def add_one(opened: MongoStore) -> None:
            await opened.claims.update(TENANT, "C-1", lambda old: replace(old, loss_amount=(old.loss_amount or 0) + 1))

        await asyncio.gather(*(add_one(opened) for opened in (store, other) for _ in range(5)))
        found = await store.claims.get(TENANT, "C-1")
        assert (found.loss_amount, found.version) == (10.0, 11)

    async def test_one_of_many_creates_the_claim(self, store: MongoStore, other: MongoStore) -> None:
        created = await asyncio.gather(
            *(opened.claims.put(TENANT, claim(), create_only=True) for opened in (store, other, store, other)),
            return_exceptions=True,
        )
        refused = [answer for answer in created if isinstance(answer, Exception)]
        assert [getattr(error, "code", error) for error in refused] == ["claim_exists"] * 3
        assert (await store.claims.get(TENANT, "C-1")).version == 1

    async def test_failure_in_the_middle_changes_neither_claim_nor_pages(
        self, store: MongoStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await stored(store)
        before = await store.claims.get(TENANT, "C-1")

        async def broken(*_: object, **__: object) -> None:
            raise PyMongoError("the network went away")

        monkeypatch.setattr(type(store.link.pages), "update_many", broken)
        with pytest.raises(Exception, match="MongoDB"):
            await store.claims.put(TENANT, claim(line="auto"))
        monkeypatch.undo()
        assert await store.claims.get(TENANT, "C-1") == before
        assert await store.pages.matching(TENANT, parse_filter({"line": "auto"}), encoder=ENCODER, limit=5) == []


class TestBytes:
    async def test_file_added_many_times_at_once_is_kept_once(self, store: MongoStore, other: MongoStore) -> None:
        for claim_id in ("C-1", "C-2"):
            await store.claims.put(TENANT, claim(claim_id))
        added = await asyncio.gather(
            *(add_file(opened, TENANT, claim_id) for opened in (store, other) for claim_id in ("C-1", "C-2"))
        )
        assert sorted(new for _, new in added) == [False, False, True, True]
        assert await store.link.db["asset_files.files"].count_documents({}) == 1
        assert await store.link.loose.count_documents({}) == 0
        assert [chunk async for chunk in store.assets.open(TENANT, ASSET_ID)] == [FILE]

    async def test_file_added_while_its_last_claim_goes_has_its_bytes(
        self, store: MongoStore, other: MongoStore
    ) -> None:
        for turn in range(3):
            gone, kept = f"gone-{turn}", f"kept-{turn}"
            content = f"file {turn}".encode()
            for claim_id in (gone, kept):
                await store.claims.put(TENANT, claim(claim_id))
            await add_file(store, TENANT, gone, content)
            await asyncio.gather(store.claims.delete(TENANT, gone), add_file(other, TENANT, kept, content))
            assert [chunk async for chunk in store.assets.open(TENANT, asset_id_of(content))] == [content]

    async def test_upload_that_never_became_a_record_is_swept_after_an_hour(
        self, store: MongoStore, clock: FakeClock, tmp_path: Path
    ) -> None:
        await stored(store)
        source = tmp_path / "upload"
        source.write_bytes(b"x" * 300_000)
        await store._files.upload_file("asset_files", source, name=ASSET_ID)
        await store._files.upload_all("pictures", [b"one", b"two"])
        clock.advance(timedelta(minutes=59))
        assert await store.sweep() == 0
        clock.advance(timedelta(minutes=2))
        assert await store.sweep() == 3
        assert await store.sweep() == 0
        for bucket, files in (("asset_files", 1), ("pictures", 1)):
            assert await store.link.db[f"{bucket}.files"].count_documents({}) == files
            assert len(await store.link.db[f"{bucket}.chunks"].distinct("files_id")) == files

    async def test_deletion_that_stopped_before_the_bytes_is_finished_by_the_sweep(
        self, store: MongoStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await stored(store)

        async def stopped(*_: object) -> None:
            raise asyncio.CancelledError

        monkeypatch.setattr(store._files, "remove", stopped)
        with pytest.raises(asyncio.CancelledError):
            await store.claims.delete(TENANT, "C-1")
        monkeypatch.undo()
        assert await store.claims.count(TENANT) == 0
        clock.advance(timedelta(hours=2))
        assert await store.sweep() == 2
        assert await rests(store) == {}

    async def test_file_that_the_sweep_took_on_its_way_is_not_half_stored(
        self, store: MongoStore, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await store.claims.put(TENANT, claim())
        source = tmp_path / "upload"
        source.write_bytes(FILE)
        upload = store._files.upload_file

        async def slow(*given: object, **named: object) -> object:
            uploaded = await upload(*given, **named)  # type: ignore[arg-type]
            clock.advance(timedelta(hours=2))
            await store.sweep()
            return uploaded

        monkeypatch.setattr(store._files, "upload_file", slow)
        asset = Asset(ASSET_ID, "C-1", "a.pdf", len(FILE))
        with pytest.raises(Exception, match="try again"):
            await store.assets.add(TENANT, asset, source)
        with pytest.raises(NotFound):
            await store.assets.get(TENANT, ASSET_ID)
        monkeypatch.undo()
        assert (await store.assets.add(TENANT, asset, source))[1]
        assert [chunk async for chunk in store.assets.open(TENANT, ASSET_ID)] == [FILE]


class TestDeletion:
    async def test_deleting_everything_leaves_nothing(self, store: MongoStore) -> None:
        for tenant in (TENANT, OTHER_TENANT):
            for claim_id in ("C-1", "C-2"):
                await stored(store, tenant, claim_id, pages=2)
        for tenant in (TENANT, OTHER_TENANT):
            await submit(store, tenant, "C-1", [b"another"], idempotency_key="key")
        for tenant in (TENANT, OTHER_TENANT):
            for listed in (await store.claims.list(tenant, EVERYTHING, sort=Sort())).items:
                await store.claims.delete(tenant, listed.claim_id)
        assert await rests(store) == {}

    async def test_claim_deleted_under_a_working_worker_leaves_nothing(
        self, store: MongoStore, other: MongoStore
    ) -> None:
        lease = await leased(store)

        async def work() -> None:
            for number in itertools.count(1):
                await store.pages.put(lease, [new_page(lease, number)])

        async def delete() -> None:
            while not await other.pages.counts(TENANT):
                pass
            await other.claims.delete(TENANT, "C-1")

        worked, deleted = await asyncio.gather(work(), delete(), return_exceptions=True)
        assert isinstance(worked, LeaseLost | NotFound), worked
        assert deleted is None
        left = await rests(store)
        assert set(left) <= {"loose_files", "pictures.files", "pictures.chunks"}, "only an upload on its way may stay"
        store.link.clock.advance(timedelta(hours=2))  # type: ignore[attr-defined]
        await store.sweep()
        assert await rests(store) == {}


class TestQueue:
    async def test_no_entry_is_leased_twice(self, store: MongoStore, other: MongoStore) -> None:
        await submit(store, contents=[str(place).encode() for place in range(12)])

        async def worker(opened: MongoStore, name: str) -> list[int]:
            taken = []
            while (lease := await opened.jobs.lease(name, ttl=TTL)) is not None:
                taken.append(lease.entry_index)
            return taken

        taken = await asyncio.gather(*(worker(opened, f"w-{n}") for n in range(2) for opened in (store, other)))
        assert sorted(index for indexes in taken for index in indexes) == list(range(12))

    async def test_a_file_under_the_transaction_of_a_dead_worker_holds_up_no_other(
        self, store: MongoStore, other: MongoStore
    ) -> None:
        """MongoDB ends such a transaction only after a minute; until then its entry can be written by nobody."""
        await submit(store, contents=[b"first", b"second"])
        [first, second] = await store.link.entries.find().sort("place", 1).to_list()
        async with other.link.client.start_session() as dead:
            await dead.start_transaction()
            await other.link.entries.update_one({"_id": first["_id"]}, {"$inc": {"revision": 1}}, session=dead)
            taken = await store.jobs.lease("w-1", ttl=TTL)
            assert taken is not None
            assert (taken.job_id, taken.entry_index) == (second["job_id"], 1)
            assert await store.jobs.lease("w-1", ttl=TTL) is None
            await dead.abort_transaction()
        taken = await store.jobs.lease("w-1", ttl=TTL)
        assert taken is not None
        assert taken.entry_index == 0

    async def test_one_of_many_submits_with_a_key_makes_the_job(self, store: MongoStore, other: MongoStore) -> None:
        await store.claims.put(TENANT, claim())
        submitted = await asyncio.gather(
            *(opened.jobs.submit(TENANT, "C-1", [], idempotency_key="key") for opened in (store, other, store))
        )
        assert len({job.job_id for job, _ in submitted}) == 1
        assert sorted(new for _, new in submitted) == [False, False, True]

    async def test_cancel_reaches_an_entry_whatever_it_is_doing(self, store: MongoStore, other: MongoStore) -> None:
        for turn in range(3):
            lease = await leased(store, claim_id=f"C-{turn}", content=str(turn).encode())
            postponed = store.jobs.postpone(lease, delay=TTL, code="busy", detail="Later.")
            answers = await asyncio.gather(postponed, other.jobs.cancel(TENANT, lease.job_id), return_exceptions=True)
            assert not isinstance(answers[1], Exception), answers[1]
            assert (await store.jobs.get(TENANT, lease.job_id)).state == "cancelled"


async def test_transaction_gives_up_on_a_record_that_stays_in_the_way(store: MongoStore) -> None:
    await store.link.meta.insert_one({"_id": "taken"})

    async def work(session: object) -> None:
        await store.link.meta.insert_one({"_id": "taken"}, session=session)  # type: ignore[arg-type]

    with pytest.raises(Conflict):
        async with store.link.operation():
            await store.link.transaction(work)


async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, clock: FakeClock) -> None:
    with running_server(tmp_path) as (host, port):
        store = await MongoStore.open(uri_of(host, port), clock=clock)
        [page] = await stored(store)
        await store.close()
    with running_server(tmp_path) as (host, port):
        store = await MongoStore.open(uri_of(host, port), clock=clock)
        try:
            assert await store.pages.get(TENANT, page.page_id) == page
            assert await store.pages.picture(TENANT, page.page_id) == b"webp1"
            assert [chunk async for chunk in store.assets.open(TENANT, page.asset_id)] == [FILE]
            assert len((await store.pages.vectors(TENANT, [page.page_id]))[page.page_id].summary) == DIMS
        finally:
            await store.close()
