"""A claim's files and pages, and copies of its photos in other claims."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ui.records.answer import Json
from ui.records.claims import Claim


@dataclass(frozen=True, slots=True)
class Page:
    """kind: page or photo. number: from 1 within its file."""

    page_id: str
    claim_id: str
    asset_id: str
    number: int
    kind: str
    filename: str

    @classmethod
    def read(cls, source: Json, *, filename: str = "") -> Page:
        return cls(
            page_id=source["page_id"],
            claim_id=source.get("claim_id") or "",
            asset_id=source.get("asset_id") or "",
            number=int(source.get("number") or 1),
            kind=source.get("kind") or "page",
            filename=source.get("filename") or filename,
        )

    @property
    def label(self) -> str:
        if not self.filename:
            return "photo" if self.kind == "photo" else f"page {self.number}"
        return self.filename if self.kind == "photo" else f"{self.filename}, page {self.number}"


@dataclass(frozen=True, slots=True)
class Capture:
    """What a photo's file says of its making. camera: make and model, "" when unknown. has_place: whether it says
    where."""

    taken_at: datetime | None
    camera: str
    software: str
    has_place: bool

    @classmethod
    def read(cls, source: Json) -> Capture:
        taken = source.get("taken_at")
        make, model = source.get("make") or "", source.get("model") or ""
        return cls(
            taken_at=datetime.fromisoformat(taken) if taken else None,
            # Many a model begins with its make.
            camera=model if model.casefold().startswith(make.casefold()) else f"{make} {model}".strip(),
            software=source.get("software") or "",
            has_place=bool(source.get("has_place")),
        )


@dataclass(frozen=True, slots=True)
class Asset:
    asset_id: str
    filename: str
    size_bytes: int
    media_type: str
    page_count: int | None
    warnings: tuple[str, ...]
    capture: Capture | None = None
    contradictions: tuple[str, ...] = ()

    @classmethod
    def read(cls, source: Json) -> Asset:
        capture = source.get("capture")
        return cls(
            asset_id=source["asset_id"],
            filename=source.get("filename") or "file",
            size_bytes=int(source.get("size_bytes") or 0),
            media_type=source.get("media_type") or "",
            page_count=source.get("page_count"),
            warnings=tuple(str(warning.get("detail") or "") for warning in source.get("warnings") or ()),
            capture=None if capture is None else Capture.read(capture),
            contradictions=tuple(str(found.get("detail") or "") for found in source.get("contradictions") or ()),
        )


@dataclass(frozen=True, slots=True)
class Reuse:
    """A photo of the claim and its copy in another one."""

    page: Page
    other_page: Page
    other_claim: Claim
    likeness: float
    mirrored: bool
    same_file: bool

    @classmethod
    def read(cls, source: Json) -> Reuse:
        return cls(
            page=Page.read(source["page"]),
            other_page=Page.read(source["other_page"]),
            other_claim=Claim.read(source["other_claim"]),
            likeness=float(source["likeness"]),
            mirrored=bool(source.get("mirrored")),
            same_file=bool(source.get("same_file")),
        )
