"""Scores: how they rank, and what they promise for every page and query."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.encoder import Embedding, FloatArray, PackedPages
from models.local import LocalEncoder, scoring
from models.local.config import ScoreConfig
from models.local.neighbours import together
from models.local.scoring import FULL_PRINT, is_read, score_pages
from models.local.senses import SENSE_DIM
from models.local.summary import summary_of
from models.local.words import plan_query
from models.packing import FINE_TOKENS, pack_pages, quantise_tokens
from tests.models.local.conftest import CONFIG
from tests.models.local.drawing import page

NAME = "local/tiny-1"
DIMS = CONFIG.network.token_dim
CPU = torch.device("cpu")


def unit(*shape: int, seed: int) -> FloatArray:
    rows = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def looking(count: int, *, seed: int) -> FloatArray:
    """Summaries of pictures whose words mean nothing."""
    return np.stack([summary_of(look, None) for look in unit(count, CONFIG.network.summary_dim, seed=seed)])


async def words_as_tokens(encoder: LocalEncoder, words: Sequence[str]) -> FloatArray:
    """Page tokens that hold exactly these words, as a reader that never errs would give them."""
    rows = []
    for query in await encoder.encode_queries(list(words)):
        assert query.tokens is not None
        rows.append(query.tokens[0])
    return np.stack(rows)


def packed(pages: Sequence[FloatArray | None], summaries: FloatArray | None = None) -> PackedPages:
    if summaries is None:
        summaries = np.tile(looking(1, seed=1), (len(pages), 1))
    rows = [(None, None) if tokens is None else quantise_tokens(tokens) for tokens in pages]
    return pack_pages([(s, *row) for s, row in zip(summaries, rows, strict=True)], encoder=NAME)


async def scores_of(encoder: LocalEncoder, text: str, pages: Sequence[Sequence[str]]) -> list[float]:
    """Of pages that hold these words."""
    [query] = await encoder.encode_queries([text])
    held = [await words_as_tokens(encoder, words) if words else None for words in pages]
    return (await encoder.score(query, packed(held))).tolist()


async def test_a_page_with_all_words_comes_before_one_with_some(encoder: LocalEncoder) -> None:
    pages = [["hail", "policy"], ["hail", "4711"], ["policy", "total"], []]
    both, one, none, blank = await scores_of(encoder, "hail 4711", [pages[1], pages[0], pages[2], pages[3]])
    assert both > 0.95
    assert 0.2 < one < both
    assert none < 0.05
    assert blank == 0.0


async def test_a_rare_word_weighs_more(encoder: LocalEncoder) -> None:
    pages = [["total", "hail"], ["total", "4711"], ["total", "policy"], ["hail", "4711"]]
    scores = await scores_of(encoder, "total windscreen", [*pages, ["windscreen"]])
    assert scores[4] > 2 * max(scores[:4])


async def test_a_single_page_can_be_scored(encoder: LocalEncoder) -> None:
    [good] = await scores_of(encoder, "hail total", [["hail", "total"]])
    [half] = await scores_of(encoder, "hail total", [["hail", "4711"]])
    [bad] = await scores_of(encoder, "hail total", [["windscreen"]])
    assert good > 0.95
    assert good > half > bad


async def test_case_and_marks_do_not_matter(encoder: LocalEncoder) -> None:
    pages = [["rm1200"], ["hail"]]
    assert await scores_of(encoder, "RM12.00", pages) == await scores_of(encoder, "rm-1200!", pages)


async def test_two_typed_words_find_a_page_that_prints_them_as_one(encoder: LocalEncoder) -> None:
    joined, split, other = await scores_of(encoder, "rm 9.00", [["rm900"], ["rm", "900"], ["hail"]])
    assert 0.8 < joined < split
    assert other < 0.05


async def test_a_word_joins_one_neighbour_only(encoder: LocalEncoder) -> None:
    overlapping, whole = await scores_of(encoder, "aa 11 zz", [["aa11", "11zz"], ["aa11", "zz"]])
    assert overlapping < 0.8 < whole


async def test_a_month_by_name_finds_the_date_in_digits(encoder: LocalEncoder) -> None:
    pages = [["17042018"], ["20180417"], ["hail"]]
    found, iso, other = await scores_of(encoder, "17 apr 2018", pages)
    assert min(found, iso) > 0.8
    assert other < 0.05


async def test_another_form_or_a_synonym_finds_the_page(encoder: LocalEncoder) -> None:
    pages = [["hail", "vehicle"], ["hail", "policy"], ["fire"], ["4711"]]
    meant, other, *none = await scores_of(encoder, "hail cars", pages)
    assert meant > other + 0.05
    assert max(none) < 0.05


async def test_the_typed_word_comes_before_words_that_mean_the_same(encoder: LocalEncoder) -> None:
    typed, form, meant = await scores_of(encoder, "car", [["car"], ["cars"], ["vehicle"]])
    assert typed > form > meant > 0.1


async def test_a_short_form_finds_the_page(encoder: LocalEncoder) -> None:
    found, other, typed = await scores_of(encoder, "quantity", [["qty"], ["hail"], ["quantity"]])
    assert typed > found > other + 0.3


async def test_a_mistyped_word_finds_the_page(encoder: LocalEncoder) -> None:
    found, other = await scores_of(encoder, "windsheild", [["windshield"], ["hail"]])
    assert found > other + 0.3


async def test_words_that_hold_a_question_together_weigh_little(encoder: LocalEncoder) -> None:
    pages = [["how", "about", "the"], ["hail", "4711"], ["policy"], ["total"]]
    around, about, *_ = await scores_of(encoder, "how about the hail on policy 4711", pages)
    assert about > around + 0.05


async def test_common_words_count_where_they_may_be_a_name(encoder: LocalEncoder) -> None:
    pages = [["the", "store"], ["store"], ["4711"], ["policy"]]
    name, other, *_ = await scores_of(encoder, "the store", pages)
    assert name > 0.9
    assert other < 0.7


async def test_in_a_large_collection_fewer_words_of_like_meaning_are_looked_for(
    encoder: LocalEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = [["vehicle"], ["hail"]]
    assert (await scores_of(encoder, "car", pages))[0] > 0.1
    monkeypatch.setattr(scoring, "MOST_PRODUCTS", 1)
    assert (await scores_of(encoder, "car", pages))[0] < 0.05
    assert (await scores_of(encoder, "hail", pages))[1] > 0.9


def text_query(count: int, *, seed: int = 3) -> Embedding:
    """Words without joins: each of 13 bytes."""
    words = tuple(f"w{place:012}" for place in range(count))
    return Embedding(
        summary=looking(1, seed=seed)[0],
        encoder=NAME,
        tokens=unit(count, DIMS, seed=seed),
        words=words,
    )


def picture_query(count: int, *, seed: int = 4) -> Embedding:
    return Embedding(
        summary=looking(1, seed=seed)[0],
        encoder=NAME,
        tokens=unit(count, DIMS, seed=seed) if count else None,
    )


def pages_of(sizes: Sequence[int], seed: int) -> tuple[list[FloatArray | None], FloatArray]:
    tokens = [unit(size, DIMS, seed=seed + place) if size else None for place, size in enumerate(sizes)]
    return tokens, looking(len(sizes), seed=seed)


LOOSE = ScoreConfig(slope=8.0, bias=-4.0, topic=0.0)
queries = st.one_of(st.integers(1, 6).map(text_query), st.integers(0, 40).map(picture_query))


@settings(max_examples=60, deadline=None)
@given(query=queries, sizes=st.lists(st.integers(0, 30), min_size=1, max_size=12), data=st.data())
def test_scores_are_in_range_and_do_not_follow_the_order_of_pages(
    query: Embedding, sizes: list[int], data: st.DataObject
) -> None:
    tokens, summaries = pages_of(sizes, seed=len(sizes))
    scores = score_pages(query, packed(tokens, summaries), LOOSE, CPU)
    assert scores.shape == (len(sizes),)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    order = data.draw(st.permutations(range(len(sizes))))
    again = score_pages(query, packed([tokens[place] for place in order], summaries[order]), LOOSE, CPU)
    np.testing.assert_allclose(again, scores[order], atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(query=queries, sizes=st.lists(st.integers(0, 30), min_size=1, max_size=8))
def test_a_page_stored_twice_scores_the_same_twice(query: Embedding, sizes: list[int]) -> None:
    tokens, summaries = pages_of(sizes, seed=7)
    scores = score_pages(query, packed(tokens * 2, np.concatenate([summaries] * 2)), LOOSE, CPU)
    np.testing.assert_allclose(scores[: len(sizes)], scores[len(sizes) :], atol=1e-5)


def test_a_long_page_needs_a_closer_match() -> None:
    query = text_query(1)
    assert query.tokens is not None
    # Both of as many bits a number: only their length differs.
    short, long = (np.repeat(unit(1, DIMS, seed=9), count, axis=0) for count in (20, FINE_TOKENS))
    scores = score_pages(query, packed([short, long]), LOOSE, CPU)
    assert scores[0] > scores[1]
    same = score_pages(query, packed([short, long]), dataclasses.replace(LOOSE, length=0.0), CPU)
    assert same[0] == pytest.approx(same[1], abs=1e-6)


SEEING = dataclasses.replace(CONFIG.score, topic=0.6)


async def test_words_find_a_picture_without_print_by_what_it_shows(encoder: LocalEncoder) -> None:
    [query] = await encoder.encode_queries(["hail"])
    printed = await words_as_tokens(encoder, ["hail"])
    away = unit(len(query.summary), seed=8)
    pages = packed([None, None, printed], np.stack([away, query.summary, away]))
    scores = score_pages(query, pages, SEEING, CPU)
    assert scores[1] > scores[0] + 0.2
    assert scores[2] > scores[1]
    scores = score_pages(query, pages, CONFIG.score, CPU)
    assert scores[0] == scores[1] == 0.0


async def test_what_a_page_shows_adds_nothing_to_what_it_prints(encoder: LocalEncoder) -> None:
    [query] = await encoder.encode_queries(["hail"])
    print_of_a_page = unit(FULL_PRINT, DIMS, seed=5)
    summaries = np.stack([unit(len(query.summary), seed=8), query.summary])
    scores = score_pages(query, packed([print_of_a_page, print_of_a_page], summaries), SEEING, CPU)
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


def test_a_page_photographed_anew_finds_itself_before_pages_that_look_alike() -> None:
    tokens = [unit(60, DIMS, seed=place) for place in range(20)]
    query = dataclasses.replace(picture_query(0), tokens=tokens[7])
    summaries = np.tile(query.summary, (20, 1))
    summaries[7] = looking(1, seed=2)[0]
    scores = score_pages(query, packed(tokens, summaries), CONFIG.score, CPU)
    assert scores.argmax() == 7


def test_a_few_words_in_a_photo_do_not_outweigh_its_look() -> None:
    query = dataclasses.replace(picture_query(0), tokens=unit(2, DIMS, seed=5))
    summaries = np.stack([query.summary, looking(1, seed=2)[0]])
    scores = score_pages(query, packed([None, query.tokens], summaries), CONFIG.score, CPU)
    assert scores[0] > scores[1]


def test_a_photo_without_print_ranks_by_its_look() -> None:
    query = picture_query(0)
    summaries = np.stack([query.summary, looking(1, seed=2)[0], -query.summary])
    tokens = [unit(5, DIMS, seed=1), None, unit(9, DIMS, seed=3)]
    scores = score_pages(query, packed(tokens, summaries), CONFIG.score, CPU)
    assert scores[0] > 0.9
    assert scores[0] > scores[1] > scores[2]


async def test_of_pages_without_the_words_the_one_that_means_as_much_comes_first(encoder: LocalEncoder) -> None:
    [query] = await encoder.encode_queries(["dented bonnet"])
    look, meaning, other = query.summary[:-SENSE_DIM], unit(SENSE_DIM, seed=1), unit(SENSE_DIM, seed=2)
    query = dataclasses.replace(query, summary=summary_of(look, meaning))
    blank = unit(60, DIMS, seed=9)
    holds = np.concatenate([blank, await words_as_tokens(encoder, ["dented", "bonnet"])])
    summaries = np.stack([summary_of(look, one) for one in (meaning, -meaning, other, None, None)])
    scores = score_pages(query, packed([blank, blank, blank, blank, holds], summaries), CONFIG.score, CPU)
    assert scores[4] > scores[0] > scores[2]
    assert scores[1] == scores[3]


async def test_what_a_page_means_does_not_stand_for_numbers_and_names(encoder: LocalEncoder) -> None:
    meaning, blank = unit(SENSE_DIM, seed=1), unit(60, DIMS, seed=9)
    added = {}
    for text in ("document papers", "document 0112211", "8830117 0112211"):
        [query] = await encoder.encode_queries([text])
        look = query.summary[:-SENSE_DIM]
        query = dataclasses.replace(query, summary=summary_of(look, meaning))
        summaries = np.stack([summary_of(look, meaning), summary_of(look, None)])
        like, unlike = score_pages(query, packed([blank, blank], summaries), CONFIG.score, CPU)
        added[text] = float(like - unlike)
    words, half, numbers = added.values()
    assert words > half > numbers == 0.0


async def test_what_words_mean_does_not_count_where_a_look_is_asked_for(encoder: LocalEncoder) -> None:
    [query] = await encoder.encode_queries(["form with a stamp"])
    look, meaning = query.summary[:-SENSE_DIM], unit(SENSE_DIM, seed=1)
    query = dataclasses.replace(query, summary=summary_of(look, meaning))
    summaries = np.stack([summary_of(look, meaning), summary_of(look, None)])
    like, unlike = score_pages(query, packed([unit(60, DIMS, seed=9)] * 2, summaries), CONFIG.score, CPU)
    assert like == unlike


def test_a_crowded_picture_is_compared_with_a_large_collection_in_part() -> None:
    tokens = [unit(1000, DIMS, seed=place) for place in range(100)]
    query = dataclasses.replace(picture_query(0), tokens=tokens[42], summary=looking(1, seed=1)[0])
    assert score_pages(query, packed(tokens), CONFIG.score, CPU).argmax() == 42


def test_vectors_of_another_encoder_are_refused() -> None:
    stranger = dataclasses.replace(text_query(2), encoder="local/0")
    with pytest.raises(ValueError, match="local/0"):
        score_pages(stranger, packed([unit(3, DIMS, seed=1)]), CONFIG.score, CPU)


async def test_an_explanation_names_the_words_and_their_cells(encoder: LocalEncoder) -> None:
    [query] = await encoder.encode_queries(["Hail, rm 9.00 17 apr 2018"])
    tokens = await words_as_tokens(encoder, ["policy", "hail", "rm900", "17042018"])
    cells = np.arange(16, dtype=np.float32).reshape(4, 4)
    found = Embedding(summary=query.summary, encoder=NAME, tokens=tokens, cells=cells)
    similar = await encoder.explain(query, found)
    assert similar.words == ("Hail,", "rm", "9.00", "17", "apr", "2018")
    assert similar.scores.shape == (6, 4)
    assert ((similar.scores >= 0) & (similar.scores <= 1)).all()
    assert similar.scores.argmax(1).tolist() == [1, 2, 2, 3, 3, 3]
    assert similar.scores.max(1).min() > 0.8
    np.testing.assert_array_equal(similar.cells, cells)


async def test_an_explanation_of_a_picture_has_one_row(encoder: LocalEncoder) -> None:
    picture = page((20, 20, "invoice 4711"))
    [found], [query, photo] = await encoder.encode_pages([picture]), await encoder.encode_queries([picture, picture])
    assert isinstance(found, Embedding)
    similar = await encoder.explain(query, found)
    assert similar.words == ("",)
    assert similar.scores.min() > 0.95
    without_print = dataclasses.replace(photo, tokens=None, cells=None)
    assert not (await encoder.explain(without_print, found)).scores.any()


async def test_words_side_by_side_come_before_the_same_words_apart(encoder: LocalEncoder) -> None:
    together = ["hail", "policy", "4711", "total"]
    turned = ["policy", "hail", "4711", "total"]
    apart = ["hail", "4711", "policy", "total"]
    first, second, third = await scores_of(encoder, "hail policy", [together, turned, apart])
    assert first > second > third > 0.9


async def test_words_of_two_pages_do_not_stand_side_by_side(encoder: LocalEncoder) -> None:
    """The last word of one and the first of the next, in every order in which pages may lie."""
    alone = ["policy", "4711", "hail"]
    pages = [alone, alone[::-1], [], alone]
    scores = await scores_of(encoder, "hail policy", pages)
    assert len({round(score, 5) for score in (scores[0], scores[1], scores[3])}) == 1
    assert scores[2] == 0.0


async def test_a_query_in_another_order_finds_the_same_pages(encoder: LocalEncoder) -> None:
    pages = [["hail", "policy", "4711"], ["hail", "total"], ["windscreen"]]
    typed, turned = await scores_of(encoder, "hail 4711", pages), await scores_of(encoder, "4711 hail", pages)
    assert np.argmax(typed) == np.argmax(turned) == 0


def side_by_side(page: Sequence[int], first: int, second: int) -> float:
    sides = list(itertools.pairwise(page))
    return 1.0 if (first, second) in sides else 0.5 if (second, first) in sides else 0.0


@given(st.lists(st.lists(st.integers(0, 5), max_size=8), min_size=1, max_size=6), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_neighbours_are_those_of_a_plain_search(pages: list[list[int]], chance: random.Random) -> None:
    """Tokens are those of six words; the plain search walks over each page."""
    words = unit(6, DIMS, seed=3)
    names = ("hail", "policy", "4711", "total", "windscreen", "garage")
    typed = chance.sample(range(6), 3)
    plan = plan_query([names[number] for number in typed])
    tokens = np.zeros((len(plan.strings), DIMS), np.float32)
    for number in typed:
        tokens[plan.strings.index(names[number])] = words[number]
    block = packed([words[page] if page else None for page in pages])
    got = together(plan, tokens, block, np.arange(len(pages)), CONFIG.score)
    expected = [np.mean([side_by_side(page, a, b) for a, b in itertools.pairwise(typed)]) for page in pages]
    np.testing.assert_allclose(got, expected, atol=0.02)


@pytest.mark.parametrize(
    ("words", "looks", "read"),
    [(0, 0, False), (11, 0, False), (2, 3, True), (FULL_PRINT, 0, True)],
    ids=["a scene", "a scene with a few words", "a page of two words", "a page whose looks nobody told"],
)
def test_what_was_read_in_full_is_told_from_what_was_seen_to_be_a_scene(words: int, looks: int, read: bool) -> None:
    """A look has less than the length of a word, by how sure it is."""
    tokens = np.concatenate([unit(words, 64, seed=1), 0.7 * unit(looks, 64, seed=2)])
    picture = Embedding(unit(256, seed=3), "local/1", tokens=tokens if len(tokens) else None,
                        cells=np.zeros((len(tokens), 4), np.float32) if len(tokens) else None)  # fmt: skip
    assert is_read(picture) is read
