"""What a photo says of its making is held against the claim's dates, and no claim's date can break that."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from retrieval.capture import Capture, contradictions
from retrieval.documents import Claim

CLAIM = Claim("C-1", loss_date=date(2026, 3, 28), reported_date=date(2026, 4, 2))


@pytest.mark.parametrize(
    ("taken", "codes"),
    [
        (datetime(2026, 3, 29, 12), []),
        (datetime(2026, 4, 3, 0, 30), []),  # the next day: a clock of another zone
        (datetime(2026, 4, 4), ["taken_after_report"]),
        (datetime(2026, 2, 27), []),  # a picture of the state before the loss
        (datetime(2026, 2, 25), ["taken_long_before_loss"]),
    ],
)
def test_a_time_that_cannot_be_is_told(taken: datetime, codes: list[str]) -> None:
    assert [found.code for found in contradictions(Capture(taken), CLAIM)] == codes


def test_a_program_that_edits_is_told_and_a_telephone_is_not() -> None:
    [found] = contradictions(Capture(software="Adobe Photoshop 25.1 (Windows)"), CLAIM)
    assert (found.code, "Adobe Photoshop 25.1 (Windows)" in found.detail) == ("edited", True)
    for software in ("17.4.1", "HDR+ 1.0.540104767zd", "S918BXXS3BWF7", None):
        assert contradictions(Capture(software=software), CLAIM) == ()


def test_the_ends_of_the_calendar_are_dates_like_others() -> None:
    ends = Claim("C-1", loss_date=date.min, reported_date=date.max)
    assert contradictions(Capture(datetime(2026, 4, 4)), ends) == ()
    assert contradictions(Capture(datetime(2026, 4, 4)), Claim("C-1")) == ()
