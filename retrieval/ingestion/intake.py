"""The door for uploads: bytes to a durable job. Used by the REST API and the command line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from PIL import Image

from retrieval.documents import Asset, EntryState, Job, NewEntry
from retrieval.errors import Refused, TooLarge
from retrieval.ingestion.filenames import clean_filename
from retrieval.ingestion.limits import MIB, Limits
from retrieval.ingestion.media import ENDINGS, MediaType
from retrieval.ingestion.render import Renderer
from retrieval.ingestion.sniff import HEAD_BYTES, sniff
from retrieval.ingestion.spool import Spool, SpoolEntry, finishing
from retrieval.ports import Note, Store

_WRITE_BYTES = 1 * MIB


@dataclass(frozen=True, slots=True)
class Received:
    """A file that lies in the spool whole. asset_id: sha256 of its bytes. media_type: by its first bytes."""

    filename: str
    asset_id: str
    size_bytes: int
    media_type: MediaType
    spooled: SpoolEntry = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file of an upload that was refused at the door; it becomes a failed entry beside the others. filename: cleaned
    for display."""

    filename: str
    error: Refused

    @classmethod
    def of(cls, filename: str, error: Refused) -> RefusedFile:
        return cls(filename=clean_filename(filename), error=error)

    def entry(self) -> NewEntry:
        return NewEntry(self.filename, None, state=EntryState.failed, code=self.error.code, detail=self.error.detail)


class Intake:
    """One for each process. What it spools is removed by `submit` or `discard`, or by the sweep of a later start."""

    def __init__(self, store: Store, spool_dir: Path, limits: Limits) -> None:
        self._store = store
        self._spool = Spool(spool_dir)
        self._limits = limits
        self._renderer = Renderer(limits)

    async def sweep(self) -> int:
        """Removes what killed processes left in the spool; call it at start. How many entries."""
        return await asyncio.to_thread(self._spool.sweep)

    async def receive(self, filename: str, chunks: AsyncIterator[bytes], *, before_bytes: int = 0) -> Received:
        """Streams one file to the spool while hashing it. before_bytes: what this request brought before it.

        Raises Refused (empty_file, unsupported_type) and TooLarge (file_too_large, request_too_large), as soon as
        the bytes so far show it: `chunks` may then be left unread. Nothing stays in the spool after an error.
        """
        spooled = self._spool.entry("file")
        try:
            await finishing(spooled.create)
            writer = _Writer(spooled, self._limits, before_bytes)
            async for chunk in chunks:
                if writer.take(chunk):
                    await finishing(writer.flush)
            await finishing(writer.flush)
            media_type = writer.media_type()
        except BaseException:
            await finishing(spooled.remove)
            raise
        return Received(
            filename=clean_filename(filename, otherwise=f"upload{ENDINGS[media_type]}"),
            asset_id=writer.digest.hexdigest(),
            size_bytes=writer.size_bytes,
            media_type=media_type,
            spooled=spooled,
        )

    async def submit(
        self,
        tenant: str,
        claim_id: str,
        received: Sequence[Received | RefusedFile],
        idempotency_key: str | None = None,
        *,
        request_id: str | None = None,
        note: Note[str] | None = None,
    ) -> tuple[Job, bool]:
        """`keep`, then one job; the job, and whether it is new. request_id, note: as for JobQueue.submit. Raises what
        `keep` and JobQueue.submit raise."""
        kept = await self.keep(tenant, claim_id, received)
        return await self._store.jobs.submit(
            tenant, claim_id, entries_of(kept), idempotency_key=idempotency_key, request_id=request_id, note=note
        )

    async def keep(
        self, tenant: str, claim_id: str, received: Sequence[Received | RefusedFile]
    ) -> list[NewEntry | RefusedFile]:
        """Makes bytes and records durable, in the order given; what each file is to be in the job. One that the tenant
        has no room for is refused, as those that were refused before.

        A file that the claim already holds becomes an entry `duplicate` without work, unless every earlier ingest of
        it failed or was cancelled. The spool files are gone afterwards, also after an error. Raises what
        AssetStore.add raises, but for quota_exceeded.
        """
        kept: list[NewEntry | RefusedFile] = []
        fresh: set[str] = set()
        try:
            for file in received:
                if isinstance(file, RefusedFile):
                    kept.append(file)
                    continue
                try:
                    kept.append(await self._entry(tenant, claim_id, file, fresh))
                except TooLarge as error:
                    kept.append(RefusedFile(file.filename, error))
                else:
                    fresh.add(file.asset_id)
        finally:
            await asyncio.shield(self.discard(received))
        return kept

    async def read_picture(self, chunks: AsyncIterator[bytes]) -> Image.Image:
        """A picture to search with, or the first page of a PDF: upright, RGB, as a stored page would be. It is
        opened in a limited process, like any upload, and kept nowhere. Raises Refused and TooLarge."""
        file = await self.receive("", chunks)
        folder = self._spool.entry("folder")
        try:
            await finishing(folder.create)
            source = file.spooled.path
            rendering = await self._renderer.render(source, file.media_type, first=1, last=1, folder=folder.path)
            if not rendering.pages:
                reason = rendering.failed[0]
                raise Refused(reason.detail, code=reason.code)
            _, picture = await asyncio.to_thread(rendering.pages[0].load)
            return picture
        finally:
            await finishing(folder.remove)
            await self.discard([file])

    async def discard(self, received: Sequence[Received | RefusedFile]) -> None:
        """Removes the spool files of an upload that is not submitted."""
        for file in received:
            if isinstance(file, Received):
                await finishing(file.spooled.remove)

    async def _entry(self, tenant: str, claim_id: str, file: Received, fresh: set[str]) -> NewEntry:
        asset = Asset(asset_id=file.asset_id, claim_id=claim_id, filename=file.filename, size_bytes=file.size_bytes)
        _, new = await self._store.assets.add(tenant, asset, file.spooled.path, most_bytes=self._limits.stored_bytes)
        if file.asset_id in fresh:
            detail = "The same file is in this upload twice."
        elif not new and await self._is_ingested(tenant, claim_id, file.asset_id):
            detail = "The claim already holds this file."
        else:
            return NewEntry(file.filename, file.asset_id)
        return NewEntry(file.filename, file.asset_id, state=EntryState.duplicate, code="duplicate", detail=detail)

    async def _is_ingested(self, tenant: str, claim_id: str, asset_id: str) -> bool:
        """Whether an ingest of that file into that claim succeeded or is still under way."""
        cursor: str | None = None
        while True:
            listing = await self._store.jobs.list(tenant, claim_id=claim_id, cursor=cursor)
            for job in listing.items:
                states = {entry.state for entry in job.entries if entry.asset_id == asset_id}
                if states & {EntryState.succeeded, EntryState.queued, EntryState.running}:
                    return True
            cursor = listing.next_cursor
            if cursor is None:
                return False


def entries_of(kept: Sequence[NewEntry | RefusedFile]) -> list[NewEntry]:
    return [file.entry() if isinstance(file, RefusedFile) else file for file in kept]


class _Writer:
    """Counts, hashes and buffers what comes in. `take` is quick; `flush` writes and may block."""

    def __init__(self, spooled: SpoolEntry, limits: Limits, before_bytes: int) -> None:
        self._spooled = spooled
        self._limits = limits
        self._before_bytes = before_bytes
        self._buffer = bytearray()
        self._head = b""
        self.digest = sha256()
        self.size_bytes = 0

    def take(self, chunk: bytes) -> bool:
        """Whether enough is buffered to be written. Raises Refused and TooLarge."""
        self.size_bytes += len(chunk)
        if self.size_bytes > self._limits.file_bytes:
            raise TooLarge(f"The file is larger than {_mib(self._limits.file_bytes)}.", code="file_too_large")
        if self._before_bytes + self.size_bytes > self._limits.request_bytes:
            limit = _mib(self._limits.request_bytes)
            raise TooLarge(f"The files of this upload are together larger than {limit}.", code="request_too_large")
        if len(self._head) < HEAD_BYTES:
            self._head += chunk[: HEAD_BYTES - len(self._head)]
            if len(self._head) == HEAD_BYTES:
                sniff(self._head)
        self._buffer += chunk
        return len(self._buffer) >= _WRITE_BYTES

    def flush(self) -> None:
        self.digest.update(self._buffer)
        self._spooled.append(self._buffer)
        self._buffer.clear()

    def media_type(self) -> MediaType:
        """Of the whole file. Raises Refused."""
        return sniff(self._head)


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / MIB:g} MiB"
