"""What a deletion must ask first and what it leaves in the place of a name, the same on every engine."""

from __future__ import annotations

from retrieval.errors import Conflict

# Stands in a job for the name of a file that was deleted.
DELETED_NAME = "(deleted)"


def require_free(claim_id: str, *, held: bool) -> None:
    """Raises Conflict claim_held."""
    if held:
        raise Conflict(
            f"The claim {claim_id[:80]!r} is under legal hold; nothing of it is deleted until it is released.",
            code="claim_held",
        )


def require_version(version: int, expected: int | None) -> None:
    """Raises Conflict version_conflict unless the stored version is the expected one."""
    if expected is not None and version != expected:
        raise Conflict(f"The claim is at version {version}, not {expected}: read it again.", code="version_conflict")
