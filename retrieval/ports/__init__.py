"""What the rest of the house needs from a store: one protocol a noun, one Store that holds them.

Every call on a user's data takes the tenant first. Stores raise the errors of retrieval.errors only; a driver's
exception never leaves them. Both engines pass tests/conformance.

A change that is asked for takes a `note`: what it leaves in the audit.

`adopt`, on each port, takes records of another store as they were there (times, versions, states, order), for copies
between stores. It may be repeated, and nobody else writes to the store meanwhile.
"""

from retrieval.ports.assets import AssetStore
from retrieval.ports.audit import AuditLog
from retrieval.ports.claims import ClaimStore
from retrieval.ports.jobs import EntryOutcome, JobQueue
from retrieval.ports.keys import KeyStore
from retrieval.ports.pages import PageIndex
from retrieval.ports.shared import Listing, Note
from retrieval.ports.store import IndexStatus, Progress, Resealed, Store

__all__ = [
    "AssetStore",
    "AuditLog",
    "ClaimStore",
    "EntryOutcome",
    "IndexStatus",
    "JobQueue",
    "KeyStore",
    "Listing",
    "Note",
    "PageIndex",
    "Progress",
    "Resealed",
    "Store",
]
