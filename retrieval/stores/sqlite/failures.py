"""Exceptions of sqlite3 and the file system to the domain's: none leaves this folder."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

from retrieval.errors import ClaimsightError, InvalidInput, StoreUnavailable

_BUSY = "The store is busy with another writer; try again."
_FULL = "The disk of the store is full: free some space."
_DAMAGED = "The database file of the store is damaged: restore it from a backup."
_ACCESS = "The data folder of the store cannot be read or written: check its rights and its disk."
_BAD_VALUE = "The record holds a value that cannot be stored."

_BY_CODE = {
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_READONLY: _ACCESS,
    sqlite3.SQLITE_CANTOPEN: _ACCESS,
    sqlite3.SQLITE_IOERR: _ACCESS,
    sqlite3.SQLITE_PERM: _ACCESS,
    sqlite3.SQLITE_AUTH: _ACCESS,
}
_PRIMARY_CODE = 0xFF


@contextmanager
def translated() -> Generator[None]:
    """A stretch of work on the database and its files, with their failures as errors of the domain."""
    try:
        yield
    except ClaimsightError:
        raise
    except (sqlite3.Error, sqlite3.Warning, OSError, OverflowError, UnicodeError) as error:
        raise domain_error(error) from error


def domain_error(error: Exception) -> ClaimsightError:
    """What the store says instead. Texts of the driver are not repeated: they may hold paths and values."""
    if isinstance(error, OverflowError | UnicodeError):
        return InvalidInput(_BAD_VALUE, code="bad_value")
    if isinstance(error, OSError):
        return StoreUnavailable(_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else _ACCESS)
    code = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & _PRIMARY_CODE
    if primary == sqlite3.SQLITE_TOOBIG or isinstance(error, sqlite3.DataError):
        return InvalidInput("The record is too large to be stored.", code="too_large")
    if primary in _BY_CODE:
        return StoreUnavailable(_BY_CODE[primary])
    return StoreUnavailable("The database of the store could not do this.")
