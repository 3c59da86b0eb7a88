"""Questions and answers: search, explain, facets, and the fields that a filter may name."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from app.schemas.claims import ClaimReply
from app.schemas.common import RecordId, Reply, Strict, check_text
from app.schemas.files import PAGE_EXAMPLE, AssetReply, PageReply
from retrieval.documents import Facet, FactValue, Hit, Losses
from retrieval.filters import FieldSpec
from retrieval.queries import MAX_LIMIT, MAX_PAGES, MAX_TEXT
from retrieval.search import Explanation, Matches

FilterObject = dict[str, Any]
Words = Annotated[str, Field(min_length=1, max_length=MAX_TEXT), AfterValidator(check_text)]
GroupBy = Literal["page", "claim"]
Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

FILTER_EXAMPLE: FilterObject = {
    "line": "auto",
    "loss_amount": {"gte": 1000, "lt": 5000},
    "damage_types": {"in": ["windshield"]},
}


class SearchRequest(Strict):
    """Exactly one of text, page_id and, in a form, pictures. page_id: more like this page, from other claims."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"text": "smashed windshield", "filter": FILTER_EXAMPLE, "group_by": "claim", "limit": 5},
                {"page_id": PAGE_EXAMPLE["page_id"], "limit": 10},
            ]
        }
    )

    text: Words | None = None
    page_id: RecordId | None = None
    filter: FilterObject | None = Field(None, description="Facts of claims and pages; GET /v1/schema lists them.")
    group_by: GroupBy = "page"
    limit: Limit = 10
    cursor: Annotated[str, Field(max_length=2000)] | None = Field(None, description="next_cursor of the same question.")
    exclude_claim_ids: Annotated[list[RecordId], Field(max_length=1000)] = Field(default_factory=list[RecordId])
    min_score: Share = 0.0
    diversity: Share = Field(0.0, description="Grouped by claim: 0 = by score alone, towards 1 = unlike claims first.")
    exact_text: bool = Field(
        True,
        description="Pages of digital PDFs that hold the words in quotes, or all of a text with a digit in it, to the "
        "letter come first.",
    )


class SimilarRequest(Strict):
    """Which claims are compared with this one, and by which of its pages; all by default, near copies once."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"filter": {"line": "auto"}, "limit": 5, "exclude_same_policy": True}]}
    )

    page_ids: Annotated[list[RecordId], Field(max_length=MAX_PAGES)] = Field(
        default_factory=list[RecordId], description="Photos and pages of the claim to compare by; empty = all."
    )
    filter: FilterObject | None = Field(None, description="Facts of claims and pages; GET /v1/schema lists them.")
    limit: Limit = 5
    cursor: Annotated[str, Field(max_length=2000)] | None = Field(None, description="next_cursor of the same question.")
    exclude_same_policy: bool = Field(False, description="Leave out claims of the same policy_id.")
    min_score: Share = 0.0
    diversity: Share = Field(0.0, description="0 = by score alone, towards 1 = unlike claims first.")


class ExplainRequest(Strict):
    """Which parts of page_id answer the text, the pictures of the form, or another page (like_page_id)."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"page_id": PAGE_EXAMPLE["page_id"], "text": "smashed windshield"}]}
    )

    page_id: RecordId
    text: Words | None = None
    like_page_id: RecordId | None = None
    overlay: bool = Field(True, description="Whether to draw the PNG as well.")


class WordReply(Reply):
    """A word of the question and how well the page answers it, 0 to 1."""

    word: str
    score: float


class WhyReply(Reply):
    """Best answered words first; empty for pictures and for encoders that cannot say."""

    words: list[WordReply]


class FurtherPageReply(Reply):
    page: PageReply
    score: float


class PairReply(Reply):
    """asked: place among the pictures, or the pages in `asked` of the answer, that the page was found by."""

    asked: int
    page: PageReply
    score: float


class LossesReply(Reply):
    """Amounts of the claims among the hits that state one, of one currency. lower, upper: quartiles."""

    currency: str
    count: int
    least: float
    lower: float
    median: float
    upper: float
    most: float

    @classmethod
    def of(cls, losses: Losses) -> LossesReply:
        return cls(
            currency=losses.currency,
            count=losses.count,
            least=losses.least,
            lower=losses.lower,
            median=losses.median,
            upper=losses.upper,
            most=losses.most,
        )


class HitReply(Reply):
    """page: the found page, or the claim's best one; pages: further pages of the claim when grouped by claim.
    pairs: what was asked beside the page that matches it, one to one, best first; of a claim, score is their mean.
    probability: that this photo shows the same kind of damage as the one asked with; null where nobody can say.
    exact_text: the PDF's own text of `page` holds what was asked for exactly; then it stands before those that do not,
    and its score is at least theirs."""

    rank: int
    score: float
    page: PageReply
    claim: ClaimReply
    asset: AssetReply
    why: WhyReply
    pages: list[FurtherPageReply]
    pairs: list[PairReply]
    probability: float | None
    exact_text: bool

    @classmethod
    def of(cls, hit: Hit) -> HitReply:
        return cls.model_construct(
            rank=hit.rank,
            score=hit.score,
            page=PageReply.of(hit.page, hit.asset.filename),
            claim=ClaimReply.of(hit.claim),
            asset=AssetReply.of(hit.asset, hit.claim),
            why=WhyReply(words=[WordReply(word=matched.word, score=matched.score) for matched in hit.why]),
            pages=[FurtherPageReply(page=PageReply.of(page), score=score) for page, score in hit.pages],
            pairs=[
                PairReply(asked=pair.asked, page=PageReply.of(pair.page, pair.filename), score=pair.score)
                for pair in hit.pairs
            ],
            probability=hit.probability,
            exact_text=hit.exact_text,
        )


class SearchReply(Reply):
    """encoder: whose vectors were compared. stages_ms: where the time went. asked: ids of the stored pages asked with;
    empty for words and pictures. losses: what the claims among the hits cost, the currency of most claims first."""

    hits: list[HitReply]
    total: int
    next_cursor: str | None
    encoder: str
    took_ms: float
    stages_ms: dict[str, float]
    asked: list[str]
    losses: list[LossesReply]


class ExplainedWordReply(WordReply):
    """grid: rows x cols in 0 to 1, how well each cell answers the word."""

    grid: list[list[float]]


class ExplainReply(Reply):
    """grid: rows x cols in 0 to 1, what stands out for all words together. overlay: PNG, base64."""

    page_id: str
    width: int
    height: int
    rows: int
    cols: int
    grid: list[list[float]]
    words: list[ExplainedWordReply]
    overlay: str | None

    @classmethod
    def of(cls, found: Explanation) -> ExplainReply:
        rows, cols = found.combined.shape
        words = [
            ExplainedWordReply(word=word, score=round(float(grid.max()), 4), grid=_rounded(grid))
            for word, grid in zip(found.words, found.grids, strict=True)
        ]
        return cls(
            page_id=found.page_id,
            width=found.width,
            height=found.height,
            rows=rows,
            cols=cols,
            grid=_rounded(found.combined),
            words=words,
            overlay=None if found.overlay is None else base64.b64encode(found.overlay).decode(),
        )


class RegionMatchReply(Reply):
    """A part of each picture: x0, y0, x1, y1 in pixels of the stored one. likeness: 0 to 1."""

    box: list[int]
    other_box: list[int]
    likeness: float


class MatchesReply(Reply):
    """regions: the most alike first; empty where no part of one is like a part of the other. overlay: PNG of both
    pictures beside each other, base64."""

    page_id: str
    other_page_id: str
    regions: list[RegionMatchReply]
    overlay: str | None

    @classmethod
    def of(cls, found: Matches) -> MatchesReply:
        regions = [
            RegionMatchReply(box=list(one.box), other_box=list(one.other_box), likeness=one.likeness)
            for one in found.regions
        ]
        overlay = None if found.overlay is None else base64.b64encode(found.overlay).decode()
        return cls(page_id=found.page_id, other_page_id=found.other_page_id, regions=regions, overlay=overlay)


class FacetValueReply(Reply):
    value: FactValue
    count: int


class FacetReply(Reply):
    """values: the 50 most frequent. minimum, maximum: of numbers and dates."""

    field: str
    values: list[FacetValueReply]
    minimum: FactValue | None
    maximum: FactValue | None

    @classmethod
    def of(cls, facet: Facet) -> FacetReply:
        return cls(
            field=facet.field,
            values=[FacetValueReply(value=found.value, count=found.count) for found in facet.values],
            minimum=facet.minimum,
            maximum=facet.maximum,
        )


class FacetsReply(Reply):
    facets: list[FacetReply]


class FieldReply(Reply):
    """A field that filters may name. type: string, number, date, bool, or attribute (any of them but date)."""

    path: str
    type: str
    is_list: bool
    choices: list[str]
    operators: list[str]

    @classmethod
    def of(cls, spec: FieldSpec) -> FieldReply:
        operators = ["eq", "ne", "in", "nin", "gt", "gte", "lt", "lte", "exists"]
        return cls(
            path=spec.path, type=spec.type, is_list=spec.is_list, choices=list(spec.choices), operators=operators
        )


class SchemaReply(Reply):
    """claim_fields: for claim lists and facets. search_fields: for search, pages included."""

    claim_fields: list[FieldReply]
    search_fields: list[FieldReply]
    combinators: list[str]


def _rounded(grid: Any) -> list[list[float]]:
    return [[round(float(value), 4) for value in row] for row in grid]
