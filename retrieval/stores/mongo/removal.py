"""Deleting claims and files with all that belongs to them: one transaction for the records, then the bytes."""

from __future__ import annotations

from bson.objectid import ObjectId

from retrieval.documents import DeletionReport
from retrieval.errors import NotFound
from retrieval.ports import Note
from retrieval.stores.deletion import DELETED_NAME, require_free, require_version
from retrieval.stores.mongo.audit import MongoAudit
from retrieval.stores.mongo.files import Files
from retrieval.stores.mongo.link import Document, Link, Session
from retrieval.stores.mongo.records import record_id


class Removal:
    def __init__(self, link: Link, files: Files, audit: MongoAudit) -> None:
        self._link = link
        self._files = files
        self._audit = audit

    async def claim(
        self, tenant: str, claim_id: str, expected_version: int | None, note: Note[DeletionReport] | None
    ) -> DeletionReport:
        """Raises NotFound, Conflict claim_held, Conflict version_conflict."""
        of_claim: Document = {"tenant_id": tenant, "claim_id": claim_id}

        async def work(session: Session) -> _Removed:
            gone = await self._link.claims.find_one_and_delete({"_id": record_id(tenant, claim_id)}, session=session)
            if gone is None:
                raise NotFound.of("claim", claim_id)
            require_version(gone["version"], expected_version)
            require_free(claim_id, held=gone.get("held", False))
            for collection in (self._link.entries, self._link.jobs, self._link.job_keys):
                await collection.delete_many(of_claim, session=session)
            return await self._assets(tenant, of_claim, session)

        removed = await self._audit.noted(tenant, work, note and (lambda gone: note(gone.report(claims=1))))
        await self._bytes(removed)
        return removed.report(claims=1)

    async def asset(
        self, tenant: str, asset_id: str, claim_id: str | None, note: Note[DeletionReport] | None
    ) -> DeletionReport:
        """From one claim or from all. Raises NotFound, Conflict claim_held."""
        of_asset: Document = {"tenant_id": tenant, "asset_id": asset_id}
        if claim_id is not None:
            of_asset["claim_id"] = claim_id

        async def work(session: Session) -> _Removed:
            await self._require_free(tenant, of_asset, session)
            removed = await self._assets(tenant, of_asset, session)
            if not removed.assets:
                raise NotFound.of("asset", asset_id)
            return removed

        removed = await self._audit.noted(tenant, work, note and (lambda gone: note(gone.report())))
        await self._bytes(removed)
        return removed.report()

    async def _require_free(self, tenant: str, of_asset: Document, session: Session) -> None:
        """Touches the claims: a hold that comes meanwhile makes one of the two start over."""
        for asset in await self._link.assets.find(of_asset, {"claim_id": 1}, session=session).to_list():
            claim = await self._link.claims.find_one_and_update(
                {"_id": record_id(tenant, asset["claim_id"])}, {"$inc": {"touched": 1}}, session=session
            )
            require_free(asset["claim_id"], held=claim is not None and claim.get("held", False))

    async def _assets(self, tenant: str, chosen: Document, session: Session) -> _Removed:
        assets = await self._link.assets.find(chosen, session=session).to_list()
        await self._link.assets.delete_many(chosen, session=session)
        removed = await self._pages(chosen, session)
        removed.assets = len(assets)
        forgotten = {"filename": DELETED_NAME, "detail": None, "updated_at": self._link.now()}
        changed = {"$set": forgotten, "$inc": {"revision": 1}}  # fewer pages are done now, too
        await self._link.entries.update_many(chosen, changed, session=session)
        for asset_id, size_bytes in {asset["asset_id"]: asset["size_bytes"] for asset in assets}.items():
            elsewhere = {"tenant_id": tenant, "asset_id": asset_id}
            if await self._link.assets.find_one(elsewhere, {"_id": 1}, session=session) is None:
                blob = await self._link.blobs.find_one_and_delete({"_id": record_id(tenant, asset_id)}, session=session)
                if blob is not None:
                    removed.files.append(blob["file_id"])
                    removed.size_bytes += size_bytes
        await self._files.release("asset_files", removed.files, session)
        return removed

    async def _pages(self, chosen: Document, session: Session) -> _Removed:
        removed = _Removed()
        pages = await self._link.pages.find(chosen, {"picture_id": 1}, session=session).to_list()
        removed.pages = len(pages)
        removed.pictures = [page["picture_id"] for page in pages]
        if pages:
            ids = [page["_id"] for page in pages]
            await self._link.pages.delete_many({"_id": {"$in": ids}}, session=session)
            await self._link.vectors.delete_many({"_id": {"$in": ids}}, session=session)
            await self._link.texts.delete_many({"_id": {"$in": ids}}, session=session)
            await self._files.release("pictures", removed.pictures, session)
        return removed

    async def _bytes(self, removed: _Removed) -> None:
        await self._files.remove("asset_files", removed.files)
        await self._files.remove("pictures", removed.pictures)


class _Removed:
    def __init__(self) -> None:
        self.assets = 0
        self.pages = 0
        self.size_bytes = 0
        self.files: list[ObjectId] = []
        self.pictures: list[ObjectId] = []

    def report(self, *, claims: int = 0) -> DeletionReport:
        return DeletionReport(claims=claims, assets=self.assets, pages=self.pages, size_bytes=self.size_bytes)
