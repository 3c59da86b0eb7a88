"""Jobs as they stand, with their entries: how far each is, is counted from what is stored, never set by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from pymongo.asynchronous.cursor import AsyncCursor

from retrieval.documents import Job
from retrieval.errors import NotFound
from retrieval.stores.mongo.job_records import job_of
from retrieval.stores.mongo.link import Document, Link
from retrieval.stores.mongo.records import record_id

_BATCH = 100  # jobs whose entries are read in one go


async def find_job(link: Link, tenant: str, job_id: str) -> Job:
    """Raises NotFound."""
    job = await link.jobs.find_one({"_id": record_id(tenant, job_id)})
    if job is None:
        raise NotFound.of("job", job_id)
    return (await _with_entries(link, [job]))[0]


async def whole_jobs(link: Link, jobs: AsyncCursor[Document]) -> AsyncIterator[Job]:
    """Jobs with their entries, a batch at a time."""
    batch: list[Document] = []
    async for job in jobs.batch_size(_BATCH):
        batch.append(job)
        if len(batch) == _BATCH:
            for whole in await _with_entries(link, batch):
                yield whole
            batch = []
    for whole in await _with_entries(link, batch):
        yield whole


async def _with_entries(link: Link, jobs: Sequence[Document]) -> list[Job]:
    if not jobs:
        return []
    chosen = {"tenant_id": jobs[0]["tenant_id"], "job_id": {"$in": [job["job_id"] for job in jobs]}}
    entries: dict[str, list[Document]] = {}
    async for entry in link.entries.find(chosen):
        entries.setdefault(entry["job_id"], []).append(entry)
    done = await _count_pages(link, [entry for rows in entries.values() for entry in rows])
    return [job_of(job, entries.get(job["job_id"], []), done) for job in jobs]


async def _count_pages(link: Link, entries: Sequence[Document]) -> dict[str, int]:
    """Pages done of each entry, by its _id: those of its file that are stored, and those that failed and are not.
    The entries must be of one tenant."""
    of_files = [entry for entry in entries if entry["asset_id"] is not None]
    if not of_files:
        return {entry["_id"]: 0 for entry in entries}
    tenant = of_files[0]["tenant_id"]
    wanted: Document = {
        "tenant_id": tenant,
        "asset_id": {"$in": list({entry["asset_id"] for entry in of_files})},
        "claim_id": {"$in": list({entry["claim_id"] for entry in of_files})},
    }
    file_of = {"claim": "$claim_id", "asset": "$asset_id"}
    groups = await link.pages.aggregate([{"$match": wanted}, {"$group": {"_id": file_of, "pages": {"$sum": 1}}}])
    stored = {(group["_id"]["claim"], group["_id"]["asset"]): group["pages"] async for group in groups}
    done: dict[str, int] = {}
    for entry in entries:
        failed = [number for number, _, _ in entry["failed_pages"]]
        count = stored.get((entry["claim_id"], entry["asset_id"]), 0)
        if failed and count:
            both: Document = {"tenant_id": tenant, "claim_id": entry["claim_id"], "asset_id": entry["asset_id"]}
            count -= await link.pages.count_documents({**both, "number": {"$in": failed}})
        done[entry["_id"]] = count + len(failed)
    return done
