"""Rows to the nouns of retrieval.documents, and what several ports look up."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, date, datetime

from retrieval.capture import Capture
from retrieval.documents import (
    Asset,
    AuditEvent,
    Claim,
    EntryState,
    FailedPage,
    Job,
    JobEntry,
    Location,
    Page,
    Vehicle,
)
from retrieval.errors import NotFound

PAGE_SELECT = (
    "SELECT p.*, c.claim_id, a.asset_id FROM pages p JOIN claims c ON c.id = p.claim JOIN assets a ON a.id = p.asset"
)
ASSET_SELECT = "SELECT a.*, c.claim_id, c.held FROM assets a JOIN claims c ON c.id = a.claim"


def stamp(moment: datetime) -> str:
    """ISO text in UTC with microseconds: it sorts by time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def claim_key(connection: sqlite3.Connection, tenant: str, claim_id: str) -> int:
    """The row of a claim. Raises NotFound claim_not_found."""
    row = connection.execute(
        "SELECT id FROM claims WHERE tenant_id = ? AND claim_id = ?", (tenant, claim_id)
    ).fetchone()
    if row is None:
        raise NotFound.of("claim", claim_id)
    return int(row["id"])


def next_revision(connection: sqlite3.Connection) -> int:
    """The next number of the sequence that every change of a page takes one of."""
    return int(connection.execute("UPDATE sequence SET changes = changes + 1 RETURNING changes").fetchone()[0])


def note_deletion(connection: sqlite3.Connection) -> None:
    """Inside the transaction that deletes: the file is to be written anew (Core.forget)."""
    connection.execute("UPDATE slack SET deletions = deletions + 1")


def leave(connection: sqlite3.Connection, kind: str, names: list[str]) -> None:
    """Notes files to be removed after the commit, should no record name them by then."""
    connection.executemany("INSERT OR IGNORE INTO leftovers VALUES (?, ?)", [(kind, name) for name in names])


def claim_of(row: sqlite3.Row) -> Claim:
    return Claim(
        claim_id=row["claim_id"],
        line=row["line"],
        status=row["status"],
        policy_id=row["policy_id"],
        loss_date=_date(row["loss_date"]),
        reported_date=_date(row["reported_date"]),
        loss_amount=row["loss_amount"],
        currency=row["currency"],
        damage_types=tuple(json.loads(row["damage_types"])),
        location=Location(row["city"], row["region"], row["country"]),
        vehicle=Vehicle(row["make"], row["model"], row["year"]),
        description=row["description"],
        attributes=json.loads(row["attributes"]),
        created_at=datetime.fromisoformat(row["created_at"]),
        updated_at=datetime.fromisoformat(row["updated_at"]),
        version=row["version"],
        held=bool(row["held"]),
    )


def asset_of(row: sqlite3.Row) -> Asset:
    """Of a row of ASSET_SELECT."""
    return Asset(
        asset_id=row["asset_id"],
        claim_id=row["claim_id"],
        filename=row["filename"],
        size_bytes=row["size_bytes"],
        media_type=row["media_type"],
        page_count=row["page_count"],
        warnings=tuple((code, sentence) for code, sentence in json.loads(row["warnings"])),
        created_at=datetime.fromisoformat(row["created_at"]),
        capture=None if row["capture"] is None else Capture.from_record(json.loads(row["capture"])),
    )


def page_of(row: sqlite3.Row) -> Page:
    """Of a row of PAGE_SELECT."""
    return Page(
        page_id=row["page_id"],
        claim_id=row["claim_id"],
        asset_id=row["asset_id"],
        number=row["number"],
        kind=row["kind"],
        width=row["width"],
        height=row["height"],
        encoder=row["encoder"],
        usage=json.loads(row["usage"]),
        created_at=datetime.fromisoformat(row["created_at"]),
    )


def job_of(row: sqlite3.Row, entries: list[JobEntry]) -> Job:
    return Job(
        job_id=row["job_id"],
        claim_id=row["claim_id"],
        entries=tuple(entries),
        created_at=datetime.fromisoformat(row["created_at"]),
        updated_at=datetime.fromisoformat(row["updated_at"]),
        revision=row["revision"],
        cancel_requested=bool(row["cancel_requested"]),
        request_id=row["request_id"],
    )


def entry_of(row: sqlite3.Row) -> JobEntry:
    return JobEntry(
        index=row["place"],
        filename=row["filename"],
        asset_id=row["asset_id"],
        state=EntryState(row["state"]),
        code=row["code"],
        detail=row["detail"],
        pages_done=row["pages_done"],
        pages_total=row["pages_total"],
        failed_pages=tuple(
            FailedPage(number, code, detail) for number, code, detail in json.loads(row["failed_pages"])
        ),
        attempts=row["attempts"],
    )


def event_of(row: sqlite3.Row) -> AuditEvent:
    return AuditEvent(
        at=datetime.fromisoformat(row["at"]),
        actor=row["actor"],
        action=row["action"],
        target=row["target"],
        request_id=row["request_id"],
        details=json.loads(row["details"]),
    )


def _date(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
