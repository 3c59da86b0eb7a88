"""Who asks, as it is answered."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from app.identity import Identity
from app.schemas.common import Reply
from retrieval.keys import Role


class MeReply(Reply):
    tenant: str = Field(description="Whose data this key reads and changes.")
    role: Role
    actor: str = Field(description="As the audit names it: `local`, `key:ID` or `oidc:SUBJECT`.")
    name: str
    expires_at: datetime | None = None

    @classmethod
    def of(cls, who: Identity) -> MeReply:
        return cls(tenant=who.tenant, role=who.role, actor=who.actor, name=who.name, expires_at=who.expires_at)
