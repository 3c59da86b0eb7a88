"""A photo of a scene is read small; whatever holds print is read in full, also a page that is held into a photo."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.encoder import Embedding
from models.local import LocalEncoder, reading, scenes
from models.local.reading import Reader
from models.local.scenes import GLANCES
from models.training.photos.scenes import laid
from tests.models.local.drawing import page

DEMO = Path(__file__).parents[3] / "app" / "demo"


@pytest.fixture(scope="module")
def shipped() -> LocalEncoder:
    return LocalEncoder.load("cpu", threads=1)


@pytest.fixture
def studied(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Sizes of the pictures that were read in full."""
    sizes: list[tuple[int, int]] = []
    study = Reader._study

    def counted(reader: Reader, picture: Image.Image) -> reading.Found:
        sizes.append(picture.size)
        return study(reader, picture)

    monkeypatch.setattr(Reader, "_study", counted)
    return sizes


def opened(name: str) -> Image.Image:
    return Image.open(DEMO / name).convert("RGB")


async def embedded(encoder: LocalEncoder, picture: Image.Image) -> Embedding:
    [found] = await encoder.encode_pages([picture])
    assert isinstance(found, Embedding)
    return found


async def test_a_photo_of_damage_costs_no_reading(shipped: LocalEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("a scene for sure was read")

    monkeypatch.setattr(Reader, "_read", refused)
    assert (await embedded(shipped, opened("try-this.jpg"))).tokens is None


async def test_papers_are_read_in_full_also_in_a_photo(shipped: LocalEncoder, studied: list[tuple[int, int]]) -> None:
    paper = page((40, 60, "windscreen"), (40, 160, "deductible"), (40, 260, "4711"), size=(480, 640), height=40)
    held = laid(paper.convert("RGB"), opened("try-this.jpg"), 0.3, random.Random(3))
    for picture in (opened("data/c-2026-04137/claim-form.jpg"), held):
        assert (await embedded(shipped, picture)).tokens is not None
    assert len(studied) == 2


@pytest.fixture
def all_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "glances", lambda _: range(GLANCES))


@pytest.mark.usefixtures("all_scenes")
async def test_a_scene_without_a_word_is_not_read(shipped: LocalEncoder, studied: list[tuple[int, int]]) -> None:
    assert (await embedded(shipped, Image.linear_gradient("L").convert("RGB"))).tokens is None
    assert studied == []


@pytest.mark.usefixtures("all_scenes")
async def test_print_all_over_a_scene_makes_it_read_in_full(
    shipped: LocalEncoder, studied: list[tuple[int, int]]
) -> None:
    lines = [(20, 20 + 60 * row, "windscreen deductible") for row in range(8)]
    assert (await embedded(shipped, page(*lines, size=(480, 500), height=40))).tokens is not None
    assert studied == [(480, 500)]


@pytest.mark.usefixtures("all_scenes")
async def test_one_word_on_a_large_scene_is_read_with_what_is_around_it(
    shipped: LocalEncoder, studied: list[tuple[int, int]]
) -> None:
    found = await embedded(shipped, page((900, 700, "windscreen"), size=(1600, 1200), height=60))
    assert found.cells is not None
    assert studied == []
    left, top, right, bottom = found.cells.mean(0)
    assert 850 < left < right < 1600
    assert 600 < top < bottom < 900
    query, off = await shipped.encode_queries(["windscreen", "deductible"])
    assert found.tokens is not None
    assert query.tokens is not None
    assert off.tokens is not None
    assert (found.tokens @ query.tokens.T).max() > (found.tokens @ off.tokens.T).max() + 0.2


async def test_like_parts_of_two_pictures_are_told(shipped: LocalEncoder) -> None:
    patch, grounds = opened("try-this.jpg").resize((150, 150)), []
    for place in ((0, 0), (170, 170)):
        ground = Image.new("RGB", (320, 320), (128, 128, 128))
        ground.paste(patch, place)
        grounds.append(await shipped.regions(ground))
    first, second = grounds
    likeness = first.vectors @ second.vectors.T
    one, other = np.unravel_index(int(likeness.argmax()), likeness.shape)
    moved = second.boxes[other] - first.boxes[one]
    assert np.abs(moved - 170).max() < 60
    assert len((await shipped.regions(Image.new("RGB", (64, 64), "white"))).vectors) == 0


async def test_in_doubt_the_largest_copy_says_whether_a_picture_is_read(
    shipped: LocalEncoder, studied: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    weight = np.zeros(2560, np.float32)
    doubt = np.float32(np.log(0.4 / 0.6))
    monkeypatch.setattr(scenes, "_probe", lambda _: (torch.from_numpy(weight), float(doubt)))
    blank, paper = Image.new("RGB", (900, 700), "white"), page((40, 60, "windscreen"), size=(900, 700), height=60)
    assert (await embedded(shipped, blank)).tokens is None
    assert (await embedded(shipped, paper)).tokens is not None
    assert studied == [(900, 700)]
