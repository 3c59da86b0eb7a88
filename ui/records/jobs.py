"""An upload on its way."""

from __future__ import annotations

from dataclasses import dataclass

from ui.records.answer import Json


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
