"""An upload on its way."""

from __future__ import annotations

from dataclasses import dataclass

from ui.records.answer import Json

OF_THE_FILE = frozenset(
    (
        "damaged",
        "empty_file",
        "encrypted",
        "file_too_large",
        "no_pages",
        "page_too_large",
        "too_many_pages",
        "too_many_pixels",
        "too_small",
        "unsupported_type",
    )
)
"""Codes of failures that the same file meets every time."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an upload on its way."""

    filename: str
    state: str
    code: str
    detail: str
    pages_done: int
    pages_total: int | None

    @property
    def finished(self) -> bool:
        return self.state in ("succeeded", "duplicate", "failed", "cancelled")

    @property
    def worth_another_try(self) -> bool:
        """Whether the same file may be read the next time."""
        return self.state == "cancelled" or (self.state == "failed" and self.code not in OF_THE_FILE)


@dataclass(frozen=True, slots=True)
class Job:
    job_id: str
    claim_id: str
    state: str
    entries: tuple[Entry, ...]

    @classmethod
    def read(cls, source: Json) -> Job:
        return cls(
            job_id=source["job_id"],
            claim_id=source.get("claim_id") or "",
            state=source["state"],
            entries=tuple(
                Entry(
                    filename=entry.get("filename") or "file",
                    state=entry["state"],
                    code=entry.get("code") or "",
                    detail=entry.get("detail") or "",
                    pages_done=int(entry.get("pages_done") or 0),
                    pages_total=entry.get("pages_total"),
                )
                for entry in source.get("entries") or ()
            ),
        )

    @property
    def finished(self) -> bool:
        return self.state in ("succeeded", "failed", "cancelled")
