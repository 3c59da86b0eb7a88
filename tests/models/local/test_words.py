"""What a typed query is looked for as: words, neighbours joined, dates in digits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.local.words import MOST_NEAR, MOST_WORDS, as_bytes, canonical, plan_query, typed_words


def strings_of(text: str, kind: str) -> list[set[str]]:
    plan = plan_query(typed_words(text))
    return [{plan.strings[row] for row in span.rows} for span in plan.spans if span.kind == kind]


@pytest.mark.parametrize(
    ("typed", "compared"),
    [
        ("RM12.00", "rm1200"),
        ("Müller,", "muller"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("ﬁne", "fine"),
        ("№5", "no5"),
        ("１２", "12"),
        ("x" * 30, "x" * 24),
        ("発煙筒", ""),
        ("&", ""),
    ],
)
def test_words_are_compared_without_case_accents_and_marks(typed: str, compared: str) -> None:
    assert canonical(typed) == compared


def test_words_keep_the_form_in_which_they_were_typed() -> None:
    assert typed_words("  Total: & RM 9.00 -\n") == ("Total:", "RM", "9.00")


def test_neighbours_are_also_looked_for_as_one_word() -> None:
    assert strings_of("total rm 9.00", "join") == [{"totalrm"}, {"rm900"}]
    assert strings_of("total", "join") == []


def test_a_joined_word_that_would_be_cut_is_left_out() -> None:
    assert strings_of(f"{'a' * 12} {'b' * 12}", "join") == [{"a" * 12 + "b" * 12}]
    assert strings_of(f"{'a' * 12} {'b' * 13}", "join") == []


@pytest.mark.parametrize(
    "text",
    ["17 apr 2018", "17 April, 2018", "Apr 17 2018", "april 17th, 2018", "17th of april 2018", "17-APR-2018",
     "Apr-17-2018", "2018 Apr 17", "17 apr 18", "17apr18"],
)  # fmt: skip
def test_a_month_by_name_is_also_looked_for_in_digits(text: str) -> None:
    [forms] = strings_of(f"dated {text} total", "date")
    assert forms >= {"17042018", "04172018", "20180417", "170418", "041718", "17apr2018"}


def test_days_and_months_of_one_digit_may_stand_without_a_zero() -> None:
    [forms] = strings_of("3 may 1998", "date")
    assert forms >= {"03051998", "05031998", "351998", "531998", "030598", "3may1998"}


@pytest.mark.parametrize("text", ["may 2018", "17 apr", "apr 2018 total", "45 apr 2018", "17/04/2018", "march on 2018"])
def test_other_words_are_no_dates(text: str) -> None:
    assert strings_of(text, "date") == []


def test_a_date_stands_for_exactly_its_typed_words() -> None:
    plan = plan_query(typed_words("paid 17 apr 2018 cash"))
    assert [(span.first, span.end) for span in plan.spans if span.kind == "date"] == [(1, 4)]


def test_words_of_like_meaning_come_last_and_nearest_first() -> None:
    plan = plan_query(typed_words("damaged windscreens and 12 cars"))
    near = [span for span in plan.spans if span.kind == "near"]
    assert near == list(plan.spans[-len(near) :])
    assert [span.likeness for span in near] == sorted((span.likeness for span in near), reverse=True)
    assert {span.first for span in near} == {0, 1, 4}
    assert all(row >= plan.said for span in near for row in span.rows)
    assert len(near) <= MOST_NEAR


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        ("quantity", "qty"),
        ("qty", "quantity"),
        ("Tel.", "telephone"),
        ("march", "mar"),
        ("four", "4"),
        ("doctor", "dr"),
    ],
)
def test_short_forms_stand_for_the_whole_word_and_back(typed: str, printed: str) -> None:
    assert {printed} in strings_of(typed, "near")


def test_typed_digits_stand_for_themselves() -> None:
    assert strings_of("4", "near") == []


def test_a_narrowed_plan_keeps_what_was_typed_and_the_nearest_words() -> None:
    plan = plan_query(typed_words("damaged windscreens"))
    narrow = plan.narrowed(plan.said + 2)
    assert narrow.strings == plan.strings[: plan.said + 2]
    assert [span for span in narrow.spans if span.kind == "near"] == [s for s in plan.spans if s.kind == "near"][:2]
    assert plan.narrowed(0).strings == plan.strings[: plan.said]
    assert plan.narrowed(10_000) == plan


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300))
def test_a_plan_follows_from_the_typed_words_alone(text: str) -> None:
    words = typed_words(text)
    plan = plan_query(words)
    assert plan == plan_query(plan.words)
    assert len(words) <= MOST_WORDS
    assert len(set(plan.strings)) == len(plan.strings)
    alone = [span for span in plan.spans if span.kind == "word"]
    assert [(span.first, span.end) for span in alone] == [(place, place + 1) for place in range(len(words))]
    assert [plan.strings[span.rows[0]] for span in alone] == [canonical(word) for word in words]


def test_strings_become_padded_bytes() -> None:
    table = as_bytes(["ab", ""])
    assert table.shape == (2, 24)
    np.testing.assert_array_equal(table[0, :3], [97, 98, 0])
    assert not table[1].any()
