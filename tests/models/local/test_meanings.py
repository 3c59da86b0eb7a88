"""The table of words of like meaning, and the correction of mistyped words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.local.meanings import TABLE, Meanings, meanings
from models.local.spelling import MOST, corrected

LARGEST_TABLE = 1024 * 1024


def test_the_table_that_ships_is_small() -> None:
    assert TABLE.stat().st_size <= LARGEST_TABLE


@pytest.mark.parametrize(
    ("typed", "printed"),
    [("windscreens", "windshield"), ("doctor", "physician"), ("repairing", "repair"), ("car", "vehicle"),
     ("payment", "payments"), ("invoices", "invoice"), ("injuries", "injury")],
)  # fmt: skip
def test_forms_and_synonyms_are_near(typed: str, printed: str) -> None:
    assert printed in [word for word, _ in meanings().of(typed)]


def test_neighbours_come_nearest_first_and_are_other_words() -> None:
    near = meanings().of("damage")
    likeness = [value for _, value in near]
    assert likeness == sorted(likeness, reverse=True)
    assert all(0.4 < value < 1.0 for value in likeness)
    assert "damage" not in dict(near)


@pytest.mark.parametrize("word", ["three", "boston", "2018", "the", "xqzzv", ""])
def test_numbers_names_and_unknown_words_have_no_neighbours(word: str) -> None:
    assert meanings().of(word) == []


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    table = Meanings(
        ("car", "hail", "vehicle"),
        {"car": 0, "hail": 1, "vehicle": 2},
        np.array([0, 1, 1, 2], np.uint32),
        np.array([2, 0], np.uint16),
        np.array([204, 204], np.uint8),
    )
    table.save(tmp_path / "table.npz")
    read = Meanings.load(tmp_path / "table.npz")
    assert read.of("car") == [("vehicle", 0.8)]
    assert read.of("hail") == []
    assert read.of("vehicle") == [("car", 0.8)]


@pytest.mark.parametrize("typed", ["windsheild", "windshild", "windshiield", "windshielf"])
def test_a_mistyped_word_is_corrected(typed: str) -> None:
    assert "windshield" in corrected(typed, meanings().row)


@pytest.mark.parametrize("typed", ["windshield", "car", "hial", "ab12345", "indshield", ""])
def test_known_short_and_mixed_words_are_left_as_typed(typed: str) -> None:
    assert corrected(typed, meanings().row) == []


def test_corrections_are_few() -> None:
    known = {f"hai{letter}er" for letter in "abcdefghklmnop"}
    assert len(corrected("haixer", known)) == MOST
