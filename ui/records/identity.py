"""Who asks, and what that role allows."""

from __future__ import annotations

from dataclasses import dataclass

from ui.records.answer import Json

ROLES = ("viewer", "adjuster", "admin")


@dataclass(frozen=True, slots=True)
class Me:
    """Who asks. name: "" when the API knows none."""

    tenant: str
    role: str
    name: str

    @classmethod
    def read(cls, source: Json) -> Me:
        return cls(source["tenant"], source["role"], source.get("name") or "")

    def may(self, role: str) -> bool:
        """Whether the role is this one or a higher one."""
        return self.role in ROLES and ROLES.index(self.role) >= ROLES.index(role)
