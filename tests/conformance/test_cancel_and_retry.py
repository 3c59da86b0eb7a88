"""What ports.JobQueue promises of jobs that are cancelled or tried again, on both engines."""

from __future__ import annotations

import pytest

from retrieval.documents import EntryState, JobState, NewEntry
from retrieval.errors import Conflict, LeaseLost
from retrieval.ports import Store
from tests.conformance.builders import (
    BROKEN,
    DONE,
    ENCODER,
    TENANT,
    TTL,
    FakeClock,
    add_file,
    asset_id_of,
    claim,
    entry_states,
    leased,
    new_page,
    submit,
    take,
)


async def test_cancel_ends_what_waits(store: Store) -> None:
    job = await submit(store, contents=[b"1", b"2", b"3"])
    await store.jobs.finish(await take(store), DONE)
    running = await take(store)
    cancelled = await store.jobs.cancel(TENANT, job.job_id)
    assert [entry.state.value for entry in cancelled.entries] == ["succeeded", "running", "cancelled"]
    assert await store.jobs.lease("worker-2", ttl=TTL) is None
    with pytest.raises(LeaseLost):
        await store.jobs.extend(running, ttl=TTL)
    assert await entry_states(store, job) == ["succeeded", "cancelled", "cancelled"]


async def test_cancel_again_changes_nothing(store: Store) -> None:
    job = await submit(store)
    first = await store.jobs.cancel(TENANT, job.job_id)
    assert first.state is JobState.cancelled
    assert await store.jobs.cancel(TENANT, job.job_id) == first


async def test_cancel_of_a_finished_job_changes_nothing(store: Store) -> None:
    lease = await leased(store)
    await store.jobs.finish(lease, DONE)
    before = await store.jobs.get(TENANT, lease.job_id)
    assert await store.jobs.cancel(TENANT, lease.job_id) == before


async def test_cancelled_work_of_a_dead_worker_ends_with_its_lease(store: Store, clock: FakeClock) -> None:
    lease = await leased(store)
    await store.jobs.cancel(TENANT, lease.job_id)
    clock.advance(TTL)
    assert await store.jobs.lease("worker-2", ttl=TTL) is None
    assert (await store.jobs.get(TENANT, lease.job_id)).state is JobState.cancelled


async def test_releasing_cancelled_work_ends_it(store: Store) -> None:
    lease = await leased(store)
    await store.jobs.cancel(TENANT, lease.job_id)
    await store.jobs.release(lease)
    assert (await store.jobs.get(TENANT, lease.job_id)).state is JobState.cancelled


async def test_pages_stored_before_a_cancel_stay(store: Store) -> None:
    lease = await leased(store)
    await store.pages.put(lease, [new_page(lease)])
    await store.jobs.cancel(TENANT, lease.job_id)
    with pytest.raises(LeaseLost):
        await store.pages.put(lease, [new_page(lease, 2)])
    assert await store.pages.done(TENANT, "C-1", lease.asset_id, encoder=ENCODER) == {1}


async def test_retry_queues_what_failed_and_has_bytes(store: Store) -> None:
    await store.claims.put(TENANT, claim("C-1"))
    for content in (b"good", b"bad", b"gone"):
        await add_file(store, content=content)
    entries = [NewEntry(name, asset_id_of(name.encode())) for name in ("good", "bad", "gone")]
    refused = NewEntry("virus.exe", None, EntryState.failed, "unsupported_type", "A program.")
    job, _ = await store.jobs.submit(TENANT, "C-1", [*entries, refused])
    await store.jobs.finish(await take(store), DONE)
    bad = await take(store)
    await store.jobs.finish(bad, BROKEN)
    await store.jobs.finish(await take(store), BROKEN)
    await store.assets.delete(TENANT, asset_id_of(b"gone"))
    again = await store.jobs.retry(TENANT, job.job_id)
    assert [entry.state.value for entry in again.entries] == ["succeeded", "queued", "failed", "failed"]
    assert (again.entries[1].attempts, again.entries[1].code, again.entries[1].detail) == (0, None, None)
    assert again.entries[3].code == "unsupported_type"
    lease = await take(store)
    assert (lease.entry_index, lease.attempt) == (1, 1)
    assert lease.token > bad.token


async def test_retry_after_a_cancel_runs_again(store: Store) -> None:
    lease = await leased(store)
    await store.jobs.cancel(TENANT, lease.job_id)
    await store.jobs.release(lease)
    again = await store.jobs.retry(TENANT, lease.job_id)
    assert (again.state, again.cancel_requested) == (JobState.queued, False)
    await store.jobs.finish(await take(store), DONE)
    assert (await store.jobs.get(TENANT, lease.job_id)).state is JobState.succeeded


@pytest.mark.parametrize("running", [False, True])
async def test_retry_of_an_unfinished_job_is_a_conflict(store: Store, running: bool) -> None:
    job = await submit(store)
    if running:
        await take(store)
    before = await store.jobs.get(TENANT, job.job_id)
    with pytest.raises(Conflict) as refused:
        await store.jobs.retry(TENANT, job.job_id)
    assert refused.value.code == "job_not_finished"
    assert await store.jobs.get(TENANT, job.job_id) == before


async def test_retry_with_nothing_to_do_changes_nothing(store: Store) -> None:
    lease = await leased(store)
    await store.jobs.finish(lease, DONE)
    before = await store.jobs.get(TENANT, lease.job_id)
    assert await store.jobs.retry(TENANT, lease.job_id) == before
