"""What the words of a page mean together, from its token vectors and from typed words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.encoder import FloatArray
from models.local.config import LocalConfig, ScoreConfig
from models.local.encoder import SENSES, WEIGHTS
from models.local.rotation import rotate_tokens
from models.local.senses import FEWEST_WORDS, Senses
from models.local.weights import CONFIG, read_weights
from models.training.senses import components, typed

KITCHEN = ["bread", "flour", "oven", "baking", "cake", "sugar", "butter", "recipe"]
GARAGE = ["engine", "brake", "tyre", "clutch", "exhaust", "gears", "mechanic", "fuel"]
PAPERS = ["insurance", "policy", "premium", "insured", "coverage", "liability", "claim", "insurer"]


@pytest.fixture(scope="module")
def table() -> Senses:
    return Senses.load(WEIGHTS / SENSES)


@pytest.fixture(scope="module")
def score() -> ScoreConfig:
    return LocalConfig.from_json(WEIGHTS / CONFIG).score


def tokens_of(table: Senses, words: list[str]) -> FloatArray:
    """As a reader that never errs gives them."""
    return table.typed[[table.row[word] for word in words]]


def meant(table: Senses, words: list[str], score: ScoreConfig) -> FloatArray:
    found = table.of_print(tokens_of(table, words), score)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("asked", "page"),
    [("loaf of pastry", 0), ("bakery", 0), ("car repair", 1), ("broken motor", 1), ("cover against theft", 2)],
)
def test_a_question_is_nearest_to_the_page_on_its_subject(
    table: Senses, score: ScoreConfig, asked: str, page: int
) -> None:
    question = table.of_words(asked.split())
    assert question is not None
    likeness = [float(question @ meant(table, words, score)) for words in (KITCHEN, GARAGE, PAPERS)]
    assert int(np.argmax(likeness)) == page


def test_print_and_typed_words_mean_the_same(table: Senses, score: ScoreConfig) -> None:
    question = table.of_words(KITCHEN)
    assert question is not None
    assert float(question @ meant(table, KITCHEN, score)) > 0.99


@settings(max_examples=20)
@given(order=st.permutations(KITCHEN), again=st.lists(st.sampled_from(KITCHEN), max_size=20))
def test_neither_order_nor_repetition_changes_what_a_page_means(order: list[str], again: list[str]) -> None:
    table, score = Senses.load(WEIGHTS / SENSES), LocalConfig.from_json(WEIGHTS / CONFIG).score
    np.testing.assert_allclose(meant(table, order + again, score), meant(table, KITCHEN, score), atol=1e-4)


def test_a_handful_of_words_is_about_nothing(table: Senses, score: ScoreConfig) -> None:
    assert table.of_print(tokens_of(table, KITCHEN[: FEWEST_WORDS - 1]), score) is None
    assert table.of_print(np.zeros((0, 64), np.float32), score) is None


def test_what_is_like_no_word_is_not_told(table: Senses, score: ScoreConfig) -> None:
    away = -table.typed.mean(0, keepdims=True)
    assert table.of_print(np.repeat(away / np.linalg.norm(away), 200, axis=0), score) is None


def test_a_rare_word_stands_for_common_ones_of_like_meaning(table: Senses) -> None:
    assert "plumber" not in table.row
    rare, near, far = (table.of_words(words) for words in (["plumber"], ["pipe", "toilet"], ["bread", "oven"]))
    assert rare is not None
    assert near is not None
    assert far is not None
    assert float(rare @ near) > float(rare @ far) + 0.3


@pytest.mark.parametrize("words", [[], ["4711"], ["xqzzv", "the"]])
def test_words_that_are_not_known_mean_nothing(table: Senses, words: list[str]) -> None:
    assert table.of_words(words) is None


def test_the_table_belongs_to_the_reader_beside_it(table: Senses) -> None:
    _, network = read_weights(WEIGHTS)
    rotate_tokens(network)
    words = list(table.row)[::400]
    cosine = (typed(network, words).numpy() * tokens_of(table, words)).sum(1)
    assert cosine.min() > 0.98


def test_a_table_comes_back_from_the_disk_as_it_was(table: Senses, tmp_path: Path) -> None:
    table.save(tmp_path / "again.npz")
    again = Senses.load(tmp_path / "again.npz")
    assert again.row == table.row
    np.testing.assert_allclose(again.typed, table.typed, atol=1e-2)
    np.testing.assert_allclose(again.vectors, table.vectors, atol=1e-3)


def test_components_keep_what_tells_vectors_apart() -> None:
    rows = torch.randn(200, 3) @ torch.randn(3, 24) + torch.randn(24)
    found = components(rows, 3)
    distances = torch.cdist(rows, rows)
    torch.testing.assert_close(torch.cdist(found, found), distances, atol=5e-2, rtol=1e-3)
    assert found.shape == (200, 3)
