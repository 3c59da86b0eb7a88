"""Fencing: a worker's write goes through only while the entry is still its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from retrieval.documents import EntryState, Lease
from retrieval.errors import LeaseLost
from retrieval.stores.mongo.link import Document, Link, Session
from retrieval.stores.mongo.records import record_id


def entry_id(tenant: str, job_id: str, index: int) -> str:
    return record_id(tenant, job_id, str(index))


def held(lease: Lease) -> Document:
    """Matches the entry while the lease holds: same token, running, nobody asked to cancel."""
    return {
        "_id": entry_id(lease.tenant_id, lease.job_id, lease.entry_index),
        "token": lease.token,
        "state": EntryState.running,
        "cancel_requested": False,
    }


async def write_entry(
    link: Link, lease: Lease, fields: Document, *, session: Session | None = None, **more: int
) -> None:
    """Changes the entry under its lease. Inside a transaction it also keeps any other worker from taking the entry
    before the commit. more: what is added to numbers of it. Raises LeaseLost."""
    changes = {"$set": {"updated_at": link.now(), **fields}, "$inc": {"revision": 1, **more}}
    await _write(link, lease, changes, session)


async def extend_entry(link: Link, lease: Lease, expires_at: str) -> None:
    """A longer lease; nobody who watches the job needs to hear of it. Raises LeaseLost."""
    await _write(link, lease, {"$set": {"expires_at": expires_at}}, None)


async def held_entry(link: Link, lease: Lease) -> Document:
    """The entry as it is. Raises LeaseLost."""
    entry = await link.entries.find_one(held(lease))
    if entry is None:
        raise _lost()
    return entry


@asynccontextmanager
async def under(link: Link, lease: Lease) -> AsyncGenerator[None]:
    """Around a worker's write: an entry whose cancellation was asked for meanwhile ends here."""
    try:
        yield
    except LeaseLost:
        asked = {**held(lease), "cancel_requested": True}
        ended = {"state": EntryState.cancelled, "updated_at": link.now()}
        await link.entries.update_one(asked, {"$set": ended, "$inc": {"revision": 1}})
        raise


async def _write(link: Link, lease: Lease, changes: Document, session: Session | None) -> None:
    done = await link.entries.update_one(held(lease), changes, session=session)
    if not done.matched_count:
        raise _lost()


def _lost() -> LeaseLost:
    return LeaseLost("Another worker has this file now, or its job was cancelled.")
