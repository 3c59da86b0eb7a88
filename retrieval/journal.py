"""The audit of reads: durable before the answer, and still no search waits for the store's writers.

A record is appended to a file of this process and synced before `record` returns; what comes meanwhile is written
together by the next sync. A moment later the records move into the chain of the store, in batches, and their file is
removed. Files of a process that died are moved by the next `recover` of any process, each record once.

So a crash loses no record of anything that was answered; the loss of the disk between the answer and the move would.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import structlog

from retrieval.disk import sync_folder
from retrieval.documents import AuditEvent, FactValue
from retrieval.errors import ClaimsightError, StoreUnavailable
from retrieval.ports import AuditLog

_MOVE_EVERY_S = 1.0
_MOST_A_MOVE = 1000

_log = structlog.get_logger("claimsight.audit")


@dataclass(frozen=True, slots=True)
class _Entry:
    tenant: str
    event: AuditEvent

    def line(self) -> str:
        said = {"tenant": self.tenant, **asdict(self.event), "at": self.event.at.isoformat(timespec="microseconds")}
        return json.dumps(said, separators=(",", ":")) + "\n"

    @classmethod
    def read(cls, line: str) -> _Entry | None:
        """None for a line that was cut: nobody was told that it is durable."""
        try:
            said: dict[str, Any] = json.loads(line)
            at = datetime.fromisoformat(said["at"])
            details = cast("Mapping[str, FactValue]", said["details"])
            event = AuditEvent(at, said["actor"], said["action"], said["target"], said["request_id"], details)
            return cls(said["tenant"], event)
        except (ValueError, KeyError, TypeError):
            return None


class AuditJournal:
    """One for each process that serves; `close` at its end. Nothing is made in `folder` before the first record.

    observe: called with how many records one sync wrote and how long it took, in seconds.
    """

    def __init__(
        self, audit: AuditLog, folder: Path, *, observe: Callable[[int, float], None] = lambda count, seconds: None
    ) -> None:
        self._audit = audit
        self._folder = folder
        self._observe = observe
        self._waiting: list[tuple[_Entry, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._moving: asyncio.Task[None] | None = None
        self._file_lock = asyncio.Lock()
        self._move_lock = asyncio.Lock()
        self._file: _File | None = None
        self._written: list[_Entry] = []
        self._is_certain = True
        self._closed = False

    @property
    def unmoved(self) -> int:
        """Records that are durable here and not in the chain yet."""
        return len(self._written)

    async def record(self, tenant: str, event: AuditEvent) -> None:
        """Durable when it returns. Raises StoreUnavailable audit_unavailable when it cannot be made so."""
        if self._closed:
            raise _unavailable()
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((_Entry(tenant, event), written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_waiting(), name="audit-write")
        # Shielded: a client that goes away must not take the record of another with it.
        await asyncio.shield(written)

    async def recover(self) -> int:
        """Moves what processes that died left in the folder; how many records. Raises what the store raises."""
        moved = 0
        for path in await asyncio.to_thread(lambda: sorted(self._folder.glob("*.journal"))):
            file = await asyncio.to_thread(_File.take_over, path)
            if file is None:
                continue
            try:
                entries = await asyncio.to_thread(file.entries)
                await self._move(entries, is_new=False)
                moved += len(entries)
                await asyncio.to_thread(file.remove)
            finally:
                file.close()
        return moved

    async def move(self) -> None:
        """Moves all records so far into the chain. Raises what the store raises; then they stay where they are."""
        async with self._move_lock:
            async with self._file_lock:
                file, entries = self._file, self._written
                self._file = None
                self._written = []
            if file is None:
                return
            try:
                for start in range(0, len(entries), _MOST_A_MOVE):
                    await self._move(entries[start : start + _MOST_A_MOVE], is_new=self._is_certain)
            except BaseException:
                self._is_certain = False  # some may be in the chain: the store failed before it said so
                async with self._file_lock:
                    await self._put_back(file, entries)
                raise
            self._is_certain = True
            await asyncio.to_thread(file.remove)
            file.close()

    async def close(self) -> None:
        """Moves what is left. What cannot be moved now stays for `recover`."""
        self._closed = True
        if self._writing is not None:
            await asyncio.wait({self._writing})
        if self._moving is not None:
            self._moving.cancel()
            await asyncio.wait({self._moving})
        with suppress(ClaimsightError):
            await self.move()
        if self._file is not None:
            self._file.close()

    async def _write_waiting(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._write(batch)
        finally:
            self._writing = None

    async def _write(self, batch: Sequence[tuple[_Entry, asyncio.Future[None]]]) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        lines = "".join(entry.line() for entry, _ in batch).encode()
        failed: BaseException | None = None
        async with self._file_lock:
            try:
                if self._file is None:
                    self._file = await asyncio.to_thread(_File.create, self._folder)
                await asyncio.to_thread(self._file.append, lines)
            except OSError as error:
                _log.error("audit_not_written", error=type(error).__name__)
                failed = _unavailable()
            else:
                self._written += [entry for entry, _ in batch]
        self._observe(len(batch), loop.time() - started)
        for _, written in batch:
            if not written.done():
                written.set_result(None) if failed is None else written.set_exception(failed)
        if self._moving is None and not self._closed:
            self._moving = asyncio.create_task(self._move_now_and_then(), name="audit-move")

    async def _move_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(_MOVE_EVERY_S)
            try:
                await self.move()
            except ClaimsightError as error:
                _log.warning("audit_not_moved", code=error.code, records=len(self._written))

    async def _move(self, entries: Sequence[_Entry], *, is_new: bool) -> None:
        """is_new: none of them can be in the chain."""
        for tenant in dict.fromkeys(entry.tenant for entry in entries):
            events = [entry.event for entry in entries if entry.tenant == tenant]
            if not is_new:
                events = await self._not_moved(tenant, events)
            if events:
                await self._audit.append(tenant, *events)

    async def _not_moved(self, tenant: str, events: Sequence[AuditEvent]) -> list[AuditEvent]:
        """Those that the chain does not hold: the process may have died between the move and the end of its file."""
        first = min(event.at for event in events)
        known: list[AuditEvent] = []
        cursor: str | None = None
        while True:
            part = await self._audit.list(tenant, cursor=cursor, limit=_MOST_A_MOVE)
            known += [event for event in part.items if event.at >= first]
            if (cursor := part.next_cursor) is None or part.items[-1].at < first:
                break
        return [event for event in events if event not in known]

    async def _put_back(self, file: _File, entries: list[_Entry]) -> None:
        """After a move that failed: its file goes on as the one that is written to."""
        if self._file is not None:
            await asyncio.to_thread(file.append, "".join(entry.line() for entry in self._written).encode())
            await asyncio.to_thread(self._file.remove)
            self._file.close()
        self._file = file
        self._written = entries + self._written


class _File:
    """One journal, locked for as long as its process lives. Every method blocks."""

    def __init__(self, path: Path, handle: int) -> None:
        self._path = path
        self._handle = handle

    @classmethod
    def create(cls, folder: Path) -> _File:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{uuid.uuid4().hex}.journal"
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        sync_folder(folder)
        return cls(path, handle)

    @classmethod
    def take_over(cls, path: Path) -> _File | None:
        """None while a living process has it, or when another took it first."""
        try:
            handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                return cls(path, handle)
        except OSError:
            pass
        os.close(handle)
        return None

    def append(self, lines: bytes) -> None:
        """Durable when it returns; after an error the file is as it was before."""
        size = os.fstat(self._handle).st_size
        try:
            left = memoryview(lines)
            while left:
                left = left[os.write(self._handle, left) :]
            os.fdatasync(self._handle)
        except OSError:
            os.ftruncate(self._handle, size)
            raise

    def entries(self) -> list[_Entry]:
        text = self._path.read_text(encoding="utf-8", errors="replace")
        return [entry for line in text.splitlines() if (entry := _Entry.read(line)) is not None]

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        os.close(self._handle)


def _unavailable() -> StoreUnavailable:
    return StoreUnavailable(
        "The audit cannot be written now, so nothing is shown; try again.", code="audit_unavailable"
    )
