"""A worker takes the next entry: a compare-and-set of one entry by its token, so two workers never hold one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from pymongo import ReturnDocument
from pymongo.errors import OperationFailure

from retrieval.documents import EntryState, Lease
from retrieval.stores.mongo.job_records import FREE, lease_of
from retrieval.stores.mongo.link import Document, Link, Session, stamp
from retrieval.stores.queueing import exhausted

# Several, so that workers that look at the same moment do not all fight for the first.
_CANDIDATES = 8
_WRITE_CONFLICT = 112


class _Locked(Exception):
    """Another transaction has written the entry and has not ended."""


async def take_next(link: Link, worker_id: str, *, ttl: timedelta, max_attempts: int) -> Lease | None:
    """Leases the oldest entry that can be taken; None when there is none."""
    locked: list[str] = []
    while candidates := await _waiting(link, locked):
        for entry in candidates:
            try:
                taken = await _take(link, entry, worker_id, ttl=ttl, max_attempts=max_attempts)
            except _Locked:
                locked.append(entry["_id"])
                continue
            if taken is not None:
                return lease_of(taken)
    return None


async def _waiting(link: Link, locked: Sequence[str]) -> list[Document]:
    """Entries to be taken, the oldest first: those that wait, and those whose worker went silent. locked: ids of
    those to leave out."""
    now = link.now()
    others: Document = {"_id": {"$nin": locked}} if locked else {}
    found: list[Document] = []
    for query in (
        {"state": EntryState.queued, "available_at": {"$lte": now}},
        {"state": EntryState.running, "expires_at": {"$lte": now}},
    ):
        found += await link.entries.find({**others, **query}).sort("place", 1).limit(_CANDIDATES).to_list()
    return sorted(found, key=_place_of)[:_CANDIDATES]


async def _take(link: Link, entry: Document, worker_id: str, *, ttl: timedelta, max_attempts: int) -> Document | None:
    """Leases the entry as it was seen, or ends it when it had its chances; None when there is no lease.

    In a transaction, for that one fails at once where a plain write would wait: a worker that was killed while it
    stored pages leaves a transaction that keeps the entry, until MongoDB ends it after a minute or two. Raises
    _Locked.
    """
    seen = {name: entry[name] for name in ("_id", "state", "token", "expires_at", "cancel_requested")}
    update: Document = {"updated_at": link.now()}
    if entry["cancel_requested"]:
        update.update(state=EntryState.cancelled, **FREE)
    elif entry["attempts"] >= max_attempts:
        update.update(state=EntryState.failed, code="attempts_exhausted", **FREE)
        update["detail"] = exhausted(entry["attempts"], entry["detail"])
    else:
        update.update(state=EntryState.running, worker_id=worker_id, code=None, detail=None, failed_pages=[])
        update["expires_at"] = stamp(link.clock() + ttl)
    more = 1 if update["state"] == EntryState.running else 0
    changes: Document = {"$set": update, "$inc": {"token": more, "attempts": more, "revision": 1}}

    async def work(session: Session) -> Document | None:
        try:
            return await link.entries.find_one_and_update(
                seen, changes, return_document=ReturnDocument.AFTER, session=session
            )
        except OperationFailure as error:
            if error.code == _WRITE_CONFLICT:
                raise _Locked from error  # else it would be tried again until the time is up
            raise

    taken = await link.transaction(work)
    return taken if more else None


def _place_of(entry: Document) -> str:
    return entry["place"]
