"""The rival of the page benchmarks is as strong as BM25 is: what a typed query finds in the texts of pages."""

from __future__ import annotations

import math

import pytest

from scripts.bench.word_search import K1, B, Bm25, WordSearch, words

PAGES = {
    "estimate": "Tailwind Auto Repair. Windshield replacement, total 4,090.56 USD",
    "letter": "We refer to the windshield claim and to your letter of 12/03/2026",
    "receipt": "MEGA BIGBOX 4 items, 90 cents, 56 points",
}


def check_first(query: str, expected: str, *, with_grams: bool = False) -> None:
    assert WordSearch(PAGES, with_grams=with_grams).rank(query)[0] == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("bigbox", "receipt"),
        ("TAILWIND auto", "estimate"),
        ("letter windshield", "letter"),
        ("4,090.56", "estimate"),
        ("12/03/2026", "letter"),
    ],
)
def test_the_page_that_holds_the_words_comes_first(query: str, expected: str) -> None:
    check_first(query, expected)


def test_an_amount_counts_as_a_whole_and_in_parts() -> None:
    assert words("Total 4,090.56") == ["total", "4", "090", "56", "4,090.56"]


def test_a_page_without_any_of_the_words_is_not_listed() -> None:
    assert set(WordSearch(PAGES, with_grams=False).rank("windshield")) == {"estimate", "letter"}
    assert WordSearch(PAGES, with_grams=False).rank("hail") == []


def test_a_misspelt_word_is_found_by_its_grams_only() -> None:
    assert WordSearch(PAGES, with_grams=False).rank("bigbxo mega") == ["receipt"]
    assert WordSearch(PAGES, with_grams=False).rank("winshield tailwnd") == []
    check_first("winshield tailwnd", "estimate", with_grams=True)


def test_scores_are_those_of_the_formula() -> None:
    texts = ["hail hail roof", "roof"]
    rarity = math.log(1 + (2 - 1 + 0.5) / (1 + 0.5))
    expected = rarity * 2 * (K1 + 1) / (2 + K1 * (1 - B + B * 3 / 2))
    assert Bm25(texts, words).scores("hail").tolist() == pytest.approx([expected, 0.0])
