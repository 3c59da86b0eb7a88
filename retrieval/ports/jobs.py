"""The queue of the ingest, and leases on what waits in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol

from retrieval.documents import EntryState, FailedPage, Job, JobState, Lease, NewEntry, QueueDepth
from retrieval.ports.shared import Listing, Note


@dataclass(frozen=True, slots=True)
class EntryOutcome:
    """How a worker leaves an entry. state: succeeded or failed. failed_pages: those of a file that else succeeded."""

    state: Literal[EntryState.succeeded, EntryState.failed]
    code: str | None = None
    detail: str | None = None
    failed_pages: tuple[FailedPage, ...] = ()


class JobQueue(Protocol):
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
        """Durable when it returns. The same key again gives the first job and False. request_id: of the upload, kept
        for the logs of its workers. note: of the new job's id; nothing is noted when there is no new one. Raises
        NotFound claim_not_found, Conflict idempotency_conflict when the key was used for another claim or other
        files."""
        ...

    async def adopt(self, tenant: str, job: Job) -> None:
        """Create or replace. An entry that runs there waits here, to be leased by a worker of this store; the
        idempotency key stays behind. Call it for the oldest first. Raises NotFound claim_not_found."""
        ...

    async def find_by_key(self, tenant: str, idempotency_key: str) -> Job | None: ...

    async def get(self, tenant: str, job_id: str) -> Job:
        """Raises NotFound job_not_found."""
        ...

    async def list(
        self,
        tenant: str,
        *,
        claim_id: str | None = None,
        state: JobState | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Listing[Job]:
        """Newest first."""
        ...

    async def lease(self, worker_id: str, *, ttl: timedelta) -> Lease | None:
        """The oldest entry of any tenant that waits (or whose lease ran out), now this worker's with a new token;
        None when nothing waits. An entry that was leased `max_attempts` times in a row without an end or a page stored
        becomes failed, code attempts_exhausted."""
        ...

    async def extend(self, lease: Lease, *, ttl: timedelta) -> Lease:
        """Raises LeaseLost, also when the job was cancelled."""
        ...

    async def progress(self, lease: Lease, *, pages_total: int, failed_pages: Sequence[FailedPage] = ()) -> None:
        """Raises LeaseLost."""
        ...

    async def finish(self, lease: Lease, outcome: EntryOutcome) -> None:
        """Ends the entry. Raises LeaseLost."""
        ...

    async def postpone(self, lease: Lease, *, delay: timedelta, code: str, detail: str) -> None:
        """Gives the entry back, to be leased again after `delay` (a retryable fault). Raises LeaseLost."""
        ...

    async def release(self, lease: Lease) -> None:
        """Gives the entry back at once (graceful shutdown); the attempt does not count. A lost lease is ignored."""
        ...

    async def cancel(self, tenant: str, job_id: str, *, note: Note[Job] | None = None) -> Job:
        """Queued entries become cancelled at once, running ones when their worker next writes. Pages already stored
        stay. Idempotent. Raises NotFound."""
        ...

    async def retry(self, tenant: str, job_id: str, *, note: Note[Job] | None = None) -> Job:
        """Failed and cancelled entries that have bytes wait again, with attempts from 0. Raises NotFound,
        Conflict job_not_finished."""
        ...

    async def depth(self) -> QueueDepth: ...
