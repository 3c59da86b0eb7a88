"""Who asks, as the server sees it."""

from __future__ import annotations

from fastapi import APIRouter

from app.routes.context import ContextDep, problems
from app.schemas.me import MeReply

router = APIRouter(prefix="/v1", tags=["me"])


@router.get("/me", summary="Who the key or token is", responses=problems())
async def get_me(context: ContextDep) -> MeReply:
    """Its tenant, its role, and when it ends."""
    return MeReply.of(context.who)
