"""Uploaded files: one record a claim, one copy of the bytes a tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

from bson.objectid import ObjectId

from retrieval.capture import Capture
from retrieval.documents import Asset, DeletionReport, Lease
from retrieval.errors import InvalidInput, NotFound, TooLarge
from retrieval.ingestion.spool import Spool
from retrieval.ports import Note
from retrieval.stores.mongo import leases
from retrieval.stores.mongo.audit import MongoAudit
from retrieval.stores.mongo.files import Files
from retrieval.stores.mongo.link import Document, Link, Session, guarded, guarded_long
from retrieval.stores.mongo.records import asset_document, asset_of, record_id
from retrieval.stores.mongo.removal import Removal
from retrieval.stores.quota import require_room


class MongoAssets:
    def __init__(self, link: Link, files: Files, audit: MongoAudit, *, spool: Path) -> None:
        """spool: folder for local copies; what a killed process left there goes with the next sweep of a worker."""
        self.link = link
        self._files = files
        self._removal = Removal(link, files, audit)
        self._spool = Spool(spool)

    async def add(
        self, tenant: str, asset: Asset, source: Path, *, most_bytes: int | None = None
    ) -> tuple[Asset, bool]:
        known = await self._known(tenant, asset)
        if known is not None:
            return known, False
        if not await self._has_bytes(tenant, asset.asset_id):
            if most_bytes is not None:  # before they are sent in vain
                require_room(await self.stored_bytes(tenant), asset.size_bytes, most_bytes)
            return await self._add_bytes(tenant, asset, source, most_bytes)
        stored, new, file_id = await self._record(tenant, asset, None, None)
        if file_id is None:  # the bytes that were there went away meanwhile, with their last claim
            return await self._add_bytes(tenant, asset, source, most_bytes)
        return stored, new

    async def adopt(self, tenant: str, asset: Asset, source: Path) -> None:
        await self.add(tenant, asset, source)
        await self._as_given(tenant, asset)

    @guarded
    async def get(self, tenant: str, asset_id: str, *, claim_id: str | None = None) -> tuple[Asset, ...]:
        query: Document = {"tenant_id": tenant, "asset_id": asset_id}
        if claim_id is not None:
            query["claim_id"] = claim_id
        found = await self.link.assets.find(query).sort("order", 1).to_list()
        if not found:
            raise NotFound.of("asset", asset_id)
        return tuple(map(asset_of, found))

    @guarded
    async def stored_bytes(self, tenant: str) -> int:
        return await self._stored_bytes(tenant)

    @guarded
    async def list(self, tenant: str, claim_id: str) -> tuple[Asset, ...]:
        if await self.link.claims.find_one({"_id": record_id(tenant, claim_id)}, {"_id": 1}) is None:
            raise NotFound.of("claim", claim_id)
        query = {"tenant_id": tenant, "claim_id": claim_id}
        found = await self.link.assets.find(query).sort("order", 1).to_list()
        return tuple(map(asset_of, found))

    @guarded
    async def describe(self, lease: Lease, *, media_type: str, page_count: int, capture: Capture | None = None) -> None:
        told = None if capture is None else capture.as_record()
        found = {"media_type": media_type, "page_count": page_count, "capture": told}
        await self._change(lease, {"$set": found})

    @guarded
    async def warn(self, lease: Lease, warnings: Sequence[tuple[str, str]]) -> None:
        await self._change(lease, {"$addToSet": {"warnings": {"$each": [list(warning) for warning in warnings]}}})

    async def open(self, tenant: str, asset_id: str) -> AsyncIterator[bytes]:
        async with self.link.operation():
            blob = await self.link.blobs.find_one({"_id": record_id(tenant, asset_id)})
        if blob is None:
            raise NotFound.of("asset", asset_id)
        async for piece in self._files.chunks("asset_files", blob["file_id"], name=asset_id):
            yield piece

    def local_copy(self, tenant: str, asset_id: str) -> AbstractAsyncContextManager[Path]:
        return self._spool.copy_of(self.open(tenant, asset_id))

    @guarded_long
    async def delete(
        self, tenant: str, asset_id: str, *, claim_id: str | None = None, note: Note[DeletionReport] | None = None
    ) -> DeletionReport:
        return await self._removal.asset(tenant, asset_id, claim_id, note)

    @guarded
    async def _known(self, tenant: str, asset: Asset) -> Asset | None:
        """Raises NotFound claim_not_found."""
        if await self.link.claims.find_one({"_id": record_id(tenant, asset.claim_id)}, {"_id": 1}) is None:
            raise NotFound.of("claim", asset.claim_id)
        found = await self.link.assets.find_one({"_id": record_id(tenant, asset.claim_id, asset.asset_id)})
        return None if found is None else asset_of(found)

    @guarded
    async def _has_bytes(self, tenant: str, asset_id: str) -> bool:
        return await self.link.blobs.find_one({"_id": record_id(tenant, asset_id)}, {"_id": 1}) is not None

    @guarded
    async def _as_given(self, tenant: str, asset: Asset) -> None:
        """The record as it was in another store; its pages are listed by the same order."""
        document = asset_document(tenant, asset)
        pages = {"tenant_id": tenant, "claim_id": asset.claim_id, "asset_id": asset.asset_id}

        async def work(session: Session) -> None:
            await self.link.assets.update_one({"_id": document["_id"]}, {"$set": document}, session=session)
            await self.link.pages.update_many(pages, {"$set": {"asset_order": document["order"]}}, session=session)

        await self.link.transaction(work)

    async def _stored_bytes(self, tenant: str, session: Session | None = None) -> int:
        steps: Sequence[Document] = [
            {"$match": {"tenant_id": tenant}},
            {"$group": {"_id": "$asset_id", "size_bytes": {"$first": "$size_bytes"}}},
            {"$group": {"_id": None, "size_bytes": {"$sum": "$size_bytes"}}},
        ]
        found = await (await self.link.assets.aggregate(steps, session=session)).to_list()
        return int(found[0]["size_bytes"]) if found else 0

    async def _add_bytes(self, tenant: str, asset: Asset, source: Path, most_bytes: int | None) -> tuple[Asset, bool]:
        """Bytes that another call stored meanwhile are kept instead of these."""
        uploaded = await self._upload(asset, source)
        try:
            stored, new, kept = await self._record(tenant, asset, uploaded, most_bytes)
        except TooLarge:
            await self._discard(uploaded)
            raise
        if kept != uploaded:
            await self._discard(uploaded)
        return stored, new

    async def _upload(self, asset: Asset, source: Path) -> ObjectId:
        """Raises InvalidInput bad_asset when the bytes are not those the asset_id names."""
        file_id, digest = await self._files.upload_file("asset_files", source, name=asset.asset_id)
        if digest != asset.asset_id:
            await self._discard(file_id)
            raise InvalidInput("The file is not the one its asset_id names.", code="bad_asset", field="asset_id")
        return file_id

    @guarded
    async def _discard(self, file_id: ObjectId) -> None:
        await self._files.remove("asset_files", [file_id])

    @guarded
    async def _record(
        self, tenant: str, asset: Asset, uploaded: ObjectId | None, most_bytes: int | None
    ) -> tuple[Asset, bool, ObjectId | None]:
        """Names the bytes in one step; returns the record, whether it is new, and the file that is kept (None when
        there is none to name)."""
        asset = replace(asset, created_at=self.link.clock())

        async def work(session: Session) -> tuple[Asset, bool, ObjectId | None]:
            claim_id = record_id(tenant, asset.claim_id)
            claim = await self.link.claims.update_one({"_id": claim_id}, {"$inc": {"touched": 1}}, session=session)
            if not claim.matched_count:
                raise NotFound.of("claim", asset.claim_id)
            document = asset_document(tenant, asset)
            known = await self.link.assets.find_one({"_id": document["_id"]}, session=session)
            blob_id = record_id(tenant, asset.asset_id)
            blob = await self.link.blobs.find_one_and_update(
                {"_id": blob_id}, {"$inc": {"touched": 1}}, session=session
            )
            kept: ObjectId | None = blob["file_id"] if blob else uploaded
            if kept is None:
                return asset, False, None
            if blob is None:
                if most_bytes is not None:
                    # Written, so that of two files that are added at once the second one counts the first.
                    await self.link.meta.update_one(
                        {"_id": record_id("stored", tenant)}, {"$inc": {"touched": 1}}, upsert=True, session=session
                    )
                    require_room(await self._stored_bytes(tenant, session), asset.size_bytes, most_bytes)
                await self._files.claim([kept], session)
                named = {"_id": blob_id, "tenant_id": tenant, "asset_id": asset.asset_id, "file_id": kept}
                await self.link.blobs.insert_one(named, session=session)
            if known is None:
                await self.link.assets.insert_one(document, session=session)
            return asset_of(known or document), known is None, kept

        return await self.link.transaction(work)

    async def _change(self, lease: Lease, update: Document) -> None:
        async def work(session: Session) -> None:
            await leases.write_entry(self.link, lease, {}, session=session)
            asset_id = record_id(lease.tenant_id, lease.claim_id, lease.asset_id)
            done = await self.link.assets.update_one({"_id": asset_id}, update, session=session)
            if not done.matched_count:
                raise NotFound.of("asset", lease.asset_id)

        async with leases.under(self.link, lease):
            await self.link.transaction(work)
