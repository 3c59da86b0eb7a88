"""The database file: one writer connection, a few readers, each used on threads and never on the event loop."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from retrieval.errors import StoreUnavailable
from retrieval.stores.sqlite.failures import translated
from retrieval.stores.sqlite.schema import migrate

T = TypeVar("T")

OLDEST_SQLITE = (3, 37, 0)  # STRICT tables
BUSY_S = 30.0
READERS = 4

_RETRY_S = 0.02
_SETTLE_MS = 500


class Database:
    """One open database file. `write` and `read` run a function with a connection inside a transaction.

    All writes of this process go through one thread; those of other processes wait for each other in SQLite
    (BEGIN IMMEDIATE). Readers see one consistent state and wait for nobody.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._closed = False

    @classmethod
    async def open(cls, path: Path) -> Database:
        """Makes the file and its tables where they are missing. Raises StoreUnavailable."""
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise StoreUnavailable(f"This Python has SQLite {sqlite3.sqlite_version}; Claimsight needs 3.37 or newer.")
        database = cls(path)
        try:
            await database._run(database._writer, database._prepare)
        except BaseException:
            await database.close()
            raise
        return database

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Commits when `work` returns, durable on disk then; rolls back when it raises."""
        return await self._run(self._writer, lambda: _transaction(self._connection(), work, "BEGIN IMMEDIATE"))

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._run(self._readers, lambda: _transaction(self._connection(), work, "BEGIN"))

    async def on_thread(self, work: Callable[[], T]) -> T:
        """For files: work that takes no connection."""
        return await self._run(self._readers, work)

    async def settle(self) -> None:
        """Empties the log into the file, so that what was deleted is overwritten there too. A reader that needs the
        log for longer than a moment (a backup) is not waited for: then the log goes with the next call."""
        await self._run(self._writer, self._settle)

    async def vacuum(self) -> None:
        """Writes the whole file anew; writers wait meanwhile, readers do not."""
        await self._run(self._writer, self._vacuum)

    def size(self) -> int:
        """Of the file, in bytes. Blocks."""
        return self._path.stat().st_size

    async def close(self) -> None:
        """Waits for what is under way. Further calls raise StoreUnavailable."""
        self._closed = True
        await asyncio.to_thread(self._shut_down)

    async def _run(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        def guarded() -> T:
            with translated():
                return work()

        if self._closed:
            raise StoreUnavailable("The store is closed.")
        return await asyncio.get_running_loop().run_in_executor(pool, guarded)

    def _settle(self) -> None:
        connection = self._connection()
        # The default wait is for writers, which are soon done; all writers would stand still behind this one.
        connection.execute(f"PRAGMA busy_timeout = {_SETTLE_MS}")
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.execute(f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}")

    def _vacuum(self) -> None:
        connection = self._connection()
        connection.execute("PRAGMA temp_store = FILE")  # the copy may be larger than the memory
        try:
            connection.execute("VACUUM")
        finally:
            connection.execute("PRAGMA temp_store = MEMORY")

    def _shut_down(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        while self._opened:
            self._opened.pop().close()

    def _prepare(self) -> None:
        # Made by hand first, so that it and the files that SQLite puts beside it are the owner's alone.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = self._connection()
        _until_free(lambda: connection.execute("PRAGMA journal_mode = WAL").fetchone())
        migrate(connection)

    def _connection(self) -> sqlite3.Connection:
        """This thread's own."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            connection.row_factory = sqlite3.Row
            self._opened.append(connection)
            for pragma in (
                "foreign_keys = ON",
                "synchronous = FULL",  # a commit survives a power cut
                "secure_delete = ON",  # what is deleted is overwritten
                "temp_store = MEMORY",
                "journal_size_limit = 67108864",
            ):
                connection.execute(f"PRAGMA {pragma}")
            self._local.connection = connection
        return connection


def _transaction(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T], begin: str) -> T:
    connection.execute(begin)
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def _until_free(step: Callable[[], object]) -> None:
    """Switching to WAL does not wait for a process that does the same; every other statement does by itself."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            step()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_S)
