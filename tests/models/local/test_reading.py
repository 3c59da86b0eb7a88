"""Where tokens lie: boxes cover the print, also of lines that stand on their side; copies are dropped."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from models.encoder import Embedding
from models.local import reading
from models.local.config import ReadConfig
from models.local.found import Found, distinct, with_neighbours
from models.local.layers import Chunks
from models.local.network import Network
from models.local.page_tower import Cells
from models.local.pictures import padded, reading_copy, thumbnail
from models.local.reading import Reader, word_boxes
from models.local.sideways import find_sideways
from tests.models.local.conftest import CONFIG
from tests.models.local.drawing import covered, inked, noise, page, sideways

CELL = (8, 16)


def read(network: Network, picture: Image.Image, **changes: float) -> Embedding:
    config = dataclasses.replace(CONFIG, read=dataclasses.replace(CONFIG.read, **changes))
    return Reader(config, network, device=torch.device("cpu"), half=False, encoder="local/tiny-1").picture(picture)


def near(mask: np.ndarray, width: float, height: float) -> np.ndarray:
    """The mask, made larger by that many pixels to every side."""
    rows, columns = np.nonzero(mask)
    grown = np.zeros_like(mask)
    for row, column in zip(rows, columns, strict=True):
        grown[
            max(0, int(row - height)) : int(row + height) + 1, max(0, int(column - width)) : int(column + width) + 1
        ] = True
    return grown


def assert_boxes_fit_the_print(found: Embedding, picture: Image.Image, *, scale: float = 1.0) -> None:
    """All ink is inside boxes, and no box is further from ink than a cell."""
    ink, boxes = inked(picture), covered(found, picture.size)
    assert (boxes & ink).sum() >= 0.99 * ink.sum()
    assert not (boxes & ~near(ink, CELL[0] * scale + 1, CELL[1] * scale + 1)).any()


def test_boxes_cover_the_word_and_nothing_far_from_it(network: Network) -> None:
    picture = page((150, 90, "windscreen"))
    assert_boxes_fit_the_print(read(network, picture), picture)


def test_boxes_are_in_pixels_of_the_given_picture(network: Network) -> None:
    picture = page((500, 300, "windscreen"), size=(900, 640), height=60)
    found = read(network, picture, pixels=900 * 640 // 4)
    assert_boxes_fit_the_print(found, picture, scale=2.0)
    assert found.cells is not None
    assert found.cells[:, 3].max() > 330


def test_each_word_begins_in_its_own_box(network: Network) -> None:
    words = [(16, 16, "hail"), (200, 16, "4711"), (80, 120, "total")]
    found = read(network, page(*words))
    for x, y, word in words:
        assert covered(found, (320, 200))[y + 4 : y + 18, x + 2 : x + 6 * len(word)].any()
    assert not covered(found, (320, 200))[48:112].any()


def test_a_line_on_its_side_near_an_edge_is_read_as_well(network: Network) -> None:
    stamp = sideways("01408099")
    for x in (300 - stamp.width, 4):
        picture = Image.new("RGB", (300, 420), "white")
        picture.paste(stamp, (x, 200))
        upright, turned = read(network, picture, margin=0.0), read(network, picture, margin=0.25)
        assert upright.tokens is not None
        assert turned.tokens is not None
        assert turned.cells is not None
        added = range(len(upright.tokens), len(turned.tokens))
        assert len(added) > 4
        # A cell that was read turned is as wide as others are high.
        sides = turned.cells[list(added), 2:] - turned.cells[list(added), :2]
        assert (sides[:, 0] > sides[:, 1]).mean() > 0.9
        ink, boxes = inked(picture), covered(turned, picture.size, only=added)
        assert (boxes & ink).sum() > 0.9 * ink.sum()
        assert not (boxes & ~near(ink, 17, 9)).any()


def test_a_turned_line_has_the_tokens_of_the_upright_one(network: Network) -> None:
    stamp = sideways("01408099")
    picture = Image.new("RGB", (300, 420), "white")
    picture.paste(stamp, (300 - stamp.width, 200))
    upright = read(network, picture.transpose(Image.Transpose.ROTATE_90), margin=0.0)
    tokens = read(network, picture, margin=0.25).tokens
    assert upright.tokens is not None
    assert tokens is not None
    assert np.median((tokens @ upright.tokens.T).max(0)) > 0.97


def test_an_upright_text_is_not_read_turned() -> None:
    lines = [(8, 8 + 30 * row, "claim number policy total due") for row in range(9)]
    grey = np.asarray(page(*lines, size=(320, 300)).convert("L"), np.float32) / 255
    assert find_sideways(grey[:, :80]) is None
    assert find_sideways(grey[:, -80:]) is None


def test_rules_and_blank_edges_are_not_read_turned() -> None:
    strip = np.ones((400, 80), np.float32)
    assert find_sideways(strip) is None
    strip[:, 30:33] = 0
    assert find_sideways(strip) is None
    assert find_sideways(np.zeros((20, 4), np.float32)) is None


def test_a_stamp_over_the_rules_of_a_form_is_found() -> None:
    strip = np.ones((600, 120), np.float32)
    stamp = np.asarray(sideways("01408099").convert("L"), np.float32) / 255
    strip[300 : 300 + stamp.shape[0], 50 : 50 + stamp.shape[1]] = stamp
    strip[::30] = 0
    strip[:, 110:112] = 0
    found = find_sideways(strip)
    assert found is not None
    assert found.top <= 300
    assert found.bottom >= 300 + stamp.shape[0]
    assert found.spots[:, 2].max() > 60
    assert found.spots[:, 0].min() < 60


def test_a_picture_full_of_texture_is_read_smaller_where_there_may_be_print(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "glances", lambda _: None)
    picture = noise((480, 320), 2)
    whole, smaller = read(network, picture, tokens=2000), read(network, picture, tokens=2000, cells=300)
    assert whole.tokens is not None
    assert smaller.tokens is not None
    assert len(whole.tokens) > 1000
    assert 200 < len(smaller.tokens) < 400
    assert covered(smaller, picture.size).mean() > 0.95


def unit(*rows: tuple[float, float]) -> np.ndarray:
    tokens = np.array(rows, np.float32)
    return tokens / np.linalg.norm(tokens, axis=1, keepdims=True)


def kept(tokens: np.ndarray, confidence: list[float], read: ReadConfig) -> list[int]:
    found = Found(tokens, np.zeros((len(tokens), 4), np.float32), np.array(confidence, np.float32))
    return distinct(found, read, most=read.tokens).tolist()


def test_near_copies_of_an_earlier_token_are_dropped() -> None:
    tokens = unit((1, 0), (0, 1), (1, 0.02), (0.02, 1), (1, 1))
    assert kept(tokens, [1.0] * 5, ReadConfig()) == [0, 1, 4]
    assert kept(tokens, [1.0] * 5, ReadConfig(duplicate=2.0)) == [0, 1, 2, 3, 4]


def lettered(letters: str, confidence: list[float] | None = None) -> Found:
    """One kind of token a letter."""
    angles = np.array([ord(letter) - ord("a") for letter in letters]) * 0.6
    sure = np.ones(len(letters)) if confidence is None else np.array(confidence)
    tokens = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    return Found(tokens, np.zeros((len(letters), 4), np.float32), sure.astype(np.float32))


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("abca", "abca"),  # beside c
        ("abacbd", "abacbd"),  # claim number, claim date: b stands beside c and d
        ("ababab", "aba"),  # the same pair again and again
        ("abcabcd", "abcacd"),  # only of the last line is c told apart from the first two
        ("aaab", "aaab"),
        ("", ""),
    ],
)
def test_a_copy_stays_where_it_stands_beside_a_new_word(line: str, left: str) -> None:
    found, read = lettered(line), ReadConfig(duplicate=0.95)
    words = distinct(found, read, most=read.tokens)
    kept_places = with_neighbours(words, found, read, most=read.tokens)
    assert "".join(line[place] for place in kept_places) == left
    assert set(words) <= set(kept_places)


def test_words_come_before_copies_where_there_is_no_room() -> None:
    found, read = lettered("abacbd", [1, 1, 0.5, 1, 0.9, 1]), ReadConfig(duplicate=0.95)
    words = distinct(found, read, most=5)
    assert with_neighbours(words, found, read, most=5).tolist() == [0, 1, 3, 4, 5]
    few = distinct(found, read, most=3)
    assert with_neighbours(few, found, read, most=3).tolist() == few.tolist()


def test_an_unsure_copy_is_no_neighbour() -> None:
    found, read = lettered("abac", [1, 1, 0.1, 1]), ReadConfig(duplicate=0.95, confidence=0.3)
    words = distinct(found, read, most=read.tokens)
    assert with_neighbours(words, found, read, most=read.tokens).tolist() == [0, 1, 3]


def test_unsure_tokens_are_dropped_and_the_surest_stay_in_order() -> None:
    tokens = unit((1, 0), (0, 1), (-1, 0), (0, -1))
    assert kept(tokens, [0.9, 0.2, 0.8, 0.7], ReadConfig(confidence=0.5)) == [0, 2, 3]
    assert kept(tokens, [0.6, 0.2, 0.8, 0.7], ReadConfig(tokens=2)) == [2, 3]
    assert kept(tokens[:0], [], ReadConfig()) == []


@pytest.mark.parametrize(
    ("size", "pixels"), [((300, 200), 60_000), ((3000, 2000), 60_000), ((1, 90_000), 60_000), ((50_000, 3), 200_000)]
)
def test_a_reading_copy_is_bounded_and_never_larger(size: tuple[int, int], pixels: int) -> None:
    copy = reading_copy(Image.new("RGB", size), pixels=pixels)
    assert copy.mode == "L"
    assert copy.width <= size[0]
    assert copy.height <= size[1]
    height, width = padded(np.asarray(copy, np.float32)).shape
    assert height % 32 == width % 32 == 0
    assert height * width <= 2 * pixels
    if min(copy.size) > 8:
        assert copy.width / copy.height == pytest.approx(size[0] / size[1], rel=0.02)


def test_small_pictures_are_read_as_they_are() -> None:
    picture = page((10, 10, "hail"))
    np.testing.assert_array_equal(np.asarray(reading_copy(picture, pixels=10**6)), np.asarray(picture.convert("L")))


def test_a_thumbnail_is_a_small_square_in_colour() -> None:
    picture = Image.new("RGB", (400, 100), (255, 0, 0))
    picture.paste((0, 0, 255), (200, 0, 400, 100))
    small = thumbnail(picture, side=64)
    assert small.shape == (3, 64, 64)
    np.testing.assert_allclose(small[:, 32, 8], [1, 0, 0], atol=0.01)
    np.testing.assert_allclose(small[:, 32, 56], [0, 0, 1], atol=0.01)


def test_a_box_ends_with_its_line() -> None:
    """The last word of a line also collects the first cells of the row below."""
    index = torch.tensor([[3, 7, 8, 10, 11]])  # a grid of ten columns: 3, 7 and 8 lie on the first row
    cells = Cells(torch.zeros(1, 5, 4), torch.ones(1, 5, dtype=torch.bool), index, index, 2, 10)
    member = torch.tensor([[1, 2, 2, 2, 0]])
    chunks = Chunks(torch.zeros(1, 2, 4), torch.ones(1, 2, dtype=torch.bool), member, torch.tensor([[0, 1]]))
    boxes = word_boxes(cells, chunks, height=16, width=8)
    np.testing.assert_array_equal(boxes, [[24, 0, 32, 16], [56, 0, 72, 16]])


def test_a_box_ends_before_a_wide_gap() -> None:
    index = torch.tensor([[2, 3, 6, 15, 16, 30]])  # a word with a small gap inside, then the first cell of the next
    member = torch.tensor([[1, 1, 1, 1, 2, 2]])
    start, mask = torch.tensor([[0, 4]]), torch.ones(1, 2, dtype=torch.bool)
    chunks = Chunks(torch.zeros(1, 2, 4), mask, member, start)
    cells = Cells(torch.zeros(1, 6, 4), torch.ones(1, 6, dtype=torch.bool), index, torch.zeros(1, 40), 1, 40)
    boxes = word_boxes(cells, chunks, height=16, width=8)
    np.testing.assert_array_equal(boxes, [[16, 0, 56, 16], [128, 0, 136, 16]])
