"""What the rest of the house needs from a store: one protocol a noun, one Store that holds them.

Every call on a user's data takes the tenant first. Stores raise the errors of retrieval.errors only; a driver's
exception never leaves them. Both engines pass tests/conformance.

A change that is asked for takes a `note`: what it leaves in the audit.

`adopt`, on each port, takes records of another store as they were there (times, versions, states, order), for copies
between stores. It may be repeated, and nobody else writes to the store meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeVar

from retrieval.capture import Capture
from retrieval.documents import (
    Asset,
    AuditEvent,
    AuditHead,
    AuditRecord,
    Claim,
    DeletionReport,
    EntryState,
    Facet,
    FailedPage,
    Job,
    JobState,
    Lease,
    NewEntry,
    NewPage,
    Page,
    PageVectors,
    QueueDepth,
    ScoredPage,
    Sort,
)
from retrieval.filters import Filter
from retrieval.keys import ApiKey

T = TypeVar("T")

Note = Callable[[T], AuditEvent]
"""What a change leaves in the audit, made of its result. The record and the change are durable together or not at all.
It may be called more than once (after a write conflict) and asks nobody."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """One page of a list. next_cursor: opaque, None at the end; valid only with the same filter and sort."""

    items: tuple[T, ...]
    next_cursor: str | None


class ClaimStore(Protocol):
    async def put(
        self, tenant: str, claim: Claim, *, create_only: bool = False, note: Note[tuple[Claim, bool]] | None = None
    ) -> tuple[Claim, bool]:
        """Create or replace (times, version and hold are the store's); returns what is stored and whether it is new.
        The copies of its facts on its pages change in the same transaction. Raises Conflict claim_exists when
        create_only and it exists."""
        ...

    async def get(self, tenant: str, claim_id: str) -> Claim:
        """Raises NotFound claim_not_found."""
        ...

    async def get_many(self, tenant: str, claim_ids: Sequence[str]) -> dict[str, Claim]:
        """Those that exist, by id."""
        ...

    async def update(
        self,
        tenant: str,
        claim_id: str,
        change: Callable[[Claim], Claim],
        *,
        expected_version: int | None = None,
        note: Note[Claim] | None = None,
    ) -> Claim:
        """Read, change, write as one step (`change` may be called again after a write conflict). Raises NotFound,
        Conflict version_conflict when the stored version is not the expected one."""
        ...

    async def delete(
        self,
        tenant: str,
        claim_id: str,
        *,
        expected_version: int | None = None,
        note: Note[DeletionReport] | None = None,
    ) -> DeletionReport:
        """Removes the claim, its assets' records, pages, pictures, vectors, jobs, and bytes no other claim holds.
        Raises NotFound, Conflict claim_held, Conflict version_conflict as `update` does."""
        ...

    async def set_hold(self, tenant: str, claim_id: str, held: bool, *, note: Note[Claim] | None = None) -> Claim:
        """Puts the claim under legal hold or releases it: its version goes up, its updated_at stays. Nothing happens
        and nothing is noted when it is so already. Raises NotFound."""
        ...

    async def adopt(self, tenant: str, claim: Claim) -> None:
        """Create or replace, with its own times, version and hold; its pages follow."""
        ...

    async def list(
        self, tenant: str, filter: Filter, *, sort: Sort, cursor: str | None = None, limit: int = 50
    ) -> Listing[Claim]:
        """Claims whose own facts pass the filter (claim fields only). Raises InvalidInput bad_cursor."""
        ...

    async def facets(self, tenant: str, filter: Filter, fields: Sequence[str]) -> tuple[Facet, ...]:
        """For each named field, values and counts among claims that pass, in the order asked."""
        ...

    async def count(self, tenant: str) -> int: ...


class AssetStore(Protocol):
    async def add(
        self, tenant: str, asset: Asset, source: Path, *, most_bytes: int | None = None
    ) -> tuple[Asset, bool]:
        """Stores the bytes of the file `source` (left in place) durably, then the record; returns it and whether it
        is new in this claim. Idempotent by (claim_id, asset_id). most_bytes: that `stored_bytes` may be afterwards,
        however many are added at once; a file that the tenant has already takes none. Raises NotFound claim_not_found,
        TooLarge quota_exceeded."""
        ...

    async def adopt(self, tenant: str, asset: Asset, source: Path) -> None:
        """As `add`, with the record as it is given; call it in the order of the claim's list. Raises as `add`."""
        ...

    async def stored_bytes(self, tenant: str) -> int:
        """Bytes of the tenant's files as uploaded; a file that several claims hold counts once."""
        ...

    async def get(self, tenant: str, asset_id: str, *, claim_id: str | None = None) -> tuple[Asset, ...]:
        """All records of that file in the tenant (one a claim), or the one of `claim_id`. Raises NotFound."""
        ...

    async def list(self, tenant: str, claim_id: str) -> tuple[Asset, ...]:
        """Oldest first. Raises NotFound claim_not_found."""
        ...

    async def describe(self, lease: Lease, *, media_type: str, page_count: int, capture: Capture | None = None) -> None:
        """Keeps what the ingest found. Raises LeaseLost."""
        ...

    async def warn(self, lease: Lease, warnings: Sequence[tuple[str, str]]) -> None:
        """Adds (code, sentence) warnings to the asset, each once. Raises LeaseLost."""
        ...

    def open(self, tenant: str, asset_id: str) -> AsyncIterator[bytes]:
        """The bytes in chunks of at most 1 MiB. Raises NotFound at the first step."""
        ...

    def local_copy(self, tenant: str, asset_id: str) -> AbstractAsyncContextManager[Path]:
        """A readable local file with the bytes, for a child process; gone (or untouched) afterwards."""
        ...

    async def delete(
        self, tenant: str, asset_id: str, *, claim_id: str | None = None, note: Note[DeletionReport] | None = None
    ) -> DeletionReport:
        """Removes the file with its pages, and its name from jobs, from one claim or from all. Raises NotFound,
        Conflict claim_held when one of them is held; then it stays in all."""
        ...


class PageIndex(Protocol):
    async def put(self, lease: Lease, pages: Sequence[NewPage]) -> None:
        """Stores pictures, then pages with vectors and the claim's facts in one transaction that checks the lease's
        token; a page that exists is replaced. The entry's pages_done follows. Raises LeaseLost, NotFound when the
        claim or asset is gone, EncoderMismatch when vectors do not fit the index (dims), InvalidInput for vectors
        that are not finite or not of length 1. The attempt at hand counts as the first again: what a worker stored is
        progress, however often workers die."""
        ...

    async def adopt(self, tenant: str, pages: Sequence[NewPage]) -> None:
        """As `put`, without a lease; all of one file. A page that exists keeps its created_at. Raises NotFound when
        claim or asset is not there, EncoderMismatch and InvalidInput as `put` does."""
        ...

    async def done(self, tenant: str, claim_id: str, asset_id: str, *, encoder: str) -> frozenset[int]:
        """Numbers of the pages of that file already stored with that encoder."""
        ...

    async def get(self, tenant: str, page_id: str) -> Page:
        """Raises NotFound page_not_found."""
        ...

    async def get_many(self, tenant: str, page_ids: Sequence[str]) -> dict[str, Page]:
        """Those that exist, by id."""
        ...

    async def list(
        self, tenant: str, *, claim_id: str, asset_id: str | None = None, cursor: str | None = None, limit: int = 100
    ) -> Listing[Page]:
        """Pages of a claim by asset (oldest first), then number."""
        ...

    async def picture(self, tenant: str, page_id: str) -> bytes:
        """The stored WebP. Raises NotFound."""
        ...

    async def nearest(
        self, tenant: str, vector: PageVectors, filter: Filter, *, limit: int, exact: bool = False
    ) -> list[ScoredPage]:
        """The pages of that encoder nearest by summary that pass the filter (applied before the cut), best first,
        score = cosine in -1..1, ties by page_id. Raises IndexNotReady."""
        ...

    async def matching(self, tenant: str, filter: Filter, *, encoder: str, limit: int) -> list[tuple[str, int]]:
        """(page_id, vector revision) of at most `limit` pages that pass, by page_id; a revision changes whenever the
        page's vectors do."""
        ...

    async def vectors(self, tenant: str, page_ids: Sequence[str]) -> dict[str, PageVectors]:
        """Stored vectors of those that exist, by id."""
        ...

    async def passing(self, tenant: str, page_ids: Sequence[str], filter: Filter, *, encoder: str) -> frozenset[str]:
        """Those ids that exist now, pass the filter now, and belong to that encoder; asked of the primary store,
        never of a lagging index."""
        ...

    async def stale(self, *, encoder: str, limit: int) -> list[tuple[str, Page]]:
        """(tenant, page) of pages that another encoder or version made, of all tenants, by page_id (for reindexing)."""
        ...

    async def replace_vectors(
        self, tenant: str, page_id: str, vectors: PageVectors, *, usage: Mapping[str, int]
    ) -> None:
        """Gives a stored page the vectors of another encoder. Raises NotFound and what `put` raises."""
        ...

    async def counts(self, tenant: str | None = None) -> dict[str, int]:
        """Pages by encoder, of one tenant or of all."""
        ...

    async def searchable(self, tenant: str, page_ids: Sequence[str]) -> bool:
        """Whether a search would find all of them now (a lagging vector index may not yet)."""
        ...


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


class AuditLog(Protocol):
    """Only grows: there is no call that changes or removes a record. The records of a tenant are one chain, however
    many processes append at once."""

    async def append(self, tenant: str, *events: AuditEvent) -> None:
        """In the order given. Durable when it returns."""
        ...

    async def list(self, tenant: str, *, cursor: str | None = None, limit: int = 100) -> Listing[AuditEvent]:
        """Newest first."""
        ...

    async def records(self, tenant: str, *, after: int = 0, limit: int = 1000) -> tuple[AuditRecord, ...]:
        """The first `limit` records with a number greater than `after`, by number, as they are stored."""
        ...

    async def head(self, tenant: str) -> AuditHead:
        """The end of the chain as it was noted with the last record, apart from the records themselves."""
        ...

    async def adopt(self, tenant: str, records: Sequence[AuditRecord]) -> None:
        """Appends records of the same tenant's audit in another store, as they are; those that are here already are
        passed over. Raises Conflict audit_conflict when they do not continue this audit."""
        ...


class KeyStore(Protocol):
    """Who may enter. The keys of all tenants are in one room, for a request has no tenant before its key is known; what
    a change leaves in the audit is of the tenant of its key."""

    async def add(self, key: ApiKey, *, note: Note[ApiKey] | None = None) -> None:
        """Raises Conflict key_exists."""
        ...

    async def adopt(self, key: ApiKey) -> None:
        """Create or replace."""
        ...

    async def get(self, key_id: str) -> ApiKey:
        """Of any state, asked of the primary store: a revoked key is known as revoked by the next call of any
        process. Raises NotFound key_not_found."""
        ...

    async def list(self, tenant: str | None = None) -> tuple[ApiKey, ...]:
        """Of one tenant or of all, of any state, oldest first."""
        ...

    async def exist(self) -> bool:
        """Whether there is any, of any tenant and any state."""
        ...

    async def revoke(self, key_id: str, *, note: Note[ApiKey] | None = None) -> ApiKey:
        """From now on it opens nothing, for ever. Nothing happens and nothing is noted when it is so already. Raises
        NotFound."""
        ...

    async def rotate(
        self, key_id: str, successor: ApiKey, *, until: datetime, note: Note[ApiKey] | None = None
    ) -> ApiKey:
        """Adds the successor and lets the old one end at `until`, or when it would have ended anyway, as one step;
        returns the old one. Raises NotFound, Conflict key_ended when it is not active any more, key_exists."""
        ...

    async def used(self, key_id: str) -> None:
        """Notes that it was used now; nothing when there is no such key."""
        ...


Progress = Callable[[str, int, int], None]
"""Called with what is done, how many of it, and of how many."""


@dataclass(frozen=True, slots=True)
class Resealed:
    """files: looked at. written: encrypted anew. keys: ids of the keys that files are under now."""

    files: int
    written: int
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """state: ready, building, missing, outdated, failed. pages, indexed: stored and found in the vector index
    (equal for the embedded engine)."""

    name: str
    state: Literal["ready", "building", "missing", "outdated", "failed"]
    pages: int
    indexed: int
    detail: str = ""


class Store(Protocol):
    """All of one engine. Opened by its `open` class method, closed once."""

    @property
    def claims(self) -> ClaimStore: ...
    @property
    def assets(self) -> AssetStore: ...
    @property
    def pages(self) -> PageIndex: ...
    @property
    def jobs(self) -> JobQueue: ...
    @property
    def audit(self) -> AuditLog: ...
    @property
    def keys(self) -> KeyStore: ...

    @property
    def engine(self) -> str:
        """ "sqlite" or "mongodb"."""
        ...

    async def ping(self) -> None:
        """Raises StoreUnavailable."""
        ...

    async def ensure_index(self, *, dims: int, wait_s: float = 0.0) -> IndexStatus:
        """Makes tables, indexes and the vector index what the code wants; idempotent."""
        ...

    async def index_status(self) -> IndexStatus: ...

    async def drop_index(self) -> None:
        """Drops the vector index (MongoDB); the embedded engine has none to drop."""
        ...

    async def sweep(self) -> int:
        """Removes bytes and pictures that no record names and that are older than an hour; how many."""
        ...

    async def reseal(self, progress: Progress) -> Resealed:
        """Brings every file to the first of the keys, those that are not encrypted among them; searches and uploads go
        on. May be stopped at any point and called again. Raises InvalidInput no_encryption_key without keys,
        StoreUnavailable file_damaged for a file that does not open."""
        ...

    async def tenants(self) -> tuple[str, ...]:
        """All who have a claim or an audit record, in order."""
        ...

    async def close(self) -> None: ...
