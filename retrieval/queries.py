"""What an adjuster asks: words, pictures, a page or a whole claim, with a filter."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from retrieval.documents import GroupBy
from retrieval.errors import InvalidInput
from retrieval.filters import EVERYTHING, Filter

MAX_TEXT = 2000
MAX_IMAGES = 5
MAX_PAGES = 24
MAX_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Query:
    """Exactly one of text, images, page_id and claim_id.

    images: RGB pictures, orientation applied, at most 5; a page scores by its best match among them.
    page_id: "more like this": a stored page is the query; its own claim is left out.
    claim_id: a stored claim is the query, by its pages; it is left out. page_ids: which of its pages, at most 24; empty
    = all, near copies once, photos alone where there are any.
    filter: on claim and page facts. exclude_claim_ids: claims never shown. exclude_same_policy: with claim_id, leaves
    out claims of the same policy. min_score: 0..1, of the page, or of the claim when grouped.
    diversity: 0..1, when grouped by claim: 0 = by score alone, towards 1 = unlike claims first.
    exact_text: pages whose own text holds what text asks for exactly (retrieval.exact.strings_of) come first.
    limit: hits wanted, 1..100. offset: hits to skip.

    Raises InvalidInput (bad_query) naming the field.
    """

    text: str | None = None
    images: tuple[Image.Image, ...] = ()
    page_id: str | None = None
    claim_id: str | None = None
    page_ids: tuple[str, ...] = ()
    filter: Filter = EVERYTHING
    group_by: GroupBy = "page"
    limit: int = 10
    offset: int = 0
    exclude_claim_ids: tuple[str, ...] = ()
    exclude_same_policy: bool = False
    min_score: float = 0.0
    diversity: float = 0.0
    exact_text: bool = True

    def __post_init__(self) -> None:
        given = [name for name in ("text", "images", "page_id", "claim_id") if getattr(self, name)]
        if len(given) != 1:
            raise InvalidInput(
                "Ask with exactly one of text, image, page_id and claim_id.", code="bad_query", field="text"
            )
        if self.text is not None and (not self.text.strip() or len(self.text) > MAX_TEXT):
            raise InvalidInput(f"text takes 1 to {MAX_TEXT} characters.", code="bad_query", field="text")
        if len(self.images) > MAX_IMAGES:
            raise InvalidInput(f"image takes at most {MAX_IMAGES} pictures.", code="bad_query", field="image")
        if not 1 <= self.limit <= MAX_LIMIT:
            raise InvalidInput(f"limit is a number from 1 to {MAX_LIMIT}.", code="bad_query", field="limit")
        if self.offset < 0:
            raise InvalidInput("offset is not negative.", code="bad_query", field="offset")
        if not 0.0 <= self.min_score <= 1.0:
            raise InvalidInput("min_score is a number from 0 to 1.", code="bad_query", field="min_score")
        if not 0.0 <= self.diversity <= 1.0:
            raise InvalidInput("diversity is a number from 0 to 1.", code="bad_query", field="diversity")
        if len(self.page_ids) > MAX_PAGES:
            raise InvalidInput(f"page_ids takes at most {MAX_PAGES} pages.", code="bad_query", field="page_ids")
        if self.claim_id is None and (self.page_ids or self.exclude_same_policy):
            raise InvalidInput("page_ids and exclude_same_policy go with claim_id.", code="bad_query", field="claim_id")
