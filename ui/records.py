"""What the API answers, as far as the dashboard shows it. Unknown members are ignored, so that the API may grow."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

Json = Mapping[str, Any]


ROLES = ("viewer", "adjuster", "admin")


@dataclass(frozen=True, slots=True)
class Me:
    """Who asks. name: "" when the API knows none."""

    tenant: str
    role: str
    name: str

    @classmethod
    def read(cls, source: Json) -> Me:
        return cls(source["tenant"], source["role"], source.get("name") or "")

    def may(self, role: str) -> bool:
        """Whether the role is this one or a higher one."""
        return self.role in ROLES and ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True, slots=True)
class Claim:
    """amount: in `currency`. place, vehicle: their parts joined for reading, "" when unknown. facts: as answered."""

    claim_id: str
    line: str
    status: str
    policy_id: str
    loss_date: date | None
    reported_date: date | None
    amount: float | None
    currency: str
    damage: tuple[str, ...]
    place: str
    vehicle: str
    description: str
    attributes: Mapping[str, str | float | bool]
    version: int
    facts: Json = field(repr=False)

    @classmethod
    def read(cls, source: Json) -> Claim:
        location, vehicle = source.get("location") or {}, source.get("vehicle") or {}
        return cls(
            claim_id=source["claim_id"],
            line=source.get("line") or "other",
            status=source.get("status") or "open",
            policy_id=source.get("policy_id") or "",
            loss_date=_date(source.get("loss_date")),
            reported_date=_date(source.get("reported_date")),
            amount=source.get("loss_amount"),
            currency=source.get("currency") or "",
            damage=tuple(source.get("damage_types") or ()),
            place=_joined(location, ("city", "region", "country"), ", "),
            vehicle=_joined(vehicle, ("make", "model", "year"), " "),
            description=source.get("description") or "",
            attributes=source.get("attributes") or {},
            version=int(source.get("version") or 0),
            facts=source,
        )


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
class Pair:
    """What was asked (its place) beside the page that matches it."""

    asked: int
    page: Page
    score: float

    @classmethod
    def read(cls, source: Json) -> Pair:
        return cls(asked=int(source["asked"]), page=Page.read(source["page"]), score=float(source["score"]))


@dataclass(frozen=True, slots=True)
class Losses:
    """What the claims found cost, those of one currency. lower, upper: quartiles."""

    currency: str
    count: int
    least: float
    lower: float
    median: float
    upper: float
    most: float

    @classmethod
    def read(cls, source: Json) -> Losses:
        amounts = {name: float(source[name]) for name in ("least", "lower", "median", "upper", "most")}
        return cls(currency=str(source["currency"]), count=int(source["count"]), **amounts)


@dataclass(frozen=True, slots=True)
class Hit:
    """words: (word, 0..1) that the page answers, best first; empty for picture queries. more: further pages found
    in the same claim, with their scores. pairs: what was asked beside what matches it, best first.
    probability: that the photo shows the same kind of damage as the one asked with; None where nobody can say."""

    rank: int
    score: float
    page: Page
    claim: Claim
    words: tuple[tuple[str, float], ...] = ()
    more: tuple[tuple[Page, float], ...] = ()
    pairs: tuple[Pair, ...] = ()
    probability: float | None = None

    @classmethod
    def read(cls, source: Json) -> Hit:
        asset = source.get("asset") or {}
        page = Page.read(source["page"], filename=asset.get("filename") or "")
        matched = (source.get("why") or {}).get("words") or ()
        return cls(
            rank=int(source["rank"]),
            score=float(source["score"]),
            page=page,
            claim=Claim.read(source["claim"]),
            words=tuple((str(word["word"]), float(word["score"])) for word in matched),
            more=tuple(_further(item, page) for item in source.get("pages") or ()),
            pairs=tuple(Pair.read(pair) for pair in source.get("pairs") or ()),
            probability=source.get("probability"),
        )


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """asked: ids of the stored pages asked with, in the order that pairs name."""

    hits: tuple[Hit, ...]
    next_cursor: str | None
    encoder: str
    took_ms: float
    asked: tuple[str, ...] = ()
    losses: tuple[Losses, ...] = ()

    @classmethod
    def read(cls, source: Json) -> SearchAnswer:
        return cls(
            hits=tuple(Hit.read(hit) for hit in source.get("hits") or ()),
            next_cursor=source.get("next_cursor"),
            encoder=source.get("encoder") or "",
            took_ms=float(source.get("took_ms") or 0.0),
            asked=tuple(source.get("asked") or ()),
            losses=tuple(Losses.read(losses) for losses in source.get("losses") or ()),
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an upload on its way."""

    filename: str
    state: str
    code: str
    detail: str
    pages_done: int
    pages_total: int | None

    @property
    def finished(self) -> bool:
        return self.state in ("succeeded", "duplicate", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Job:
    job_id: str
    claim_id: str
    state: str
    entries: tuple[Entry, ...]

    @classmethod
    def read(cls, source: Json) -> Job:
        return cls(
            job_id=source["job_id"],
            claim_id=source.get("claim_id") or "",
            state=source["state"],
            entries=tuple(
                Entry(
                    filename=entry.get("filename") or "file",
                    state=entry["state"],
                    code=entry.get("code") or "",
                    detail=entry.get("detail") or "",
                    pages_done=int(entry.get("pages_done") or 0),
                    pages_total=entry.get("pages_total"),
                )
                for entry in source.get("entries") or ()
            ),
        )

    @property
    def finished(self) -> bool:
        return self.state in ("succeeded", "failed", "cancelled")


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


@dataclass(frozen=True, slots=True)
class Facet:
    field: str
    values: tuple[tuple[Any, int], ...]
    minimum: Any = None
    maximum: Any = None

    @classmethod
    def read(cls, source: Json) -> Facet:
        return cls(
            field=source["field"],
            values=tuple((value["value"], int(value["count"])) for value in source.get("values") or ()),
            minimum=source.get("minimum"),
            maximum=source.get("maximum"),
        )


@dataclass(frozen=True, slots=True)
class Explanation:
    """overlay: PNG of the page with what matched marked. words: (word, its best score on the page)."""

    overlay: bytes
    words: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Matches:
    """overlay: PNG of two photos beside each other with the parts marked that look alike. count: of such parts."""

    overlay: bytes
    count: int

    @classmethod
    def read(cls, source: Json) -> Matches:
        return cls(overlay=base64.b64decode(source["overlay"]), count=len(source["regions"]))


def _further(item: Json, best: Page) -> tuple[Page, float]:
    """A further page of a claim; the answer names the file of the best page only."""
    page = item["page"]
    filename = best.filename if page.get("asset_id") == best.asset_id else ""
    return Page.read(page, filename=filename), float(item.get("score") or 0.0)


def _joined(source: Json, names: Sequence[str], glue: str) -> str:
    parts = [str(source[name]) for name in names if source.get(name) not in (None, "")]
    return glue.join(dict.fromkeys(parts))


def _date(value: str | None) -> date | None:
    return date.fromisoformat(value) if value else None
