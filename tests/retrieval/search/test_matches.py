"""Which parts of two pictures look alike: each other's nearest, apart from each other, in one colour on both."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
from PIL import Image

from models.encoder import Regions
from retrieval.search.matches import COLOURS, GAP, HEIGHT, MOST_MATCHES, drawn, matched


def regions(vectors: list[list[float]], lefts: list[float]) -> Regions:
    rows = np.array(vectors, np.float32)
    boxes = np.array([[left, 0, left + 10, 10] for left in lefts], np.float32)
    return Regions(rows / np.linalg.norm(rows, axis=1, keepdims=True), boxes)


def test_only_parts_that_are_each_others_nearest_match() -> None:
    first = regions([[1, 0, 0], [1, 0.3, 0], [0, 0, 1]], [0, 20, 40])
    second = regions([[0, 1, 0.2], [1, 0.1, 0]], [0, 50])
    [found] = matched(first, second)
    assert (found.box, found.other_box) == ((0, 0, 10, 10), (50, 0, 60, 10))
    assert found.likeness > 0.99


def test_parts_over_each_other_are_shown_once_and_few_in_all() -> None:
    turns = [[np.cos(a), np.sin(a)] for a in np.linspace(0, np.pi / 2, 8)]
    close = regions(turns, [3.0 * n for n in range(8)])
    lefts = sorted(found.box[0] for found in matched(close, regions(turns, [20.0 * n for n in range(8)])))
    assert all(right - left >= 6 for left, right in pairwise(lefts))
    assert 2 <= len(lefts) <= 4
    apart = regions(turns, [20.0 * n for n in range(8)])
    assert len(matched(apart, apart)) == MOST_MATCHES
    assert matched(apart, Regions(np.zeros((0, 2), np.float32), np.zeros((0, 4), np.float32))) == ()


def test_both_pictures_are_drawn_with_the_boxes_of_a_match_in_one_colour() -> None:
    [found] = matched(regions([[1, 0]], [0]), regions([[1, 0]], [5]))
    picture = Image.open(
        io.BytesIO(drawn(Image.new("RGB", (20, 20), "grey"), Image.new("RGB", (40, 20), "grey"), (found,)))
    )
    assert picture.size == (HEIGHT + GAP + 2 * HEIGHT, HEIGHT)
    pixels = np.asarray(picture.convert("RGB"))
    at = np.flatnonzero((pixels == COLOURS[0]).all(2).any(0))
    second = at[at > HEIGHT] - HEIGHT - GAP
    scale = HEIGHT / 20
    assert abs(at[at < HEIGHT].max() - 10 * scale) < 8
    assert (abs(second.min() - 5 * scale) < 8, abs(second.max() - 15 * scale) < 8) == (True, True)
