"""What the study says follows from its rows by its rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.training.study.table import differs, left_out, rows_of, table
from models.training.study.variants import VARIANTS

STUDIES = Path(__file__).parents[3] / "docs" / "studies"


@pytest.mark.parametrize(
    ("mine", "base", "told"),
    [
        ((0.1, 0.12), (0.2, 0.21), True),
        ((0.3, 0.31), (0.2, 0.21), True),
        ((0.1, 0.2), (0.15, 0.16), False),  # one seed on either side
        ((0.1, 0.16), (0.2, 0.21), False),  # apart, but seeds differ nearly as much
    ],
)
def test_a_difference_is_told_only_beyond_that_of_seeds(
    mine: tuple[float, ...], base: tuple[float, ...], told: bool
) -> None:
    assert differs(mine, base) is told
    assert differs(base, mine) is told


def test_every_variant_was_trained_with_every_seed_for_the_same_steps() -> None:
    rows = rows_of(STUDIES)
    assert set(rows) == {variant.name for variant in VARIANTS}
    assert {tuple(row["seed"] for row in some) for some in rows.values()} == {("0", "1")}
    assert len({row["steps"] for some in rows.values() for row in some}) == 1


def test_the_document_says_what_the_rows_say() -> None:
    text = (STUDIES / "hybrid.md").read_text(encoding="utf-8")
    for lines in (table(rows_of(STUDIES)), left_out(STUDIES)):
        assert "\n".join(lines) in text
