"""Every file in GridFS under the key that is in use, while searches and uploads go on."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from bson.objectid import ObjectId

from retrieval.errors import InvalidInput
from retrieval.ports import Progress, Resealed
from retrieval.stores.mongo.files import Bucket, Files
from retrieval.stores.mongo.link import Collection, Document, Link, Session

_RECORDS_A_STEP = 100


async def reseal(link: Link, files: Files, progress: Progress) -> Resealed:
    """As ports.Store.reseal says."""
    if files.keys is None:
        raise InvalidInput("There is no key to encrypt with: set CLAIMSIGHT_ENCRYPTION_KEY.", code="no_encryption_key")
    async with link.operation(long=True):
        await link.texts.delete_many({})  # what lay open beside the files before they were encrypted
    anew = _Anew(link, files, files.keys.current, progress)
    async with link.operation():
        anew.total = await link.blobs.estimated_document_count() + await link.pages.estimated_document_count()
    await anew.all(link.blobs, "file_id", "asset_files")
    await anew.all(link.pages, "picture_id", "pictures")
    async with link.operation():
        used: set[str] = set()
        for bucket in ("asset_files", "pictures"):
            used |= {key for key in await link.db[f"{bucket}.files"].distinct("metadata.key_id") if key}
        # Only ids that no file has are taken out: a process may store one under another key meanwhile.
        noted = {"_id": "encryption"}
        known = await link.meta.find_one(noted)
        unused = sorted(set(known["ids"] if known else ()) - used)
        await link.meta.update_one(noted, {"$pull": {"ids": {"$in": unused}}})
    return Resealed(files=anew.done, written=anew.written, keys=tuple(sorted(used)))


class _Anew:
    def __init__(self, link: Link, files: Files, key_id: str, progress: Progress) -> None:
        self._link = link
        self._files = files
        self._key_id = key_id
        self._progress = progress
        self.total = self.done = self.written = 0

    async def all(self, records: Collection, field: str, bucket: Bucket) -> None:
        """field: of each record, names its file in the bucket."""
        last = ""
        while True:
            async with self._link.operation():
                chosen: Document = {"_id": {"$gt": last}}
                wanted = {field: 1, "tenant_id": 1, "asset_id": 1}
                step = await records.find(chosen, wanted).sort("_id", 1).limit(_RECORDS_A_STEP).to_list()
                done = await self._under_key(bucket, [record[field] for record in step])
            for record in step:
                if record[field] not in done:
                    await self._one(records, field, bucket, record)
                self.done += 1
                self._progress("files", self.done, max(self.total, self.done))
            if not step:
                return
            last = step[-1]["_id"]

    async def _under_key(self, bucket: Bucket, ids: Sequence[ObjectId]) -> set[ObjectId]:
        chosen: Document = {"_id": {"$in": list(ids)}, "metadata.key_id": self._key_id}
        return {file["_id"] async for file in self._link.db[f"{bucket}.files"].find(chosen, {"_id": 1})}

    async def _one(self, records: Collection, field: str, bucket: Bucket, record: Document) -> None:
        """Stored once more, then named in the place of the old one, then the old one goes."""
        old: ObjectId = record[field]
        new = await self._again(bucket, old, record["asset_id"])
        if new is None:  # deleted since the record was read
            return

        async def work(session: Session) -> bool:
            chosen = {"_id": record["_id"], field: old}
            done = await records.update_one(chosen, {"$set": {field: new}}, session=session)
            if done.matched_count:
                await self._files.claim([new], session)
                await self._files.release(bucket, [old], session)
            return bool(done.matched_count)

        async with self._link.operation():
            named = await self._link.transaction(work)
            await self._files.remove(bucket, [old if named else new])
        self.written += named

    async def _again(self, bucket: Bucket, old: ObjectId, asset_id: str) -> ObjectId | None:
        if bucket == "pictures":
            async with self._link.operation():
                content = await self._files.read(bucket, old)
                return None if content is None else (await self._files.upload_all(bucket, [content]))[0]
        # A file of any size: by way of a local one that has no name.
        with tempfile.NamedTemporaryFile(prefix="claimsight-") as copy:
            async for chunk in self._files.chunks(bucket, old, name=asset_id):
                copy.write(chunk)
            copy.flush()
            new, _ = await self._files.upload_file(bucket, Path(copy.name), name=asset_id)
        return new
