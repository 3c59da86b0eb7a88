"""The fence: a worker's write happens only in a transaction that found its lease still held."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from retrieval.documents import EntryState, Lease
from retrieval.errors import LeaseLost
from retrieval.stores.sqlite.core import Core

T = TypeVar("T")


async def write_held(core: Core, lease: Lease, work: Callable[[sqlite3.Connection, int], T]) -> T:
    """Runs `work` with the connection and the job's row, in one transaction with the check of the lease.

    Raises LeaseLost when another worker has the entry, when it has ended, when its claim is gone, and when the job
    was cancelled; in that last case the entry becomes cancelled, for good.
    """

    def guarded(connection: sqlite3.Connection) -> list[T]:
        job = find_held(connection, lease)
        if is_cancelled(connection, job):
            end_entry(connection, job, lease.entry_index, EntryState.cancelled, now=core.now())
            return []
        return [work(connection, job)]

    done = await core.db.write(guarded)
    if not done:
        raise LeaseLost("The job was cancelled.")
    return done[0]


def find_held(connection: sqlite3.Connection, lease: Lease) -> int:
    """The job's row. Raises LeaseLost unless the entry is under this very lease."""
    row = connection.execute(
        "SELECT e.job FROM entries e JOIN jobs j ON j.id = e.job "
        "WHERE j.tenant_id = ? AND j.job_id = ? AND e.place = ? AND e.token = ? AND e.state = 'running'",
        (lease.tenant_id, lease.job_id, lease.entry_index, lease.token),
    ).fetchone()
    if row is None:
        raise LeaseLost("The lease on this file has ended; another worker may have it.")
    return int(row["job"])


def end_entry(
    connection: sqlite3.Connection,
    job: int,
    place: int,
    state: EntryState,
    *,
    now: str,
    code: str | None = None,
    detail: str | None = None,
) -> None:
    connection.execute(
        "UPDATE entries SET state = ?, code = ?, detail = ?, worker_id = NULL WHERE job = ? AND place = ?",
        (state.value, code, detail, job, place),
    )
    touch(connection, job, now)


def touch(connection: sqlite3.Connection, job: int, now: str) -> None:
    """Every change of a job or its entries goes with this."""
    connection.execute("UPDATE jobs SET revision = revision + 1, updated_at = ? WHERE id = ?", (now, job))


def is_cancelled(connection: sqlite3.Connection, job: int) -> bool:
    return bool(connection.execute("SELECT cancel_requested FROM jobs WHERE id = ?", (job,)).fetchone()[0])
