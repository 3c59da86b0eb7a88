"""A claim, its facts, the files it holds, and what went with it when it was deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

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
class DeletionReport:
    """What a deletion removed."""

    claims: int = 0
    assets: int = 0
    pages: int = 0
    size_bytes: int = 0
