"""An upload on its way: the job, one entry a file, and the lease of the worker that has it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class FailedPage:
    """A page of a file that could not be rendered or encoded while the others were."""

    number: int
    code: str
    detail: str


class EntryState(StrEnum):
    queued = "queued"
    running = "running"
    succeeded = "succeeded"
    duplicate = "duplicate"
    failed = "failed"
    cancelled = "cancelled"


class JobState(StrEnum):
    queued = "queued"
    running = "running"
    succeeded = "succeeded"
    failed = "failed"
    cancelled = "cancelled"


FINISHED_ENTRY = frozenset({EntryState.succeeded, EntryState.duplicate, EntryState.failed, EntryState.cancelled})
FINISHED_JOB = frozenset({JobState.succeeded, JobState.failed, JobState.cancelled})


@dataclass(frozen=True, slots=True)
class NewEntry:
    """One file of an upload. code: set when it was refused at the door or is a duplicate; then it is born finished."""

    filename: str
    asset_id: str | None
    state: EntryState = EntryState.queued
    code: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class JobEntry:
    """One file of an upload on its way.

    index: place in the job, from 0. pages_done: stored pages plus failed pages, counted, never set by hand.
    attempts: how often a worker took it since a page of it was last stored, the worker that stored it included.
    code, detail: why it failed, or what to know.
    """

    index: int
    filename: str
    asset_id: str | None
    state: EntryState
    code: str | None = None
    detail: str | None = None
    pages_done: int = 0
    pages_total: int | None = None
    failed_pages: tuple[FailedPage, ...] = ()
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """The ingest of one upload. revision: grows with every change of it or its entries (for SSE). request_id: of the
    upload, by which logs are found."""

    job_id: str
    claim_id: str
    entries: tuple[JobEntry, ...]
    created_at: datetime
    updated_at: datetime
    revision: int = 0
    cancel_requested: bool = False
    request_id: str | None = None

    @property
    def state(self) -> JobState:
        return job_state_of(tuple(entry.state for entry in self.entries))


def job_state_of(states: tuple[EntryState, ...]) -> JobState:
    """Derived from the entries: succeeded when any entry did, failed when none did, never set by hand."""
    if any(state not in FINISHED_ENTRY for state in states):
        started = any(state is not EntryState.queued for state in states)
        return JobState.running if started else JobState.queued
    if any(state in (EntryState.succeeded, EntryState.duplicate) for state in states):
        return JobState.succeeded
    if any(state is EntryState.cancelled for state in states):
        return JobState.cancelled
    return JobState.failed


def waiting_again(job: Job) -> Job:
    """The job as another store takes it over: what ran waits there, with all its attempts before it."""

    def waits(entry: JobEntry) -> JobEntry:
        if entry.state in FINISHED_ENTRY:
            return entry
        return replace(entry, state=EntryState.queued, code=None, detail=None, attempts=0)

    return replace(job, entries=tuple(waits(entry) for entry in job.entries))


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's right to work on one entry until `expires_at`; `token` grows with each lease of that entry,
    and every write of the worker carries it, so that a worker that lost its lease cannot write."""

    tenant_id: str
    job_id: str
    entry_index: int
    claim_id: str
    asset_id: str
    filename: str
    token: int
    attempt: int
    worker_id: str
    expires_at: datetime
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """queued, running: entries over all tenants. oldest_queued_s: age of the one that waits longest."""

    queued: int
    running: int
    oldest_queued_s: float
