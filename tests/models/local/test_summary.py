"""A summary holds two things, and gives both back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.encoder import FloatArray
from models.local.senses import SENSE_DIM
from models.local.summary import likeness, summary_of

LOOK_DIM = 32


def unit(dim: int, seed: int) -> FloatArray:
    row = np.random.default_rng(seed).standard_normal(dim).astype(np.float32)
    return row / np.float32(np.linalg.norm(row))


seeds = st.integers(0, 2**32 - 1)
meanings = st.none() | seeds.map(lambda seed: unit(SENSE_DIM, seed))
looks = seeds.map(lambda seed: unit(LOOK_DIM, seed))


@given(look=looks, meaning=meanings)
def test_a_summary_has_length_one_whether_words_mean_something_or_not(
    look: FloatArray, meaning: FloatArray | None
) -> None:
    assert np.linalg.norm(summary_of(look, meaning)) == pytest.approx(1.0, abs=1e-5)


@given(asked=st.tuples(looks, meanings), pages=st.lists(st.tuples(looks, meanings), min_size=1, max_size=5))
def test_looks_are_compared_with_looks_and_meanings_with_meanings(
    asked: tuple[FloatArray, FloatArray | None], pages: list[tuple[FloatArray, FloatArray | None]]
) -> None:
    by_look, by_meaning = likeness(summary_of(*asked), np.stack([summary_of(*page) for page in pages]))
    for place, (look, meaning) in enumerate(pages):
        assert by_look[place] == pytest.approx(float(look @ asked[0]), abs=1e-5)
        expected = 0.0 if meaning is None or asked[1] is None else float(meaning @ asked[1])
        assert by_meaning[place] == pytest.approx(expected, abs=1e-5)


def test_a_vector_index_finds_a_page_by_its_look_or_by_its_meaning() -> None:
    look, meaning = unit(LOOK_DIM, 1), unit(SENSE_DIM, 2)
    asked = summary_of(look, meaning)
    neither = summary_of(unit(LOOK_DIM, 3), unit(SENSE_DIM, 4)) @ asked
    assert summary_of(look, unit(SENSE_DIM, 4)) @ asked > neither + 0.2
    assert summary_of(unit(LOOK_DIM, 3), meaning) @ asked > neither + 0.2
