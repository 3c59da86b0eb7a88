"""Claims: one by its number, and lists of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, cast
from urllib.parse import quote

from fastapi import APIRouter, Body, Header, Query, Response

from app.routes.context import Context, ContextDep, Cursor, FilterText, filter_of, problems
from app.routes.search import answer
from app.schemas.claims import ClaimReply, NewClaim, PutClaim, patched
from app.schemas.common import ClaimId, ListReply, RemovedReply
from app.schemas.files import PageReply
from app.schemas.reused import ReusedReply, ReuseReply
from app.schemas.search import SearchReply, SimilarRequest
from retrieval.documents import Claim, Page, Sort
from retrieval.errors import InvalidInput, NotFound
from retrieval.filters import CLAIM_FIELDS, parse_filter
from retrieval.queries import Query as Question
from retrieval.reuse import ReuseFinder

router = APIRouter(prefix="/v1/claims", tags=["claims"])

IfMatch = Annotated[
    str | None, Header(alias="If-Match", description="The ETag that was read; the change is refused if it moved on.")
]
SortName = Literal[
    "created_at",
    "-created_at",
    "updated_at",
    "-updated_at",
    "loss_date",
    "-loss_date",
    "loss_amount",
    "-loss_amount",
    "claim_id",
    "-claim_id",
]
MergePatch = Annotated[
    dict[str, Any],
    Body(
        media_type="application/merge-patch+json",
        openapi_examples={
            "pay": {"summary": "Close it as paid", "value": {"status": "paid", "loss_amount": 1840.5}},
            "forget": {"summary": "Take a fact away", "value": {"policy_id": None, "attributes": {"fleet": None}}},
        },
    ),
]


@router.get("", summary="List claims", responses=problems())
async def list_claims(
    context: ContextDep,
    filter_text: FilterText = None,
    sort: Annotated[SortName, Query(description="Field to order by; - for largest or latest first.")] = "-created_at",
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> ListReply[ClaimReply]:
    """Claims whose facts pass the filter. Ties are in the order of their numbers."""
    field = cast("Any", sort.removeprefix("-"))
    listing = await context.store.claims.list(
        context.tenant,
        filter_of(filter_text, CLAIM_FIELDS),
        sort=Sort(field=field, descending=sort.startswith("-")),
        cursor=cursor,
        limit=limit,
    )
    shown = [claim.claim_id for claim in listing.items]
    await context.seen("claims.list", "", claims=shown, **context.services.marks.of_filter(filter_text))
    return ListReply(items=[ClaimReply.of(claim) for claim in listing.items], next_cursor=listing.next_cursor)


@router.post("", status_code=201, summary="Create a claim", responses=problems(400, 409, 413))
async def create_claim(context: ContextDep, body: NewClaim, response: Response) -> ClaimReply:
    """A number that exists is refused with 409 claim_exists; PUT replaces."""
    event = context.event("claim.create", body.claim_id)
    claim, _ = await context.store.claims.put(
        context.tenant, body.as_claim(body.claim_id), create_only=True, note=lambda _: event
    )
    response.headers["Location"] = _address(claim)
    return _reply(claim, response)


@router.get("/{claim_id}", summary="Read a claim", responses=problems(404))
async def get_claim(context: ContextDep, claim_id: ClaimId, response: Response) -> ClaimReply:
    """Its version is the ETag."""
    claim = await context.store.claims.get(context.tenant, claim_id)
    await context.seen("claim.view", claim_id)
    return _reply(claim, response)


@router.put(
    "/{claim_id}",
    summary="Create or replace a claim",
    responses={201: {"model": ClaimReply, "description": "Created."}, **problems(400, 404, 412, 413)},
)
async def put_claim(
    context: ContextDep, claim_id: ClaimId, body: PutClaim, response: Response, if_match: IfMatch = None
) -> ClaimReply:
    """Idempotent: facts that are left out are taken away. 201 when it is new. Its pages follow at once."""
    if body.claim_id not in (None, claim_id):
        raise InvalidInput("claim_id is not the one of the address.", code="bad_claim", field="claim_id")
    wanted = body.as_claim(claim_id)
    version = _version(if_match)
    if version is None:
        claim, new = await context.store.claims.put(
            context.tenant,
            wanted,
            note=lambda put: context.event("claim.create" if put[1] else "claim.replace", claim_id),
        )
    else:

        def replaced(old: Claim) -> Claim:
            return replace(wanted, created_at=old.created_at, updated_at=old.updated_at, version=old.version)

        new, event = False, context.event("claim.replace", claim_id)
        claim = await context.store.claims.update(
            context.tenant, claim_id, replaced, expected_version=version, note=lambda _: event
        )
    if new:
        response.status_code = 201
        response.headers["Location"] = _address(claim)
    return _reply(claim, response)


@router.patch("/{claim_id}", summary="Change facts of a claim", responses=problems(400, 404, 412, 413))
async def patch_claim(
    context: ContextDep, claim_id: ClaimId, body: MergePatch, response: Response, if_match: IfMatch = None
) -> ClaimReply:
    """A JSON merge patch (RFC 7396): members are set, null takes one away. The next search knows it."""
    change: Mapping[str, object] = body
    event = context.event("claim.change", claim_id)
    claim = await context.store.claims.update(
        context.tenant,
        claim_id,
        lambda old: patched(old, change),
        expected_version=_version(if_match),
        note=lambda _: event,
    )
    return _reply(claim, response)


@router.delete("/{claim_id}", summary="Delete a claim with all that belongs to it", responses=problems(404, 409))
async def delete_claim(context: ContextDep, claim_id: ClaimId) -> RemovedReply:
    """Facts, files, pages, vectors and jobs; bytes that another claim holds too stay for that one. A claim under legal
    hold stays: 409 claim_held."""
    report = await context.store.claims.delete(
        context.tenant,
        claim_id,
        note=lambda gone: context.event("claim.delete", claim_id, pages=gone.pages, assets=gone.assets),
    )
    return RemovedReply(claims=report.claims, assets=report.assets, pages=report.pages, size_bytes=report.size_bytes)


@router.get("/{claim_id}/pages", tags=["pages"], summary="List the pages of a claim", responses=problems(404))
async def list_pages(
    context: ContextDep,
    claim_id: ClaimId,
    asset_id: Annotated[str | None, Query(max_length=64, description="Only pages of this file.")] = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> ListReply[PageReply]:
    """In the order of its files, oldest first, then of their pages."""
    await context.store.claims.get(context.tenant, claim_id)
    names = {asset.asset_id: asset.filename for asset in await context.store.assets.list(context.tenant, claim_id)}
    listing = await context.store.pages.list(
        context.tenant, claim_id=claim_id, asset_id=asset_id, cursor=cursor, limit=limit
    )
    await context.seen("pages.list", claim_id)
    items = [PageReply.of(page, names.get(page.asset_id)) for page in listing.items]
    return ListReply(items=items, next_cursor=listing.next_cursor)


@router.post(
    "/{claim_id}/similar", tags=["search"], summary="Find claims like this one", responses=problems(400, 404, 413)
)
async def find_similar(context: ContextDep, claim_id: ClaimId, body: SimilarRequest) -> SearchReply:
    """Its photos, or its pages where it has none, are paired with those of every other claim, one to one; `pairs` shows
    which, `page_ids` chooses others. No hit means that no other claim reaches `min_score`, or that one side has no page
    to compare. `losses` says what they cost."""
    question = Question(
        claim_id=claim_id,
        page_ids=tuple(body.page_ids),
        filter=parse_filter(body.filter),
        group_by="claim",
        limit=body.limit,
        exclude_same_policy=body.exclude_same_policy,
        min_score=body.min_score,
        diversity=body.diversity,
    )
    return await answer(context, question, body.cursor, filter_source=body.filter)


@router.get(
    "/{claim_id}/reused", tags=["pages"], summary="Photos that are in other claims too", responses=problems(404)
)
async def list_reused(context: ContextDep, claim_id: ClaimId) -> ReusedReply:
    """Each photo of the claim beside its copies in other claims: cut out, mirrored, compressed, relit, slightly turned,
    or in a screenshot. Evidence to look at, not a verdict: a photo may be in two claims for good reasons."""
    found = await ReuseFinder(context.store).of_claim(context.tenant, claim_id)
    claims = await context.store.claims.get_many(context.tenant, [reuse.other.claim_id for reuse in found])
    await context.seen("photos.reused", claim_id, claims=sorted(claims))
    names = {page.page_id: await _filename(context, page) for reuse in found for page in (reuse.page, reuse.other)}
    return ReusedReply(
        items=[
            ReuseReply.of(reuse, claims[reuse.other.claim_id], names)
            for reuse in found
            if reuse.other.claim_id in claims
        ]
    )


async def _filename(context: Context, page: Page) -> str | None:
    try:
        [asset] = await context.store.assets.get(context.tenant, page.asset_id, claim_id=page.claim_id)
    except NotFound:
        return None
    return asset.filename


def _reply(claim: Claim, response: Response) -> ClaimReply:
    response.headers["ETag"] = f'"{claim.version}"'
    return ClaimReply.of(claim)


def _address(claim: Claim) -> str:
    return f"/v1/claims/{quote(claim.claim_id, safe='')}"


def _version(if_match: str | None) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    digits = if_match.strip().strip('"')
    if not digits.isascii() or not digits.isdigit() or len(digits) > 15:
        raise InvalidInput("If-Match takes the ETag of the claim.", code="bad_etag", field="If-Match")
    return int(digits)
