"""What the audit keeps: events, chained by hash in retrieval.audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from retrieval.documents.claims import FactValue


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
