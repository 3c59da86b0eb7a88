"""Whether a data folder is whole: its database, the bytes of every file, the vectors of every page."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from retrieval.errors import InvalidInput
from retrieval.stores.codec import check_vectors
from retrieval.stores.sealing import Keyring
from retrieval.stores.sqlite.backup import content_hash, open_database
from retrieval.stores.sqlite.failures import translated
from retrieval.stores.sqlite.files import path_of
from retrieval.stores.sqlite.folders import Progress
from retrieval.stores.sqlite.schema import require_known_version
from retrieval.stores.sqlite.soundness import problems_of
from retrieval.stores.sqlite.store import DATABASE_NAME
from retrieval.stores.sqlite.vector_rows import vectors_of

FaultCode = Literal[
    "database_damaged", "reference_broken", "file_missing", "file_damaged", "vectors_missing", "vectors_damaged"
]

_ROWS_A_STEP = 500
_FILES = (
    "SELECT DISTINCT 'assets' AS kind, asset_id AS name, size_bytes FROM assets "
    "UNION SELECT DISTINCT 'pictures', picture, NULL FROM pages ORDER BY 1, 2"
)
_STILL_NAMED = {
    "assets": "SELECT 1 FROM assets WHERE asset_id = ? LIMIT 1",
    "pictures": "SELECT 1 FROM pages WHERE picture = ? LIMIT 1",
}
_VECTORS = (
    "SELECT p.id, p.page_id, p.encoder, e.dims, s.summary, t.token_dims, t.token_bits, t.tokens, t.scales, t.cells "
    "FROM pages p LEFT JOIN encoders e ON e.name = p.encoder LEFT JOIN summaries s ON s.page = p.id "
    "LEFT JOIN tokens t ON t.page = p.id WHERE p.id > ? ORDER BY p.id LIMIT ?"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """where: a path below the data folder, a table or a page_id."""

    code: FaultCode
    where: str
    detail: str


@dataclass(frozen=True, slots=True)
class Verified:
    """files, pages: how many were looked at."""

    files: int
    pages: int
    faults: tuple[Fault, ...]


def verify(data: Path, *, progress: Progress, keys: Keyring | None = None) -> Verified:
    """Looks at everything and changes nothing; may run while the folder is served. keys: to open encrypted files.

    Raises InvalidInput no_data_folder, StoreUnavailable store_newer, encryption_key_missing, or when the folder cannot
    be read at all.
    """
    data = data.expanduser().absolute()
    database = data / DATABASE_NAME
    faults: list[Fault] = []
    files: list[sqlite3.Row] = []
    pages = 0
    with translated(), closing(open_database(database)) as connection:
        try:
            require_known_version(connection)
            faults += _of_database(connection)
            files = connection.execute(_FILES).fetchall()
            faults += _of_files(connection, data, files, progress, keys)
            pages, of_vectors = _of_vectors(connection, progress)
            faults += of_vectors
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:  # a lock, a disk, a table that is not there
                raise
            faults.append(Fault("database_damaged", DATABASE_NAME, "It cannot be read to its end."))
    return Verified(len(files), pages, tuple(faults))


def _of_database(connection: sqlite3.Connection) -> Iterator[Fault]:
    for text in problems_of(connection):
        yield Fault("database_damaged", DATABASE_NAME, text)
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield Fault("reference_broken", table, f"Row {row} belongs to a row of {parent} that is not there.")


def _of_files(
    connection: sqlite3.Connection, data: Path, files: list[sqlite3.Row], progress: Progress, keys: Keyring | None
) -> Iterator[Fault]:
    for done, row in enumerate(files, start=1):
        path = path_of(row["kind"], row["name"])
        fault = _of_file(data / path, path, row, keys)
        # What was deleted since the list was read is no fault.
        if fault is not None and connection.execute(_STILL_NAMED[row["kind"]], (row["name"],)).fetchone() is not None:
            yield fault
        progress("files", done, len(files))


def _of_file(place: Path, path: str, row: sqlite3.Row, keys: Keyring | None) -> Fault | None:
    try:
        found, size = content_hash(keys, place, path)
    except FileNotFoundError:
        return Fault("file_missing", path, "The database names it; restore it from a backup.")
    if found != row["name"] or row["size_bytes"] not in (None, size):
        return Fault("file_damaged", path, "Its bytes are not those that were stored; restore it from a backup.")
    return None


def _of_vectors(connection: sqlite3.Connection, progress: Progress) -> tuple[int, list[Fault]]:
    total = int(connection.execute("SELECT count(*) FROM pages").fetchone()[0])
    faults: list[Fault] = []
    done, last = 0, 0
    # In steps, so that no long look keeps the log from being emptied.
    while rows := connection.execute(_VECTORS, (last, _ROWS_A_STEP)).fetchall():
        faults += [fault for row in rows if (fault := _of_page(row)) is not None]
        done, last = done + len(rows), rows[-1]["id"]
        progress("pages", done, max(total, done))
    return done, faults


def _of_page(row: sqlite3.Row) -> Fault | None:
    if row["summary"] is None:
        return Fault(
            "vectors_missing", row["page_id"], "Restore from a backup, or delete its file and upload it again."
        )
    try:
        vectors = vectors_of(row)
        check_vectors(vectors)
        fits = vectors.summary.size == row["dims"]
    except (ValueError, InvalidInput):  # of no known form, not of a whole number of rows, not finite, not of length 1
        fits = False
    return (
        None
        if fits
        else Fault("vectors_damaged", row["page_id"], "They are not as they were stored; restore from a backup.")
    )
