"""Who did what, kept for ever: a chain for each tenant, whose numbers are the ids of its records."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern

from retrieval.audit import continuing, record_after, records_after
from retrieval.documents import AuditEvent, AuditHead, AuditRecord
from retrieval.ports import Listing, Note
from retrieval.stores.cursors import make_cursor, read_cursor
from retrieval.stores.mongo.link import Collection, Document, Link, Session, guarded
from retrieval.stores.mongo.records import audit_document, event_of, record_id, record_of, waiting_document

T = TypeVar("T")

_TAKEN_PAUSE_S = 0.005
_DUPLICATE = 11000

_log = structlog.get_logger("claimsight.audit")


class MongoAudit:
    def __init__(self, link: Link) -> None:
        self.link = link
        self._one_at_a_time = asyncio.Lock()  # of this process; the ids of the records see to the others
        self._last: dict[str, AuditHead] = {}  # written by this process; saves a look, as long as nobody else writes

    @guarded
    async def append(self, tenant: str, *events: AuditEvent) -> None:
        async with self._one_at_a_time:
            end, left = self._last.pop(tenant, None), list(events)
            while left:
                records = records_after(end or await self._end(tenant), tenant, left)
                written = await self._insert(tenant, records)
                if written:
                    end = self._last[tenant] = AuditHead(records[written - 1].number, records[written - 1].hash)
                    await self._note_head(tenant, records[written - 1])
                del left[:written]
                if left:  # another process was quicker
                    end = None
                    self._last.pop(tenant, None)
                    await asyncio.sleep(_TAKEN_PAUSE_S)

    async def noted(self, tenant: str, work: Callable[[Session], Awaitable[T]], note: Note[T] | None) -> T:
        """Runs `work` as one transaction together with its record, and puts that into the chain."""

        async def whole(session: Session) -> T:
            result = await work(session)
            if note is not None:
                await self.leave(tenant, note(result), session)
            return result

        result = await self.link.transaction(whole)
        if note is not None:
            await self.chain_waiting(tenant)
        return result

    async def leave(self, tenant: str, event: AuditEvent, session: Session) -> None:
        """In the transaction of a change: its record, durable with it. It has no number yet, so that changes do not
        conflict with each other over the next one; `chain_waiting` gives it one."""
        await self.link.audit_waiting.insert_one(waiting_document(tenant, event), session=session)

    async def chain_waiting(self, tenant: str) -> None:
        """Puts what changes left into the chain, in the order they left it. The change has happened, so this raises
        nothing: what cannot be chained now is chained by the next call, of any process."""
        chosen: Document = {"tenant_id": tenant}
        try:
            async with self._one_at_a_time:
                for waiting in await self.link.audit_waiting.find(chosen).sort("_id", 1).to_list():
                    await self.number_old(tenant, waiting, self.link.audit_waiting)
        except PyMongoError as error:
            _log.warning("audit_record_waits", error=type(error).__name__)

    @guarded
    async def list(self, tenant: str, *, cursor: str | None = None, limit: int = 100) -> Listing[AuditEvent]:
        scope = ("audit", tenant)
        query: Document = {"tenant_id": tenant}
        if cursor is not None:
            at, identity = read_cursor(cursor, scope, ((str,), (str,)))
            earlier: Document = {"at": at, "_id": {"$lt": identity}}
            query["$or"] = [{"at": {"$lt": at}}, earlier]
        found = await self.link.audit.find(query).sort([("at", -1), ("_id", -1)]).limit(limit + 1).to_list()
        last = found[limit - 1] if len(found) > limit else None
        following = make_cursor(scope, [last["at"], last["_id"]]) if last else None
        return Listing(tuple(map(event_of, found[:limit])), following)

    @guarded
    async def records(self, tenant: str, *, after: int = 0, limit: int = 1000) -> tuple[AuditRecord, ...]:
        await self.chain_waiting(tenant)
        return tuple(await self._records(tenant, after, limit))

    @guarded
    async def head(self, tenant: str) -> AuditHead:
        await self.chain_waiting(tenant)
        return await self._noted(tenant)

    @guarded
    async def adopt(self, tenant: str, records: Sequence[AuditRecord]) -> None:
        if not records:
            return
        mine = await self._records(tenant, records[0].number - 1, len(records))
        new = continuing(tenant, await self._end(tenant), mine, records)
        if new:
            await self.link.audit.insert_many([audit_document(tenant, record) for record in new])
            await self._note_head(tenant, new[-1])

    async def number_old(self, tenant: str, old: Document, place: Collection) -> None:
        """Gives a record that lies in `place` without a number the next one of the chain; harmless when another
        process did."""

        async def work(session: Session) -> AuditRecord | None:
            gone = await place.delete_one({"_id": old["_id"]}, session=session)
            if not gone.deleted_count:
                return None
            record = record_after(await self._end(tenant, session), tenant, event_of(old))
            await self.link.audit.insert_one(audit_document(tenant, record), session=session)
            return record

        if (record := await self.link.transaction(work)) is not None:
            await self._note_head(tenant, record)

    async def _insert(self, tenant: str, records: Sequence[AuditRecord]) -> int:
        """How many of them were written, from the first on: fewer when another process took one of the numbers."""
        try:
            await self.link.audit.insert_many([audit_document(tenant, record) for record in records])
        except BulkWriteError as error:
            if any(fault["code"] != _DUPLICATE for fault in error.details["writeErrors"]):
                raise
            return int(error.details["nInserted"])
        return len(records)

    async def _records(self, tenant: str, after: int, limit: int) -> Sequence[AuditRecord]:
        chosen: Document = {"tenant_id": tenant, "number": {"$gt": after}}
        found = await self.link.audit.find(chosen).sort("number", 1).limit(limit).to_list()
        return [record_of(document) for document in found]

    async def _noted(self, tenant: str, session: Session | None = None) -> AuditHead:
        noted = await self.link.audit_heads.find_one({"_id": record_id(tenant)}, session=session)
        return AuditHead(noted["number"], noted["hash"]) if noted else AuditHead()

    async def _end(self, tenant: str, session: Session | None = None) -> AuditHead:
        """What the next record follows: the last one, or the noted head when records behind it were taken away, so
        that the gap stays to be seen."""
        # A record that an election of a new primary could still undo must not be built upon.
        audit = self.link.audit if session else self.link.audit.with_options(read_concern=ReadConcern("majority"))
        chosen: Document = {"tenant_id": tenant, "number": {"$exists": True}}
        newest = await audit.find(chosen, session=session).sort("number", -1).limit(1).to_list()
        last = AuditHead(newest[0]["number"], newest[0]["hash"]) if newest else AuditHead()
        noted = await self._noted(tenant, session)
        return noted if noted.number > last.number else last

    async def _note_head(self, tenant: str, record: AuditRecord) -> None:
        """Never backwards: another process may have noted a later one by now."""
        before: Document = {"_id": record_id(tenant), "number": {"$lt": record.number}}
        head = {"tenant_id": tenant, "number": record.number, "hash": record.hash}
        try:
            await self.link.audit_heads.update_one(before, {"$set": head}, upsert=True)
        except DuplicateKeyError:
            return
