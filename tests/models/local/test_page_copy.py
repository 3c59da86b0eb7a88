"""The copy that is read: pages of small print are enlarged, within bounds, and boxes still lie where the print is."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from models.encoder import Embedding
from models.local.config import LocalConfig, ReadConfig
from models.local.network import Network
from models.local.page_copy import coarse_ink, page_copy, print_height
from models.local.reading import Reader
from models.training.looks.examples import Beholder
from tests.models.local.conftest import CONFIG
from tests.models.local.drawing import covered, inked, noise, page

WORDS = "claim policy number hail damage"
SMALL, LARGE = 12, 26
"""Sizes of a font, in pixels, whose print is lower and higher than SMALL_PRINT."""
SMALL_PRINT = 13.0


def config(**changes: float) -> LocalConfig:
    read = dataclasses.replace(CONFIG.read, tokens=2000, small_print=SMALL_PRINT, enlarge=1.25)
    return dataclasses.replace(CONFIG, read=dataclasses.replace(read, **changes))


def lines(font: int, *, size: tuple[int, int] = (420, 300)) -> Image.Image:
    return page(*((16, y, WORDS) for y in range(16, size[1] - 2 * font, 2 * font)), size=size, height=font)


def height_of(picture: Image.Image) -> float:
    ink, _ = coarse_ink(picture.convert("L"), cell_height=16, cell_width=8)
    return print_height(ink)


def read(network: Network, picture: Image.Image, **changes: float) -> Embedding:
    reader = Reader(config(**changes), network, device=torch.device("cpu"), half=False, encoder="local/tiny-1")
    return reader.picture(picture)


@pytest.mark.parametrize("font", [10, 12, 14, 18, 24, 32])
def test_the_height_of_print_is_that_of_its_letters(font: int) -> None:
    face = ImageFont.load_default(font)
    lowest, highest = (box[3] - box[1] for box in (face.getbbox("x"), face.getbbox("ly")))
    assert lowest <= height_of(lines(font)) <= highest + 2


def test_larger_print_is_higher() -> None:
    heights = [height_of(lines(font)) for font in (8, 12, 18, 26, 36)]
    assert heights == sorted(set(heights))


def test_rules_specks_and_drawings_are_no_print() -> None:
    picture = lines(LARGE)
    expected = height_of(picture)
    draw = ImageDraw.Draw(picture)
    for y in range(8, 300, 2 * LARGE):
        draw.line((0, y, 420, y), fill="black", width=2)
    for place in range(0, 400, 9):
        draw.point((place, 200 + place % 60), fill="black")
    draw.rectangle((360, 60, 410, 240), fill="black")
    assert height_of(picture) == expected


@pytest.mark.parametrize("size", [(420, 300), (20, 300), (300, 2), (1, 1)])
def test_a_page_without_print_has_no_small_print(size: tuple[int, int]) -> None:
    assert height_of(Image.new("RGB", size, "white")) == math.inf


def test_small_print_is_read_larger_and_its_boxes_lie_where_it_stands(network: Network) -> None:
    picture = lines(SMALL)
    larger, stored = read(network, picture), read(network, picture, small_print=0.0)
    assert larger.tokens is not None
    assert stored.tokens is not None
    assert len(larger.tokens) > 1.3 * len(stored.tokens)
    ink, boxes = inked(picture), covered(larger, picture.size)
    assert (boxes & ink).sum() >= 0.99 * ink.sum()
    assert larger.cells is not None
    sides = larger.cells[:, 2:] - larger.cells[:, :2]
    # A cell of 8 x 16 pixels of what was read; those at the edges may be cut.
    np.testing.assert_allclose(np.median(sides, axis=0), [8 / 1.25, 16 / 1.25], rtol=0.01)
    assert not boxes[inked_rows(ink, beyond=16)].any()


def inked_rows(ink: np.ndarray, *, beyond: int) -> np.ndarray:
    """bool (height,): rows further than that from any ink."""
    rows = np.flatnonzero(ink.any(1))
    return np.array([np.abs(rows - row).min() > beyond for row in range(len(ink))])


def test_large_print_is_read_as_it_is_stored(network: Network) -> None:
    picture = lines(LARGE)
    one, other = read(network, picture), read(network, picture, small_print=0.0)
    assert page_copy(picture, config()).grey.tobytes() == picture.convert("L").tobytes()
    for changed, before in ((one.summary, other.summary), (one.tokens, other.tokens), (one.cells, other.cells)):
        assert changed is not None
        assert before is not None
        np.testing.assert_array_equal(changed, before)


def test_an_enlarged_page_keeps_within_the_pixels_of_a_page() -> None:
    picture = lines(SMALL)
    assert page_copy(picture, config()).grey.size == (525, 375)
    grey = page_copy(picture, config(pixels=int(1.1 * 420 * 300))).grey
    assert 1.08 * 420 * 300 < grey.width * grey.height <= 1.1 * 420 * 300
    assert page_copy(picture, config(pixels=420 * 300)).grey.size == picture.size


def test_an_enlarged_page_keeps_within_the_cells_of_a_page() -> None:
    picture = lines(SMALL)
    held = int(page_copy(picture, config()).inked.sum())
    copy = page_copy(picture, config(cells=int(1.2 * held)))
    assert not copy.crowded
    assert copy.grey.width == pytest.approx(420 * math.sqrt(1.2), abs=2)
    crowded = page_copy(picture, config(cells=held // 2))
    assert crowded.crowded
    assert crowded.grey.width < picture.width


def test_texture_is_not_enlarged() -> None:
    picture = noise((480, 320), 2)
    assert page_copy(picture, config(cells=300)).grey.width < picture.width


def test_an_encoder_without_a_limit_enlarges_nothing() -> None:
    picture = lines(SMALL)
    assert page_copy(picture, dataclasses.replace(CONFIG, read=ReadConfig())).grey.size == picture.size


def test_what_learns_looks_sees_small_print_as_the_reader_does(network: Network) -> None:
    picture = lines(SMALL)
    sight, middle, tokens = Beholder(config(), network)(picture)
    found = read(network, picture)
    assert (sight.columns, sight.rows) == (math.ceil(525 / 32) * 4, math.ceil(375 / 32) * 2)
    assert found.tokens is not None
    np.testing.assert_allclose(tokens, found.tokens, atol=1e-5)
    rows, columns = middle[:, 1].astype(int), middle[:, 0].astype(int)
    near = covered(found, picture.size)
    assert near[rows.clip(max=299), columns.clip(max=419)].all()
