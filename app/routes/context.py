"""What routes take from their request: the services, and records for the audit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, cast

from fastapi import Depends, Query, Request

from app.auditing import audit_event
from app.identity import Identity, who_of
from app.schemas.common import Problem
from app.services import Services
from retrieval.documents import AuditEvent, FactValue
from retrieval.errors import InvalidInput
from retrieval.filters import FieldSpec, Filter, parse_filter

_PROBLEM_TEXTS = {
    400: "The body cannot be read.",
    401: "The key or token is missing, wrong or no longer good.",
    403: "The role does not allow it, or the host or origin is not allowed.",
    404: "There is no such record.",
    406: "None of the media types in Accept can be sent.",
    409: "The state of things does not allow it.",
    412: "The record changed since (If-Match).",
    413: "Too large.",
    415: "Not a kind of file or body that is taken.",
    422: "A value is wrong; `field` names it.",
    429: "The key asks more often than it may; Retry-After says when to try again.",
    503: "The store, the index or the encoder is not there; try again after Retry-After seconds.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries for the problems that a route may answer with; those of every route are added."""
    return {
        status: {"model": Problem, "description": _PROBLEM_TEXTS[status], "content": {"application/problem+json": {}}}
        for status in sorted({401, 403, 422, 429, 503, *statuses})
    }


class Context:
    """The services, as one request sees them."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.services = cast("Services", request.app.state.services)
        self.store = self.services.store
        self.request_id = cast("str | None", request.scope.get("claimsight.request_id"))

    @property
    def who(self) -> Identity:
        """Who asks; the guard has let them in. Not for routes that are open to all."""
        who = who_of(self.request.scope)
        if who is None:
            raise RuntimeError("This route is open to all, so nobody in particular asks.")
        return who

    @property
    def tenant(self) -> str:
        """Whose data this request reads and changes: that of the key, never one that the request names."""
        return self.who.tenant

    async def admit_again(self) -> None:
        """For answers that go on for long: raises what Door.identify does when the key or token is no longer good."""
        await self.services.door.identify(self.request.headers)

    def event(self, action: str, target: str, *, claims: Iterable[str] = (), **details: FactValue) -> AuditEvent:
        """What a change leaves in the audit: who did what to which record. Its action stands in app.auditing."""
        return audit_event(self.who.actor, action, target, request_id=self.request_id, claims=claims, details=details)

    async def seen(self, action: str, target: str, *, claims: Iterable[str] = (), **details: FactValue) -> None:
        """A record of what is about to be shown; durable when it returns. Raises StoreUnavailable."""
        event = self.event(action, target, claims=claims, **details)
        await self.services.journal.record(self.tenant, event)


def _context(request: Request) -> Context:
    return Context(request)


ContextDep = Annotated[Context, Depends(_context)]
Cursor = Annotated[str | None, Query(max_length=2000, description="next_cursor of the list so far.")]
FilterText = Annotated[
    str | None,
    Query(
        alias="filter",
        max_length=20_000,
        description='A filter as JSON, for example {"line": "auto", "loss_amount": {"gte": 1000}}.',
    ),
]


def filter_of(text: str | None, fields: Mapping[str, FieldSpec]) -> Filter:
    """A filter from the address. Raises InvalidInput bad_filter."""
    if text is None or not text.strip():
        return parse_filter(None)
    try:
        source: object = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput("filter is not JSON.", code="bad_filter", field="filter") from None
    return parse_filter(source, fields=fields)
