"""What is typed is found in a page's own text as it is printed, however either of them writes dashes and spaces."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from retrieval.exact import MOST_TEXT, holds, lookup_words, normalised, page_text, strings_of, words_of

TEXTS = st.text(st.one_of(st.sampled_from("aA0 -.\u00e9\u2011\u00ad\ufb01\u0130"), st.characters()), max_size=40)


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        ("INV-2024-0012", "Invoice No. INV\u20112024\u20110012 of 3 May"),
        ("2024-0012", "INV-2024-0012"),
        ("1,840.50", "Total:\n EUR\u00a01,840.50"),
        ("Main Street 21", "main  street\r\n21"),
        ("office 24", "o\ufb03ce 24"),
        ("LS-VN 1234", "LS\u00ad-VN\x00 1234"),
        ("§ 12", "see § 12 (3)"),
    ],
)
def test_what_is_printed_is_found_as_typed(typed: str, printed: str) -> None:
    [string] = strings_of(typed)
    assert holds(page_text(printed), string)


@pytest.mark.parametrize(
    ("typed", "printed"),
    [("24-00", "INV-2024-0012"), ("840.5", "1,840.50"), ("INV 2024", "INV-2024"), ("12", "2012 120")],
)
def test_parts_of_words_and_other_signs_are_not_the_string(typed: str, printed: str) -> None:
    [string] = strings_of(typed)
    assert not holds(page_text(printed), string)


@pytest.mark.parametrize(
    ("typed", "strings"),
    [
        ("smashed windshield", ()),
        ("INV-2024-0012", ("inv-2024-0012",)),
        ('repair invoice "Hope Street" 2024', ("hope street",)),
        ("„Maria Huber“ and “POL-1”", ("maria huber", "pol-1")),
        ('"..."', ()),
        ("12\" pipe", ('12" pipe',)),
    ],
)  # fmt: skip
def test_quotes_or_a_digit_ask_for_exact_strings(typed: str, strings: tuple[str, ...]) -> None:
    assert strings_of(typed) == strings


@given(TEXTS)
def test_a_normalised_text_stays_as_it_is(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)
    assert len(page_text(text * 2000)) <= MOST_TEXT


@given(TEXTS, TEXTS)
def test_a_string_is_found_where_a_plain_search_finds_it_and_with_its_words(around: str, string: str) -> None:
    text, wanted = normalised(f"{around}{string} {around}"), normalised(string)
    assume(lookup_words([wanted]))
    before = r"(?<![^\W_])" if wanted[0].isalnum() else ""
    behind = r"(?![^\W_])" if wanted[-1].isalnum() else ""
    is_held = holds(text, wanted)
    assert is_held == bool(re.search(before + re.escape(wanted) + behind, text))
    assert not is_held or set(lookup_words([wanted])) <= set(words_of(text))
