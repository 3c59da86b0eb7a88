"""What a search found, and why."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from ui.records.answer import Json
from ui.records.claims import Claim
from ui.records.files import Page


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
    probability: that the photo shows the same kind of damage as the one asked with; None where nobody can say.
    exact_text: the text of the PDF itself holds what was asked for to the letter."""

    rank: int
    score: float
    page: Page
    claim: Claim
    words: tuple[tuple[str, float], ...] = ()
    more: tuple[tuple[Page, float], ...] = ()
    pairs: tuple[Pair, ...] = ()
    probability: float | None = None
    exact_text: bool = False

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
            exact_text=bool(source.get("exact_text")),
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
