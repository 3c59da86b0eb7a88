"""What ports.JobQueue promises to workers, on both engines: order, leases, fencing, attempts."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from retrieval.documents import EntryState, FailedPage, JobState, Lease
from retrieval.errors import LeaseLost, NotFound
from retrieval.ports import EntryOutcome, Store
from tests.conformance.builders import (
    BROKEN,
    DONE,
    FILE,
    OTHER_TENANT,
    TENANT,
    TTL,
    FakeClock,
    asset_id_of,
    leased,
    new_page,
    submit,
    take,
)
from tests.conformance.conftest import OpenAgain


async def test_lease_says_all_a_worker_needs(store: Store, clock: FakeClock) -> None:
    job = await submit(store)
    lease = await take(store, "worker-7")
    assert (lease.tenant_id, lease.job_id, lease.entry_index) == (TENANT, job.job_id, 0)
    assert (lease.claim_id, lease.asset_id, lease.filename) == ("C-1", asset_id_of(FILE), "file-0.pdf")
    assert (lease.attempt, lease.worker_id, lease.expires_at) == (1, "worker-7", clock.now + TTL)
    [entry] = (await store.jobs.get(TENANT, job.job_id)).entries
    assert (entry.state, entry.attempts) == (EntryState.running, 1)


async def test_nothing_waits(store: Store) -> None:
    assert await store.jobs.lease("worker-1", ttl=TTL) is None
    await submit(store)
    await take(store)
    assert await store.jobs.lease("worker-2", ttl=TTL) is None


async def test_the_oldest_goes_first_over_all_tenants(store: Store, clock: FakeClock) -> None:
    names: list[tuple[str, bytes]] = [(TENANT, b"1"), (OTHER_TENANT, b"2"), (TENANT, b"3")]
    for tenant, content in names:
        await submit(store, tenant, contents=[content, content + b"+"])
        clock.advance(timedelta(seconds=1))
    taken = [await take(store) for _ in range(6)]
    expected = [(tenant, index) for tenant, _ in names for index in range(2)]
    assert [(lease.tenant_id, lease.entry_index) for lease in taken] == expected


async def test_a_lease_that_ran_out_goes_to_another_before_newer_work(store: Store, clock: FakeClock) -> None:
    old = await leased(store)
    clock.advance(TTL / 2)
    await submit(store, contents=[b"newer"])
    clock.advance(TTL / 2)
    new = await take(store, "worker-2")
    assert (new.job_id, new.attempt, new.worker_id) == (old.job_id, 2, "worker-2")
    assert new.token > old.token


WRITES: dict[str, Callable[[Store, Lease], Awaitable[object]]] = {
    "extend": lambda store, lease: store.jobs.extend(lease, ttl=TTL),
    "progress": lambda store, lease: store.jobs.progress(lease, pages_total=7),
    "finish": lambda store, lease: store.jobs.finish(lease, DONE),
    "postpone": lambda store, lease: store.jobs.postpone(lease, delay=TTL, code="late", detail="Late."),
    "put": lambda store, lease: store.pages.put(lease, [new_page(lease)]),
    "describe": lambda store, lease: store.assets.describe(lease, media_type="image/png", page_count=7),
    "warn": lambda store, lease: store.assets.warn(lease, [("late", "Late.")]),
}


@pytest.mark.parametrize("write", WRITES)
async def test_a_worker_that_lost_its_lease_writes_nothing(store: Store, clock: FakeClock, write: str) -> None:
    old = await leased(store)
    clock.advance(TTL)
    new = await take(store, "worker-2")
    before = await store.jobs.get(TENANT, old.job_id)
    with pytest.raises(LeaseLost):
        await WRITES[write](store, old)
    assert await store.jobs.get(TENANT, old.job_id) == before
    assert (await store.pages.list(TENANT, claim_id="C-1")).items == ()
    [asset] = await store.assets.get(TENANT, old.asset_id)
    assert (asset.media_type, asset.warnings) == (None, ())
    await store.jobs.finish(new, DONE)


async def test_releasing_a_lost_lease_is_ignored(store: Store, clock: FakeClock) -> None:
    old = await leased(store)
    clock.advance(TTL)
    new = await take(store, "worker-2")
    await store.jobs.release(old)
    await store.jobs.progress(new, pages_total=1)


@pytest.mark.parametrize("write", WRITES)
async def test_an_ended_entry_takes_no_more_writes(store: Store, write: str) -> None:
    lease = await leased(store)
    await store.jobs.finish(lease, BROKEN)
    with pytest.raises(LeaseLost):
        await WRITES[write](store, lease)
    [entry] = (await store.jobs.get(TENANT, lease.job_id)).entries
    assert (entry.state, entry.code) == (EntryState.failed, "damaged")


@pytest.mark.parametrize("write", WRITES)
async def test_a_running_entry_of_a_cancelled_job_ends_when_its_worker_writes(store: Store, write: str) -> None:
    lease = await leased(store)
    job = await store.jobs.cancel(TENANT, lease.job_id)
    assert (job.state, job.cancel_requested) == (JobState.running, True)
    with pytest.raises(LeaseLost):
        await WRITES[write](store, lease)
    job = await store.jobs.get(TENANT, lease.job_id)
    assert job.state is JobState.cancelled
    assert (await store.pages.list(TENANT, claim_id="C-1")).items == ()


async def test_extend_keeps_the_lease(store: Store, clock: FakeClock) -> None:
    lease = await leased(store)
    clock.advance(TTL / 2)
    longer = await store.jobs.extend(lease, ttl=TTL)
    assert longer.expires_at == clock.now + TTL
    assert longer.token == lease.token
    clock.advance(TTL * 0.75)
    assert await store.jobs.lease("worker-2", ttl=TTL) is None
    await store.jobs.finish(longer, DONE)


async def test_an_old_copy_of_an_extended_lease_still_holds(store: Store) -> None:
    lease = await leased(store)
    await store.jobs.extend(lease, ttl=TTL)
    await store.jobs.progress(lease, pages_total=2)


async def test_progress_counts_stored_and_failed_pages(store: Store) -> None:
    lease = await leased(store)
    await store.pages.put(lease, [new_page(lease, 1), new_page(lease, 2)])
    failed = FailedPage(3, "image_too_large", "Page 3 is too large.")
    await store.jobs.progress(lease, pages_total=5, failed_pages=[failed])
    [entry] = (await store.jobs.get(TENANT, lease.job_id)).entries
    assert (entry.pages_done, entry.pages_total, entry.failed_pages) == (3, 5, (failed,))
    await store.pages.put(lease, [new_page(lease, 2), new_page(lease, 4)])
    [entry] = (await store.jobs.get(TENANT, lease.job_id)).entries
    assert entry.pages_done == 4


async def test_a_page_that_failed_and_was_stored_later_counts_once(store: Store) -> None:
    lease = await leased(store)
    await store.jobs.progress(lease, pages_total=1, failed_pages=[FailedPage(1, "code", "Detail.")])
    await store.pages.put(lease, [new_page(lease, 1)])
    [entry] = (await store.jobs.get(TENANT, lease.job_id)).entries
    assert entry.pages_done == 1


async def test_revision_grows_with_every_change(store: Store, clock: FakeClock) -> None:
    job = await submit(store)
    seen = [job.revision]

    async def look() -> None:
        seen.append((await store.jobs.get(TENANT, job.job_id)).revision)

    lease = await take(store)
    await look()
    await store.pages.put(lease, [new_page(lease)])
    await look()
    await store.jobs.progress(lease, pages_total=1)
    await look()
    await store.jobs.postpone(lease, delay=timedelta(0), code="encoder_unavailable", detail="Wait.")
    await look()
    await store.jobs.release(await take(store))
    await look()
    await store.jobs.finish(await take(store), BROKEN)
    await look()
    await store.jobs.retry(TENANT, job.job_id)
    await look()
    await store.jobs.cancel(TENANT, job.job_id)
    await look()
    assert all(later > earlier for earlier, later in itertools.pairwise(seen))


async def test_updated_at_follows_the_entries(store: Store, clock: FakeClock) -> None:
    lease = await leased(store)
    clock.advance(timedelta(seconds=5))
    await store.jobs.progress(lease, pages_total=1)
    job = await store.jobs.get(TENANT, lease.job_id)
    assert job.updated_at == clock.now
    assert job.created_at < job.updated_at


async def test_finish_keeps_the_outcome(store: Store) -> None:
    job = await submit(store, contents=[b"good", b"bad"])
    failed = FailedPage(2, "image_refused", "Page 2 was refused.")
    good = await take(store)
    await store.jobs.finish(
        good, EntryOutcome(EntryState.succeeded, code="pages_failed", detail="One page failed.", failed_pages=(failed,))
    )
    assert (await store.jobs.get(TENANT, job.job_id)).state is JobState.running
    await store.jobs.finish(await take(store), BROKEN)
    job = await store.jobs.get(TENANT, job.job_id)
    assert job.state is JobState.succeeded
    first, second = job.entries
    assert (first.state, first.code, first.detail, first.failed_pages) == (
        EntryState.succeeded,
        "pages_failed",
        "One page failed.",
        (failed,),
    )
    assert (second.state, second.code, second.detail) == (EntryState.failed, "damaged", "The file is damaged.")
    assert await store.jobs.lease("worker-1", ttl=TTL) is None


async def test_postponed_work_waits_its_delay_and_says_why(store: Store, clock: FakeClock) -> None:
    lease = await leased(store)
    await store.jobs.postpone(lease, delay=timedelta(seconds=30), code="encoder_unavailable", detail="No answer.")
    [entry] = (await store.jobs.get(TENANT, lease.job_id)).entries
    assert (entry.state, entry.code, entry.detail) == (EntryState.queued, "encoder_unavailable", "No answer.")
    clock.advance(timedelta(seconds=29))
    assert await store.jobs.lease("worker-1", ttl=TTL) is None
    await submit(store, contents=[b"newer"])
    clock.advance(timedelta(seconds=1))
    again = await take(store)
    assert (again.job_id, again.attempt) == (lease.job_id, 2)
    assert again.token > lease.token
    [entry] = (await store.jobs.get(TENANT, lease.job_id)).entries
    assert (entry.code, entry.detail) == (None, None)


async def test_released_work_waits_again_at_once_and_loses_no_attempt(store: Store) -> None:
    first = await leased(store)
    await store.jobs.release(first)
    second = await take(store)
    assert (second.job_id, second.attempt) == (first.job_id, 1)
    assert second.token > first.token
    with pytest.raises(LeaseLost):
        await store.jobs.progress(first, pages_total=1)


async def test_work_that_never_ends_is_given_up(open_again: OpenAgain, clock: FakeClock) -> None:
    store = await open_again(max_attempts=2)
    job = await submit(store, contents=[b"poison", b"good"])
    for attempt in (1, 2):
        assert (await take(store)).attempt == attempt
        clock.advance(TTL)
    good = await take(store)
    assert good.entry_index == 1
    poison, _ = (await store.jobs.get(TENANT, job.job_id)).entries
    assert (poison.state, poison.code, poison.attempts) == (EntryState.failed, "attempts_exhausted", 2)
    assert poison.detail


async def test_a_file_that_gains_a_page_is_not_given_up(open_again: OpenAgain, clock: FakeClock) -> None:
    """Workers may be killed as often as there are pages; only tries that store nothing count."""
    store = await open_again(max_attempts=2)
    job = await submit(store)
    for number in range(1, 6):
        lease = await take(store)
        await store.pages.put(lease, [new_page(lease, number)])
        clock.advance(TTL)
    assert (await take(store)).attempt == 2
    clock.advance(TTL)
    assert await store.jobs.lease("worker-1", ttl=TTL) is None
    [entry] = (await store.jobs.get(TENANT, job.job_id)).entries
    assert (entry.code, entry.attempts, entry.pages_done) == ("attempts_exhausted", 2, 5)


async def test_a_clock_that_is_set_back_holds_up_no_file_that_waits(store: Store, clock: FakeClock) -> None:
    await submit(store, contents=[b"1", b"2", b"3"])
    back, gone = await take(store), await take(store)
    clock.advance(timedelta(days=-1))
    await store.jobs.release(back)
    assert (await take(store)).entry_index == back.entry_index
    assert (await take(store)).entry_index == 2
    # The third is under a lease of tomorrow. A living worker brings the lease back to today; then it runs out as usual.
    assert await store.jobs.lease("worker-2", ttl=TTL) is None
    await store.jobs.extend(gone, ttl=TTL)
    clock.advance(TTL)
    assert {(await take(store)).entry_index for _ in range(3)} == {0, 1, 2}


async def test_many_workers_take_each_entry_once(open_again: OpenAgain) -> None:
    stores = [await open_again(), await open_again()]
    for number in range(5):
        await submit(stores[0], claim_id=f"C-{number}", contents=[f"{number}-{index}".encode() for index in range(10)])
    taken: list[tuple[str, int]] = []

    async def work(store: Store, worker_id: str) -> None:
        while (lease := await store.jobs.lease(worker_id, ttl=TTL)) is not None:
            taken.append((lease.job_id, lease.entry_index))
            await store.jobs.finish(lease, DONE)

    await asyncio.gather(*(work(stores[number % 2], f"worker-{number}") for number in range(4)))
    assert len(taken) == 50
    assert len(set(taken)) == 50
    assert {job.state for job in (await stores[1].jobs.list(TENANT)).items} == {JobState.succeeded}


async def test_a_lease_with_anothers_tenant_in_it_writes_nothing(store: Store) -> None:
    """Leases stay inside the house, but the tenant in one is checked all the same."""
    lease = await leased(store)
    forged = Lease(**{**{name: getattr(lease, name) for name in Lease.__slots__}, "tenant_id": OTHER_TENANT})
    for write in WRITES.values():
        with pytest.raises((LeaseLost, NotFound)):
            await write(store, forged)
