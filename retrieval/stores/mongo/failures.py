"""The driver's exceptions to the domain's: none leaves this folder.

Texts of the driver never reach a user: they may name hosts, users and values. Search errors of MongoDB arrive as
code 8 with changing prefixes, so they are told apart by a part of their text.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import pymongo
from bson.errors import BSONError
from gridfs.errors import CorruptGridFile, NoFile
from pymongo.errors import (
    ConfigurationError,
    DocumentTooLarge,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
)

from retrieval.errors import (
    ClaimsightError,
    Conflict,
    EncoderMismatch,
    IndexNotReady,
    InvalidInput,
    NotFound,
    StoreUnavailable,
)

NO_SEARCH = "This MongoDB has no vector search; use Atlas, atlas-local, or MongoDB Community with its search process."

_NO_SEARCH_CODES = frozenset({31082, 115})
_LOGIN_CODES = frozenset({13, 18, 8000})
_SEARCH_FAILED = 8
_SEARCH_TEXTS: tuple[tuple[str, str, str], ...] = (
    ("not initialized", "index_building", "The vector index is being built; search works when it is ready."),
    ("in state NOT_STARTED", "index_building", "The vector index is being built; search works when it is ready."),
    ("in state INITIAL_SYNC", "index_building", "The vector index is being built; search works when it is ready."),
    ("in state FAILED", "index_failed", "Building the vector index failed: drop it, then ensure it again."),
    ("to be indexed as", "index_outdated", "The vector index is of an older version: run `claimsight index ensure`."),
    (
        "is not indexed as vector",
        "index_outdated",
        "The vector index is of another kind: run `claimsight index ensure`.",
    ),
    ("over search index", "index_outdated", "The index is no vector index: drop it, then ensure it again."),
)
_WRONG_DIMS = "dimensions but queried with"


@contextmanager
def translated(timeout_s: float) -> Generator[None]:
    """A stretch of driver calls that share one time limit, with their failures as errors of the domain."""
    try:
        with pymongo.timeout(timeout_s):
            yield
    except ClaimsightError:
        raise
    except (PyMongoError, BSONError, UnicodeEncodeError, OverflowError) as error:
        raise domain_error(error) from error


def domain_error(error: Exception) -> ClaimsightError:
    """What the store says instead of a driver's exception."""
    if isinstance(error, DuplicateKeyError):
        return Conflict("Somebody else wrote the same record at the same time; try again.")
    if isinstance(error, DocumentTooLarge):
        return InvalidInput("The record is too large to be stored (16 MB).", code="too_large")
    if isinstance(error, BSONError | UnicodeEncodeError | OverflowError):
        return InvalidInput("The record holds a value that cannot be stored.", code="bad_value")
    if isinstance(error, NoFile):
        return NotFound("The file was deleted.", code="asset_not_found")
    if isinstance(error, CorruptGridFile):
        return StoreUnavailable("The stored bytes of this file are not complete.")
    if isinstance(error, ConfigurationError):
        return StoreUnavailable("The MongoDB address or one of its options is not valid.")
    if isinstance(error, PyMongoError) and error.timeout:
        return StoreUnavailable("MongoDB did not answer in time.")
    if isinstance(error, OperationFailure):
        return _operation_error(error)
    return StoreUnavailable("MongoDB does not answer.")


def _operation_error(error: OperationFailure) -> ClaimsightError:
    text = str(error)
    if error.code in _NO_SEARCH_CODES and "Search" in text:
        return StoreUnavailable(NO_SEARCH)
    if error.code in _LOGIN_CODES:
        return StoreUnavailable("MongoDB refused the login, or the user may not do this.")
    if error.code == _SEARCH_FAILED:
        for part, code, detail in _SEARCH_TEXTS:
            if part in text:
                return IndexNotReady(detail, code=code)
        if _WRONG_DIMS in text:
            return EncoderMismatch("The vector index is for vectors of another length than this encoder's.")
    return StoreUnavailable(f"MongoDB could not do this (code {error.code}).")
