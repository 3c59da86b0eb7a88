"""The nouns of claims retrieval: frozen records, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from retrieval.capture import Capture

FactValue = str | float | bool

LINES = ("auto", "property", "travel", "health", "liability", "other")
STATUSES = ("open", "closed", "denied", "paid")


@dataclass(frozen=True, slots=True)
class Location:
    city: str | None = None
    region: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True)
class Vehicle:
    make: str | None = None
    model: str | None = None
    year: int | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """One insurance claim. `claim_id` is the user's own number, unique within a tenant.

    loss_amount: in `currency` (ISO 4217), not negative. damage_types: lower-case words. attributes: the
    user's own filterable facts, names of [a-z0-9_]. created_at, updated_at: aware UTC, set by the store.
    version: starts at 1, plus 1 with each change. held: under legal hold, so that nothing of it can be deleted; set by
    ClaimStore.set_hold alone.
    """

    claim_id: str
    line: str = "other"
    status: str = "open"
    policy_id: str | None = None
    loss_date: date | None = None
    reported_date: date | None = None
    loss_amount: float | None = None
    currency: str | None = None
    damage_types: tuple[str, ...] = ()
    location: Location = field(default_factory=Location)
    vehicle: Vehicle = field(default_factory=Vehicle)
    description: str = ""
    attributes: Mapping[str, FactValue] = field(default_factory=dict[str, FactValue])
    created_at: datetime | None = None
    updated_at: datetime | None = None
    version: int = 0
    held: bool = False


PageKind = Literal["page", "photo"]


@dataclass(frozen=True, slots=True)
class Asset:
    """An uploaded file as one claim holds it.

    asset_id: sha256 of its bytes, lower-case hex; the same file in two claims has one asset_id, two records
    and one copy of its bytes. filename: as the user named it, cleaned for display, never a path.
    media_type: found from the bytes ("application/pdf"); None until the ingest has looked.
    page_count: None until the ingest knows. warnings: (code, sentence) pairs kept from the ingest. capture: what a
    picture says of its making, None where it says nothing.
    """

    asset_id: str
    claim_id: str
    filename: str
    size_bytes: int
    media_type: str | None = None
    page_count: int | None = None
    warnings: tuple[tuple[str, str], ...] = ()
    created_at: datetime | None = None
    capture: Capture | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One picture to search: a page of a document or a photo.

    page_id: see `page_id_of`. number: from 1 within its file. width, height: pixels of the stored picture.
    encoder: name and version that made its vectors. usage: what encoding it cost, as the encoder said.
    """

    page_id: str
    claim_id: str
    asset_id: str
    number: int
    kind: PageKind
    width: int
    height: int
    encoder: str
    usage: Mapping[str, int] = field(default_factory=dict[str, int])
    created_at: datetime | None = None


def page_id_of(claim_id: str, asset_id: str, number: int) -> str:
    """The same for the same file in the same claim, however often it is ingested: 32 hex digits, "-", number."""
    digest = sha256(f"{claim_id}\0{asset_id}".encode()).hexdigest()
    return f"{digest[:32]}-{number}"


@dataclass(frozen=True, slots=True)
class PageVectors:
    """Vectors of one page in stored form.

    summary: float32 (D,), length 1. tokens: int8 (T, d) with scales float16 (T,): row i stands for
    tokens[i] * scales[i]; cells: uint16 (T, 4), boxes x0, y0, x1, y1 in pixels of the stored picture.
    All three None together where the encoder gives no tokens. encoder: name and version.
    """

    summary: NDArray[np.float32]
    encoder: str
    tokens: NDArray[np.int8] | None = None
    scales: NDArray[np.float16] | None = None
    cells: NDArray[np.uint16] | None = None


@dataclass(frozen=True, slots=True)
class NewPage:
    """A page ready to be stored. picture: the encoded derived picture (WebP), no metadata in it."""

    page: Page
    vectors: PageVectors
    picture: bytes


@dataclass(frozen=True, slots=True)
class ScoredPage:
    page_id: str
    score: float


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


@dataclass(frozen=True, slots=True)
class DeletionReport:
    """What a deletion removed."""

    claims: int = 0
    assets: int = 0
    pages: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Who did what to which record. details holds no personal data and no query text."""

    at: datetime
    actor: str
    action: str
    target: str
    request_id: str | None = None
    details: Mapping[str, FactValue] = field(default_factory=dict[str, FactValue])


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The end of a tenant's audit: number and hash of its last record; 0 and 64 zeros where there is none."""

    number: int = 0
    hash: str = "0" * 64


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An event as the audit keeps it. number: from 1, by one more with each record of the tenant. previous: hash of
    the record before, 64 zeros for the first. hash: of all this (retrieval.audit)."""

    number: int
    event: AuditEvent
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class FacetValue:
    value: FactValue
    count: int


@dataclass(frozen=True, slots=True)
class Facet:
    """Values of one filterable field among the claims that pass a filter. values: most frequent first, at most 50;
    minimum, maximum: for numbers and dates (ISO text)."""

    field: str
    values: tuple[FacetValue, ...] = ()
    minimum: FactValue | None = None
    maximum: FactValue | None = None


@dataclass(frozen=True, slots=True)
class Sort:
    """Order of a claim list; ties break by claim_id ascending."""

    field: Literal["created_at", "updated_at", "loss_date", "loss_amount", "claim_id"] = "created_at"
    descending: bool = True


GroupBy = Literal["page", "claim"]


@dataclass(frozen=True, slots=True)
class Matched:
    """One region of the answer that explains a hit: a word of the query and how well the page answers it (0..1)."""

    word: str
    score: float


@dataclass(frozen=True, slots=True)
class MatchedPair:
    """What was asked beside the page that matches it. asked: its place among the pictures or pages asked with.
    filename: of the page's file; None where its record is gone."""

    asked: int
    page: Page
    score: float
    filename: str | None = None


@dataclass(frozen=True, slots=True)
class Reuse:
    """A photo and a copy of it in another claim: evidence, no verdict. likeness: 0..1, how well one lies on the other.
    mirrored: one is the mirror image. share: of the larger's side that the smaller covers. same_file: byte for byte."""

    page: Page
    other: Page
    likeness: float
    mirrored: bool = False
    share: float = 1.0
    same_file: bool = False


@dataclass(frozen=True, slots=True)
class Losses:
    """Amounts of the claims of one currency that state one. lower, upper: quartiles, between values where need be."""

    currency: str
    count: int
    least: float
    lower: float
    median: float
    upper: float
    most: float


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer. rank from 1. score 0..1. page: the page, or the best page of the claim when grouped.
    pages: further pages of the same claim, best first, when grouped by claim. why: best answered words first.
    pairs: one to one, best first, when grouped by claim: the score is their mean, earlier ones weighing more.
    probability: that `page` shows the same kind of damage as the photo asked with; None where nobody can say."""

    rank: int
    score: float
    page: Page
    claim: Claim
    asset: Asset
    why: tuple[Matched, ...] = ()
    pages: tuple[tuple[Page, float], ...] = ()
    pairs: tuple[MatchedPair, ...] = ()
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """hits: in rank order. total: pages (or claims) that were ranked. next_offset: None at the end.
    stages_ms: encode, candidates, rerank, fetch: milliseconds. asked: ids of the stored pages that were asked with, in
    the order that pairs name. losses: of the claims among the hits, the currency of most claims first."""

    hits: tuple[Hit, ...]
    total: int
    next_offset: int | None
    encoder: str
    stages_ms: Mapping[str, float] = field(default_factory=dict[str, float])
    asked: tuple[str, ...] = ()
    losses: tuple[Losses, ...] = ()
