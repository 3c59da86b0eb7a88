"""Claims. Their facts are copied to their pages in the same transaction, so that a filter inside a vector search and
a filter over claims always agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pymongo import ReturnDocument

from retrieval.documents import Claim, DeletionReport, Facet, FacetValue, Sort
from retrieval.errors import Conflict, NotFound
from retrieval.filters import CLAIM_FIELDS, Filter, field_spec
from retrieval.ports import Listing, Note
from retrieval.stores.cursors import Part, make_cursor, read_cursor
from retrieval.stores.deletion import require_version
from retrieval.stores.mongo.audit import MongoAudit
from retrieval.stores.mongo.files import Files
from retrieval.stores.mongo.filter_mql import claim_mql, stored_path
from retrieval.stores.mongo.link import Document, Link, Session, guarded, guarded_long
from retrieval.stores.mongo.records import attribute_tokens, claim_document, claim_of, record_id
from retrieval.stores.mongo.removal import Removal

_FACET_VALUES = 50
_SORT_PATHS = {
    "created_at": "created_at",
    "updated_at": "updated_at",
    "loss_date": "facts.loss_date",
    "loss_amount": "facts.loss_amount",
    "claim_id": "claim_id",
}


class MongoClaims:
    def __init__(self, link: Link, files: Files, audit: MongoAudit) -> None:
        self.link = link
        self._audit = audit
        self._removal = Removal(link, files, audit)

    @guarded
    async def put(
        self, tenant: str, claim: Claim, *, create_only: bool = False, note: Note[tuple[Claim, bool]] | None = None
    ) -> tuple[Claim, bool]:
        async def work(session: Session) -> tuple[Claim, bool]:
            old = await self.link.claims.find_one({"_id": record_id(tenant, claim.claim_id)}, session=session)
            if old is not None and create_only:
                raise Conflict(f"There is a claim {claim.claim_id[:80]!r} already.", code="claim_exists")
            return await self._write(tenant, claim, old, session), old is None

        return await self._audit.noted(tenant, work, note)

    @guarded
    async def get(self, tenant: str, claim_id: str) -> Claim:
        found = await self.link.claims.find_one({"_id": record_id(tenant, claim_id)})
        if found is None:
            raise NotFound.of("claim", claim_id)
        return claim_of(found)

    @guarded
    async def get_many(self, tenant: str, claim_ids: Sequence[str]) -> dict[str, Claim]:
        ids = [record_id(tenant, claim_id) for claim_id in claim_ids]
        return {found["claim_id"]: claim_of(found) async for found in self.link.claims.find({"_id": {"$in": ids}})}

    @guarded
    async def update(
        self,
        tenant: str,
        claim_id: str,
        change: Callable[[Claim], Claim],
        *,
        expected_version: int | None = None,
        note: Note[Claim] | None = None,
    ) -> Claim:
        async def work(session: Session) -> Claim:
            old = await self.link.claims.find_one({"_id": record_id(tenant, claim_id)}, session=session)
            if old is None:
                raise NotFound.of("claim", claim_id)
            require_version(old["version"], expected_version)
            changed = replace(change(claim_of(old)), claim_id=claim_id)
            return await self._write(tenant, changed, old, session)

        return await self._audit.noted(tenant, work, note)

    @guarded_long
    async def delete(
        self,
        tenant: str,
        claim_id: str,
        *,
        expected_version: int | None = None,
        note: Note[DeletionReport] | None = None,
    ) -> DeletionReport:
        return await self._removal.claim(tenant, claim_id, expected_version, note)

    @guarded
    async def set_hold(self, tenant: str, claim_id: str, held: bool, *, note: Note[Claim] | None = None) -> Claim:
        chosen = {"_id": record_id(tenant, claim_id)}
        other: Document = {**chosen, "held": {"$ne": True} if held else True}
        change = {"$set": {"held": held}, "$inc": {"version": 1}}

        async def work(session: Session) -> Claim | None:
            changed = await self.link.claims.find_one_and_update(
                other, change, session=session, return_document=ReturnDocument.AFTER
            )
            if changed is not None and note is not None:
                await self._audit.leave(tenant, note(claim_of(changed)), session)
            found = changed or await self.link.claims.find_one(chosen, session=session)
            return None if found is None else claim_of(found)

        claim = await self.link.transaction(work)
        if claim is None:
            raise NotFound.of("claim", claim_id)
        if note is not None:
            await self._audit.chain_waiting(tenant)
        return claim

    @guarded
    async def adopt(self, tenant: str, claim: Claim) -> None:
        async def work(session: Session) -> None:
            old = await self.link.claims.find_one({"_id": record_id(tenant, claim.claim_id)}, session=session)
            await self._replace(tenant, claim, old, session)

        await self.link.transaction(work)

    @guarded
    async def list(
        self, tenant: str, filter: Filter, *, sort: Sort, cursor: str | None = None, limit: int = 50
    ) -> Listing[Claim]:
        path, scope = _SORT_PATHS[sort.field], ("claims", tenant, filter, sort)
        passes: Document = {"$and": [{"tenant_id": tenant}, claim_mql(filter)]}
        place: tuple[Part, Part] | None = None
        if cursor is not None:
            value, claim_id = read_cursor(cursor, scope, ((str, int, float, type(None)), (str,)))
            place = value, claim_id
        found = await self._listed(passes, path, descending=sort.descending, place=place, limit=limit + 1)
        last = found[limit - 1] if len(found) > limit else None
        following = make_cursor(scope, (_at(last, path), last["claim_id"])) if last else None
        return Listing(tuple(map(claim_of, found[:limit])), following)

    @guarded
    async def facets(self, tenant: str, filter: Filter, fields: Sequence[str]) -> tuple[Facet, ...]:
        query = {"$and": [{"tenant_id": tenant}, claim_mql(filter)]}
        return tuple([await self._facet(query, field) for field in fields])

    @guarded
    async def count(self, tenant: str) -> int:
        return await self.link.claims.count_documents({"tenant_id": tenant})

    async def _write(self, tenant: str, claim: Claim, old: Document | None, session: Session) -> Claim:
        now = self.link.clock()
        before = claim_of(old) if old else None
        stored = replace(
            claim,
            created_at=before.created_at if before else now,
            updated_at=now,
            version=(before.version if before else 0) + 1,
            held=before.held if before else False,
        )
        return await self._replace(tenant, stored, old, session)

    async def _replace(self, tenant: str, stored: Claim, old: Document | None, session: Session) -> Claim:
        document = claim_document(tenant, stored)
        await self.link.claims.replace_one({"_id": document["_id"]}, document, upsert=True, session=session)
        if old is not None and old["facts"] != document["facts"]:
            await self._copy_facts(tenant, document, session)
        return claim_of(document)

    async def _copy_facts(self, tenant: str, claim: Document, session: Session) -> None:
        """The asset records are written too: a page on its way touches its asset's, so one of the two starts over and
        no page keeps facts of before."""
        of_claim = {"tenant_id": tenant, "claim_id": claim["claim_id"]}
        facts = claim["facts"]
        copies = {"facts": facts, "attribute_tokens": attribute_tokens(facts.get("attributes", {}))}
        await self.link.assets.update_many(of_claim, {"$inc": {"touched": 1}}, session=session)
        await self.link.pages.update_many(of_claim, {"$set": copies}, session=session)

    async def _listed(
        self, passes: Document, path: str, *, descending: bool, place: tuple[Part, Part] | None, limit: int
    ) -> list[Document]:
        """In the order (value, claim_id), missing values last: MongoDB alone would put them first when ascending."""
        found: list[Document] = []
        if place is None or place[0] is not None:
            query = [passes, {path: {"$exists": True}}, *([_after(path, *place, descending)] if place else [])]
            order = [(path, -1 if descending else 1), *([("claim_id", 1)] if path != "claim_id" else [])]
            found = await self.link.claims.find({"$and": query}).sort(order).limit(limit).to_list()
        if len(found) < limit:
            missing: list[Document] = [passes, {path: {"$exists": False}}]
            if place is not None and place[0] is None:
                missing.append({"claim_id": {"$gt": place[1]}})
            rest = self.link.claims.find({"$and": missing}).sort("claim_id", 1).limit(limit - len(found))
            found += await rest.to_list()
        return found

    async def _facet(self, query: Document, field: str) -> Facet:
        spec, path = field_spec(field, CLAIM_FIELDS), stored_path(field)
        present: list[Document] = [{"$match": {"$and": [query, {path: {"$exists": True}}]}}]
        if spec.is_list:
            present += [{"$set": {path: {"$setUnion": [f"${path}", []]}}}, {"$unwind": f"${path}"}]
        of_kind = {"$cond": [{"$eq": [{"$type": "$_id"}, "bool"]}, 0, {"$cond": [{"$isNumber": "$_id"}, 1, 2]}]}
        groups = await self.link.claims.aggregate(
            [
                *present,
                {"$group": {"_id": f"${path}", "count": {"$sum": 1}}},
                {"$set": {"kind": of_kind}},
                {"$sort": {"count": -1, "kind": 1, "_id": 1}},
                {"$limit": _FACET_VALUES},
            ]
        )
        values = tuple([FacetValue(group["_id"], group["count"]) async for group in groups])
        if spec.type not in ("number", "date", "attribute"):
            return Facet(field, values)
        of_type: Document = {path: {"$type": "string" if spec.type == "date" else "number"}}
        ends: Document = {"_id": None, "least": {"$min": f"${path}"}, "most": {"$max": f"${path}"}}
        found = await self.link.claims.aggregate([{"$match": {"$and": [query, of_type]}}, {"$group": ends}])
        for end in await found.to_list():
            return Facet(field, values, minimum=end["least"], maximum=end["most"])
        return Facet(field, values)


def _at(document: Document, path: str) -> Part:
    value: Any = document
    for name in path.split("."):
        value = value.get(name) if value else None
    return value


def _after(path: str, value: Part, claim_id: Part, descending: bool) -> Document:
    """What follows a place with a value, among documents with one."""
    tie: Document = {"$and": [{path: value}, {"claim_id": {"$gt": claim_id}}]}
    return {"$or": [{path: {"$lt" if descending else "$gt": value}}, tie]}
