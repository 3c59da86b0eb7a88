"""A data set into a store, the way an upload goes: intake, queue, worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from models.encoder import Encoder
from retrieval.documents import FINISHED_JOB, Claim, EntryState
from retrieval.errors import Refused
from retrieval.ingestion.intake import Intake
from retrieval.ingestion.limits import Limits
from retrieval.ingestion.worker import Worker
from retrieval.ports import Store

_CHUNK_BYTES = 1 << 20
# A file a worker: while one waits for the encoder, another's picture is rendered.
_WORKERS = 2
_LOOK_S = 0.1


async def index_pictures(
    store: Store,
    encoder: Encoder,
    intake: Intake,
    tenant: str,
    pictures: Mapping[str, Path],
    *,
    work_dir: Path,
    progress: Callable[[int, int], None],
) -> dict[str, str]:
    """Uploads each file into the claim it is keyed by and works until all are indexed; what failed, with the reason.

    Files that an earlier run has indexed cost nothing. progress: called with (files finished, all files).
    """
    failed: dict[str, str] = {}
    jobs: dict[str, str] = {}
    for claim_id, path in pictures.items():
        await store.claims.put(tenant, Claim(claim_id=claim_id))
        try:
            received = await intake.receive(path.name, chunks_of(path))
        except Refused as error:
            failed[claim_id] = error.detail
            continue
        job, _ = await intake.submit(tenant, claim_id, [received])
        jobs[claim_id] = job.job_id
    stop = asyncio.Event()
    workers = [
        asyncio.create_task(
            Worker(
                store,
                encoder,
                worker_id=f"evaluation-{number}",
                work_dir=work_dir,
                limits=Limits(),
                poll_interval_s=_LOOK_S,
            ).run(stop)
        )
        for number in range(_WORKERS)
    ]
    try:
        waiting = set(jobs.values())
        while waiting:
            await _look(store, tenant, waiting, workers)
            progress(len(pictures) - len(waiting), len(pictures))
            await asyncio.sleep(_LOOK_S if waiting else 0)
    finally:
        stop.set()
        await asyncio.gather(*workers)
    for claim_id, job_id in jobs.items():
        [entry] = (await store.jobs.get(tenant, job_id)).entries
        if entry.state not in (EntryState.succeeded, EntryState.duplicate):
            failed[claim_id] = entry.detail or entry.code or entry.state.value
    return failed


async def _look(store: Store, tenant: str, waiting: set[str], workers: list[asyncio.Task[None]]) -> None:
    """Takes jobs that have ended out of `waiting`. The oldest end first, so only those are looked at."""
    for job_id in sorted(waiting)[: 4 * _WORKERS]:
        if (await store.jobs.get(tenant, job_id)).state in FINISHED_JOB:
            waiting.discard(job_id)
    for worker in workers:
        if worker.done():
            worker.result()


async def chunks_of(path: Path) -> AsyncIterator[bytes]:
    """A file as an upload brings it."""
    with await asyncio.to_thread(path.open, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk
