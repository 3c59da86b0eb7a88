"""Files: uploaded to a claim, read back, taken away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from app.problems import problem_of
from app.routes.context import ContextDep, problems
from app.routes.upload import receive_upload
from app.schemas.common import AssetId, ClaimId, ListReply, RecordId, RemovedReply
from app.schemas.files import AssetReply, JobReply
from retrieval.documents import Asset, EntryState
from retrieval.errors import InvalidInput
from retrieval.ingestion.intake import RefusedFile, entries_of
from retrieval.ingestion.media import MediaType

router = APIRouter(prefix="/v1", tags=["files"])

_MEDIA_TYPES = frozenset(media_type.value for media_type in MediaType)
_UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "PDF, JPEG, PNG, WebP, TIFF, GIF or HEIC; the bytes decide, not the name.",
                        }
                    },
                }
            }
        },
    }
}
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="The same key again gives the first job, so an upload may be repeated after a lost answer.",
    ),
]
OfClaim = Annotated[RecordId | None, Query(description="The record of this claim; several may hold the same file.")]


@router.post(
    "/claims/{claim_id}/assets",
    status_code=202,
    summary="Upload files to a claim",
    response_model=JobReply,
    responses={200: {"model": JobReply, "description": "The job of the same Idempotency-Key."}}
    | problems(400, 404, 409, 413, 415),
    openapi_extra=_UPLOAD_BODY,
)
async def upload(
    context: ContextDep, request: Request, claim_id: ClaimId, idempotency_key: IdempotencyKey = None
) -> Response:
    """Durable when answered; the ingest follows as the job tells. A refused file does not hurt the others: it is a
    failed entry of the job. When every file is refused the answer is the refusal itself."""
    key = _checked_key(idempotency_key)
    services = context.services
    # All before a byte of the files is read: an upload that cannot end well should not be sent.
    await context.store.ping()
    await context.store.claims.get(context.tenant, claim_id)
    await services.require_room()
    taken = await receive_upload(request, services.intake, max_files=services.max_files)
    kept = await services.intake.keep(context.tenant, claim_id, taken)
    refusals = [file for file in kept if isinstance(file, RefusedFile)]
    for refused in refusals:
        services.metrics.file(refused.error.code)
    if len(refusals) == len(kept):
        listed = [
            {"filename": refused.filename, "code": refused.error.code, "detail": refused.error.detail}
            for refused in refusals
        ]
        return problem_of(refusals[0].error, request_id=context.request_id, files=listed)
    job, new = await context.store.jobs.submit(
        context.tenant,
        claim_id,
        entries_of(kept),
        idempotency_key=key,
        request_id=context.request_id,
        note=lambda job_id: context.event("assets.upload", claim_id, files=len(kept), job_id=job_id),
    )
    if new:
        for entry in job.entries:
            if entry.state is not EntryState.failed:
                services.metrics.file("duplicate" if entry.state is EntryState.duplicate else "accepted")
    return JSONResponse(
        JobReply.of(job).model_dump(mode="json"),
        status_code=202 if new else 200,
        headers={"Location": f"/v1/jobs/{job.job_id}"},
    )


@router.get("/claims/{claim_id}/assets", summary="List the files of a claim", responses=problems(404))
async def list_assets(context: ContextDep, claim_id: ClaimId) -> ListReply[AssetReply]:
    """Oldest first, all of them."""
    claim = await context.store.claims.get(context.tenant, claim_id)
    assets = await context.store.assets.list(context.tenant, claim_id)
    await context.seen("assets.list", claim_id)
    return ListReply(items=[AssetReply.of(asset, claim) for asset in assets])


@router.get("/assets/{asset_id}", summary="Read about a file", responses=problems(404))
async def get_asset(context: ContextDep, asset_id: AssetId, claim_id: OfClaim = None) -> AssetReply:
    """What the ingest found, its warnings, and all claims that hold the same bytes."""
    return await _asset_reply(context, asset_id, claim_id)


@router.get(
    "/assets/{asset_id}/content",
    summary="Download a file",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The bytes as uploaded; octet-stream before the ingest knows the kind.",
            "content": {kind: {} for kind in ("application/octet-stream", *sorted(_MEDIA_TYPES))},
        },
        304: {"description": "Not changed (If-None-Match)."},
        **problems(404),
    },
)
async def get_content(
    context: ContextDep,
    asset_id: AssetId,
    claim_id: OfClaim = None,
    if_none_match: Annotated[str | None, Header(alias="If-None-Match")] = None,
) -> Response:
    """Always as an attachment, never shown in a page: it may hold anything."""
    asset = (await context.store.assets.get(context.tenant, asset_id, claim_id=claim_id))[0]
    headers = {
        "ETag": f'"{asset.asset_id}"',
        "Cache-Control": "no-store",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    if etag_matches(if_none_match, headers["ETag"]):
        await context.seen("asset.download", asset_id, claims=[asset.claim_id], from_cache=True)
        return Response(status_code=304, headers=headers)
    chunks = context.store.assets.open(context.tenant, asset_id)
    first = await anext(chunks, b"")  # A file that is gone by now is a 404, not a broken answer.
    await context.seen("asset.download", asset_id, claims=[asset.claim_id])
    return StreamingResponse(
        _all_chunks(first, chunks),
        media_type=asset.media_type if asset.media_type in _MEDIA_TYPES else "application/octet-stream",
        headers={
            **headers,
            "Content-Length": str(asset.size_bytes),
            "Content-Disposition": attachment(asset.filename),
        },
    )


@router.delete("/assets/{asset_id}", summary="Delete a file with its pages", responses=problems(404, 409))
async def delete_asset(context: ContextDep, asset_id: AssetId, claim_id: OfClaim = None) -> RemovedReply:
    """From one claim, or from every claim that holds it; none of them may be under legal hold (409 claim_held)."""
    holders = await context.store.assets.get(context.tenant, asset_id, claim_id=claim_id)
    report = await context.store.assets.delete(
        context.tenant,
        asset_id,
        claim_id=claim_id,
        note=lambda gone: context.event(
            "asset.delete", asset_id, claims=[asset.claim_id for asset in holders], pages=gone.pages
        ),
    )
    return RemovedReply(claims=report.claims, assets=report.assets, pages=report.pages, size_bytes=report.size_bytes)


def attachment(filename: str) -> str:
    """Content-Disposition by RFC 6266: a plain name for all, the exact one (RFC 5987) for who can read it."""
    plain = "".join(sign if sign.isascii() and (sign.isalnum() or sign in " ._-()") else "_" for sign in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def etag_matches(header: str | None, etag: str) -> bool:
    """Weak comparison, as If-None-Match asks for."""
    given = [tag.strip().removeprefix("W/") for tag in (header or "").split(",")]
    return etag in given or "*" in given


async def _asset_reply(context: ContextDep, asset_id: str, claim_id: str | None) -> AssetReply:
    assets: tuple[Asset, ...] = await context.store.assets.get(context.tenant, asset_id)
    shown = [asset for asset in assets if claim_id in (None, asset.claim_id)]
    if not shown:
        shown = list(await context.store.assets.get(context.tenant, asset_id, claim_id=claim_id))
    holders = [asset.claim_id for asset in assets]
    claim = await context.store.claims.get(context.tenant, shown[0].claim_id)
    await context.seen("asset.view", asset_id, claims=holders)
    return AssetReply.of(shown[0], claim, holders)


async def _all_chunks(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


def _checked_key(key: str | None) -> str | None:
    if key is None:
        return None
    if not 1 <= len(key) <= 200 or not all(33 <= ord(sign) <= 126 for sign in key):
        raise InvalidInput(
            "Idempotency-Key takes 1 to 200 visible ASCII characters.", code="bad_key", field="Idempotency-Key"
        )
    return key
