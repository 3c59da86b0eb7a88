"""Who may do what: one table from every operation to what it needs. A route without an entry stops the start."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import compile_path

from app.identity import Identity, NotAllowed
from retrieval.keys import Role


@dataclass(frozen=True, slots=True)
class Need:
    """role: None for an operation that is open to all. operator: only for the server's own tenant, because the answer
    is about all tenants."""

    role: Role | None
    operator: bool = False

    def check(self, who: Identity) -> None:
        """Raises NotAllowed."""
        if self.role is not None and not who.role.covers(self.role):
            raise NotAllowed(f"This needs the role {self.role}; yours is {who.role}.")
        if self.operator and not who.operator:
            raise NotAllowed("This is for the server's own tenant only: it tells about all.", code="operator_required")


OPEN = Need(None)
READ = Need(Role.viewer)
WRITE = Need(Role.adjuster)
ADMINISTER = Need(Role.admin)
OPERATE = Need(Role.admin, operator=True)

NEEDS: Mapping[str, Need] = {
    "GET /healthz": OPEN,
    "GET /readyz": OPEN,
    "GET /metrics": OPERATE,
    "GET /docs": READ,
    "GET /openapi.json": READ,
    "HEAD /openapi.json": READ,
    "GET /v1/me": READ,
    "GET /v1/claims": READ,
    "POST /v1/claims": WRITE,
    "GET /v1/claims/{claim_id}": READ,
    "PUT /v1/claims/{claim_id}": WRITE,
    "PATCH /v1/claims/{claim_id}": WRITE,
    "DELETE /v1/claims/{claim_id}": ADMINISTER,
    "PUT /v1/claims/{claim_id}/hold": ADMINISTER,
    "DELETE /v1/claims/{claim_id}/hold": ADMINISTER,
    "GET /v1/claims/{claim_id}/pages": READ,
    "POST /v1/claims/{claim_id}/similar": READ,
    "GET /v1/claims/{claim_id}/reused": READ,
    "POST /v1/claims/{claim_id}/assets": WRITE,
    "GET /v1/claims/{claim_id}/assets": READ,
    "GET /v1/assets/{asset_id}": READ,
    "GET /v1/assets/{asset_id}/content": READ,
    "DELETE /v1/assets/{asset_id}": ADMINISTER,
    "GET /v1/pages/{page_id}": READ,
    "GET /v1/pages/{page_id}/image": READ,
    "GET /v1/pages/{page_id}/similar": READ,
    "GET /v1/pages/{page_id}/matches/{other_page_id}": READ,
    "POST /v1/search": READ,
    "POST /v1/explain": READ,
    "GET /v1/facets": READ,
    "GET /v1/schema": READ,
    "GET /v1/jobs": READ,
    "GET /v1/jobs/{job_id}": READ,
    "GET /v1/jobs/{job_id}/events": READ,
    "POST /v1/jobs/{job_id}/cancel": WRITE,
    "POST /v1/jobs/{job_id}/retry": WRITE,
}


@dataclass(frozen=True, slots=True)
class _Row:
    method: str
    path: re.Pattern[str]
    need: Need


class AccessTable:
    """needs: from "METHOD /template" to what it needs."""

    def __init__(self, needs: Mapping[str, Need]) -> None:
        self._needs = needs
        self._rows = [_row(operation, need) for operation, need in needs.items()]

    def need_of(self, method: str, path: str) -> Need | None:
        """None where there is no such operation. Of several templates that fit, the strictest one counts."""
        found = [row.need for row in self._rows if row.method == method and row.path.match(path)]
        return max(found, key=_strictness, default=None)

    def methods_of(self, path: str) -> list[str]:
        """All that the address takes, in the order of the alphabet; empty where there is no such operation."""
        return sorted({row.method for row in self._rows if row.path.match(path)})

    def require_complete(self, app: FastAPI) -> None:
        """Raises RuntimeError when a route of the app is not in the table, or the table names one that is not there."""
        operations = set(operations_of(app))
        if missing := sorted(operations - set(self._needs)):
            raise RuntimeError(f"Not in app.access.NEEDS: {', '.join(missing)}.")
        if spare := sorted(set(self._needs) - operations):
            raise RuntimeError(f"In app.access.NEEDS, but no route: {', '.join(spare)}.")


def operations_of(app: FastAPI) -> list[str]:
    """ "METHOD /template" of every route, those that the OpenAPI document does not list among them.

    Raises RuntimeError for a route without methods (a mount, a web socket): the table could not hold it.
    """
    found: list[str] = []
    for context in iter_route_contexts(app.routes):
        if not context.methods or context.path is None:
            raise RuntimeError(f"The route {context.path!r} has no methods, so nothing says who may use it.")
        found += [f"{method} {context.path}" for method in context.methods]
    return sorted(found)


def _row(operation: str, need: Need) -> _Row:
    method, _, path = operation.partition(" ")
    return _Row(method, compile_path(path)[0], need)


def _strictness(need: Need) -> tuple[int, bool]:
    return (-1 if need.role is None else list(Role).index(need.role), need.operator)
