"""A number is not its neighbour by one digit: of pages that are about as near, the one read as typed comes first."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.encoder import FloatArray
from models.local import LocalEncoder
from models.local.lookalikes import LONGEST, lookalikes, numbers_of
from models.local.scoring import score_pages
from models.local.words import canonical, plan_query
from tests.models.local.conftest import CONFIG
from tests.models.local.test_scoring import packed, words_as_tokens

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
