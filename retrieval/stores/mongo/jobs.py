"""The queue. One document a job, one an entry, so that workers on one upload do not wait for each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from pymongo import UpdateOne

from retrieval.documents import (
    FINISHED_ENTRY,
    EntryState,
    FailedPage,
    Job,
    JobState,
    Lease,
    NewEntry,
    QueueDepth,
    waiting_again,
)
from retrieval.errors import LeaseLost, NotFound
from retrieval.ports import EntryOutcome, Listing, Note
from retrieval.stores.cursors import make_cursor, read_cursor
from retrieval.stores.mongo import leases
from retrieval.stores.mongo.audit import MongoAudit
from retrieval.stores.mongo.job_reading import find_job, whole_jobs
from retrieval.stores.mongo.job_records import (
    AT_ONCE,
    FREE,
    adopted_job,
    failed_page_rows,
    new_entry,
    new_job,
    waits_again,
)
from retrieval.stores.mongo.link import Document, Link, Session, guarded, stamp
from retrieval.stores.mongo.records import record_id
from retrieval.stores.mongo.taking import take_next
from retrieval.stores.queueing import fingerprint_of, key_taken, not_finished

_UNFINISHED = [EntryState.queued, EntryState.running]


class MongoJobs:
    def __init__(self, link: Link, audit: MongoAudit, *, max_attempts: int, new_id: Callable[[], str]) -> None:
        """new_id: makes job ids that sort by time."""
        self.link = link
        self._audit = audit
        self._max_attempts = max_attempts
        self._new_id = new_id

    @guarded
    async def submit(
        self,
        tenant: str,
        claim_id: str,
        entries: Sequence[NewEntry],
        *,
        idempotency_key: str | None = None,
        request_id: str | None = None,
        note: Note[str] | None = None,
    ) -> tuple[Job, bool]:
        job_id, now, asked = self._new_id(), self.link.now(), fingerprint_of(claim_id, entries)
        job = new_job(tenant, claim_id, job_id, now, request_id)
        rows = [new_entry(job, place, entry) for place, entry in enumerate(entries)]

        async def work(session: Session) -> tuple[str, bool]:
            if idempotency_key is not None:
                key_id = record_id(tenant, idempotency_key)
                known = await self.link.job_keys.find_one({"_id": key_id}, session=session)
                if known is not None:
                    if known["asked"] != asked:
                        raise key_taken()
                    return known["job_id"], False
            # Written, not only read: a deletion of the claim writes it too, and one of the two starts over.
            claim = await self.link.claims.update_one(
                {"_id": record_id(tenant, claim_id)}, {"$inc": {"touched": 1}}, session=session
            )
            if not claim.matched_count:
                raise NotFound.of("claim", claim_id)
            if idempotency_key is not None:
                key: Document = {"_id": record_id(tenant, idempotency_key), "tenant_id": tenant, "claim_id": claim_id}
                await self.link.job_keys.insert_one({**key, "job_id": job_id, "asked": asked}, session=session)
            await self.link.jobs.insert_one(job, session=session)
            if rows:
                await self.link.entries.insert_many(rows, session=session)
            if note is not None:
                await self._audit.leave(tenant, note(job_id), session)
            return job_id, True

        made, new = await self.link.transaction(work)
        if new and note is not None:
            await self._audit.chain_waiting(tenant)
        return await find_job(self.link, tenant, made), new

    @guarded
    async def adopt(self, tenant: str, job: Job) -> None:
        document, rows = adopted_job(tenant, waiting_again(job))
        of_job = {"tenant_id": tenant, "job_id": job.job_id}

        async def work(session: Session) -> None:
            claim = await self.link.claims.update_one(
                {"_id": record_id(tenant, job.claim_id)}, {"$inc": {"touched": 1}}, session=session
            )
            if not claim.matched_count:
                raise NotFound.of("claim", job.claim_id)
            await self.link.jobs.replace_one({"_id": document["_id"]}, document, upsert=True, session=session)
            await self.link.entries.delete_many(of_job, session=session)
            if rows:
                await self.link.entries.insert_many(rows, session=session)

        await self.link.transaction(work)

    @guarded
    async def find_by_key(self, tenant: str, idempotency_key: str) -> Job | None:
        known = await self.link.job_keys.find_one({"_id": record_id(tenant, idempotency_key)})
        return None if known is None else await find_job(self.link, tenant, known["job_id"])

    @guarded
    async def get(self, tenant: str, job_id: str) -> Job:
        return await find_job(self.link, tenant, job_id)

    @guarded
    async def list(
        self,
        tenant: str,
        *,
        claim_id: str | None = None,
        state: JobState | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Listing[Job]:
        scope = ("jobs", tenant, claim_id, state)
        query: list[Document] = [{"tenant_id": tenant}]
        if claim_id is not None:
            query.append({"claim_id": claim_id})
        if state in (JobState.queued, JobState.running):  # few, so they need not be looked for among all
            unfinished = {"tenant_id": tenant, "state": {"$in": _UNFINISHED}}
            query.append({"job_id": {"$in": await self.link.entries.distinct("job_id", unfinished)}})
        if cursor is not None:
            created_at, job_id = read_cursor(cursor, scope, ((str,), (str,)))
            same: Document = {"created_at": created_at, "job_id": {"$lt": job_id}}
            query.append({"$or": [{"created_at": {"$lt": created_at}}, same]})
        newest = self.link.jobs.find({"$and": query}).sort([("created_at", -1), ("job_id", -1)])
        found: list[Job] = []
        async for job in whole_jobs(self.link, newest):
            if state is None or job.state is state:
                found.append(job)
            if len(found) > limit:
                last = found[limit - 1]
                return Listing(tuple(found[:limit]), make_cursor(scope, [stamp(last.created_at), last.job_id]))
        return Listing(tuple(found), None)

    @guarded
    async def lease(self, worker_id: str, *, ttl: timedelta) -> Lease | None:
        return await take_next(self.link, worker_id, ttl=ttl, max_attempts=self._max_attempts)

    @guarded
    async def extend(self, lease: Lease, *, ttl: timedelta) -> Lease:
        expires_at = stamp(self.link.clock() + ttl)
        async with leases.under(self.link, lease):
            await leases.extend_entry(self.link, lease, expires_at)
        return replace(lease, expires_at=datetime.fromisoformat(expires_at))

    @guarded
    async def progress(self, lease: Lease, *, pages_total: int, failed_pages: Sequence[FailedPage] = ()) -> None:
        async with leases.under(self.link, lease):
            entry = await leases.held_entry(self.link, lease)
            failed = failed_page_rows(entry["failed_pages"], failed_pages)
            await leases.write_entry(self.link, lease, {"pages_total": pages_total, "failed_pages": failed})

    @guarded
    async def finish(self, lease: Lease, outcome: EntryOutcome) -> None:
        ended: Document = {"state": outcome.state, "code": outcome.code, "detail": outcome.detail, **FREE}
        async with leases.under(self.link, lease):
            entry = await leases.held_entry(self.link, lease)
            ended["failed_pages"] = failed_page_rows(entry["failed_pages"], outcome.failed_pages)
            await leases.write_entry(self.link, lease, ended)

    @guarded
    async def postpone(self, lease: Lease, *, delay: timedelta, code: str, detail: str) -> None:
        waiting: Document = {"state": EntryState.queued, "code": code, "detail": detail, **FREE}
        waiting["available_at"] = stamp(self.link.clock() + delay)
        async with leases.under(self.link, lease):
            await leases.write_entry(self.link, lease, waiting)

    @guarded
    async def release(self, lease: Lease) -> None:
        waiting: Document = {"state": EntryState.queued, "available_at": AT_ONCE, **FREE}
        try:
            async with leases.under(self.link, lease):
                await leases.write_entry(self.link, lease, waiting, attempts=-1)
        except LeaseLost:
            return

    @guarded
    async def cancel(self, tenant: str, job_id: str, *, note: Note[Job] | None = None) -> Job:
        async def work(session: Session) -> None:
            now = self.link.now()
            asked = {"$set": {"cancel_requested": True, "updated_at": now}, "$inc": {"revision": 1}}
            chosen = {"tenant_id": tenant, "job_id": job_id, "cancel_requested": False}
            unfinished: Document = {**chosen, "state": {"$in": _UNFINISHED}}
            if not await self.link.entries.count_documents(unfinished, session=session):
                return
            await self.link.jobs.update_one(chosen, asked, session=session)
            ended = {
                "$set": {**asked["$set"], "state": EntryState.cancelled, "code": None, "detail": None, **FREE},
                "$inc": {"revision": 1},
            }
            # A lease that ran out has no worker that would write next.
            silent: Document = {"state": EntryState.running, "expires_at": {"$lte": now}}
            at_once: Document = {**chosen, "$or": [{"state": EntryState.queued}, silent]}
            await self.link.entries.update_many(at_once, ended, session=session)
            await self.link.entries.update_many({**chosen, "state": EntryState.running}, asked, session=session)

        job = await find_job(self.link, tenant, job_id)
        await self._audit.noted(tenant, work, note and (lambda _: note(job)))
        return await find_job(self.link, tenant, job_id)

    @guarded
    async def retry(self, tenant: str, job_id: str, *, note: Note[Job] | None = None) -> Job:
        async def work(session: Session) -> None:
            of_job = {"tenant_id": tenant, "job_id": job_id}
            entries = await self.link.entries.find(of_job, session=session).to_list()
            if any(entry["state"] not in FINISHED_ENTRY for entry in entries):
                raise not_finished()
            now = self.link.now()
            again = [entry for entry in entries if await self._has_bytes(entry, session)]
            if not again:
                return
            await self.link.entries.bulk_write(
                [UpdateOne({"_id": entry["_id"]}, waits_again(entry, now)) for entry in again], session=session
            )
            job = {"$set": {"cancel_requested": False, "updated_at": now}, "$inc": {"revision": 1}}
            await self.link.jobs.update_one(of_job, job, session=session)

        job = await find_job(self.link, tenant, job_id)
        await self._audit.noted(tenant, work, note and (lambda _: note(job)))
        return await find_job(self.link, tenant, job_id)

    @guarded
    async def depth(self) -> QueueDepth:
        group: Document = {"_id": "$state", "count": {"$sum": 1}, "oldest": {"$min": "$queued_at"}}
        unfinished = {"$match": {"state": {"$in": _UNFINISHED}}}
        groups = await self.link.entries.aggregate([unfinished, {"$group": group}])
        by_state = {found["_id"]: found async for found in groups}
        queued, running = by_state.get(EntryState.queued), by_state.get(EntryState.running)
        waits_s = (self.link.clock() - datetime.fromisoformat(queued["oldest"])).total_seconds() if queued else 0.0
        return QueueDepth(
            queued=queued["count"] if queued else 0,
            running=running["count"] if running else 0,
            oldest_queued_s=max(waits_s, 0.0),
        )

    async def _has_bytes(self, entry: Document, session: Session) -> bool:
        """Whether a failed or cancelled entry can be tried again."""
        if entry["state"] not in (EntryState.failed, EntryState.cancelled) or entry["asset_id"] is None:
            return False
        asset_id = record_id(entry["tenant_id"], entry["claim_id"], entry["asset_id"])
        return await self.link.assets.find_one({"_id": asset_id}, {"_id": 1}, session=session) is not None
