"""What both stores ask of a key before they change it."""

from __future__ import annotations

from datetime import datetime

from retrieval.errors import Conflict
from retrieval.keys import ApiKey


def require_lasting(key: ApiKey, now: datetime) -> None:
    """Raises Conflict key_ended: a key that ended must not come to life again by its rotation."""
    if (state := key.state(now)) != "active":
        raise Conflict(f"The key {key.key_id} is {state}: create a new one.", code="key_ended")
