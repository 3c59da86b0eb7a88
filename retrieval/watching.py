"""What the work of this room tells whoever watches it: stretches of time and counts, never contents."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, Protocol

Stretch = Literal[
    "search.encode", "search.candidates", "search.rerank", "search.fetch", "ingest.entry", "ingest.encode"
]
Counted = Literal["file", "page"]
Outcome = Literal["succeeded", "failed", "postponed", "dropped"]


class Watch(Protocol):
    def stretch(self, name: Stretch, **facts: str | int) -> AbstractContextManager[object]:
        """Around a piece of work. facts: ids that a log line may hold too."""
        ...

    def count(self, what: Counted, outcome: Outcome, number: int = 1) -> None: ...


class Nobody:
    """Watches nothing."""

    def stretch(self, name: Stretch, **facts: str | int) -> AbstractContextManager[object]:
        return nullcontext()

    def count(self, what: Counted, outcome: Outcome, number: int = 1) -> None:
        return
