"""Legal hold: a claim of which nothing is deleted until it is released."""

from __future__ import annotations

from fastapi import APIRouter, Response

from app.routes.context import Context, ContextDep, problems
from app.schemas.claims import ClaimReply
from app.schemas.common import ClaimId

router = APIRouter(prefix="/v1/claims", tags=["claims"])


@router.put("/{claim_id}/hold", summary="Put a claim under legal hold", responses=problems(404))
async def hold_claim(context: ContextDep, claim_id: ClaimId, response: Response) -> ClaimReply:
    """Until it is released, deleting it or one of its files is refused with 409 claim_held, and retention passes it
    over. Its facts can still change. Idempotent."""
    return await _set_hold(context, claim_id, True, response)


@router.delete("/{claim_id}/hold", summary="Release a claim from legal hold", responses=problems(404))
async def release_claim(context: ContextDep, claim_id: ClaimId, response: Response) -> ClaimReply:
    """It can be deleted again. Idempotent."""
    return await _set_hold(context, claim_id, False, response)


async def _set_hold(context: Context, claim_id: str, held: bool, response: Response) -> ClaimReply:
    event = context.event("claim.hold" if held else "claim.release", claim_id)
    claim = await context.store.claims.set_hold(context.tenant, claim_id, held, note=lambda _: event)
    response.headers["ETag"] = f'"{claim.version}"'
    return ClaimReply.of(claim)
