"""What both engines compare and say of the queue."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256

from retrieval.documents import NewEntry
from retrieval.errors import Conflict


def fingerprint_of(claim_id: str, entries: Sequence[NewEntry]) -> str:
    """What an idempotency key stands for: the claim and the files by name and content, as the user sent them; whether
    one is new or a duplicate may change between two sendings. 64 hex digits."""
    files = [(entry.filename, entry.asset_id) for entry in entries]
    return sha256(json.dumps([claim_id, files]).encode()).hexdigest()


def key_taken() -> Conflict:
    return Conflict("This idempotency key was used for another upload.", code="idempotency_conflict")


def not_finished() -> Conflict:
    return Conflict("The job is not finished; cancel it first.", code="job_not_finished")


def exhausted(attempts: int, detail: str | None) -> str:
    """Why an entry with code attempts_exhausted failed. detail: of its last attempt."""
    tried = f"Tried {attempts} times without success."
    return tried if detail is None else f"{tried} The last time: {detail}"
