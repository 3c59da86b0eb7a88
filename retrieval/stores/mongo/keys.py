"""API keys in MongoDB: one document a key, by its id."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from retrieval.errors import Conflict, NotFound
from retrieval.keys import ApiKey, Role
from retrieval.ports import Note
from retrieval.stores.keys import require_lasting
from retrieval.stores.mongo.audit import MongoAudit
from retrieval.stores.mongo.link import Document, Link, Session, guarded, stamp

_ENDS = ("expires_at", "revoked_at", "last_used_at")


class MongoKeys:
    def __init__(self, link: Link, audit: MongoAudit) -> None:
        self.link = link
        self._audit = audit

    @guarded
    async def add(self, key: ApiKey, *, note: Note[ApiKey] | None = None) -> None:
        async def work(session: Session) -> ApiKey:
            await self._insert(key, session)
            return key

        await self._audit.noted(key.tenant, work, note)

    @guarded
    async def adopt(self, key: ApiKey) -> None:
        await self.link.keys.replace_one({"_id": key.key_id}, _document(key), upsert=True)

    @guarded
    async def get(self, key_id: str) -> ApiKey:
        return await self._get(key_id)

    @guarded
    async def list(self, tenant: str | None = None) -> tuple[ApiKey, ...]:
        chosen: Document = {} if tenant is None else {"tenant_id": tenant}
        found = await self.link.keys.find(chosen).sort([("created_at", 1), ("_id", 1)]).to_list()
        return tuple(map(_key_of, found))

    @guarded
    async def exist(self) -> bool:
        return await self.link.keys.find_one({}, {"_id": 1}) is not None

    @guarded
    async def revoke(self, key_id: str, *, note: Note[ApiKey] | None = None) -> ApiKey:
        chosen: Document = {"_id": key_id, "revoked_at": None}
        change = {"$set": {"revoked_at": self.link.now()}}

        async def work(session: Session) -> ApiKey:
            changed = await self.link.keys.update_one(chosen, change, session=session)
            key = await self._get(key_id, session)
            if changed.matched_count and note is not None:
                await self._audit.leave(key.tenant, note(key), session)
            return key

        key = await self.link.transaction(work)
        if note is not None:
            await self._audit.chain_waiting(key.tenant)
        return key

    @guarded
    async def rotate(
        self, key_id: str, successor: ApiKey, *, until: datetime, note: Note[ApiKey] | None = None
    ) -> ApiKey:
        now = self.link.clock()

        async def work(session: Session) -> ApiKey:
            old = await self._get(key_id, session)
            require_lasting(old, now)
            ended = replace(old, expires_at=min(until, old.expires_at or until))
            await self._insert(successor, session)
            await self.link.keys.replace_one({"_id": key_id}, _document(ended), session=session)
            return ended

        return await self._audit.noted(successor.tenant, work, note)

    @guarded
    async def used(self, key_id: str) -> None:
        await self.link.keys.update_one({"_id": key_id}, {"$set": {"last_used_at": self.link.now()}})

    async def _insert(self, key: ApiKey, session: Session) -> None:
        if await self.link.keys.find_one({"_id": key.key_id}, {"_id": 1}, session=session):
            raise Conflict("There is a key with this id.", code="key_exists")
        await self.link.keys.insert_one(_document(key), session=session)

    async def _get(self, key_id: str, session: Session | None = None) -> ApiKey:
        found = await self.link.keys.find_one({"_id": key_id}, session=session)
        if found is None:
            raise NotFound.of("key", key_id)
        return _key_of(found)


def _document(key: ApiKey) -> Document:
    moments = {name: getattr(key, name) for name in _ENDS}
    return {
        "_id": key.key_id,
        "tenant_id": key.tenant,
        "role": key.role.value,
        "name": key.name,
        "digest": key.digest,
        "created_at": stamp(key.created_at),
        **{name: None if moment is None else stamp(moment) for name, moment in moments.items()},
    }


def _key_of(document: Document) -> ApiKey:
    times = {name: None if document[name] is None else datetime.fromisoformat(document[name]) for name in _ENDS}
    return ApiKey(
        key_id=document["_id"],
        tenant=document["tenant_id"],
        role=Role(document["role"]),
        name=document["name"],
        digest=document["digest"],
        created_at=datetime.fromisoformat(document["created_at"]),
        **times,
    )
