"""Is it alive, is it ready, how is it doing: at the root, not under /v1."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from app.access import OPERATE
from app.metrics import Now
from app.readiness import check_readiness
from app.routes.context import Context, ContextDep, problems
from app.schemas.health import HealthReply, ReadyReply
from retrieval.errors import ClaimsightError

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Alive")
async def get_health() -> HealthReply:
    """Answers whenever the process does; asks nobody."""
    return HealthReply()


@router.get(
    "/readyz",
    summary="Ready",
    responses={503: {"model": ReadyReply, "description": "Not ready; the checks say why."}},
)
async def get_ready(context: ContextDep, response: Response) -> ReadyReply:
    """Store, index, encoder, queue and workers. 200 when searches and uploads can be served. Figures over all tenants
    are shown to an admin of the server's own tenant only."""
    context.services.warm_up()
    ready = await check_readiness(context.services)
    if not await _is_operator(context):
        ready = ready.for_strangers()
    if not ready.ready:
        response.status_code = 503
    return ready


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"description": "Text format.", "content": {"text/plain": {}}}, **problems()},
)
async def get_metrics(context: ContextDep) -> Response:
    """Requests, stages of searches, calls of the store, batches of the encoder, ingest, the queue, the audit, sketches.
    The workers of this server are counted in; docs/monitoring has a dashboard and alerts."""
    services = context.services
    watch = services.supervisor.workers() if services.supervisor is not None else None
    now = Now(
        depth=await context.store.jobs.depth(),
        pages=await context.store.pages.counts(),
        workers=None if watch is None else (watch.alive, watch.wanted),
        audit_unmoved=services.journal.unmoved,
        sketched_pages=services.sketched_pages,
    )
    text = await asyncio.to_thread(services.metrics.snapshot, now)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


async def _is_operator(context: Context) -> bool:
    try:
        OPERATE.check(await context.services.door.identify(context.request.headers))
    except ClaimsightError:
        return False
    return True
