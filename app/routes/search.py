"""Search and explain, by words, pictures or a page."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from PIL import Image
from pydantic import BaseModel, ValidationError

from app.multipart import Part, read_form
from app.problems import invalid_input
from app.routes.context import Context, ContextDep, problems
from app.schemas.search import ExplainReply, ExplainRequest, HitReply, LossesReply, SearchReply, SearchRequest
from retrieval.errors import InvalidInput, TooLarge
from retrieval.filters import parse_filter
from retrieval.queries import MAX_IMAGES, Query
from retrieval.stores.cursors import make_cursor, read_cursor

router = APIRouter(prefix="/v1", tags=["search"])

_QUERY_BYTES = 256 * 1024
_MOST_OFFSET = 10_000

M = TypeVar("M", bound=BaseModel)


def _body(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """JSON, or a form with the same JSON and pictures: FastAPI cannot say so by itself."""
    reference = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": reference, "example": example},
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["image"],
                        "properties": {
                            "query": {"type": "string", "description": "The same object as JSON text."},
                            "image": {
                                "type": "array",
                                "maxItems": MAX_IMAGES,
                                "items": {"type": "string", "format": "binary"},
                            },
                        },
                    }
                },
            },
        }
    }


@router.post(
    "/search",
    summary="Find pages or claims",
    responses=problems(400, 404, 409, 413, 415),
    openapi_extra=_body(SearchRequest, {"text": "smashed windshield", "group_by": "claim", "limit": 5}),
)
async def search(context: ContextDep, request: Request) -> SearchReply:
    """By words, by pictures (a form with `image` and, as JSON text, `query`), or by a stored page. The filter is part
    of the search: what does not pass is never a candidate. A cursor belongs to the question it came from."""
    asked, pictures = await _read(context, request, SearchRequest)
    question = Query(
        text=asked.text,
        images=pictures.images,
        page_id=asked.page_id,
        filter=parse_filter(asked.filter),
        group_by=asked.group_by,
        limit=asked.limit,
        exclude_claim_ids=tuple(asked.exclude_claim_ids),
        min_score=asked.min_score,
        diversity=asked.diversity,
        exact_text=asked.exact_text,
    )
    return await answer(context, question, asked.cursor, pictures.digests, filter_source=asked.filter)


@router.post(
    "/explain",
    summary="Where a page answers a question",
    responses=problems(400, 404, 409, 413, 415),
    openapi_extra=_body(ExplainRequest, {"page_id": "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f-1", "text": "windshield"}),
)
async def explain(context: ContextDep, request: Request) -> ExplainReply:
    """A grid for each word, one for all together, and the page with what matched marked. 409 explain_unsupported with
    an encoder that gives one vector a page."""
    asked, pictures = await _read(context, request, ExplainRequest)
    question = Query(text=asked.text, images=pictures.images, page_id=asked.like_page_id)
    async with context.services.searching() as engine:
        found = await engine.explain(context.tenant, question, asked.page_id, overlay=asked.overlay)
    page = await context.store.pages.get(context.tenant, asked.page_id)
    _, _, details = context.services.marks.search(question, pictures.digests, None)
    await context.seen("page.explain", asked.page_id, claims=[page.claim_id], **details)
    return ExplainReply.of(found)


async def answer(
    context: Context,
    question: Query,
    cursor: str | None,
    digests: tuple[str, ...] = (),
    *,
    filter_source: object,
) -> SearchReply:
    """The hits of a question from the place that the cursor names. filter_source: the filter as it was sent. Raises
    InvalidInput bad_cursor and what the engine raises."""
    started = time.perf_counter()
    scope = _scope(context.tenant, question, digests)
    if cursor is not None:
        [offset] = read_cursor(cursor, scope, [(int,)])
        if isinstance(offset, bool) or not isinstance(offset, int) or not 0 <= offset <= _MOST_OFFSET:
            raise InvalidInput("The list ends here; ask a narrower question.", code="bad_cursor", field="cursor")
        question = replace(question, offset=offset)
    async with context.services.searching() as engine:
        result = await engine.search(context.tenant, question)
    context.services.metrics.search(result.stages_ms)
    action, target, details = context.services.marks.search(question, digests, filter_source)
    shown = [hit.claim.claim_id for hit in result.hits]
    await context.seen(action, target, claims=shown, hits=len(result.hits), **details)
    more = result.next_offset is not None and result.next_offset <= _MOST_OFFSET
    return SearchReply.model_construct(
        hits=[HitReply.of(hit) for hit in result.hits],
        total=result.total,
        next_cursor=make_cursor(scope, [result.next_offset]) if more else None,
        encoder=result.encoder,
        took_ms=round((time.perf_counter() - started) * 1000, 2),
        stages_ms={stage: round(took, 2) for stage, took in result.stages_ms.items()},
        asked=list(result.asked),
        losses=[LossesReply.of(losses) for losses in result.losses],
    )


@dataclass(frozen=True, slots=True)
class _Pictures:
    """digests: of the bytes as sent, so that a cursor belongs to the same pictures."""

    images: tuple[Image.Image, ...] = ()
    digests: tuple[str, ...] = ()


def _scope(tenant: str, question: Query, digests: tuple[str, ...]) -> tuple[object, ...]:
    return (
        "search",
        tenant,
        question.text,
        question.page_id,
        digests,
        question.filter,
        question.group_by,
        question.exclude_claim_ids,
        question.min_score,
        question.diversity,
        question.exact_text,
        question.claim_id,
        question.page_ids,
        question.exclude_same_policy,
    )


async def _read(context: Context, request: Request, model: type[M]) -> tuple[M, _Pictures]:
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return await _read_form(context, request, model)
    try:
        source: object = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise InvalidInput("The body is not JSON.", code="malformed_json", field="body") from None
    return _checked(source, model), _Pictures()


async def _read_form(context: Context, request: Request, model: type[M]) -> tuple[M, _Pictures]:
    source: object = {}
    images: list[Image.Image] = []
    digests: list[str] = []
    room = context.services.limits.request_bytes
    async for part in read_form(request, max_parts=MAX_IMAGES + 1):
        if part.name == "query":
            try:
                source = json.loads(await part.text(limit_bytes=_QUERY_BYTES))
            except (ValueError, RecursionError):
                raise InvalidInput("query is not JSON.", code="malformed_json", field="query") from None
        elif part.name == "image":
            hashed = _Hashed(part, room)
            async with context.services.query_renderers:
                images.append(await context.services.intake.read_picture(hashed.chunks()))
            digests.append(hashed.digest.hexdigest())
            room -= hashed.size_bytes
        else:
            raise InvalidInput(
                f"There is no field {part.name[:40]!r}: a question has query and image.", code="bad_query", field="form"
            )
    return _checked(source, model), _Pictures(tuple(images), tuple(digests))


def _checked(source: object, model: type[M]) -> M:
    try:
        return model.model_validate(source)
    except ValidationError as error:
        raise invalid_input(error, code="bad_query") from None


class _Hashed:
    """Counts and hashes a picture on its way to the spool."""

    def __init__(self, part: Part, room_bytes: int) -> None:
        self._part = part
        self._room_bytes = room_bytes
        self.digest = sha256()
        self.size_bytes = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        async for chunk in self._part.chunks:
            self.digest.update(chunk)
            self.size_bytes += len(chunk)
            if self.size_bytes > self._room_bytes:
                raise TooLarge("The pictures are together too large.", code="request_too_large")
            yield chunk
