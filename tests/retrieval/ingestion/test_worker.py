"""The worker outlives every fault, gives back what it cannot end, and stops at once when its lease is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from PIL import Image

from models import Embedding, EncodingFailure
from retrieval.documents import Claim, EntryState, Job, Lease
from retrieval.errors import LeaseLost, StoreUnavailable
from retrieval.ingestion.spool import Spool
from tests.fakes.encoder import FakeEncoder
from tests.retrieval.ingestion.conftest import CLAIM, TENANT, House, children, sample

SHORT = timedelta(seconds=1)


class Clumsy(FakeEncoder):
    """Raises what no encoder should, `times` times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def encode_pages(self, images: Sequence[Image.Image]) -> list[Embedding | EncodingFailure]:
        if self.times:
            self.times -= 1
            raise ZeroDivisionError("with the contents of page 1")
        return await super().encode_pages(images)


class Waiting(FakeEncoder):
    """Says `started` and waits for `go_on` in each call."""

    def __init__(self) -> None:
        super().__init__()
        self.started = asyncio.Event()
        self.go_on = asyncio.Event()

    async def encode_pages(self, images: Sequence[Image.Image]) -> list[Embedding | EncodingFailure]:
        self.started.set()
        await self.go_on.wait()
        return await super().encode_pages(images)


def photo() -> bytes:
    return sample("odd/ok.jpg").read_bytes()


async def reread(house: House, job: Job) -> Job:
    return await house.store.jobs.get(TENANT, job.job_id)


@asynccontextmanager
async def running(house: House, **options: object) -> AsyncIterator[asyncio.Event]:
    """A worker in its loop; it has ended when the block has."""
    stop = asyncio.Event()
    work = asyncio.create_task(house.worker(poll_interval_s=0.01, **options).run(stop))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await work


async def until_done(house: House, job: Job) -> Job:
    async with asyncio.timeout(30):
        while (job := await reread(house, job)).state in ("queued", "running"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return job


async def test_worker_takes_files_until_it_is_stopped(house: House) -> None:
    async with running(house):
        first = await until_done(house, await house.upload([("a.jpg", photo())]))
        second = await until_done(house, await house.upload([("b.pdf", sample("odd/ok.pdf").read_bytes())]))
    assert [entry.state for job in (first, second) for entry in job.entries] == [EntryState.succeeded] * 2
    assert house.left_over() == []


async def test_nothing_queued_is_nothing_done(house: House) -> None:
    assert not await house.worker().run_once()


async def test_start_sweeps_what_a_killed_worker_left(house: House) -> None:
    dead = Spool(house.spool).entry("folder")
    dead.path.mkdir(parents=True)
    (dead.path / "1.webp").write_bytes(b"x")
    async with running(house):
        pass
    assert house.left_over() == []


async def test_lease_is_kept_for_as_long_as_the_work_takes(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.encoder = encoder = Waiting()
    job = await house.upload([("a.jpg", photo())])
    extend = house.store.jobs.extend
    ends: list[datetime] = []

    async def noted(lease: Lease, *, ttl: timedelta) -> Lease:
        ends.append(lease.expires_at)
        extended = await extend(lease, ttl=ttl)
        house.clock.ahead += ttl / 2
        if house.clock() > ends[0] + ttl:
            encoder.go_on.set()
        return extended

    monkeypatch.setattr(house.store.jobs, "extend", noted)
    monkeypatch.setattr("retrieval.ingestion.worker._HEARTBEAT_S", 0.01)
    async with running(house, lease_ttl=timedelta(minutes=5)):
        await encoder.go_on.wait()
        assert await house.store.jobs.lease("another", ttl=SHORT) is None
        job = await until_done(house, job)
    assert (job.entries[0].state, job.entries[0].attempts) == (EntryState.succeeded, 1)


async def test_stop_gives_the_entry_back_without_an_attempt(house: House) -> None:
    house.encoder = encoder = Waiting()
    job = await house.upload([("a.jpg", photo())])
    async with running(house):
        await encoder.started.wait()
    [entry] = (await reread(house, job)).entries
    assert (entry.state, entry.attempts) == (EntryState.queued, 0)
    assert house.left_over() == []
    assert children() == []
    house.encoder = FakeEncoder()
    assert await house.worker().run_once(), "another worker may take it at once"


async def test_stop_ends_the_process_that_renders(house: House) -> None:
    job = await house.upload([("a.pdf", sample("odd/bomb_forms.pdf").read_bytes())])
    async with running(house):
        async with asyncio.timeout(30):
            while not children():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert children() == []
    assert (await reread(house, job)).entries[0].state is EntryState.queued
    assert house.left_over() == []


async def test_cancel_stops_the_work_soon(house: House) -> None:
    house.encoder = encoder = Waiting()
    job = await house.upload([("a.jpg", photo()), ("b.pdf", sample("odd/ok.pdf").read_bytes())])
    async with running(house, lease_ttl=SHORT):
        await encoder.started.wait()
        await house.store.jobs.cancel(TENANT, job.job_id)
        job = await until_done(house, job)
        encoder.go_on.set()
        other = await until_done(house, await house.upload([("c.jpg", photo())]))
    assert {entry.state for entry in job.entries} == {EntryState.cancelled}
    assert other.entries[0].state is EntryState.succeeded, "the worker goes on with the next"
    assert house.left_over() == []


async def test_deleted_claim_stops_the_work(house: House) -> None:
    house.encoder = encoder = Waiting()
    await house.upload([("a.jpg", photo())])
    async with running(house, lease_ttl=SHORT):
        await encoder.started.wait()
        await house.store.claims.delete(TENANT, CLAIM)
        encoder.go_on.set()
        await house.store.claims.put(TENANT, Claim(claim_id=CLAIM))
        job = await until_done(house, await house.upload([("b.jpg", photo())]))
    assert job.entries[0].state is EntryState.succeeded
    assert len((await house.store.pages.list(TENANT, claim_id=CLAIM)).items) == 1


async def test_worker_that_lost_its_lease_writes_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.encoder = encoder = Waiting()
    job = await house.upload([("a.jpg", photo())])

    async def lost(lease: Lease, *, ttl: timedelta) -> Lease:
        await encoder.started.wait()
        raise LeaseLost("gone")

    monkeypatch.setattr(house.store.jobs, "extend", lost)
    assert await house.worker(lease_ttl=SHORT).run_once()
    assert (await reread(house, job)).entries[0].state is EntryState.running, "left to whoever has it now"
    assert (await house.store.pages.list(TENANT, claim_id=CLAIM)).items == ()
    assert house.left_over() == []


async def test_lease_counts_as_lost_when_the_store_is_away_too_long(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.encoder = encoder = Waiting()
    await house.upload([("a.jpg", photo())])

    async def away(lease: Lease, *, ttl: timedelta) -> Lease:
        await encoder.started.wait()
        raise StoreUnavailable("The store does not answer.")

    monkeypatch.setattr(house.store.jobs, "extend", away)
    async with asyncio.timeout(20):
        assert await house.worker(lease_ttl=SHORT).run_once()


async def test_encoder_fault_that_passes_is_waited_out(house: House) -> None:
    house.encoder.fail_next(2, code="encoder_unavailable")
    job = await house.upload([("a.jpg", photo())])
    async with running(house):
        job = await until_done(house, job)
    assert (job.entries[0].state, job.entries[0].attempts, job.entries[0].code) == (EntryState.succeeded, 1, None)


@pytest.mark.parametrize(
    ("attempt", "retry_after_s", "delay_s"),
    [(1, None, 5), (2, None, 15), (1, 60.0, 60), (4, 60.0, 135), (30, None, 300)],
)
async def test_wait_grows_with_each_attempt_and_honours_the_encoder(
    house: House,
    monkeypatch: pytest.MonkeyPatch,
    attempt: int,
    retry_after_s: float | None,
    delay_s: float,
) -> None:
    house.encoder.fail_next(code="encoder_rate_limited", retry_after_s=retry_after_s)
    await house.upload([("a.jpg", photo())])
    delays: list[timedelta] = []
    lease = house.store.jobs.lease
    postpone = house.store.jobs.postpone

    async def later(worker_id: str, *, ttl: timedelta) -> Lease | None:
        found = await lease(worker_id, ttl=ttl)
        return None if found is None else replace(found, attempt=attempt)

    async def noted(lease: Lease, *, delay: timedelta, code: str, detail: str) -> None:
        delays.append(delay)
        await postpone(lease, delay=delay, code=code, detail=detail)

    monkeypatch.setattr(house.store.jobs, "lease", later)
    monkeypatch.setattr(house.store.jobs, "postpone", noted)
    assert await house.worker(backoff_s=5.0).run_once()
    assert [delay.total_seconds() for delay in delays] == [delay_s]


async def test_bug_costs_the_file_not_the_worker(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.encoder = Clumsy(times=10**6)
    job = await house.upload([("a.jpg", photo())])
    async with running(house):
        job = await until_done(house, job)
    [entry] = job.entries
    assert (entry.state, entry.code, entry.attempts) == (EntryState.failed, "attempts_exhausted", 5)
    assert "ZeroDivisionError" in (entry.detail or "")
    logged = capsys.readouterr().out
    assert "ZeroDivisionError" in logged
    assert "contents of page" not in logged + (entry.detail or "")
    assert house.left_over() == []


async def test_same_fault_once_is_forgotten(house: House) -> None:
    house.encoder = Clumsy(times=1)
    job = await house.upload([("a.jpg", photo())])
    async with running(house):
        job = await until_done(house, job)
    [entry] = job.entries
    assert (entry.state, entry.code, entry.detail) == (EntryState.succeeded, None, None)
    # A page stored is progress: the count of attempts begins anew with it.
    assert (house.encoder.times, entry.attempts) == (0, 1)


async def test_worker_waits_for_a_store_that_is_away(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = house.store.jobs.lease
    failures = [StoreUnavailable("The store does not answer.")] * 3

    async def sometimes(worker_id: str, *, ttl: timedelta) -> Lease | None:
        if failures:
            raise failures.pop()
        return await lease(worker_id, ttl=ttl)

    monkeypatch.setattr(house.store.jobs, "lease", sometimes)
    job = await house.upload([("a.jpg", photo())])
    async with running(house):
        job = await until_done(house, job)
    assert job.entries[0].state is EntryState.succeeded


async def test_log_names_no_file_and_no_claim(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    await house.ingest([("secret-name.jpg", photo()), ("other-secret.pdf", sample("odd/enc_user.pdf").read_bytes())])
    logged = capsys.readouterr().out
    assert "entry_succeeded" in logged
    assert "encrypted" in logged
    assert "secret" not in logged
    assert CLAIM not in logged
    assert str(house.spool) not in logged


async def test_two_workers_share_a_queue(house: House) -> None:
    names = ["ok.jpg", "progressive.jpg", "gps.jpg", "jpeg_named.png", "rgba_text.png", "gray16.png"]
    job = await house.upload([(name, sample(f"odd/{name}").read_bytes()) for name in names])
    async with running(house, worker_id="w1"), running(house, worker_id="w2"):
        job = await until_done(house, job)
    assert [(entry.state, entry.pages_done, entry.attempts) for entry in job.entries] == [
        (EntryState.succeeded, 1, 1)
    ] * len(names)
    assert house.left_over() == []
