"""What the ports of one open store share."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

from retrieval.errors import StoreUnavailable
from retrieval.stores.sqlite.connection import Database
from retrieval.stores.sqlite.files import Files, Kind
from retrieval.stores.sqlite.rows import stamp

_FILES_A_STEP = 200
_REWRITTEN_AT_ONCE = 32 << 20  # bytes; takes a fraction of a second


@dataclass(frozen=True, slots=True)
class Core:
    """clock: aware UTC. new_id: a new job's id, growing with time. copies: folder for copies of encrypted files while
    they are worked on."""

    db: Database
    files: Files
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    max_attempts: int
    copies: Path

    def now(self) -> str:
        return stamp(self.clock())

    async def clear_leftovers(self) -> int:
        """Removes files whose last record is gone, in steps that hold the write lock for a short time each."""
        removed = 0
        while await self.db.read(_has_leftovers):
            removed += await self.db.write(self._clear_some)
        return removed

    async def forget(self) -> int:
        """After a deletion: removes its files and overwrites what the database still holds of it.

        Deleted rows are overwritten where they lay (secure_delete), but SQLite moves rows between pages and leaves
        copies in their slack. Only writing the file anew takes those away: at once while the file is small, else with
        the next `sweep`. Returns how many files were removed.
        """
        removed = await self.clear_leftovers()
        if await self.db.on_thread(self.db.size) <= _REWRITTEN_AT_ONCE:
            with suppress(StoreUnavailable):  # busy: the records are gone, and the next `sweep` does the rest
                await self.rewrite()
        await self.db.settle()
        return removed

    async def rewrite(self) -> None:
        """Writes the database anew if something was deleted since the last time."""
        if deletions := await self.db.read(_deletions):
            await self.db.vacuum()
            await self.db.write(
                lambda connection: connection.execute("UPDATE slack SET deletions = deletions - ?", (deletions,))
            )

    def _clear_some(self, connection: sqlite3.Connection) -> int:
        rows = connection.execute("SELECT kind, name FROM leftovers LIMIT ?", (_FILES_A_STEP,)).fetchall()
        removed = 0
        for kind in {row["kind"] for row in rows}:
            names = [row["name"] for row in rows if row["kind"] == kind]
            removed += self.files.remove_unheld(connection, cast("Kind", kind), names)
        connection.executemany(
            "DELETE FROM leftovers WHERE kind = ? AND name = ?", [(row["kind"], row["name"]) for row in rows]
        )
        return removed


def _deletions(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT deletions FROM slack").fetchone()[0])


def _has_leftovers(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM leftovers LIMIT 1").fetchone() is not None
