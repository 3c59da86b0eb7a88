"""The ingest queue in SQLite: jobs, an entry a file, leases with a fencing token."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from retrieval.documents import (
    FINISHED_JOB,
    EntryState,
    FailedPage,
    Job,
    JobState,
    Lease,
    NewEntry,
    QueueDepth,
)
from retrieval.errors import LeaseLost
from retrieval.ports import EntryOutcome, Listing, Note
from retrieval.stores.cursors import make_cursor, read_cursor
from retrieval.stores.queueing import exhausted, fingerprint_of, key_taken, not_finished
from retrieval.stores.sqlite.audit_rows import noted
from retrieval.stores.sqlite.core import Core
from retrieval.stores.sqlite.job_rows import (
    AT_ONCE,
    JOB_SELECT,
    STATE,
    adopt_job,
    failed_pages_text,
    find_job,
    find_job_row,
    load_jobs,
)
from retrieval.stores.sqlite.leases import end_entry, is_cancelled, touch, write_held
from retrieval.stores.sqlite.rows import claim_key, stamp

_INSERT_JOB = (
    "INSERT INTO jobs (tenant_id, job_id, claim, idempotency_key, fingerprint, request_id, created_at, updated_at, "
    "revision, cancel_requested) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, 0) RETURNING id"
)
_INSERT_ENTRY = (
    "INSERT INTO entries (job, place, filename, asset_id, state, code, detail, failed_pages, attempts, token, "
    "queued_at, due_at) VALUES (?, ?, ?, ?, ?, ?, ?, '[]', 0, 0, ?, ?)"
)
_DUE = "FROM entries e WHERE e.state IN ('queued', 'running') AND e.due_at <= ?"
_HAND_BACK = "UPDATE entries SET state = 'queued', worker_id = NULL, due_at = ?"


class SqliteJobs:
    """Implements retrieval.ports.JobQueue."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def submit(
        self,
        tenant: str,
        claim_id: str,
        entries: Sequence[NewEntry],
        *,
        idempotency_key: str | None = None,
        request_id: str | None = None,
        note: Note[str] | None = None,
    ) -> tuple[Job, bool]:
        fingerprint = fingerprint_of(claim_id, entries)

        def work(connection: sqlite3.Connection) -> tuple[Job, bool]:
            if idempotency_key is not None:
                first = _by_key(connection, tenant, idempotency_key)
                if first is not None and first["fingerprint"] != fingerprint:
                    raise key_taken()
                if first is not None:
                    return load_jobs(connection, [first])[0], False
            claim = claim_key(connection, tenant, claim_id)
            now, job_id = self._core.now(), self._core.new_id()
            row = (tenant, job_id, claim, idempotency_key, fingerprint, request_id, now, now)
            job = int(connection.execute(_INSERT_JOB, row).fetchone()["id"])
            connection.executemany(
                _INSERT_ENTRY,
                [
                    (job, place, new.filename, new.asset_id, new.state.value, new.code, new.detail, now, AT_ONCE)
                    for place, new in enumerate(entries)
                ],
            )
            noted(connection, tenant, job_id, note)
            return find_job(connection, tenant, job_id), True

        return await self._core.db.write(work)

    async def adopt(self, tenant: str, job: Job) -> None:
        await self._core.db.write(lambda connection: adopt_job(connection, tenant, job))

    async def find_by_key(self, tenant: str, idempotency_key: str) -> Job | None:
        def work(connection: sqlite3.Connection) -> Job | None:
            row = _by_key(connection, tenant, idempotency_key)
            return None if row is None else load_jobs(connection, [row])[0]

        return await self._core.db.read(work)

    async def get(self, tenant: str, job_id: str) -> Job:
        return await self._core.db.read(lambda connection: find_job(connection, tenant, job_id))

    async def list(
        self,
        tenant: str,
        *,
        claim_id: str | None = None,
        state: JobState | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Listing[Job]:
        scope = ("jobs", tenant, claim_id, state)
        where, values = "j.tenant_id = ?", (tenant,)
        if claim_id is not None:
            where, values = f"{where} AND c.claim_id = ?", (*values, claim_id)
        if state is not None:
            where, values = f"{where} AND {STATE} = ?", (*values, state.value)
        if cursor is not None:
            place = read_cursor(cursor, scope, ((str,), (int,)))
            where, values = f"{where} AND (j.created_at, j.id) < (?, ?)", (*values, *place)
        select = f"{JOB_SELECT} WHERE {where} ORDER BY j.created_at DESC, j.id DESC LIMIT ?"

        def work(connection: sqlite3.Connection) -> Listing[Job]:
            rows = connection.execute(select, (*values, limit + 1)).fetchall()
            shown = rows[:limit]
            next_cursor = None
            if len(rows) > limit:
                next_cursor = make_cursor(scope, (shown[-1]["created_at"], shown[-1]["id"]))
            return Listing(tuple(load_jobs(connection, shown)), next_cursor)

        return await self._core.db.read(work)

    async def lease(self, worker_id: str, *, ttl: timedelta) -> Lease | None:
        now = self._core.clock()

        def waits(connection: sqlite3.Connection) -> bool:
            return connection.execute(f"SELECT 1 {_DUE} LIMIT 1", (stamp(now),)).fetchone() is not None

        # Idle workers ask often; reading first keeps them from taking the write lock for nothing.
        if not await self._core.db.read(waits):
            return None
        return await self._core.db.write(lambda connection: self._lease(connection, worker_id, now, ttl))

    async def extend(self, lease: Lease, *, ttl: timedelta) -> Lease:
        expires_at = self._core.clock() + ttl

        def work(connection: sqlite3.Connection, job: int) -> None:
            connection.execute(
                "UPDATE entries SET due_at = ? WHERE job = ? AND place = ?",
                (stamp(expires_at), job, lease.entry_index),
            )

        await write_held(self._core, lease, work)
        return replace(lease, expires_at=expires_at)

    async def progress(self, lease: Lease, *, pages_total: int, failed_pages: Sequence[FailedPage] = ()) -> None:
        def work(connection: sqlite3.Connection, job: int) -> None:
            connection.execute(
                "UPDATE entries SET pages_total = ?, failed_pages = ? WHERE job = ? AND place = ?",
                (pages_total, failed_pages_text(failed_pages), job, lease.entry_index),
            )
            touch(connection, job, self._core.now())

        await write_held(self._core, lease, work)

    async def finish(self, lease: Lease, outcome: EntryOutcome) -> None:
        def work(connection: sqlite3.Connection, job: int) -> None:
            if outcome.failed_pages:
                connection.execute(
                    "UPDATE entries SET failed_pages = ? WHERE job = ? AND place = ?",
                    (failed_pages_text(outcome.failed_pages), job, lease.entry_index),
                )
            end_entry(
                connection,
                job,
                lease.entry_index,
                outcome.state,
                now=self._core.now(),
                code=outcome.code,
                detail=outcome.detail,
            )

        await write_held(self._core, lease, work)

    async def postpone(self, lease: Lease, *, delay: timedelta, code: str, detail: str) -> None:
        def work(connection: sqlite3.Connection, job: int) -> None:
            connection.execute(
                f"{_HAND_BACK}, code = ?, detail = ? WHERE job = ? AND place = ?",
                (stamp(self._core.clock() + delay), code, detail, job, lease.entry_index),
            )
            touch(connection, job, self._core.now())

        await write_held(self._core, lease, work)

    async def release(self, lease: Lease) -> None:
        def work(connection: sqlite3.Connection, job: int) -> None:
            connection.execute(
                f"{_HAND_BACK}, attempts = attempts - 1 WHERE job = ? AND place = ?", (AT_ONCE, job, lease.entry_index)
            )
            touch(connection, job, self._core.now())

        with suppress(LeaseLost):
            await write_held(self._core, lease, work)

    async def cancel(self, tenant: str, job_id: str, *, note: Note[Job] | None = None) -> Job:
        def work(connection: sqlite3.Connection) -> Job:
            job = find_job(connection, tenant, job_id)
            if job.cancel_requested or job.state in FINISHED_JOB:
                return noted(connection, tenant, job, note)
            key, now = find_job_row(connection, tenant, job_id)["id"], self._core.now()
            connection.execute("UPDATE jobs SET cancel_requested = 1 WHERE id = ?", (key,))
            connection.execute(
                "UPDATE entries SET state = 'cancelled', code = NULL, detail = NULL WHERE job = ? AND state = 'queued'",
                (key,),
            )
            touch(connection, key, now)
            return noted(connection, tenant, find_job(connection, tenant, job_id), note)

        return await self._core.db.write(work)

    async def retry(self, tenant: str, job_id: str, *, note: Note[Job] | None = None) -> Job:
        def work(connection: sqlite3.Connection) -> Job:
            if find_job(connection, tenant, job_id).state not in FINISHED_JOB:
                raise not_finished()
            key, now = find_job_row(connection, tenant, job_id)["id"], self._core.now()
            changed = connection.execute(
                "UPDATE entries SET state = 'queued', code = NULL, detail = NULL, failed_pages = '[]', attempts = 0, "
                "queued_at = ?, due_at = ? WHERE job = ? AND state IN ('failed', 'cancelled') AND asset_id IN "
                "(SELECT a.asset_id FROM assets a JOIN jobs j ON j.claim = a.claim WHERE j.id = ?)",
                (now, AT_ONCE, key, key),
            ).rowcount
            if changed:
                connection.execute("UPDATE jobs SET cancel_requested = 0 WHERE id = ?", (key,))
                touch(connection, key, now)
            return noted(connection, tenant, find_job(connection, tenant, job_id), note)

        return await self._core.db.write(work)

    async def depth(self) -> QueueDepth:
        def work(connection: sqlite3.Connection) -> QueueDepth:
            queued, running, oldest = connection.execute(
                "SELECT coalesce(sum(state = 'queued'), 0), coalesce(sum(state = 'running'), 0), "
                "min(CASE state WHEN 'queued' THEN queued_at END) FROM entries WHERE state IN ('queued', 'running')"
            ).fetchone()
            age = 0.0 if oldest is None else (self._core.clock() - datetime.fromisoformat(oldest)).total_seconds()
            return QueueDepth(queued=queued, running=running, oldest_queued_s=max(age, 0.0))

        return await self._core.db.read(work)

    def _lease(self, connection: sqlite3.Connection, worker_id: str, now: datetime, ttl: timedelta) -> Lease | None:
        select = f"SELECT e.* {_DUE} ORDER BY e.job, e.place LIMIT 1"
        while (row := connection.execute(select, (stamp(now),)).fetchone()) is not None:
            job, place = int(row["job"]), int(row["place"])
            if is_cancelled(connection, job):
                end_entry(connection, job, place, EntryState.cancelled, now=stamp(now))
            elif row["attempts"] >= self._core.max_attempts:
                end_entry(
                    connection,
                    job,
                    place,
                    EntryState.failed,
                    now=stamp(now),
                    code="attempts_exhausted",
                    detail=exhausted(row["attempts"], row["detail"]),
                )
            else:
                return _take(connection, row, worker_id, now=now, expires_at=now + ttl)
        return None


def _take(
    connection: sqlite3.Connection, row: sqlite3.Row, worker_id: str, *, now: datetime, expires_at: datetime
) -> Lease:
    job, place = int(row["job"]), int(row["place"])
    taken = connection.execute(
        "UPDATE entries SET state = 'running', attempts = attempts + 1, token = token + 1, worker_id = ?, due_at = ?, "
        "code = NULL, detail = NULL WHERE job = ? AND place = ? RETURNING token, attempts",
        (worker_id, stamp(expires_at), job, place),
    ).fetchone()
    touch(connection, job, stamp(now))
    owner = connection.execute(f"{JOB_SELECT} WHERE j.id = ?", (job,)).fetchone()
    return Lease(
        tenant_id=owner["tenant_id"],
        job_id=owner["job_id"],
        entry_index=place,
        claim_id=owner["claim_id"],
        asset_id=row["asset_id"],
        filename=row["filename"],
        token=taken["token"],
        attempt=taken["attempts"],
        worker_id=worker_id,
        expires_at=expires_at,
        request_id=owner["request_id"],
    )


def _by_key(connection: sqlite3.Connection, tenant: str, idempotency_key: str) -> sqlite3.Row | None:
    select = f"{JOB_SELECT} WHERE j.tenant_id = ? AND j.idempotency_key = ?"
    return connection.execute(select, (tenant, idempotency_key)).fetchone()
