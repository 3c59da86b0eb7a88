"""Bytes in GridFS, and the list of loose files that keeps them from being orphaned.

GridFS takes no part in transactions. So a file is first written down as loose, then uploaded, then named by a record
in the transaction that also strikes it off the list; a deletion goes the other way. Whatever a crash leaves behind is
on the list, and `sweep` finds it without a look at any other file.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Literal

from bson.objectid import ObjectId
from gridfs import AsyncGridFSBucket
from gridfs.errors import NoFile

from retrieval.errors import StoreUnavailable
from retrieval.stores.mongo.link import Document, Link, Session, stamp
from retrieval.stores.sealing import HEADER_BYTES, Keyring, Opener, open_sealed, seal, sealed_by

Bucket = Literal["asset_files", "pictures"]

CHUNK_BYTES = 1024 * 1024
_LOOSE_FOR = timedelta(hours=1)
_SWEEP_BATCH = 100
_UPLOADS_AT_ONCE = 4
_KEYS: Document = {"_id": "encryption"}


class FileLost(StoreUnavailable):
    """The sweep took a file that was on its way for more than an hour; the call may be tried again."""


async def used_keys(link: Link) -> list[str]:
    """Ids of the keys that files are under."""
    noted = await link.meta.find_one(_KEYS)
    return list(noted["ids"]) if noted else []


class Files:
    """keys: encrypt what is stored from now on; what lies there is opened by what its header says."""

    def __init__(self, link: Link, keys: Keyring | None = None) -> None:
        self.link = link
        self.keys = keys

    async def upload_file(self, bucket: Bucket, source: Path, *, name: str) -> tuple[ObjectId, str]:
        """Stores a local file and returns it with the sha256 of its content; it stays loose until `claim` in a
        transaction. name: bound to it where it is encrypted. One time limit a chunk."""
        digest = sha256()
        async with self.link.operation():
            (file_id,) = await self._announce(bucket, 1)
            stream = self._bucket(bucket).open_upload_stream_with_id(file_id, "", metadata=await self._mark())

        def content() -> Iterator[bytes]:
            with source.open("rb") as handle:
                while chunk := handle.read(CHUNK_BYTES):
                    digest.update(chunk)
                    yield chunk

        pieces = content() if self.keys is None else seal(self.keys, content(), name=name)
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            async with self.link.operation():
                await stream.write(piece)
        async with self.link.operation():
            await stream.close()
        return file_id, digest.hexdigest()

    async def upload_all(self, bucket: Bucket, contents: Sequence[bytes]) -> list[ObjectId]:
        """Stores several small files, loose until `claim`."""
        ids = await self._announce(bucket, len(contents))
        grid, gate, mark = self._bucket(bucket), asyncio.Semaphore(_UPLOADS_AT_ONCE), await self._mark()

        async def upload(file_id: ObjectId, content: bytes) -> None:
            async with gate:
                if self.keys is not None:
                    content = b"".join(seal(self.keys, [content], name=str(file_id)))
                await grid.upload_from_stream_with_id(file_id, "", content, metadata=mark)

        await asyncio.gather(*map(upload, ids, contents))
        return ids

    async def claim(self, ids: Sequence[ObjectId], session: Session) -> None:
        """In the transaction that names the files: from now on they are not loose. Raises FileLost."""
        struck = await self.link.loose.delete_many({"_id": {"$in": list(ids)}}, session=session)
        if struck.deleted_count != len(ids):
            raise FileLost("Storing the file took too long; try again.")

    async def release(self, bucket: Bucket, ids: Sequence[ObjectId], session: Session) -> None:
        """In the transaction that removes the last record of the files: they are loose again."""
        if ids:
            await self.link.loose.insert_many([self._loose(bucket, file_id) for file_id in ids], session=session)

    async def remove(self, bucket: Bucket, ids: Sequence[ObjectId]) -> None:
        """Deletes loose files, bytes first, so that a crash between leaves them on the list."""
        for start in range(0, len(ids), _SWEEP_BATCH):
            batch = list(ids[start : start + _SWEEP_BATCH])
            await self.link.db[f"{bucket}.files"].delete_many({"_id": {"$in": batch}})
            await self.link.db[f"{bucket}.chunks"].delete_many({"files_id": {"$in": batch}})
            await self.link.loose.delete_many({"_id": {"$in": batch}})

    async def sweep(self) -> int:
        """Deletes files that have been loose for more than an hour; how many."""
        before, swept = stamp(self.link.clock() - _LOOSE_FOR), 0
        while old := await self.link.loose.find({"since": {"$lt": before}}).limit(_SWEEP_BATCH).to_list():
            for bucket in ("asset_files", "pictures"):
                ids = [loose["_id"] for loose in old if loose["bucket"] == bucket]
                await self.remove(bucket, ids)
            swept += len(old)
        return swept

    async def read(self, bucket: Bucket, file_id: ObjectId) -> bytes | None:
        """A small file as a whole, stored by `upload_all`; None when it is gone."""
        try:
            stream = await self._bucket(bucket).open_download_stream(file_id)
            return open_sealed(self.keys, await stream.read(), name=str(file_id))
        except NoFile:
            return None

    async def chunks(self, bucket: Bucket, file_id: ObjectId, *, name: str) -> AsyncIterator[bytes]:
        """The content in pieces of at most CHUNK_BYTES, one time limit each. Raises NoFile's translation at once."""
        async with self.link.operation():
            stream = await self._bucket(bucket).open_download_stream(file_id)
            header = await stream.read(HEADER_BYTES)
        if sealed_by(header) is None:
            piece = header
            while piece:
                yield piece
                async with self.link.operation():
                    piece = await stream.read(CHUNK_BYTES)
            return
        opener = Opener(self.keys, header, stream.length, name=name)
        while wanted := opener.wanted():
            async with self.link.operation():
                piece = await stream.read(wanted)
            content = await asyncio.to_thread(opener.open, piece)
            if content:
                yield content

    async def _mark(self) -> Document | None:
        """What GridFS notes beside a file that is about to be stored; first of all that its key is in use."""
        if self.keys is None:
            return None
        await self.link.meta.update_one(_KEYS, {"$addToSet": {"ids": self.keys.current}}, upsert=True)
        return {"key_id": self.keys.current}

    async def _announce(self, bucket: Bucket, count: int) -> list[ObjectId]:
        ids = [ObjectId() for _ in range(count)]
        if ids:
            await self.link.loose.insert_many([self._loose(bucket, file_id) for file_id in ids])
        return ids

    def _loose(self, bucket: Bucket, file_id: ObjectId) -> Document:
        return {"_id": file_id, "bucket": bucket, "since": self.link.now()}

    def _bucket(self, bucket: Bucket) -> AsyncGridFSBucket:
        return AsyncGridFSBucket(self.link.db, bucket_name=bucket)
