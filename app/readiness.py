"""Whether searches and uploads can be served, and what is missing where not. /readyz and `doctor` ask here."""

from __future__ import annotations

import asyncio

from app.schemas.health import EncoderCheck, IndexCheck, QueueCheck, ReadyReply, StoreCheck, WorkersCheck
from app.services import Services
from models import encoder_id
from retrieval.errors import ClaimsightError
from retrieval.reindex import stale_pages

_STORE_LIMIT_S = 5.0


async def check_readiness(services: Services) -> ReadyReply:
    """Raises nothing: what cannot be asked is not ready."""
    store = services.store
    index: IndexCheck | None = None
    queue: QueueCheck | None = None
    stored: dict[str, int] = {}
    store_check = StoreCheck(ok=True, engine=store.engine)
    try:
        async with asyncio.timeout(_STORE_LIMIT_S):
            await store.ping()
            status = await store.index_status()
            index = IndexCheck(
                ok=status.state == "ready",
                state=status.state,
                pages=status.pages,
                indexed=status.indexed,
                detail=status.detail,
            )
            stored = await store.pages.counts()
            depth = await store.jobs.depth()
        queue = QueueCheck(queued=depth.queued, running=depth.running, oldest_queued_s=depth.oldest_queued_s)
    except ClaimsightError as error:
        store_check = StoreCheck(ok=False, engine=store.engine, detail=error.detail)
    except TimeoutError:
        store_check = StoreCheck(ok=False, engine=store.engine, detail="The store does not answer in time.")
    await services.probe_encoder()
    encoder = services.loaded_encoder
    name = encoder_id(encoder) if encoder is not None else None
    encoder_check = EncoderCheck(
        ok=services.encoder_state == "ready",
        state=services.encoder_state,
        name=name,
        stored=stored,
        stale=stale_pages(stored, name) if name is not None else 0,
        detail=services.encoder_detail,
    )
    workers = WorkersCheck(ok=True, alive=0, wanted=0)
    if services.supervisor is not None:
        watched = services.supervisor.workers()
        workers = WorkersCheck(ok=watched.alive > 0 or watched.wanted == 0, alive=watched.alive, wanted=watched.wanted)
    ready = store_check.ok and index is not None and index.ok and encoder_check.ok and workers.ok
    return ReadyReply(ready=ready, store=store_check, index=index, encoder=encoder_check, queue=queue, workers=workers)
