"""Photos that are in several claims, as answers show them."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ConfigDict

from app.schemas.claims import ClaimReply
from app.schemas.common import Reply
from app.schemas.files import PageReply
from retrieval.documents import Claim, Reuse


class ReuseReply(Reply):
    """page: of this claim. other_page, other_claim: where its copy is. likeness: 0 to 1, how well one lies on the
    other. mirrored: one is the mirror image. share: of one's side that the other covers. same_file: byte for byte."""

    page: PageReply
    other_page: PageReply
    other_claim: ClaimReply
    likeness: float
    mirrored: bool
    share: float
    same_file: bool

    @classmethod
    def of(cls, reuse: Reuse, claim: Claim, filenames: Mapping[str, str | None]) -> ReuseReply:
        return cls(
            page=PageReply.of(reuse.page, filenames.get(reuse.page.page_id)),
            other_page=PageReply.of(reuse.other, filenames.get(reuse.other.page_id)),
            other_claim=ClaimReply.of(claim),
            likeness=reuse.likeness,
            mirrored=reuse.mirrored,
            share=reuse.share,
            same_file=reuse.same_file,
        )


class ReusedReply(Reply):
    """The surest copy of each photo first; photos in the order of the claim's pages."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": []}]})

    items: list[ReuseReply]
