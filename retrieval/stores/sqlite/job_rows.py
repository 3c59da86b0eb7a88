"""Jobs with their entries, read in two queries however many there are."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from retrieval.documents import FailedPage, Job, JobEntry, waiting_again
from retrieval.errors import NotFound
from retrieval.stores.sqlite.rows import claim_key, entry_of, job_of, stamp

JOB_SELECT = "SELECT j.*, c.claim_id FROM jobs j JOIN claims c ON c.id = j.claim"

# The same as job_state_of, for a filter.
STATE = """(
    SELECT CASE
        WHEN sum(e.state IN ('queued', 'running')) > 0
            THEN CASE WHEN sum(e.state <> 'queued') > 0 THEN 'running' ELSE 'queued' END
        WHEN sum(e.state IN ('succeeded', 'duplicate')) > 0 THEN 'succeeded'
        WHEN sum(e.state = 'cancelled') > 0 THEN 'cancelled'
        ELSE 'failed'
    END FROM entries e WHERE e.job = j.id)"""

# pages_done: pages of the file that are stored, and those that failed and are not.
_ENTRIES = """
    SELECT e.*, (SELECT count(*) FROM pages p WHERE p.asset = a.id) + (
        SELECT count(*) FROM json_each(e.failed_pages) f WHERE NOT EXISTS (
            SELECT 1 FROM pages p WHERE p.asset = a.id AND p.number = json_extract(f.value, '$[0]'))
    ) AS pages_done
    FROM entries e JOIN jobs j ON j.id = e.job LEFT JOIN assets a ON a.claim = j.claim AND a.asset_id = e.asset_id
    WHERE e.job IN (SELECT value FROM json_each(?)) ORDER BY e.job, e.place
"""

# The fingerprint belongs to an idempotency key, and that stays behind.
_ADOPT_JOB = (
    "INSERT INTO jobs (tenant_id, job_id, claim, fingerprint, created_at, updated_at, revision, cancel_requested, "
    "request_id) VALUES (?, ?, ?, '', ?, ?, ?, ?, ?) ON CONFLICT (tenant_id, job_id) DO UPDATE SET "
    "claim = excluded.claim, created_at = excluded.created_at, updated_at = excluded.updated_at, "
    "revision = excluded.revision, cancel_requested = excluded.cancel_requested, request_id = excluded.request_id "
    "RETURNING id"
)
AT_ONCE = ""
"""due_at of an entry that waits for nothing: before any time, so that a clock set back holds nothing up."""

_ADOPT_ENTRY = (
    "INSERT INTO entries (job, place, filename, asset_id, state, code, detail, pages_total, failed_pages, attempts, "
    "token, queued_at, due_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)"
)


def find_job(connection: sqlite3.Connection, tenant: str, job_id: str) -> Job:
    """Raises NotFound job_not_found."""
    return load_jobs(connection, [find_job_row(connection, tenant, job_id)])[0]


def find_job_row(connection: sqlite3.Connection, tenant: str, job_id: str) -> sqlite3.Row:
    select = f"{JOB_SELECT} WHERE j.tenant_id = ? AND j.job_id = ?"
    row = connection.execute(select, (tenant, job_id)).fetchone()
    if row is None:
        raise NotFound.of("job", job_id)
    return row


def load_jobs(connection: sqlite3.Connection, rows: Sequence[sqlite3.Row]) -> list[Job]:
    """Of rows of JOB_SELECT, in their order."""
    entries: dict[int, list[JobEntry]] = {row["id"]: [] for row in rows}
    for entry in connection.execute(_ENTRIES, (json.dumps(list(entries)),)):
        entries[entry["job"]].append(entry_of(entry))
    return [job_of(row, entries[row["id"]]) for row in rows]


def failed_pages_text(pages: Sequence[FailedPage]) -> str:
    """As the column holds them."""
    return json.dumps([(page.number, page.code, page.detail) for page in pages])


def adopt_job(connection: sqlite3.Connection, tenant: str, job: Job) -> None:
    """A job of another store, as ports.JobQueue.adopt says. Raises NotFound claim_not_found."""
    claim = claim_key(connection, tenant, job.claim_id)
    created_at = stamp(job.created_at)
    times = (created_at, stamp(job.updated_at))
    row = (tenant, job.job_id, claim, *times, job.revision, job.cancel_requested, job.request_id)
    key = int(connection.execute(_ADOPT_JOB, row).fetchone()["id"])
    connection.execute("DELETE FROM entries WHERE job = ?", (key,))
    for entry in waiting_again(job).entries:
        values = (
            key,
            entry.index,
            entry.filename,
            entry.asset_id,
            entry.state.value,
            entry.code,
            entry.detail,
            entry.pages_total,
            failed_pages_text(entry.failed_pages),
            entry.attempts,
            created_at,
            AT_ONCE,
        )
        connection.execute(_ADOPT_ENTRY, values)
