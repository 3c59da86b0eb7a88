"""Jobs: the ingest of an upload, watched and steered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from app.routes.context import Context, ContextDep, Cursor, problems
from app.schemas.common import JobId, ListReply, RecordId
from app.schemas.files import JobReply
from retrieval.documents import FINISHED_JOB, Job, JobState
from retrieval.errors import ClaimsightError

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

POLL_S = 0.5
HEARTBEAT_S = 15.0


@router.get("", summary="List jobs", responses=problems())
async def list_jobs(
    context: ContextDep,
    claim_id: Annotated[RecordId | None, Query(description="Only jobs of this claim.")] = None,
    state: Annotated[JobState | None, Query(description="Only jobs in this state.")] = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> ListReply[JobReply]:
    """Newest first."""
    listing = await context.store.jobs.list(context.tenant, claim_id=claim_id, state=state, cursor=cursor, limit=limit)
    await context.seen("jobs.list", "", claims=[job.claim_id for job in listing.items])
    return ListReply(items=[JobReply.of(job) for job in listing.items], next_cursor=listing.next_cursor)


@router.get("/{job_id}", summary="Read a job", responses=problems(404))
async def get_job(context: ContextDep, job_id: JobId) -> JobReply:
    """Its files, how far each is, and why one failed."""
    job = await context.store.jobs.get(context.tenant, job_id)
    await context.seen("job.view", job_id, claims=[job.claim_id])
    return JobReply.of(job)


@router.get(
    "/{job_id}/events",
    summary="Follow a job",
    response_class=StreamingResponse,
    responses={
        200: {"description": "Events `job` with the job as data.", "content": {"text/event-stream": {}}},
        204: {"description": "The job has ended and its last event was received (Last-Event-ID)."},
        **problems(404),
    },
)
async def follow_job(
    context: ContextDep,
    job_id: JobId,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
) -> Response:
    """Server-sent events: the job now, then after each change, until it has ended. A comment every 15 seconds keeps
    the line open; as often the key is looked up again, and the line of one that ended ends with an event `problem`."""
    job = await context.store.jobs.get(context.tenant, job_id)
    await context.seen("job.follow", job_id, claims=[job.claim_id])
    if job.state in FINISHED_JOB and last_event_id is not None and last_event_id.strip() == str(job.revision):
        return Response(status_code=204)
    return StreamingResponse(_events(context, job), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


@router.post("/{job_id}/cancel", summary="Cancel a job", responses=problems(404))
async def cancel_job(context: ContextDep, job_id: JobId) -> JobReply:
    """What waits is cancelled at once, what runs when its worker next writes; pages already stored stay."""
    job = await context.store.jobs.cancel(
        context.tenant, job_id, note=lambda job: context.event("job.cancel", job_id, claims=[job.claim_id])
    )
    return JobReply.of(job)


@router.post("/{job_id}/retry", summary="Try failed files again", responses=problems(404, 409))
async def retry_job(context: ContextDep, job_id: JobId) -> JobReply:
    """Failed and cancelled files whose bytes were taken wait again. 409 job_not_finished while it runs."""
    job = await context.store.jobs.retry(
        context.tenant, job_id, note=lambda job: context.event("job.retry", job_id, claims=[job.claim_id])
    )
    return JobReply.of(job)


async def _events(context: Context, job: Job) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    sent = ""
    spoke_at = admitted_at = loop.time()
    while True:
        data = JobReply.of(job).model_dump_json()
        if data != sent:
            yield f"id: {job.revision}\nevent: job\ndata: {data}\n\n"
            sent, spoke_at = data, loop.time()
        elif loop.time() - spoke_at >= HEARTBEAT_S:
            yield ": still here\n\n"
            spoke_at = loop.time()
        if job.state in FINISHED_JOB or await _stopping_within(context.services.stopping, POLL_S):
            return
        try:
            if loop.time() - admitted_at >= HEARTBEAT_S:
                await context.admit_again()
                admitted_at = loop.time()
            job = await context.store.jobs.get(context.tenant, job.job_id)
        except ClaimsightError as error:
            # The key ended or the job was deleted meanwhile, or the store is away: the client asks anew and gets the
            # problem then.
            yield f'event: problem\ndata: {{"code": "{error.code}"}}\n\n'
            return


async def _stopping_within(stopping: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return False
    return True
