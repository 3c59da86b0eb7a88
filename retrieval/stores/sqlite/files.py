"""Bytes below the data folder, each file named by the sha256 of what it holds; encrypted where there is a key.

A file is written to the spool under a name of its own, fsynced, and moved into place inside the write transaction
that records it; it is removed inside a write transaction that found no record of it. SQLite lets one writer in at a
time over all processes, so a file that a record names is always there.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Literal
from uuid import uuid4

from retrieval.disk import sync_folder
from retrieval.stores.sealing import Keyring, SealedReader, seal

Kind = Literal["assets", "pictures"]
KINDS: tuple[Kind, ...] = ("assets", "pictures")

CHUNK_BYTES = 1 << 20
_KEPT_FOR = timedelta(hours=1)
_HELD = {
    "assets": "SELECT 1 FROM assets WHERE asset_id = ? LIMIT 1",
    "pictures": "SELECT 1 FROM pages WHERE picture = ? LIMIT 1",
}


@dataclass(frozen=True, slots=True)
class Spooled:
    """Bytes on disk that are not in place yet. name: sha256 of them."""

    path: Path
    name: str
    size_bytes: int


class Files:
    """The folders `assets`, `pictures` and `spool` below `root`. Every method blocks: call it on a thread."""

    def __init__(self, root: Path, keys: Keyring | None = None) -> None:
        self.root = root
        self.keys = keys

    @classmethod
    def prepare(cls, root: Path | str, keys: Keyring | None = None) -> Files:
        """Makes the folders where they are missing, the owner's alone."""
        files = cls(Path(root).expanduser().absolute(), keys)
        for folder in (files.root, *(files.root / name for name in (*KINDS, "spool"))):
            _make_folder(folder)
        return files

    def path(self, kind: Kind, name: str) -> Path:
        return self.root / path_of(kind, name)

    def reader(self, kind: Kind, name: str) -> SealedReader:
        """The content. Raises FileNotFoundError."""
        return SealedReader(self.keys, self.path(kind, name), name=path_of(kind, name))

    def spool_copy(self, kind: Kind, name: str, source: Path) -> Spooled:
        """name: what the content should have as its sha256; what it has is in the answer."""
        with source.open("rb") as reader:
            return self.spool_chunks(kind, name, iter(lambda: reader.read(CHUNK_BYTES), b""))

    def spool_chunks(self, kind: Kind, name: str, chunks: Iterable[bytes]) -> Spooled:
        return self._spool(chunks, path_of(kind, name))

    def spool_bytes(self, kind: Kind, content: bytes) -> Spooled:
        return self._spool([content], path_of(kind, sha256(content).hexdigest()))

    def note_key(self, connection: sqlite3.Connection) -> None:
        """In the transaction that records files: the store holds some under the key that is in use."""
        if self.keys is not None:
            connection.execute("INSERT OR IGNORE INTO encryption_keys VALUES (?)", (self.keys.current,))

    def settle(self, kind: Kind, spooled: Iterable[Spooled]) -> None:
        """Moves into place, durably; call inside the write transaction that records the files."""
        folders: set[Path] = set()
        for one in spooled:
            target = self.path(kind, one.name)
            if not target.parent.exists():
                _make_folder(target.parent)
                folders.add(target.parent.parent)
            os.replace(one.path, target)
            folders.add(target.parent)
        for folder in folders:
            sync_folder(folder)

    def discard(self, spooled: Iterable[Spooled]) -> None:
        for one in spooled:
            one.path.unlink(missing_ok=True)

    def link_out(self, name: str) -> Path:
        """A second name for an asset's bytes in the spool, so that a deletion meanwhile takes them from nobody."""
        target = self._spool_path()
        source = self.path("assets", name)
        try:
            os.link(source, target)
        except FileNotFoundError:
            raise
        except OSError:  # a file system without hard links
            shutil.copyfile(source, target)
        return target

    def remove_unheld(self, connection: sqlite3.Connection, kind: Kind, names: Iterable[str]) -> int:
        """Removes those that no record names; call inside a write transaction. Returns how many were there."""
        removed = 0
        folders: set[Path] = set()
        for name in self.unheld(connection, kind, names):
            path = self.path(kind, name)
            if path.exists():
                path.unlink()
                folders.add(path.parent)
                removed += 1
        for folder in folders:
            sync_folder(folder)
        return removed

    def unheld(self, connection: sqlite3.Connection, kind: Kind, names: Iterable[str]) -> list[str]:
        """Those that no record names."""
        return [name for name in names if connection.execute(_HELD[kind], (name,)).fetchone() is None]

    def old(self, kind: Kind, now: datetime) -> Iterator[str]:
        """Names of files older than an hour."""
        for folder in sorted((self.root / kind).iterdir()):
            if folder.is_dir():
                yield from (path.name for path in _older(folder, now))

    def sweep_spool(self, now: datetime) -> int:
        """Removes what a crash left there more than an hour ago; how many."""
        removed = 0
        for path in _older(self.root / "spool", now):
            path.unlink(missing_ok=True)
            removed += 1
        return removed

    def _spool(self, chunks: Iterable[bytes], bound_to: str) -> Spooled:
        path = self._spool_path()
        digest, size = sha256(), 0

        def counted() -> Iterator[bytes]:
            nonlocal size
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                yield chunk

        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as writer:
                content = counted()
                for piece in content if self.keys is None else seal(self.keys, content, name=bound_to):
                    writer.write(piece)
                writer.flush()
                os.fsync(writer.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return Spooled(path, digest.hexdigest(), size)

    def _spool_path(self) -> Path:
        return self.root / "spool" / f"store-{uuid4().hex}"


def path_of(kind: str, name: str) -> str:
    """Below the data folder."""
    return f"{kind}/{name[:2]}/{name}"


def used_keys(connection: sqlite3.Connection) -> list[str]:
    """Ids of the keys that files are under."""
    return [row[0] for row in connection.execute("SELECT key_id FROM encryption_keys ORDER BY key_id")]


def _older(folder: Path, now: datetime) -> Iterator[Path]:
    limit = (now - _KEPT_FOR).timestamp()
    for entry in os.scandir(folder):
        try:
            old = entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime < limit
        except FileNotFoundError:  # gone since the listing
            continue
        if old:
            yield Path(entry.path)


def _make_folder(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
