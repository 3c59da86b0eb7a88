"""How much a tenant may store, the same on every engine."""

from __future__ import annotations

from retrieval.errors import TooLarge

_MIB = 1024 * 1024


def require_room(stored_bytes: int, size_bytes: int, most_bytes: int) -> None:
    """stored_bytes: of the tenant before a file of size_bytes is added. Raises TooLarge quota_exceeded."""
    if stored_bytes + size_bytes > most_bytes:
        raise TooLarge(
            f"There is no room for this file: all files together may take {most_bytes / _MIB:,.4g} MiB. Delete some, "
            "or ask whoever runs this server.",
            code="quota_exceeded",
        )
