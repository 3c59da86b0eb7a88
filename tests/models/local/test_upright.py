"""A page that lies on its side or upside down is read as it stands upright, and its boxes stay where the print is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models.encoder import Embedding
from models.local.network import Network
from models.local.page_tower import Cells
from models.local.reading import Reader
from models.local.upright import FEWEST_CELLS, Upright, turned, turned_back
from models.training.upright import fitted, told
from tests.models.local.conftest import CONFIG
from tests.models.local.drawing import covered, inked, page

PAGE = page((16, 16, "hail damage"), (200, 16, "4711"), (60, 120, "total 829.50"))


class Answers:
    """In the place of an Upright: says what it is told to say, in this order."""

    def __init__(self, *turns: int) -> None:
        self.left = list(turns)

    def turns(self, cells: Cells) -> int:
        return self.left.pop(0)


def read(network: Network, picture: Image.Image, upright: Answers | None) -> Embedding:
    reader = Reader(
        CONFIG,
        network,
        device=torch.device("cpu"),
        half=False,
        encoder="local/tiny-1",
        upright=cast("Upright", upright),
    )
    return reader.picture(picture)


def same(one: Embedding, other: Embedding) -> bool:
    return np.array_equal(one.summary, other.summary) and np.array_equal(one.tokens, other.tokens)  # type: ignore[arg-type]


@pytest.mark.parametrize(("lies", "answers"), [(1, [3, 0]), (2, [2, 0]), (3, [1, 0]), (1, [1, 2, 0])])
def test_a_turned_page_has_the_vectors_of_the_page(network: Network, lies: int, answers: Sequence[int]) -> None:
    found = read(network, turned(PAGE, lies), Answers(*answers))
    assert same(found, read(network, PAGE, None))
    lying = turned(PAGE, lies)
    ink = inked(lying)
    assert (covered(found, lying.size) & ink).sum() >= 0.99 * ink.sum()


@pytest.mark.parametrize("answers", [[0], [1, 1, 1], [2, 2], [1, 3]])
def test_a_page_that_stands_upright_no_other_way_stays_as_it_is(network: Network, answers: Sequence[int]) -> None:
    assert same(read(network, PAGE, Answers(*answers)), read(network, PAGE, None))


@given(
    width=st.integers(3, 40),
    height=st.integers(3, 40),
    turns=st.integers(0, 3),
    corner=st.tuples(*[st.floats(0, 1)] * 4),
)
def test_boxes_go_back_to_where_they_were(width: int, height: int, turns: int, corner: tuple[float, ...]) -> None:
    x0, y0 = int(corner[0] * (width - 1)), int(corner[1] * (height - 1))
    x1, y1 = x0 + 1 + int(corner[2] * (width - 1 - x0)), y0 + 1 + int(corner[3] * (height - 1 - y0))
    picture = Image.new("L", (width, height))
    picture.paste(255, (x0, y0, x1, y1))
    box = turned(picture, turns).getbbox()
    back = turned_back(np.array([box], np.float32), turns, width=width, height=height)
    assert back.tolist() == [[x0, y0, x1, y1]]


def cells_of(vectors: torch.Tensor) -> Cells:
    count = len(vectors)
    index = torch.arange(count)[None]
    return Cells(vectors[None], torch.ones(1, count, dtype=torch.bool), index, index, 1, count)


def test_a_head_learns_the_ways_and_to_leave_photos_alone(tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    ways = (np.eye(4, 6) * 3 + chance.normal(0, 0.3, (40, 4, 6))).astype(np.float32)
    photos = (np.array([[0, 0, 0, 0, 0, 3]]) + chance.normal(0, 0.3, (20, 6))).astype(np.float32)
    head = fitted(ways, photos)
    assert told(head, ways).tolist() == (40 * np.eye(4, dtype=int)).tolist()
    head.save(tmp_path / "upright.npz")
    kept = Upright.load(tmp_path / "upright.npz")
    for turns in range(4):
        rows = torch.from_numpy(ways[0, turns]).expand(FEWEST_CELLS, -1)
        assert kept.turns(cells_of(rows)) == turns
        assert kept.turns(cells_of(rows[1:])) == 0
    assert kept.turns(cells_of(torch.from_numpy(photos[:1]).expand(FEWEST_CELLS, -1))) == 0
