"""Opaque cursors of lists: the place after the last item, bound to the list they were made for."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from hashlib import sha256
from typing import cast

from retrieval.errors import InvalidInput

Part = str | float | None


def make_cursor(scope: object, place: Sequence[Part]) -> str:
    """scope: all that the list depends on (tenant, filter, sort); its repr must be stable."""
    text = json.dumps(list(place), separators=(",", ":"))
    return _encode(f"{_mark(scope, text)}{text}")


def read_cursor(cursor: str, scope: object, kinds: Sequence[tuple[type, ...]]) -> list[Part]:
    """The place; kinds: the types that each part may have. Raises InvalidInput bad_cursor when the cursor was made
    for another list or changed."""
    try:
        payload = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        mark, text = payload[:_MARK_LENGTH], payload[_MARK_LENGTH:]
        place: object = json.loads(text)
    except (ValueError, RecursionError):
        raise _bad() from None
    if mark != _mark(scope, text) or _encode(payload) != cursor or not isinstance(place, list):
        raise _bad()
    parts = cast("list[Part]", place)
    if len(parts) != len(kinds) or not all(isinstance(part, kind) for part, kind in zip(parts, kinds, strict=True)):
        raise _bad()
    return parts


_MARK_LENGTH = 16


def _encode(payload: str) -> str:
    return base64.urlsafe_b64encode(payload.encode()).decode().rstrip("=")


def _mark(scope: object, text: str) -> str:
    """Ties the place to its list, so that a cursor that was cut or edited is told apart from a good one."""
    return sha256(f"{scope!r}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()[:_MARK_LENGTH]


def _bad() -> InvalidInput:
    return InvalidInput("The cursor is not one of this list; start without one.", code="bad_cursor", field="cursor")
