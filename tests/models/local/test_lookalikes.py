"""A number is not its neighbour by one digit: of pages that are about as near, the one read as typed comes first."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.encoder import FloatArray
from models.local import LocalEncoder
from models.local.lookalikes import LONGEST, lookalikes, numbers_of, read_as_typed
from models.local.probability import calibrated
from models.local.scoring import score_pages
from models.local.words import canonical, plan_query
from models.packing import tokens_of
from tests.models.local.conftest import CONFIG
from tests.models.local.test_scoring import packed, unit, words_as_tokens

CPU = torch.device("cpu")


def test_lookalikes_differ_by_one_digit_or_lack_one() -> None:
    assert set(lookalikes("174")) == {"474", "774", "114", "124", "171", "179", "74", "14", "17"}
    assert lookalikes("total") == ()
    assert lookalikes("7" * (LONGEST + 1)) == ()


@given(st.text("0123456789abc", min_size=1, max_size=LONGEST))
def test_no_string_is_its_own_lookalike_or_empty(string: str) -> None:
    others = lookalikes(string)
    assert string not in others
    assert "" not in others
    assert len(set(others)) == len(others)
    assert all(other == canonical(other) for other in others)


def test_only_typed_words_with_digits_have_lookalikes() -> None:
    plan = plan_query(("total", "9.00", "17", "apr", "2018", "9.00"))
    assert [plan.strings[row] for row in numbers_of(plan)] == ["900", "17", "2018"]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.integers(0, 2**16))
def test_a_lookalike_moves_a_page_a_little_only(counts: list[int], seed: int) -> None:
    """So a page on which the reader took one digit for another stays before strangers; one without tokens holds
    nothing."""
    numbers = {1: ("824", "839"), 0: ("12",)}
    tokens, alike = unit(3, 16, seed=seed), unit(3, 16, seed=seed + 1)
    pages = packed([unit(count, 16, seed=seed + 2 + place) if count else None for place, count in enumerate(counts)])
    shown = read_as_typed(numbers, tokens, alike, pages, np.arange(len(counts)), CONFIG.score)
    assert shown.shape == (len(counts), 2)
    for page, count in enumerate(counts):
        held = tokens_of(pages, np.array([page]))[0]
        for column, row in enumerate(numbers):
            if not count:
                assert shown[page, column] == 0.0
                continue
            best = float((held @ tokens[row]).max())
            low, high = (calibrated(np.array([best + change]), count, CONFIG.score)[0] for change in (-0.02, 0.02))
            assert low - 1e-6 <= shown[page, column] <= high + 1e-6


def mixed(one: FloatArray, other: FloatArray, share: float) -> FloatArray:
    both = share * one + (1.0 - share) * other
    return both / np.linalg.norm(both)


async def test_a_page_read_as_typed_comes_before_one_nearer_to_a_lookalike(encoder: LocalEncoder) -> None:
    typed, other, word = await words_as_tokens(encoder, ["829", "839", "hail"])
    [query] = await encoder.encode_queries(["829"])
    plan = plan_query(query.words)
    assert query.tokens is not None
    assert len(query.tokens) == len(plan.strings) + len(lookalikes("829"))
    # One lies towards a lookalike and is a little nearer to the typed number, one towards nothing that is known.
    towards = mixed(typed, other, 0.4)
    aside = word - (word @ typed) * typed
    for string in query.tokens[1:]:
        aside -= (aside @ string) * string / (string @ string)
    aside /= np.linalg.norm(aside)
    near = float(towards @ typed) - 0.004
    away = near * typed + np.sqrt(1.0 - near**2) * aside
    pages = packed([towards[None].astype(np.float32), away[None].astype(np.float32), word[None]])
    told = score_pages(query, pages, CONFIG.score, CPU)
    assert told[1] > told[0] > told[2]


async def test_a_number_is_asked_of_photos_alone(encoder: LocalEncoder) -> None:
    [query] = await encoder.encode_queries(["829"])
    told = score_pages(query, packed([None, None]), CONFIG.score, CPU)
    assert told.shape == (2,)
    assert ((told >= 0.0) & (told <= 1.0)).all()
