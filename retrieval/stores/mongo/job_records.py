"""Documents of jobs and their entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from retrieval.documents import EntryState, FailedPage, Job, JobEntry, Lease, NewEntry
from retrieval.stores.mongo.leases import entry_id
from retrieval.stores.mongo.link import Document, stamp
from retrieval.stores.mongo.records import record_id

AT_ONCE = ""
"""available_at of an entry that waits for nothing: before any time, so that a clock set back holds nothing up."""
FREE: Document = {"worker_id": None, "expires_at": None}  # of an entry that no worker has


def new_job(tenant: str, claim_id: str, job_id: str, now: str, request_id: str | None) -> Document:
    return {
        "_id": record_id(tenant, job_id),
        "tenant_id": tenant,
        "job_id": job_id,
        "claim_id": claim_id,
        "created_at": now,
        "updated_at": now,
        "revision": 0,
        "cancel_requested": False,
        "request_id": request_id,
    }


def new_entry(job: Document, index: int, entry: NewEntry) -> Document:
    return {
        "_id": entry_id(job["tenant_id"], job["job_id"], index),
        "tenant_id": job["tenant_id"],
        "job_id": job["job_id"],
        "claim_id": job["claim_id"],
        "index": index,
        "place": _place(job["created_at"], job["job_id"], index),
        "filename": entry.filename,
        "asset_id": entry.asset_id,
        "request_id": job["request_id"],
        "state": entry.state,
        "code": entry.code,
        "detail": entry.detail,
        "pages_total": None,
        "failed_pages": [],
        "attempts": 0,
        "token": 0,
        "revision": 0,
        "cancel_requested": False,
        "queued_at": job["created_at"],
        "available_at": AT_ONCE,
        "updated_at": job["updated_at"],
        **FREE,
    }


def adopted_job(tenant: str, job: Job) -> tuple[Document, list[Document]]:
    """A job of another store with its entries, as they were there."""
    document = {
        **new_job(tenant, job.claim_id, job.job_id, stamp(job.created_at), job.request_id),
        "updated_at": stamp(job.updated_at),
        "revision": job.revision,
        "cancel_requested": job.cancel_requested,
    }
    rows: list[Document] = []
    for entry in job.entries:
        row = new_entry(document, entry.index, NewEntry(entry.filename, entry.asset_id, entry.state))
        row.update(code=entry.code, detail=entry.detail, pages_total=entry.pages_total, attempts=entry.attempts)
        row.update(failed_pages=failed_page_rows([], entry.failed_pages), cancel_requested=job.cancel_requested)
        rows.append(row)
    return document, rows


def waits_again(entry: Document, now: str) -> Document:
    waiting: Document = {
        "state": EntryState.queued,
        "code": None,
        "detail": None,
        "failed_pages": [],
        "attempts": 0,
        "cancel_requested": False,
        "place": _place(now, entry["job_id"], entry["index"]),
        "available_at": AT_ONCE,
        "queued_at": now,
        "updated_at": now,
        **FREE,
    }
    return {"$set": waiting, "$inc": {"revision": 1}}


def _place(queued_at: str, job_id: str, index: int) -> str:
    """Where an entry stands in the queue; sorts as text."""
    return f"{queued_at} {job_id} {index:06d}"


def entry_of(document: Document, *, pages_done: int) -> JobEntry:
    return JobEntry(
        index=document["index"],
        filename=document["filename"],
        asset_id=document["asset_id"],
        state=EntryState(document["state"]),
        code=document["code"],
        detail=document["detail"],
        pages_done=pages_done,
        pages_total=document["pages_total"],
        failed_pages=tuple(FailedPage(number, code, detail) for number, code, detail in document["failed_pages"]),
        attempts=document["attempts"],
    )


def job_of(document: Document, entries: Sequence[Document], pages_done: Mapping[str, int]) -> Job:
    """pages_done: by entry _id. The job's revision is the sum over its parts: it grows with each change of any of
    them, without a common lock."""
    return Job(
        job_id=document["job_id"],
        claim_id=document["claim_id"],
        entries=tuple(entry_of(entry, pages_done=pages_done[entry["_id"]]) for entry in sorted(entries, key=_index_of)),
        created_at=datetime.fromisoformat(document["created_at"]),
        updated_at=datetime.fromisoformat(max([document["updated_at"], *(entry["updated_at"] for entry in entries)])),
        revision=document["revision"] + sum(entry["revision"] for entry in entries),
        cancel_requested=document["cancel_requested"],
        request_id=document.get("request_id"),
    )


def _index_of(entry: Document) -> int:
    return entry["index"]


def lease_of(entry: Document) -> Lease:
    return Lease(
        tenant_id=entry["tenant_id"],
        job_id=entry["job_id"],
        entry_index=entry["index"],
        claim_id=entry["claim_id"],
        asset_id=entry["asset_id"],
        filename=entry["filename"],
        token=entry["token"],
        attempt=entry["attempts"],
        worker_id=entry["worker_id"],
        expires_at=datetime.fromisoformat(entry["expires_at"]),
        request_id=entry.get("request_id"),
    )


def failed_page_rows(before: Sequence[list[Any]], pages: Sequence[FailedPage]) -> list[list[Any]]:
    """Failed pages so far with these, one a number."""
    rows = {row[0]: row for row in (*before, *([page.number, page.code, page.detail] for page in pages))}
    return [rows[number] for number in sorted(rows)]
