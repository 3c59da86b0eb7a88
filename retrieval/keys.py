"""API keys: what one looks like, and what is kept of it. No I/O.

A key is `claimsight_ID_SECRET`: 16 hex digits that find its record, then 256 random bits. Only the sha256 of the secret
is kept; a slow hash would add nothing to that many random bits, and every request compares it.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Literal

_FORM = re.compile(r"claimsight_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_SECRET_BYTES = 32

KeyState = Literal["active", "expired", "revoked"]


class Role(StrEnum):
    """What somebody may do; each role may do what the ones before it may."""

    viewer = "viewer"
    adjuster = "adjuster"
    admin = "admin"

    def covers(self, other: Role) -> bool:
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept. digest: sha256 of its secret, hex. tenant: whose data it opens. All times aware UTC;
    expires_at: None for a key that does not end by itself. last_used_at: to the minute."""

    key_id: str
    tenant: str
    role: Role
    name: str
    digest: str = field(repr=False)
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def state(self, now: datetime) -> KeyState:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


@dataclass(frozen=True, slots=True)
class ShownKey:
    """A key as somebody sends it: the id of its record, and the digest of its secret."""

    key_id: str
    digest: str = field(repr=False)

    def opens(self, key: ApiKey) -> bool:
        """Takes the same time for every wrong secret."""
        return hmac.compare_digest(self.digest, key.digest)


def make_key(
    tenant: str, role: Role, name: str, *, created_at: datetime, expires_at: datetime | None
) -> tuple[str, ApiKey]:
    """A new random key: its text, which is kept nowhere, and its record."""
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(_SECRET_BYTES)
    key = ApiKey(key_id, tenant, role, name, _digest(secret), created_at, expires_at)
    return f"claimsight_{key_id}_{secret}", key


def read_key(text: str) -> ShownKey | None:
    """None for what has not the form of a key."""
    found = _FORM.fullmatch(text)
    return None if found is None else ShownKey(found[1], _digest(found[2]))


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
