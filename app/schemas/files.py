"""Assets, pages and jobs as answers show them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field

from app.schemas.common import Reply
from retrieval.capture import Capture, contradictions
from retrieval.documents import Asset, Claim, Job, JobEntry, Page

_ASSET_ID = "4f" * 32
_PAGE_ID = "0f" * 16 + "-1"
_PAGE: dict[str, Any] = {
    "page_id": _PAGE_ID,
    "claim_id": "CLM551344",
    "asset_id": _ASSET_ID,
    "number": 1,
    "kind": "page",
    "width": 1448,
    "height": 2048,
    "encoder": "local/1",
    "created_at": "2026-04-02T09:00:05Z",
    "filename": "estimate.pdf",
}
PAGE_EXAMPLE = _PAGE


class Warned(Reply):
    code: str
    detail: str


class CaptureReply(Reply):
    """What a picture's file says of its making; anybody can write it. taken_at: by the camera's clock, without a zone.
    has_place: whether it says where it was taken; the place itself is not read out."""

    taken_at: datetime | None
    make: str | None
    model: str | None
    software: str | None
    has_place: bool

    @classmethod
    def of(cls, capture: Capture) -> CaptureReply:
        return cls(**asdict(capture))


class AssetReply(Reply):
    """A file of one claim. media_type, page_count: null until the ingest has looked. capture: null where the file says
    nothing. contradictions: where that does not fit the claim's dates, or names a program that edits pictures; evidence
    to look at, not a verdict. claim_ids: all that hold it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "asset_id": _ASSET_ID,
                    "claim_id": "CLM551344",
                    "filename": "windscreen.jpg",
                    "size_bytes": 183211,
                    "media_type": "image/jpeg",
                    "page_count": 1,
                    "warnings": [],
                    "capture": {
                        "taken_at": "2026-04-09T10:00:00",
                        "make": "Google",
                        "model": "Pixel 8",
                        "software": "HDR+ 1.0.540104767zd",
                        "has_place": True,
                    },
                    "contradictions": [
                        {
                            "code": "taken_after_report",
                            "detail": "The file says the picture was taken on 2026-04-09, after the claim was reported "
                            "on 2026-04-02.",
                        }
                    ],
                    "created_at": "2026-04-02T09:00:00Z",
                }
            ]
        }
    )

    asset_id: str
    claim_id: str
    filename: str
    size_bytes: int
    media_type: str | None
    page_count: int | None
    warnings: list[Warned]
    capture: CaptureReply | None
    contradictions: list[Warned]
    created_at: datetime | None
    claim_ids: list[str] | None = None

    @classmethod
    def of(cls, asset: Asset, claim: Claim, claim_ids: list[str] | None = None) -> AssetReply:
        """claim: the one that holds it."""
        return cls(
            asset_id=asset.asset_id,
            claim_id=asset.claim_id,
            filename=asset.filename,
            size_bytes=asset.size_bytes,
            media_type=asset.media_type,
            page_count=asset.page_count,
            warnings=[Warned(code=code, detail=detail) for code, detail in asset.warnings],
            capture=None if asset.capture is None else CaptureReply.of(asset.capture),
            contradictions=[
                Warned(code=found.code, detail=found.detail) for found in contradictions(asset.capture, claim)
            ],
            created_at=asset.created_at,
            claim_ids=claim_ids,
        )


class PageReply(Reply):
    """One picture that can be found. filename: of its file, where the answer knows it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PAGE]})

    page_id: str
    claim_id: str
    asset_id: str
    number: int
    kind: str
    width: int
    height: int
    encoder: str
    created_at: datetime | None
    filename: str | None = None

    @classmethod
    def of(cls, page: Page, filename: str | None = None) -> PageReply:
        return cls(
            page_id=page.page_id,
            claim_id=page.claim_id,
            asset_id=page.asset_id,
            number=page.number,
            kind=page.kind,
            width=page.width,
            height=page.height,
            encoder=page.encoder,
            created_at=page.created_at,
            filename=filename,
        )


class FailedPageReply(Reply):
    number: int
    code: str
    detail: str


class EntryReply(Reply):
    """One file of an upload. pages_done: stored or failed pages so far."""

    filename: str
    asset_id: str | None
    state: str = Field(examples=["queued", "running", "succeeded", "duplicate", "failed", "cancelled"])
    code: str | None = None
    detail: str | None = None
    pages_done: int
    pages_total: int | None = None
    failed_pages: list[FailedPageReply]
    attempts: int

    @classmethod
    def of(cls, entry: JobEntry) -> EntryReply:
        return cls(
            filename=entry.filename,
            asset_id=entry.asset_id,
            state=entry.state.value,
            code=entry.code,
            detail=entry.detail,
            pages_done=entry.pages_done,
            pages_total=entry.pages_total,
            failed_pages=[
                FailedPageReply(number=page.number, code=page.code, detail=page.detail) for page in entry.failed_pages
            ],
            attempts=entry.attempts,
        )


class JobReply(Reply):
    """The ingest of one upload. state: succeeded when any file did, failed when none did."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "job_id": "0193a1b2-0000-7000-8000-000000000001",
                    "claim_id": "CLM551344",
                    "state": "running",
                    "entries": [
                        {
                            "filename": "estimate.pdf",
                            "asset_id": _ASSET_ID,
                            "state": "running",
                            "code": None,
                            "detail": None,
                            "pages_done": 1,
                            "pages_total": 2,
                            "failed_pages": [],
                            "attempts": 1,
                        }
                    ],
                    "created_at": "2026-04-02T09:00:00Z",
                    "updated_at": "2026-04-02T09:00:03Z",
                    "cancel_requested": False,
                }
            ]
        }
    )

    job_id: str
    claim_id: str
    state: str = Field(examples=["queued", "running", "succeeded", "failed", "cancelled"])
    entries: list[EntryReply]
    created_at: datetime
    updated_at: datetime
    cancel_requested: bool

    @classmethod
    def of(cls, job: Job) -> JobReply:
        return cls(
            job_id=job.job_id,
            claim_id=job.claim_id,
            state=job.state.value,
            entries=[EntryReply.of(entry) for entry in job.entries],
            created_at=job.created_at,
            updated_at=job.updated_at,
            cancel_requested=job.cancel_requested,
        )
