"""Folders that are there as a whole or not at all, and copies of files that are hashed on the way."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from retrieval.disk import sync_folder
from retrieval.errors import Conflict

CHUNK_BYTES = 1 << 20

Progress = Callable[[str, int, int], None]
"""Called with what is done, how many of it, and of how many."""


@contextmanager
def building(target: Path) -> Generator[Path]:
    """A folder to be filled; it gets the name `target` when all went well, and is gone otherwise.

    Until then it is called `target` with ".partial" behind; what a killed run left there is cleared. Raises Conflict
    target_not_empty when something is at `target`, target_busy when another process fills it now.
    """
    if target.exists() and not _is_empty_folder(target):
        raise _not_empty(target)
    partial = target.with_name(f"{target.name}.partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    lock = _locked(partial)
    try:
        for old in partial.iterdir():
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        yield partial
        os.sync()  # one for all files: thousands of single ones would take longer than the copy
        try:
            os.rename(partial, target)
        except OSError as error:
            if target.exists():
                raise _not_empty(target) from error
            raise
        sync_folder(target.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def copy_hashed(source: Path, target: Path) -> tuple[str, int]:
    """Copies the bytes; returns their sha256 in hex and their number. Folders above are made, the owner's alone."""
    digest, size = sha256(), 0
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with source.open("rb") as reader, open(_new_file(target), "wb") as writer:
        while chunk := reader.read(CHUNK_BYTES):
            writer.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def hash_of(path: Path) -> str:
    with path.open("rb") as reader:
        digest = sha256()
        while chunk := reader.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _new_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and next(path.iterdir(), None) is None


def _not_empty(target: Path) -> Conflict:
    return Conflict(f"{target} is not empty: name a folder that is new or empty.", code="target_not_empty")


def _locked(partial: Path) -> int:
    """Held for as long as this process lives, so a killed run is told from one that goes on."""
    while True:
        partial.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(partial, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise Conflict(f"Another process fills {partial} now.", code="target_busy") from None
        try:
            if os.path.samestat(os.fstat(lock), os.stat(partial)):
                return lock
        except FileNotFoundError:
            pass
        os.close(lock)  # the other one finished and took the name away between the two steps
