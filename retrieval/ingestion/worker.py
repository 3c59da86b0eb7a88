"""The loop that leases one file at a time, keeps the lease alive while it works, and stops at once when it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from models import Encoder, EncoderError
from retrieval.documents import EntryState, Lease
from retrieval.errors import ClaimsightError, LeaseLost, NotFound, StoreUnavailable
from retrieval.ingestion.limits import Limits
from retrieval.ingestion.pipeline import Pipeline
from retrieval.ingestion.spool import Spool
from retrieval.ports import EntryOutcome, Store
from retrieval.watching import Nobody, Watch

_HEARTBEAT_S = 2.0
_BACKOFF_FACTOR = 3.0
_BACKOFF_MOST_S = 300.0

_log = structlog.get_logger("claimsight.worker")


class Worker:
    """Works on one entry at a time; start several for more.

    worker_id: told to the queue. work_dir: for rendered pages on their way; the spool folder of the intake will do.
    lease_ttl: how soon another worker takes over after this one died. poll_interval_s: wait when nothing is queued.
    backoff_s: wait before the second attempt; three times as long with each attempt, at most five minutes. watch: is
    told of files and pages.
    """

    def __init__(
        self,
        store: Store,
        encoder: Encoder,
        *,
        worker_id: str,
        work_dir: Path,
        limits: Limits,
        lease_ttl: timedelta = timedelta(seconds=30),
        poll_interval_s: float = 0.5,
        backoff_s: float = 5.0,
        watch: Watch | None = None,
    ) -> None:
        self._store = store
        self._worker_id = worker_id
        self._spool = Spool(work_dir)
        self._watch = watch or Nobody()
        self._pipeline = Pipeline(store, encoder, spool=self._spool, limits=limits, watch=self._watch)
        self._lease_ttl = lease_ttl
        self._poll_interval_s = poll_interval_s
        self._backoff_s = backoff_s

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; then the entry at hand is given back at once. Outlives any fault of a file, the
        encoder or the store."""
        await asyncio.to_thread(self._spool.sweep)
        while not stop.is_set():
            try:
                worked = await self.run_once(stop)
            except StoreUnavailable as error:
                _log.warning("store_unavailable", code=error.code)
                worked = False
            if not worked:
                await _first_of(stop.wait(), asyncio.sleep(self._poll_interval_s))

    async def run_once(self, stop: asyncio.Event | None = None) -> bool:
        """Works on one entry if one waits; whether one did. Raises StoreUnavailable when it could not ask."""
        lease = await self._store.jobs.lease(self._worker_id, ttl=self._lease_ttl)
        if lease is None:
            return False
        log = _log.bind(entry=lease.entry_index, attempt=lease.attempt)
        # Bound for the tasks of this entry: what they log anywhere is found by the upload's request id.
        with structlog.contextvars.bound_contextvars(request_id=lease.request_id, job_id=lease.job_id):
            work = asyncio.create_task(self._work(lease, log))
            await _first_of(work, self._keep(lease, log), *([stop.wait()] if stop else []))
            if work.cancelled() and stop is not None and stop.is_set():
                await self._guarded(self._store.jobs.release(lease), log)
        return True

    async def _work(self, lease: Lease, log: Any) -> None:
        """Brings the entry to an end or gives it back for later. Raises nothing."""
        facts: dict[str, str | int] = {"job_id": lease.job_id, "entry": lease.entry_index, "attempt": lease.attempt}
        try:
            with self._watch.stretch("ingest.entry", request_id=lease.request_id or "", **facts):
                outcome = await self._pipeline.ingest(lease)
        except (LeaseLost, NotFound) as error:
            self._watch.count("file", "dropped")
            log.info("entry_dropped", code=error.code)
        except EncoderError as error:
            await self._postpone(lease, log, error.code, error.detail, retry_after_s=error.retry_after_s)
        except ClaimsightError as error:
            await self._postpone(lease, log, error.code, error.detail)
        except Exception as error:  # noqa: BLE001  A bug must cost one file, not the worker; contents stay out of the log.
            detail = f"The ingest met an unexpected error ({type(error).__name__})."
            log.error("entry_failed_unexpectedly", error=type(error).__name__, at=_place_of(error))
            await self._postpone(lease, log, "internal_error", detail)
        else:
            await self._guarded(self._finish(lease, outcome, log), log)

    async def _finish(self, lease: Lease, outcome: EntryOutcome, log: Any) -> None:
        await self._store.jobs.finish(lease, outcome)
        if outcome.state is EntryState.failed:
            self._watch.count("file", "failed")
            log.info("entry_failed", code=outcome.code)
        else:
            self._watch.count("file", "succeeded")
            log.info("entry_succeeded", failed_pages=len(outcome.failed_pages))

    async def _postpone(
        self, lease: Lease, log: Any, code: str, detail: str, *, retry_after_s: float | None = None
    ) -> None:
        backoff_s = min(self._backoff_s * _BACKOFF_FACTOR ** max(0, lease.attempt - 1), _BACKOFF_MOST_S)
        delay = timedelta(seconds=max(backoff_s, retry_after_s or 0.0))
        self._watch.count("file", "postponed")
        log.warning("entry_postponed", code=code, delay_s=delay.total_seconds())
        await self._guarded(self._store.jobs.postpone(lease, delay=delay, code=code, detail=detail), log)

    async def _guarded(self, writing: Coroutine[Any, Any, None], log: Any) -> None:
        """A last write on an entry. Where it cannot be made the lease runs out, and the entry is worked on again."""
        try:
            await writing
        except (LeaseLost, NotFound, StoreUnavailable) as error:
            log.info("entry_dropped", code=error.code)

    async def _keep(self, lease: Lease, log: Any) -> None:
        """Extends the lease for as long as it can; returns when it is lost. Often enough to see a cancel soon."""
        ttl_s = self._lease_ttl.total_seconds()
        loop = asyncio.get_running_loop()
        expires = loop.time() + ttl_s
        while loop.time() < expires:
            await asyncio.sleep(min(ttl_s / 3, _HEARTBEAT_S))
            asked = loop.time()
            try:
                lease = await self._store.jobs.extend(lease, ttl=self._lease_ttl)
            except (LeaseLost, NotFound) as error:
                log.info("lease_lost", code=error.code)
                return
            except StoreUnavailable as error:
                log.warning("store_unavailable", code=error.code)
            else:
                expires = asked + ttl_s
        log.info("lease_ran_out")


async def _first_of(*awaitables: Coroutine[Any, Any, Any] | asyncio.Task[Any]) -> None:
    """Until one has ended; the others are cancelled and waited for, also when this is cancelled."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


def _place_of(error: BaseException) -> str:
    """Where it was raised, "file.py:12": enough to find the bug, nothing of the data."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
