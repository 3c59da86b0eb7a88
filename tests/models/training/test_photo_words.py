"""Typed words find pictures that nobody tagged: descriptions of labels, and the heads of the text tower."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from models.local.config import ScoreConfig
from models.local.network import Network
from models.local.words import canonical
from models.training.photos.data import Entry
from models.training.photos.descriptions import CARS, PAGE_LABELS, PHOTOS, TERMS, draw_query
from models.training.photos.words import Vocabulary, WordSettings, train_words, truth, with_topic
from tests.models.training.tiny import TINY


def entry(label: str) -> Entry:
    return Entry(Path("x.jpg"), label, "", "", "", "", "a/b")


def true_of(query: str) -> set[str]:
    """Labels that all words or wordings of a query share, by the table itself."""
    found = set(PHOTOS) | set(PAGE_LABELS)
    for part in query.split(", "):
        found &= set[str]().union(*(term.labels for term in TERMS if part in term.wordings))
    return found


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ("shattered, windshield", {"car_windscreen_broken"}),
        ("dent, rear door", {"car_door_dent"}),
        ("hail, roof", {"car_bonnet_damage", "car_boot_damage", "car_door_dent", "car_fender_damage"}),
        ("flooded, street", {"flood_street"}),
        ("receipt", {"page_receipt"}),
    ],
)
def test_what_people_type_is_true_of_the_right_labels(query: str, labels: set[str]) -> None:
    assert true_of(query) == labels


def test_terms_speak_of_labels_that_exist() -> None:
    known = {*PHOTOS, *PAGE_LABELS}
    assert set().union(*(term.labels for term in TERMS)) == known
    assert all(canonical(word) for term in TERMS for wording in term.wordings for word in wording.split())


def test_a_drawn_query_is_true_of_something() -> None:
    rng = random.Random(3)
    drawn = [draw_query(rng) for _ in range(300)]
    assert all(query and labels for query, labels in drawn)
    assert len({query for query, _ in drawn}) > 150


def test_a_damage_that_nobody_named_is_neither_right_nor_wrong() -> None:
    entries = [entry("car_door_dent"), entry("car_mixed_minor"), entry("car_undamaged"), entry("page_receipt")]
    answers, known = truth([frozenset({"car_door_dent"}), frozenset({"page_receipt"}), frozenset(CARS)], entries)
    assert answers.tolist() == [[True, False, False, False], [False, False, False, True], [True, True, True, False]]
    assert known.tolist() == [[True, False, True, True], [True] * 4, [True] * 4]


def test_words_find_their_pictures_and_other_print_finds_none() -> None:
    torch.manual_seed(0)
    network = Network(TINY)
    labels = ["car_door_dent", "flood_street", "page_receipt", "road_pothole"]
    entries = [entry(label) for label in labels for _ in range(5)]
    centres = F.normalize(torch.randn(4, TINY.summary_dim), dim=1).repeat_interleave(5, 0)
    pictures = F.normalize(centres + 0.1 * torch.randn_like(centres), dim=1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    junk = ["smith", "4711", "1998", "ltd"]
    train_words(network, pictures, entries, junk, WordSettings(queries=64, steps=400, rate=1e-2, dropout=0.0), print)
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert {name.split(".")[1] if "." in name else name for name in changed} == {
        "topic", "topic_weight", "summary", "topic_scale", "topic_bias",
    }  # fmt: skip
    queries = ["dented door", "flooded street", "receipt", "pothole", "smith 4711"]
    vocabulary = Vocabulary(network, [canonical(word) for query in queries for word in query.split()])
    with torch.no_grad():
        cosine = network.text.summaries(*vocabulary(queries)) @ pictures.T
    assert (cosine[:4].argmax(1) // 5).tolist() == [0, 1, 2, 3]
    score = with_topic(ScoreConfig(), network)
    said = torch.sigmoid(score.topic_slope * cosine + score.topic_bias)
    assert said[:4].amax(1).min() > said[4].max() + 0.2
