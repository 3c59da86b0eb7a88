"""What ports.JobQueue promises of jobs, on both engines: submitting, listing, counting what waits."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from retrieval.documents import EntryState, Job, JobState, NewEntry
from retrieval.errors import Conflict, InvalidInput, NotFound
from retrieval.ports import Store
from tests.conformance.builders import (
    BROKEN,
    DONE,
    FILE,
    OTHER_TENANT,
    TENANT,
    FakeClock,
    add_file,
    asset_id_of,
    claim,
    submit,
    take,
)
from tests.conformance.conftest import OpenAgain


async def test_submit_keeps_the_upload(store: Store, clock: FakeClock) -> None:
    await store.claims.put(TENANT, claim("C-1"))
    await add_file(store, filename="a.pdf")
    entries = [
        NewEntry("a.pdf", asset_id_of(FILE)),
        NewEntry("b.exe", None, EntryState.failed, "unsupported_type", "This is a program."),
        NewEntry("ä.pdf", asset_id_of(FILE), EntryState.duplicate),
    ]
    job, is_new = await store.jobs.submit(TENANT, "C-1", entries)
    assert is_new
    assert await store.jobs.get(TENANT, job.job_id) == job
    assert (job.claim_id, job.created_at, job.updated_at, job.cancel_requested) == ("C-1", clock.now, clock.now, False)
    assert job.state is JobState.running
    kept = [(entry.index, entry.filename, entry.asset_id, entry.state, entry.code) for entry in job.entries]
    assert kept == [
        (0, "a.pdf", asset_id_of(FILE), EntryState.queued, None),
        (1, "b.exe", None, EntryState.failed, "unsupported_type"),
        (2, "ä.pdf", asset_id_of(FILE), EntryState.duplicate, None),
    ]
    assert job.entries[1].detail == "This is a program."
    assert (job.entries[0].attempts, job.entries[0].pages_done, job.entries[0].pages_total) == (0, 0, None)


async def test_submit_to_an_unknown_claim(store: Store) -> None:
    with pytest.raises(NotFound) as missing:
        await store.jobs.submit(TENANT, "C-0", [NewEntry("a.pdf", None)], idempotency_key="key")
    assert missing.value.code == "claim_not_found"
    assert await store.jobs.find_by_key(TENANT, "key") is None


async def test_the_same_key_gives_the_first_job(store: Store) -> None:
    first = await submit(store, idempotency_key="key")
    again = [NewEntry("file-0.pdf", asset_id_of(FILE), EntryState.duplicate)]
    assert await store.jobs.submit(TENANT, "C-1", again, idempotency_key="key") == (first, False)
    assert await store.jobs.find_by_key(TENANT, "key") == first
    assert (await store.jobs.list(TENANT)).items == (first,)
    assert await store.jobs.find_by_key(TENANT, "other") is None


async def test_a_key_used_for_another_upload_is_a_conflict(store: Store) -> None:
    first = await submit(store, idempotency_key="key")
    await store.claims.put(TENANT, claim("C-2"))
    await add_file(store, claim_id="C-2")
    others = [("C-2", asset_id_of(FILE)), ("C-1", asset_id_of(b"other"))]
    for claim_id, asset_id in others:
        with pytest.raises(Conflict) as refused:
            await store.jobs.submit(TENANT, claim_id, [NewEntry("file-0.pdf", asset_id)], idempotency_key="key")
        assert refused.value.code == "idempotency_conflict"
    assert (await store.jobs.list(TENANT)).items == (first,)


async def test_keys_of_two_tenants_do_not_meet(store: Store) -> None:
    mine = await submit(store, idempotency_key="key")
    theirs = await submit(store, OTHER_TENANT, contents=[b"theirs"], idempotency_key="key")
    assert mine.job_id != theirs.job_id


async def test_the_same_key_at_once_makes_one_job(open_again: OpenAgain) -> None:
    stores = [await open_again(), await open_again()]
    await stores[0].claims.put(TENANT, claim("C-1"))
    await add_file(stores[0])
    entries = [NewEntry("a.pdf", asset_id_of(FILE))]
    outcomes = await asyncio.gather(
        *(store.jobs.submit(TENANT, "C-1", entries, idempotency_key="key") for store in stores * 3)
    )
    assert sum(is_new for _, is_new in outcomes) == 1
    assert len({job.job_id for job, _ in outcomes}) == 1


async def test_list_is_newest_first_and_filtered(store: Store, clock: FakeClock) -> None:
    jobs: list[Job] = []
    for number in range(4):
        jobs.append(await submit(store, claim_id=f"C-{number % 2}", contents=[f"{number}".encode()]))
        clock.advance(timedelta(seconds=1))
    await store.jobs.finish(await take(store), DONE)
    await store.jobs.finish(await take(store), BROKEN)
    await take(store)

    async def ids(claim_id: str | None = None, state: JobState | None = None) -> list[str]:
        found: list[str] = []
        cursor = None
        while True:
            part = await store.jobs.list(TENANT, claim_id=claim_id, state=state, cursor=cursor, limit=1)
            found += [job.job_id for job in part.items]
            cursor = part.next_cursor
            if cursor is None:
                return found

    made = [job.job_id for job in jobs]
    assert await ids() == made[::-1]
    assert await ids("C-0") == [made[2], made[0]]
    for state, expected in (("succeeded", 0), ("failed", 1), ("running", 2), ("queued", 3)):
        assert await ids(state=JobState(state)) == [made[expected]]
    assert await ids("C-1", JobState.succeeded) == []
    assert await ids("C-9") == []


async def test_a_cursor_of_another_list_is_refused(store: Store) -> None:
    await submit(store, contents=[b"1"])
    await submit(store, contents=[b"2"])
    cursor = (await store.jobs.list(TENANT, limit=1)).next_cursor
    for call in (
        store.jobs.list(TENANT, claim_id="C-1", cursor=cursor),
        store.jobs.list(OTHER_TENANT, cursor=cursor),
        store.jobs.list(TENANT, cursor="made up"),
    ):
        with pytest.raises(InvalidInput) as refused:
            await call
        assert (refused.value.code, refused.value.field) == ("bad_cursor", "cursor")


async def test_depth_counts_entries_of_all_tenants(store: Store, clock: FakeClock) -> None:
    depth = await store.jobs.depth()
    assert (depth.queued, depth.running, depth.oldest_queued_s) == (0, 0, 0.0)
    await submit(store, contents=[b"1", b"2"])
    clock.advance(timedelta(seconds=10))
    await submit(store, OTHER_TENANT, contents=[b"3"])
    await take(store)
    clock.advance(timedelta(seconds=5))
    depth = await store.jobs.depth()
    assert (depth.queued, depth.running) == (2, 1)
    assert depth.oldest_queued_s == pytest.approx(15.0)


async def test_unknown_jobs_and_other_tenants(store: Store) -> None:
    job = await submit(store, idempotency_key="key")
    for tenant, job_id in ((TENANT, "no-such-job"), (OTHER_TENANT, job.job_id)):
        for call in (store.jobs.get, store.jobs.cancel, store.jobs.retry):
            with pytest.raises(NotFound) as missing:
                await call(tenant, job_id)
            assert missing.value.code == "job_not_found"
    assert (await store.jobs.list(OTHER_TENANT)).items == ()
    assert (await store.jobs.list(OTHER_TENANT, claim_id="C-1")).items == ()
    assert await store.jobs.find_by_key(OTHER_TENANT, "key") is None
    assert await store.jobs.get(TENANT, job.job_id) == job
