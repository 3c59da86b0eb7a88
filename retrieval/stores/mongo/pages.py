"""Pages: one document holds the summary vector and the claim's filterable facts, so that a filter is part of the
vector search; token vectors and pictures lie apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bson.objectid import ObjectId
from pymongo import ReplaceOne

from retrieval.documents import Lease, NewPage, Page, PageVectors, ScoredPage
from retrieval.errors import InvalidInput, NotFound, StoreUnavailable
from retrieval.filters import Filter
from retrieval.ports import Listing
from retrieval.stores.codec import check_vectors
from retrieval.stores.cursors import Part, make_cursor, read_cursor
from retrieval.stores.mongo import leases, page_search, page_texts
from retrieval.stores.mongo.files import Files
from retrieval.stores.mongo.filter_mql import page_mql
from retrieval.stores.mongo.indexes import Indexes
from retrieval.stores.mongo.link import Document, Link, Session, guarded
from retrieval.stores.mongo.records import (
    float32_binary,
    indexed_as,
    page_document,
    page_of,
    record_id,
    revision_of,
    summary_path,
    vectors_document,
    vectors_of,
)

_LIST_ORDER = (("asset_order", 1), ("number", 1))


class MongoPages:
    def __init__(self, link: Link, files: Files, indexes: Indexes) -> None:
        self.link = link
        self._files = files
        self._indexes = indexes

    @guarded
    async def put(self, lease: Lease, pages: Sequence[NewPage]) -> None:
        for new in pages:
            _check_belongs(lease, new)
            await self._check_vectors(new.vectors)
        async with leases.under(self.link, lease):
            await leases.held_entry(self.link, lease)
            pictures = await self._files.upload_all("pictures", [new.picture for new in pages])

            async def work(session: Session) -> list[ObjectId]:
                await leases.write_entry(self.link, lease, {"attempts": 1}, session=session)
                return await self._put(lease.tenant_id, lease.claim_id, lease.asset_id, pages, pictures, session)

            replaced = await self.link.transaction(work)
        await self._files.remove("pictures", replaced)

    @guarded
    async def adopt(self, tenant: str, pages: Sequence[NewPage]) -> None:
        if not pages:
            return
        for new in pages:
            await self._check_vectors(new.vectors)
        claim_id, asset_id = pages[0].page.claim_id, pages[0].page.asset_id
        pictures = await self._files.upload_all("pictures", [new.picture for new in pages])
        replaced = await self.link.transaction(
            lambda session: self._put(tenant, claim_id, asset_id, pages, pictures, session)
        )
        await self._files.remove("pictures", replaced)

    @guarded
    async def done(self, tenant: str, claim_id: str, asset_id: str, *, encoder: str) -> frozenset[int]:
        query = {"tenant_id": tenant, "claim_id": claim_id, "asset_id": asset_id, "encoder": encoder}
        return frozenset([page["number"] async for page in self.link.pages.find(query, {"number": 1})])

    @guarded
    async def get(self, tenant: str, page_id: str) -> Page:
        found = await self.link.pages.find_one({"_id": record_id(tenant, page_id)})
        if found is None:
            raise NotFound.of("page", page_id)
        return page_of(found)

    @guarded
    async def get_many(self, tenant: str, page_ids: Sequence[str]) -> dict[str, Page]:
        ids = [record_id(tenant, page_id) for page_id in page_ids]
        return {found["page_id"]: page_of(found) async for found in self.link.pages.find({"_id": {"$in": ids}})}

    @guarded
    async def list(
        self, tenant: str, *, claim_id: str, asset_id: str | None = None, cursor: str | None = None, limit: int = 100
    ) -> Listing[Page]:
        scope = ("pages", tenant, claim_id, asset_id)
        query: list[Document] = [{"tenant_id": tenant, "claim_id": claim_id}]
        if asset_id is not None:
            query.append({"asset_id": asset_id})
        if cursor is not None:
            query.append(_after(*read_cursor(cursor, scope, ((str,), (int,)))))
        found = await self.link.pages.find({"$and": query}).sort(list(_LIST_ORDER)).limit(limit + 1).to_list()
        last = found[limit - 1] if len(found) > limit else None
        following = make_cursor(scope, [last[name] for name, _ in _LIST_ORDER]) if last else None
        return Listing(tuple(map(page_of, found[:limit])), following)

    @guarded
    async def picture(self, tenant: str, page_id: str) -> bytes:
        for _ in range(2):  # a page that is stored again gets a new picture; then the first look may come too late
            found = await self.link.pages.find_one({"_id": record_id(tenant, page_id)}, {"picture_id": 1})
            if found is None:
                raise NotFound.of("page", page_id)
            picture = await self._files.read("pictures", found["picture_id"])
            if picture is not None:
                return picture
        raise StoreUnavailable("The picture of this page is missing in GridFS: restore it from a backup.")

    @guarded
    async def nearest(
        self, tenant: str, vector: PageVectors, filter: Filter, *, limit: int, exact: bool = False
    ) -> list[ScoredPage]:
        return await page_search.nearest(self.link, self._indexes, tenant, vector, filter, limit=limit, exact=exact)

    @guarded
    async def matching(self, tenant: str, filter: Filter, *, encoder: str, limit: int) -> list[tuple[str, int]]:
        return await page_search.matching(self.link, tenant, filter, encoder=encoder, limit=limit)

    @guarded
    async def containing(
        self, tenant: str, strings: Sequence[str], filter: Filter, *, encoder: str, limit: int
    ) -> frozenset[str]:
        return await page_texts.pages_holding(self.link, tenant, strings, filter, encoder=encoder, limit=limit)

    @guarded
    async def texts(self, tenant: str, page_ids: Sequence[str]) -> dict[str, str]:
        return await page_texts.texts_of(self.link, tenant, page_ids)

    @property
    def keeps_text(self) -> bool:
        return self._files.keys is None

    @guarded
    async def vectors(self, tenant: str, page_ids: Sequence[str]) -> dict[str, PageVectors]:
        ids = [record_id(tenant, page_id) for page_id in page_ids]
        found = self.link.vectors.find({"_id": {"$in": ids}})
        return {document["page_id"]: vectors_of(document) async for document in found}

    @guarded
    async def passing(self, tenant: str, page_ids: Sequence[str], filter: Filter, *, encoder: str) -> frozenset[str]:
        ids = [record_id(tenant, page_id) for page_id in page_ids]
        query = {"$and": [{"_id": {"$in": ids}}, {"tenant_id": tenant, "encoder": encoder}, page_mql(filter)]}
        return frozenset([found["page_id"] async for found in self.link.pages.find(query, {"page_id": 1})])

    @guarded
    async def stale(self, *, encoder: str, limit: int) -> list[tuple[str, Page]]:
        found = self.link.pages.find({"encoder": {"$ne": encoder}}).sort([("page_id", 1), ("tenant_id", 1)])
        return [(page["tenant_id"], page_of(page)) async for page in found.limit(limit)]

    @guarded
    async def replace_vectors(
        self, tenant: str, page_id: str, vectors: PageVectors, *, usage: Mapping[str, int]
    ) -> None:
        await self._check_vectors(vectors)
        revision = revision_of(vectors)
        fields: Document = {
            "encoder": vectors.encoder,
            "usage": dict(usage),
            "revision": revision,
            "indexed_as": indexed_as(page_id, revision),
            "dims": len(vectors.summary),
            summary_path(len(vectors.summary)): float32_binary(vectors.summary),
        }

        async def work(session: Session) -> None:
            chosen = {"_id": record_id(tenant, page_id)}
            page = await self.link.pages.find_one(chosen, session=session)
            if page is None:
                raise NotFound.of("page", page_id)
            update: Document = {"$set": fields}
            former = {name: "" for name in page if name.startswith("summary_") and name not in fields}
            if former:
                update["$unset"] = former
            await self.link.pages.update_one(chosen, update, session=session)
            document = vectors_document(tenant, page_id, vectors)
            await self.link.vectors.replace_one(chosen, document, upsert=True, session=session)

        await self.link.transaction(work)

    @guarded
    async def counts(self, tenant: str | None = None) -> dict[str, int]:
        chosen: Document = {} if tenant is None else {"tenant_id": tenant}
        group = {"$group": {"_id": "$encoder", "pages": {"$sum": 1}}}
        groups = await self.link.pages.aggregate([{"$match": chosen}, group])
        return {group["_id"]: group["pages"] async for group in groups}

    @guarded
    async def searchable(self, tenant: str, page_ids: Sequence[str]) -> bool:
        return await page_search.searchable(self.link, self._indexes, tenant, page_ids)

    async def _check_vectors(self, vectors: PageVectors) -> None:
        """MongoDB would skip a vector of a wrong length or with NaN in silence; here it is an error."""
        check_vectors(vectors)
        dims = len(vectors.summary)
        await self._indexes.require_dims(dims)
        await page_search.require_same_dims(self.link, vectors.encoder, dims)

    async def _put(
        self,
        tenant: str,
        claim_id: str,
        asset_id: str,
        pages: Sequence[NewPage],
        pictures: Sequence[ObjectId],
        session: Session,
    ) -> list[ObjectId]:
        """One attempt of the transaction; returns the pictures that were replaced."""
        now = self.link.clock()
        claim = await self.link.claims.find_one({"_id": record_id(tenant, claim_id)}, session=session)
        if claim is None:
            raise NotFound.of("claim", claim_id)
        # Written, not only read: a change of the claim's facts writes it too, and one of the two starts over.
        asset = await self.link.assets.find_one_and_update(
            {"_id": record_id(tenant, claim_id, asset_id)}, {"$inc": {"touched": 1}}, session=session
        )
        if asset is None:
            raise NotFound.of("asset", asset_id)
        ids = [record_id(tenant, new.page.page_id) for new in pages]
        fields = {"page_id": 1, "picture_id": 1, "created_at": 1}
        before = {
            page["_id"]: page async for page in self.link.pages.find({"_id": {"$in": ids}}, fields, session=session)
        }
        documents: list[Document] = []
        for new, picture_id, page_id in zip(pages, pictures, ids, strict=True):
            page = replace(new.page, created_at=new.page.created_at or now)
            document = page_document(tenant, page, new.vectors, claim=claim, asset=asset)
            document["picture_id"] = picture_id
            if page_id in before:
                document["created_at"] = before[page_id]["created_at"]
            documents.append(document)
        vectors = [vectors_document(tenant, new.page.page_id, new.vectors) for new in pages]
        if documents:
            for collection, rows in ((self.link.pages, documents), (self.link.vectors, vectors)):
                writes = [ReplaceOne({"_id": row["_id"]}, row, upsert=True) for row in rows]
                await collection.bulk_write(writes, session=session)
            texts = {new.page.page_id: new.text if self.keeps_text else "" for new in pages}
            former = {page["page_id"] for page in before.values()}
            changed = {page_id: text for page_id, text in texts.items() if text or page_id in former}
            await page_texts.write_texts(self.link, tenant, changed, session)
        await self._files.claim(pictures, session)
        replaced = [page["picture_id"] for page in before.values()]
        await self._files.release("pictures", replaced, session)
        return replaced


def _check_belongs(lease: Lease, new: NewPage) -> None:
    page = new.page
    if (page.claim_id, page.asset_id) != (lease.claim_id, lease.asset_id):
        raise InvalidInput("The page is not one of the leased file.", code="bad_page", field="page")
    if page.encoder != new.vectors.encoder:
        raise InvalidInput("The page names another encoder than its vectors.", code="bad_page", field="encoder")


def _after(asset_order: Part, number: Part) -> Document:
    same: Document = {"asset_order": asset_order, "number": {"$gt": number}}
    return {"$or": [{"asset_order": {"$gt": asset_order}}, same]}
