"""Pages: one picture each, as record, as picture, and as a question for more like it."""

from __future__ import annotations

import asyncio
import io
from hashlib import sha256
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from PIL import Image

from app.routes.assets import etag_matches
from app.routes.context import ContextDep, Cursor, FilterText, filter_of, problems
from app.routes.search import answer
from app.schemas.common import PageId
from app.schemas.files import PageReply
from app.schemas.search import GroupBy, MatchesReply, SearchReply
from retrieval.errors import InvalidInput, NotFound
from retrieval.filters import SEARCH_FIELDS
from retrieval.queries import MAX_LIMIT
from retrieval.queries import Query as Question

router = APIRouter(prefix="/v1/pages", tags=["pages"])

_JPEG_QUALITY = 85
_WEBP_QUALITY = 82
PictureType = Literal["image/webp", "image/jpeg"]


@router.get("/{page_id}", summary="Read about a page", responses=problems(404))
async def get_page(context: ContextDep, page_id: PageId) -> PageReply:
    """Which file and number it is, and the encoder that made its vectors."""
    page = await context.store.pages.get(context.tenant, page_id)
    try:
        [asset] = await context.store.assets.get(context.tenant, page.asset_id, claim_id=page.claim_id)
    except NotFound:
        raise NotFound.of("page", page_id) from None
    await context.seen("page.view", page_id, claims=[page.claim_id])
    return PageReply.of(page, asset.filename)


@router.get(
    "/{page_id}/image",
    summary="The picture of a page",
    response_class=Response,
    responses={
        200: {"description": "The picture.", "content": {"image/webp": {}, "image/jpeg": {}}},
        304: {"description": "Not changed (If-None-Match)."},
        **problems(404, 406),
    },
)
async def get_image(
    context: ContextDep,
    request: Request,
    page_id: PageId,
    width: Annotated[
        int | None, Query(ge=16, le=4096, description="Pixels; a smaller picture is not enlarged.")
    ] = None,
    if_none_match: Annotated[str | None, Header(alias="If-None-Match")] = None,
) -> Response:
    """WebP, or JPEG where Accept asks for it; upright and without metadata of the upload."""
    media_type = _wanted_type(request.headers.get("accept", "*/*"))
    page = await context.store.pages.get(context.tenant, page_id)
    stored = await context.store.pages.picture(context.tenant, page_id)
    etag = await asyncio.to_thread(_etag, stored, media_type, width)
    headers = {"ETag": etag, "Cache-Control": "no-store", "Vary": "Accept"}
    if etag_matches(if_none_match, etag):
        await context.seen("page.picture", page_id, claims=[page.claim_id], from_cache=True)
        return Response(status_code=304, headers=headers)
    picture = await asyncio.to_thread(_drawn, stored, media_type, width)
    await context.seen("page.picture", page_id, claims=[page.claim_id])
    return Response(picture, media_type=media_type, headers=headers)


@router.get("/{page_id}/similar", summary="More like this page", responses=problems(404, 409))
async def get_similar(
    context: ContextDep,
    page_id: PageId,
    filter_text: FilterText = None,
    group_by: Annotated[GroupBy, Query(description="One hit a page, or one a claim.")] = "page",
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 10,
    cursor: Cursor = None,
) -> SearchReply:
    """From other claims, most alike first."""
    question = Question(page_id=page_id, filter=filter_of(filter_text, SEARCH_FIELDS), group_by=group_by, limit=limit)
    return await answer(context, question, cursor, filter_source=filter_text)


@router.get(
    "/{page_id}/matches/{other_page_id}",
    summary="Which parts of two pictures look alike",
    responses=problems(404, 409),
)
async def get_matches(
    context: ContextDep,
    page_id: PageId,
    other_page_id: PageId,
    overlay: Annotated[bool, Query(description="A picture of both, with the parts marked, as well.")] = True,
) -> MatchesReply:
    """Why a photo was found by another one, of any claim: parts that are each other's nearest, at most five. Both
    pictures are looked at anew. 409 explain_unsupported with an encoder that does not look at parts."""
    async with context.services.searching() as engine:
        found = await engine.matches(context.tenant, page_id, other_page_id, overlay=overlay)
    both = await context.store.pages.get_many(context.tenant, [page_id, other_page_id])
    claims = sorted({page.claim_id for page in both.values()})
    await context.seen("page.matches", page_id, claims=claims, other_page_id=other_page_id)
    return MatchesReply.of(found)


def _wanted_type(accept: str) -> PictureType:
    weights: dict[str, float] = {}
    for item in accept[:1000].split(","):
        kind, *options = [part.strip().lower() for part in item.split(";")]
        weight = next((option[2:] for option in options if option.startswith("q=")), "1")
        try:
            weights[kind] = float(weight)
        except ValueError:
            weights[kind] = 0.0

    def weight_of(media_type: str) -> float:
        return weights.get(media_type, weights.get("image/*", weights.get("*/*", 0.0)))

    best: PictureType = "image/webp" if weight_of("image/webp") >= weight_of("image/jpeg") else "image/jpeg"
    if not weight_of(best) > 0:
        raise InvalidInput("Pictures come as image/webp or image/jpeg.", code="not_acceptable", field="Accept")
    return best


def _etag(stored: bytes, media_type: str, width: int | None) -> str:
    return f'"{sha256(stored).hexdigest()[:32]}-{media_type.removeprefix("image/")}-{width or 0}"'


def _drawn(stored: bytes, media_type: str, width: int | None) -> bytes:
    """The stored WebP (our own, made by the ingest) in the size and form asked for."""
    with Image.open(io.BytesIO(stored), formats=["WEBP"]) as opened:
        smaller = width is not None and width < opened.width
        if not smaller and media_type == "image/webp":
            return stored
        picture = opened.convert("RGB")
    if smaller and width is not None:
        height = max(1, round(picture.height * width / picture.width))
        picture = picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
    target = io.BytesIO()
    if media_type == "image/webp":
        picture.save(target, "WEBP", quality=_WEBP_QUALITY, method=2)
    else:
        picture.save(target, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return target.getvalue()
