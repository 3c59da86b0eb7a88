"""Backups of a data folder while it is served and written, and the way back.

A backup is a data folder of its own with a manifest: the database as it was at one moment, and every file that this
database names. It needs no help from the processes that have the folder open.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from retrieval.errors import InvalidInput, StoreUnavailable
from retrieval.stores.sealing import Keyring, SealedReader
from retrieval.stores.sqlite.connection import BUSY_S
from retrieval.stores.sqlite.failures import translated
from retrieval.stores.sqlite.files import path_of
from retrieval.stores.sqlite.folders import Progress, building, copy_hashed, hash_of
from retrieval.stores.sqlite.manifest import About, damaged, read_manifest, write_manifest
from retrieval.stores.sqlite.schema import require_known_version
from retrieval.stores.sqlite.soundness import problems_of
from retrieval.stores.sqlite.store import DATABASE_NAME

_PAGES_A_STEP = 2048
_ROUNDS = 5
_NAMED = "SELECT 'assets' AS kind, asset_id AS name FROM assets UNION SELECT 'pictures', picture FROM pages"


def backup(data: Path, target: Path, *, now: datetime, progress: Progress, keys: Keyring | None = None) -> About:
    """Writes a backup of the data folder to `target`, which must be new or empty. Encrypted files stay so; keys: to
    check what they hold.

    Raises InvalidInput no_data_folder, Conflict target_not_empty or target_busy, StoreUnavailable file_missing or
    file_damaged when the folder itself is not whole (`verify` names what is wrong), and OSError for the target.
    """
    data = data.expanduser().absolute()
    with building(target.expanduser().absolute()) as partial:
        hashes: dict[str, str] = {}
        sizes: dict[str, int] = {}
        missing: list[str] = []
        # A file may be deleted between the copy of the database and its own; then a newer copy does not name it.
        for _ in range(_ROUNDS):
            tables = _copy_database(data, partial / DATABASE_NAME, progress)
            named = named_files(partial / DATABASE_NAME)
            missing = _copy_files(data, partial, named, hashes, sizes, progress, keys)
            if not missing:
                break
        else:
            raise StoreUnavailable(
                f"{len(missing)} files that the database names are missing: run `claimsight verify`.",
                code="file_missing",
            )
        for path in set(hashes) - named:
            (partial / path).unlink()
            del hashes[path], sizes[path]
        database = partial / DATABASE_NAME
        hashes[DATABASE_NAME], sizes[DATABASE_NAME] = hash_of(database), database.stat().st_size
        created_at = now.astimezone(UTC).isoformat(timespec="seconds")
        return write_manifest(partial, hashes, tables=tables, created_at=created_at, size_bytes=sum(sizes.values()))


def restore(source: Path, target: Path, *, progress: Progress) -> About:
    """Makes the data folder `target`, which must be new or empty, from a backup that is whole.

    Raises what `read_manifest` raises, StoreUnavailable backup_damaged or store_newer, and Conflict target_not_empty
    or target_busy; then nothing is at `target`.
    """
    about, hashes = read_manifest(source)
    if DATABASE_NAME not in hashes:
        raise damaged("it has no database")
    with building(target.expanduser().absolute()) as partial:
        for done, (path, expected) in enumerate(hashes.items(), start=1):
            try:
                found, _ = copy_hashed(source / path, partial / path)
            except FileNotFoundError:
                raise damaged(f"{path} is missing") from None
            if found != expected:
                raise damaged(f"{path} was changed")
            progress("files", done, len(hashes))
        with translated():
            _check_database(partial / DATABASE_NAME)
        if lost := named_files(partial / DATABASE_NAME) - set(hashes):
            raise damaged(f"{min(lost)} is not in its manifest")
    return about


def named_files(database: Path) -> set[str]:
    """Paths below the data folder of all files that the database names."""
    with translated(), closing(open_database(database)) as connection:
        return {path_of(row["kind"], row["name"]) for row in connection.execute(_NAMED)}


def content_hash(keys: Keyring | None, place: Path, path: str) -> tuple[str, int]:
    """sha256 in hex and number of bytes of what a file holds. path: its place below the data folder. A file that does
    not open has none: "". Raises FileNotFoundError, StoreUnavailable encryption_key_missing."""
    digest = sha256()
    reader = SealedReader(keys, place, name=path)
    try:
        for chunk in reader.chunks():
            digest.update(chunk)
    except StoreUnavailable as error:
        if error.code == "encryption_key_missing":
            raise
        return "", reader.size_bytes
    return digest.hexdigest(), reader.size_bytes


def open_database(path: Path) -> sqlite3.Connection:
    """As it is: no table is made or changed. Raises InvalidInput no_data_folder."""
    if not path.is_file():
        raise InvalidInput(f"There is no data folder at {path.parent}.", code="no_data_folder")
    connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY_S, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


def _copy_database(data: Path, target: Path, progress: Progress) -> int:
    """One state of the database, whatever is written meanwhile; returns the version of its tables."""
    target.unlink(missing_ok=True)
    with (
        translated(),
        closing(open_database(data / DATABASE_NAME)) as source,
        closing(sqlite3.connect(target, isolation_level=None)) as copy,
    ):
        target.chmod(0o600)
        version = require_known_version(source)
        # The open transaction holds the state: without it each step would start over after a write.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        source.backup(
            copy,
            pages=_PAGES_A_STEP,
            progress=lambda _, left, total: progress("database", total - left, total),
        )
        source.execute("ROLLBACK")
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, that nobody changes by reading it
        return version


def _copy_files(
    data: Path,
    partial: Path,
    named: Iterable[str],
    hashes: dict[str, str],
    sizes: dict[str, int],
    progress: Progress,
    keys: Keyring | None,
) -> list[str]:
    """Copies those that are not copied yet; returns those that are not there."""
    todo = sorted(path for path in named if path not in hashes)
    missing: list[str] = []
    for done, path in enumerate(todo, start=1):
        try:
            digest, size = copy_hashed(data / path, partial / path)
        except FileNotFoundError:
            missing.append(path)
            continue
        if content_hash(keys, partial / path, path)[0] != Path(path).name:
            raise StoreUnavailable(f"{path} is damaged: run `claimsight verify`.", code="file_damaged")
        hashes[path], sizes[path] = digest, size
        progress("files", done, len(todo))
    return missing


def _check_database(path: Path) -> None:
    with closing(open_database(path)) as connection:
        require_known_version(connection)
        if next(problems_of(connection), None) is not None:
            raise damaged("its database is not sound")
