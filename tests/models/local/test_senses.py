"""What a page means, from its token vectors, and what a question means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.encoder import FloatArray
from models.local import LocalEncoder, encoder
from models.local.config import LocalConfig, ScoreConfig
from models.local.encoder import SENSES, WEIGHTS
from models.local.probability import USUAL_TOKENS, cosine_for
from models.local.rotation import rotate_tokens
from models.local.senses import FEWEST_WORDS, SENSE_DIM, WINDOW, Senses, SenseTable
from models.local.sentences import SentenceEncoder
from models.local.weights import CONFIG, read_weights
from models.training.meanings import sentence_encoder
from models.training.senses import components, typed

KITCHEN = ["bread", "flour", "oven", "baking", "cake", "sugar", "butter", "recipe"]
GARAGE = ["engine", "brake", "tyre", "clutch", "exhaust", "gears", "mechanic", "fuel"]
PAPERS = ["insurance", "policy", "premium", "insured", "coverage", "liability", "claim", "insurer"]


@pytest.fixture(scope="module")
def table() -> SenseTable:
    return SenseTable.load(WEIGHTS / SENSES)


@pytest.fixture(scope="module")
def sentences() -> SentenceEncoder:
    return sentence_encoder()


@pytest.fixture(scope="module")
def senses(table: SenseTable, sentences: SentenceEncoder) -> Senses:
    return Senses(table, sentences)


@pytest.fixture(scope="module")
def score() -> ScoreConfig:
    return LocalConfig.from_json(WEIGHTS / CONFIG).score


def tokens_of(table: SenseTable, words: list[str]) -> FloatArray:
    """As a reader that never errs gives them."""
    return table.typed[[table.words.index(word) for word in words]]


def misread(tokens: FloatArray, table: SenseTable, score: ScoreConfig, chance: float) -> FloatArray:
    """As far from the words that they stand for as makes this chance of them, away from all others."""
    away = -table.typed.mean(0) - (tokens @ -table.typed.mean(0))[:, None] * tokens
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    near = cosine_for(np.array(chance), USUAL_TOKENS, score)
    return near * tokens + np.sqrt(1 - near**2) * away


@pytest.mark.parametrize(
    ("asked", "page"),
    [("pastry from the baker", 0), ("something sweet to eat", 0), ("the car went to the workshop", 1),
     ("what a broken motor costs", 1), ("cover against theft", 2)],
)  # fmt: skip
def test_a_question_is_nearest_to_the_page_on_its_subject(
    table: SenseTable, senses: Senses, score: ScoreConfig, asked: str, page: int
) -> None:
    question = senses.of_text(asked)
    meant = [senses.of_print(tokens_of(table, words), score) for words in (KITCHEN, GARAGE, PAPERS)]
    likeness = [float(question @ one) for one in meant if one is not None]
    assert len(likeness) == 3
    assert int(np.argmax(likeness)) == page
    assert likeness[page] > 0.15


def test_the_words_of_a_page_are_told_in_their_order(table: SenseTable, score: ScoreConfig) -> None:
    words = [*KITCHEN, *GARAGE]
    assert table.told(tokens_of(table, words), score) == words


def test_what_is_like_no_word_is_not_told(table: SenseTable, score: ScoreConfig) -> None:
    away = -table.typed.mean(0, keepdims=True)
    assert table.told(np.repeat(away / np.linalg.norm(away), 50, axis=0), score) == []


def test_only_words_that_all_but_surely_stand_there_are_told(table: SenseTable, score: ScoreConfig) -> None:
    tokens = tokens_of(table, GARAGE)
    assert table.told(misread(tokens, table, score, 0.9), score) == GARAGE
    assert table.told(misread(tokens, table, score, 0.7), score) == []


def test_what_is_misread_does_not_change_what_a_page_means(
    table: SenseTable, senses: Senses, score: ScoreConfig
) -> None:
    kitchen, garage = tokens_of(table, KITCHEN), tokens_of(table, GARAGE)
    alone = senses.of_print(kitchen, score)
    beside = senses.of_print(np.concatenate([kitchen, misread(garage, table, score, 0.7)]), score)
    assert alone is not None
    assert beside is not None
    np.testing.assert_array_equal(beside, alone)


def test_a_handful_of_words_is_about_nothing(table: SenseTable, senses: Senses, score: ScoreConfig) -> None:
    assert senses.of_print(tokens_of(table, KITCHEN[: FEWEST_WORDS - 1]), score) is None
    assert senses.of_print(np.zeros((0, 64), np.float32), score) is None
    assert senses.of_print(tokens_of(table, KITCHEN[:FEWEST_WORDS]), score) is not None


def test_a_long_page_means_what_all_its_parts_do(senses: Senses) -> None:
    kitchen, garage = (senses.of_words(words * 3) for words in (KITCHEN, GARAGE))
    both = senses.of_words(KITCHEN * 3 + GARAGE * 3)
    assert len(KITCHEN) * 3 == WINDOW
    assert both.shape == (SENSE_DIM,)
    assert min(float(both @ kitchen), float(both @ garage)) > float(kitchen @ garage) + 0.2


def test_a_word_left_over_counts_as_one_of_many(senses: Senses) -> None:
    assert len(KITCHEN) * 3 == WINDOW
    assert float(senses.of_words([*KITCHEN * 3, "engine"]) @ senses.of_words(KITCHEN * 3)) > 0.98


def test_a_text_has_its_vector_whatever_is_encoded_beside_it(sentences: SentenceEncoder) -> None:
    texts = ["bread", "a receipt for bread and buns from the bakery at the corner", *(["engine " * 40] * 5)]
    together = sentences(texts)
    alone = torch.cat([sentences([text]) for text in texts])
    torch.testing.assert_close(together, alone, atol=2e-5, rtol=0)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(len(texts)))


def test_sentences_of_like_sense_are_near(sentences: SentenceEncoder) -> None:
    asked, like, unlike = sentences(
        ["Water came through the ceiling.", "A burst pipe flooded the flat.", "The bill was paid in cash."]
    )
    assert float(asked @ like) > float(asked @ unlike) + 0.1


def test_halves_say_nearly_the_same(sentences: SentenceEncoder) -> None:
    half = SentenceEncoder.installed(torch.device("cpu"), torch.bfloat16)
    assert half is not None
    texts = ["water came through the ceiling", " ".join(KITCHEN + GARAGE + PAPERS)]
    assert float((half(texts) * sentences(texts)).sum(1).min()) > 0.999


def test_the_table_belongs_to_the_reader_beside_it(table: SenseTable) -> None:
    _, network = read_weights(WEIGHTS)
    rotate_tokens(network)
    words = list(table.words[::400])
    cosine = (typed(network, words).numpy() * tokens_of(table, words)).sum(1)
    assert cosine.min() > 0.98


def test_a_table_comes_back_from_the_disk_as_it_was(table: SenseTable, tmp_path: Path) -> None:
    table.save(tmp_path / "again.npz")
    again = SenseTable.load(tmp_path / "again.npz")
    assert again.words == table.words
    for name in ("typed", "centre", "components"):
        np.testing.assert_allclose(getattr(again, name), getattr(table, name), atol=1e-2)


def test_components_keep_what_tells_vectors_apart() -> None:
    rows = torch.randn(200, 3) @ torch.randn(3, 24) + torch.randn(24)
    centre, found = components(rows, 3)
    assert found.shape == (24, 3)
    kept = (rows - centre) @ found
    torch.testing.assert_close(torch.cdist(kept, kept), torch.cdist(rows, rows), atol=5e-2, rtol=1e-3)


async def test_without_the_sentence_encoder_pages_mean_nothing_and_their_vectors_have_another_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encoder.SentenceEncoder, "installed", lambda *_: None)
    bare = LocalEncoder.load("cpu")
    try:
        [asked] = await bare.encode_queries(["pastry from the baker"])
    finally:
        await bare.aclose()
    assert bare.version.endswith("-words")
    assert asked.encoder == f"local/{bare.version}"
    assert not asked.summary[-SENSE_DIM:].any()
