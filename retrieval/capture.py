"""What a photo's file says about how it was made, and what of that does not fit the claim: evidence, never a verdict.

Every one of these facts is written by a camera whose clock may be wrong, or by anybody at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrieval.documents import Claim

MOST_SIGNS = 80
"""Signs that are kept of a make, a model and a software."""
CLOCK = timedelta(days=1)
"""A camera's clock has no zone, and a report is dated by somebody's calendar."""
LONG_BEFORE = timedelta(days=30)
EDITORS = (
    "adobe",
    "affinity",
    "canva",
    "capture one",
    "corel",
    "darktable",
    "facetune",
    "gimp",
    "imagemagick",
    "lightroom",
    "meitu",
    "paint",
    "photopea",
    "photoscape",
    "photoshop",
    "picsart",
    "pixelmator",
    "pixlr",
    "rawtherapee",
    "snapseed",
)
"""Parts of the names of programs that change pictures; a telephone names its own system in the same place."""


@dataclass(frozen=True, slots=True)
class Capture:
    """taken_at: by the camera's clock, without a zone. has_place: whether the file says where; that place is not
    kept."""

    taken_at: datetime | None = None
    make: str | None = None
    model: str | None = None
    software: str | None = None
    has_place: bool = False

    def as_record(self) -> dict[str, str | bool]:
        """What is known, as JSON takes it."""
        known = asdict(self) | {"taken_at": self.taken_at and self.taken_at.isoformat()}
        return {name: value for name, value in known.items() if value}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Capture:
        """Raises ValueError for a time that is none."""

        def text(name: str) -> str | None:
            return str(record[name])[:MOST_SIGNS] if name in record else None

        taken = text("taken_at")
        return cls(
            taken_at=None if taken is None else datetime.fromisoformat(taken).replace(tzinfo=None),
            make=text("make"),
            model=text("model"),
            software=text("software"),
            has_place=record.get("has_place") is True,
        )


@dataclass(frozen=True, slots=True)
class Contradiction:
    """code: taken_after_report, taken_long_before_loss or edited. detail: a sentence with both sides."""

    code: str
    detail: str


def contradictions(capture: Capture | None, claim: Claim) -> tuple[Contradiction, ...]:
    """What a photo's own facts say against the claim's. Asked anew each time, for a claim's facts change."""
    if capture is None:
        return ()
    found: list[Contradiction] = []
    if capture.taken_at is not None:
        found += _by_day(capture.taken_at.date(), claim)
    if capture.software is not None and any(name in capture.software.casefold() for name in EDITORS):
        found.append(Contradiction("edited", f"The file says that {capture.software} saved it: it may be edited."))
    return tuple(found)


def _by_day(taken: date, claim: Claim) -> list[Contradiction]:
    said = f"The file says the picture was taken on {taken.isoformat()}"
    found: list[Contradiction] = []
    if claim.reported_date is not None and taken - claim.reported_date > CLOCK:
        found.append(
            Contradiction(
                "taken_after_report", f"{said}, after the claim was reported on {claim.reported_date.isoformat()}."
            )
        )
    if claim.loss_date is not None and claim.loss_date - taken > LONG_BEFORE:
        days = (claim.loss_date - taken).days
        found.append(
            Contradiction(
                "taken_long_before_loss", f"{said}, {days} days before the loss of {claim.loss_date.isoformat()}."
            )
        )
    return found
