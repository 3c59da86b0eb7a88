"""Files on their way: one folder, every entry locked by the process that uses it, so that what a killed process left
behind is told from what is in use without clocks or process ids."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import uuid
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, TypeVar

T = TypeVar("T")
Kind = Literal["file", "folder"]


class SpoolEntry:
    """One temporary file or folder at `path`. The methods block: call them through `finishing`."""

    def __init__(self, path: Path, kind: Kind) -> None:
        self.path = path
        self._kind: Kind = kind
        self._lock: int | None = None

    def create(self) -> None:
        """Makes it, empty, and locks it for as long as this process lives or until `remove`."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while self._lock is None:
            if self._kind == "folder":
                self.path.mkdir(mode=0o700, exist_ok=True)
            else:
                os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))
            self._lock = _locked(self.path)

    def append(self, data: bytes | bytearray) -> None:
        with self.path.open("ab") as handle:
            handle.write(data)

    def remove(self) -> None:
        """Takes it away with all that is in it, then gives up the lock. Harmless when it is gone already."""
        if self._kind == "folder":
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            self.path.unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class Spool:
    """Temporary files and folders below `folder`, which is made at need."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def entry(self, kind: Kind) -> SpoolEntry:
        """A new entry, not created yet."""
        return SpoolEntry(self._folder / f"{uuid.uuid4().hex}.{kind}", kind)

    @asynccontextmanager
    async def copy_of(self, pieces: AsyncIterable[bytes]) -> AsyncGenerator[Path]:
        """A file of these bytes for as long as the block lasts; locked, so that what a killed process leaves goes with
        the next sweep."""
        copy = self.entry("file")
        try:
            await finishing(copy.create)
            async for piece in pieces:
                await finishing(lambda piece=piece: copy.append(piece))
            yield copy.path
        finally:
            await finishing(copy.remove)

    def sweep(self) -> int:
        """Removes what no living process holds; how many entries. Blocks."""
        removed = 0
        for kind in ("file", "folder"):
            for path in list(self._folder.glob(f"*.{kind}")):
                removed += _sweep_one(path, kind)
        return removed


async def finishing(call: Callable[[], T]) -> T:
    """Runs `call` in a thread. When cancelled it waits for the thread first, so that a clean-up afterwards sees
    everything that `call` made."""
    running = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise


def _locked(path: Path) -> int | None:
    """The lock of an existing entry; None when a sweep took the entry away before it was locked."""
    try:
        lock = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        if os.path.samestat(os.fstat(lock), os.stat(path)):
            return lock
    except FileNotFoundError:
        pass
    os.close(lock)
    return None


def _sweep_one(path: Path, kind: Kind) -> bool:
    try:
        lock = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False  # in use
    else:
        SpoolEntry(path, kind).remove()
        return True
    finally:
        os.close(lock)
