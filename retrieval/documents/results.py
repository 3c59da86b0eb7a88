"""What a search answers with, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from retrieval.documents.claims import Asset, Claim
from retrieval.documents.pages import Page

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
    probability: that `page` shows the same kind of damage as the photo asked with; None where nobody can say.
    exact_text: whether the own text of `page` holds what was asked for exactly (retrieval.exact.strings_of)."""

    rank: int
    score: float
    page: Page
    claim: Claim
    asset: Asset
    why: tuple[Matched, ...] = ()
    pages: tuple[tuple[Page, float], ...] = ()
    pairs: tuple[MatchedPair, ...] = ()
    probability: float | None = None
    exact_text: bool = False


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
