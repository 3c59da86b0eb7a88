"""What is said of a page's look: what can be measured is right, and it answers typed words beside the print."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from models import Embedding, EncodingFailure, pack_pages, quantise_tokens
from models.local import LocalEncoder
from models.local.encoder import LOOKS as FILE
from models.local.facts import Facts, described, measured
from models.local.ink import ink_of
from models.local.look_words import LOOKS
from models.local.page_copy import coarse_ink
from models.local.page_looks import SCENE, THINGS, PageLooks, Sight
from models.local.pictures import brightness, padded, thumbnail
from models.local.words import plan_query, typed_words
from tests.models.local.conftest import CONFIG
from tests.models.local.drawing import page

WHITE = "white"
INPUTS = 1280 * 2 + 2 * len(THINGS) + 11


def facts_of(picture: Image.Image) -> Facts:
    ink, inked = coarse_ink(picture.convert("L"), cell_height=16, cell_width=8)
    return measured(thumbnail(picture, side=260), ink, inked, aspect=picture.width / picture.height)


def printed(size: tuple[int, int] = (480, 640), paper: str = WHITE) -> Image.Image:
    picture = Image.new("RGB", size, paper)
    for row in range(40, size[1] - 40, 40):
        picture.paste(page((0, 0, "seven plain words on every line"), size=(300, 24)).convert("RGB"), (30, row))
    return picture


def with_bar(colour: str) -> Image.Image:
    picture = printed()
    ImageDraw.Draw(picture).rectangle((0, 0, 480, 60), fill=colour)
    return picture


def grid() -> Image.Image:
    picture = printed()
    for x in range(20, 480, 60):
        ImageDraw.Draw(picture).line((x, 10, x, 630), fill="black", width=2)
    return picture


@pytest.mark.parametrize(
    ("word", "picture"),
    [
        ("red", with_bar("red")),
        ("blue", with_bar("#2244bb")),
        ("green", with_bar("#118833")),
        ("purple", with_bar("#7722aa")),
        ("yellow", printed(paper="#f5f0b0")),
        ("black", with_bar("black")),
        ("dark", printed(paper="#777777").point(lambda value: value // 2)),
        ("tall", printed(size=(400, 1300))),
        ("landscape", printed(size=(900, 600))),
        ("blank", page((40, 40, "one line"), size=(800, 1000))),
        ("grid", grid()),
        ("monochrome", printed()),
    ],
)
def test_what_can_be_measured_is_said_of_that_page_and_not_of_a_plain_one(word: str, picture: Image.Image) -> None:
    plain = described(facts_of(with_bar("red") if word == "monochrome" else printed()))
    assert described(facts_of(picture))[word] > 0.6
    assert plain[word] < 0.2


def test_a_picture_of_one_pixel_can_be_measured() -> None:
    copy = Image.new("RGB", (1, 1), "red")
    ink = ink_of(torch.from_numpy(padded(brightness(copy.convert("L"))))[None, None])[0, 0, :1, :1]
    said = described(measured(thumbnail(copy, side=260), ink, np.zeros((1, 1), bool), aspect=1.0))
    assert all(0.0 <= chance <= 1.0 for chance in said.values())


def heads(*, said: dict[str, float]) -> PageLooks:
    """Heads that say these words of every page, and whose cells are what their strongest number says."""
    rng = np.random.default_rng(3)
    signs = rng.standard_normal((len(LOOKS), CONFIG.network.token_dim)).astype(np.float32)
    # One that is unlike all others, which so few dimensions do not allow for all.
    signs[:, 0], signs[LOOKS.index("letter")] = 0.0, np.eye(CONFIG.network.token_dim)[0]
    return PageLooks(
        names=LOOKS,
        signs=signs / np.linalg.norm(signs, axis=1, keepdims=True),
        cell_weight=20 * np.eye(CONFIG.network.cell_dim, 1 + len(THINGS), dtype=np.float32),
        cell_bias=np.zeros(1 + len(THINGS), np.float32),
        words=tuple(said),
        page_weight=np.zeros((INPUTS, len(said)), np.float32),
        page_bias=np.array([np.log(chance / (1 - chance)) for chance in said.values()], np.float32),
    )


def sight(kinds: np.ndarray) -> Sight:
    """kinds: (rows, columns), number of the thing in each cell."""
    cells = np.eye(CONFIG.network.cell_dim, dtype=np.float32)[kinds.ravel()]
    return Sight(np.zeros(2560, np.float32), cells, np.arange(kinds.size), *kinds.shape, facts_of(printed()))


def test_a_thing_is_found_where_its_cells_are() -> None:
    kinds = np.zeros((40, 60), np.int64)
    kinds[30:33, 40:52] = 1 + THINGS.index("barcode")
    found = heads(said={"barcode": 0.9}).seen(sight(kinds))
    [code] = [one for one in found if one.word == "barcode"]
    assert code.box == pytest.approx((40 / 60, 30 / 40, 52 / 60, 33 / 40))


def test_nothing_is_said_of_a_photo() -> None:
    assert heads(said={"barcode": 0.9, SCENE: 0.9}).seen(sight(np.zeros((4, 4), np.int64))) == []


@pytest.fixture
def encoder(weights: Path, tmp_path: Path) -> LocalEncoder:
    """Says of every page that it is probably a letter, and what can be measured."""
    for path in weights.iterdir():
        (tmp_path / path.name).symlink_to(path)
    heads(said={"letter": 0.6}).save(tmp_path / FILE)
    return LocalEncoder.load("cpu", threads=1, weights=tmp_path)


async def embedded(encoder: LocalEncoder, *pictures: Image.Image) -> list[Embedding]:
    found = await encoder.encode_pages(pictures)
    assert not any(isinstance(one, EncodingFailure) for one in found)
    return [one for one in found if isinstance(one, Embedding)]


async def scores(encoder: LocalEncoder, query: str | Image.Image, pages: list[Embedding]) -> list[float]:
    [asked] = await encoder.encode_queries([query])
    rows = [(one.summary, *(quantise_tokens(one.tokens) if one.tokens is not None else (None, None))) for one in pages]
    return (await encoder.score(asked, pack_pages(rows, encoder=pages[0].encoder))).tolist()


async def test_pages_are_found_by_what_they_look_like(encoder: LocalEncoder) -> None:
    pages = await embedded(encoder, printed(), with_bar("red"), grid())
    red, boxes = await scores(encoder, "red page", pages), await scores(encoder, "page with many boxes", pages)
    assert np.argmax(red) == 1
    assert np.argmax(boxes) == 2


async def test_a_look_counts_as_much_as_it_is_sure(encoder: LocalEncoder) -> None:
    [found] = await scores(encoder, "letter", await embedded(encoder, printed()))
    assert found == pytest.approx(0.6, abs=0.03)


async def test_the_words_of_a_look_lie_where_it_was_seen(encoder: LocalEncoder) -> None:
    [found] = await embedded(encoder, with_bar("red"))
    [asked] = await encoder.encode_queries(["red"])
    shown = await encoder.explain(asked, found)
    assert shown.cells[int(np.argmax(shown.scores[0]))].tolist() == [0, 0, 480, 640]


async def test_looks_say_nothing_to_a_picture(encoder: LocalEncoder) -> None:
    pages = await embedded(encoder, printed(), with_bar("red"))
    bare = [
        Embedding(one.summary, one.encoder, one.tokens[np.linalg.norm(one.tokens, axis=1) > 0.9])
        for one in pages
        if one.tokens is not None
    ]
    assert await scores(encoder, with_bar("red"), pages) == pytest.approx(
        await scores(encoder, with_bar("red"), bare), abs=0.02
    )


@pytest.mark.parametrize(
    ("query", "looks", "layout"),
    [
        ("bar code on a shop receipt", {"barcode", "receipt"}, True),
        ("letter with a scribbled signature", {"letter", "handwriting", "signature"}, True),
        ("two columns", {"columns"}, True),
        ("text in two columns", {"text", "columns"}, True),
        ("tick boxes", {"checkbox"}, True),
        ("page without a logo", {"logo"}, True),
        ("form without table", {"form"}, True),
        ("total 25.00 on invoice", {"invoice"}, False),
        ("acme sdn bhd", set[str](), False),
    ],
)
def test_words_that_say_what_a_page_looks_like_are_told_from_others(query: str, looks: set[str], layout: bool) -> None:
    plan = plan_query(typed_words(query))
    found = {plan.strings[row].strip("*") for span in plan.spans if span.kind == "look" for row in span.rows}
    assert (found, plan.layout()) == (looks, layout)
