"""What several ports share: pages of lists, and what a change leaves in the audit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from retrieval.documents import AuditEvent

T = TypeVar("T")

Note = Callable[[T], AuditEvent]
"""What a change leaves in the audit, made of its result. The record and the change are durable together or not at all.
It may be called more than once (after a write conflict) and asks nobody."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """One page of a list. next_cursor: opaque, None at the end; valid only with the same filter and sort."""

    items: tuple[T, ...]
    next_cursor: str | None
