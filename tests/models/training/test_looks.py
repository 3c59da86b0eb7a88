"""Looks are learned from pages whose every thing is known: what was drawn is labelled, and the heads find it again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops

from models.local.facts import Facts
from models.local.look_words import LOOKS
from models.local.page_looks import SCENE, THINGS, PageLooks, Sight
from models.training.looks.__main__ import WORDS
from models.training.looks.examples import PRINT, UNKNOWN, Example, in_print, kinds_of, real_examples
from models.training.looks.fit import fitted, unprinted
from models.training.looks.pages import KINDS, sketched
from models.training.looks.sheet import Stock
from models.training.synthesis.fonts import GROUPS
from tests.models.training.tiny import known_folder

FEATURES, CELLS = 6, 16


@pytest.fixture(scope="module")
def stock(font_file: Path) -> Stock:
    """Pillow's own face in every group, a few words, a photo of one colour."""
    return Stock(
        {group: [str(font_file)] for group in GROUPS}, ("hail", "policy", "total"), [Image.new("RGB", (64, 48))]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_sketch_says_what_it_is_and_where_its_things_are(stock: Stock, kind: str) -> None:
    first = sketched(stock, kind, 7)
    assert ImageChops.difference(first.image, sketched(stock, kind, 7).image).getbbox() is None
    known = set(WORDS) - {SCENE}
    assert first.said <= known
    assert kind not in known or kind in first.said
    for name, (x0, y0, x1, y1) in first.things:
        assert name in (*THINGS, "table")
        assert x0 < x1
        assert y0 < y1
        assert x1 > 0
        assert x0 < first.image.width


def test_cells_belong_to_the_thing_they_lie_in_or_to_print() -> None:
    middle = np.array([[5, 5], [50, 5], [90, 90]], np.float32)
    things = [("logo", (0, 0, 60, 20)), ("stamp", (40, 0, 60, 20))]
    assert kinds_of(middle, things).tolist() == [1 + THINGS.index("logo"), 1 + THINGS.index("stamp"), 0]
    page = {"words": [{"text": "hail", "box": [0, 0, 20, 20]}]}
    assert in_print(middle, page).tolist() == [PRINT, UNKNOWN, UNKNOWN]


def test_signs_are_unlike_print_and_each_other() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((3000, 64)).astype(np.float32)
    tokens[:, 0] = np.abs(tokens[:, 0]) + 2  # as trained vectors, these share an offset
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    signs = unprinted(tokens, 30)
    assert (tokens @ signs.T).max() < 0.25
    assert (signs @ signs.T - 2 * np.eye(30)).max() < 0.35


def planted(rng: np.random.Generator, *, receipt: bool, barcode: bool) -> Example:
    """A page whose first feature tells a receipt, and whose cells of one kind are a barcode."""
    kinds = np.zeros(60, np.int64)
    kinds[20:32] = 1 + THINGS.index("barcode") if barcode else 0
    cells = rng.normal(0, 0.3, (60, CELLS)).astype(np.float32)
    cells[kinds > 0, 3] += 3
    features = rng.normal(0, 0.1, FEATURES).astype(np.float32)
    features[0] += receipt
    nothing = np.zeros(9, np.float32)
    facts = Facts(nothing, nothing, (), 0.0, 1.0, 0.9, 0.0, 0.0, 0.0, 0.7, (0.0, 0.0, 1.0, 1.0), 0.3, 0.0, 0.0)
    said = frozenset(["receipt"] * receipt + ["barcode"] * barcode)
    tokens = rng.standard_normal((4, 8)).astype(np.float32)
    return Example(Sight(features, cells, np.arange(60), 5, 12, facts), kinds, tokens, said, frozenset())


def test_heads_find_again_what_was_drawn(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    examples = [planted(rng, receipt=bool(n % 2), barcode=bool(n // 2 % 2)) for n in range(80)]
    looks = fitted(examples, ("receipt", "barcode"), np.ones(80, np.float32), np.eye(len(LOOKS), 64, dtype=np.float32))
    looks.save(tmp_path / "looks.npz")
    looks = PageLooks.load(tmp_path / "looks.npz")
    for receipt, barcode in ((True, False), (False, True), (True, True), (False, False)):
        found = looks.seen(planted(rng, receipt=receipt, barcode=barcode).sight)
        seen = {one.word: one for one in found if one.sure > 0.5}
        assert ("receipt" in seen, "barcode" in seen) == (receipt, barcode)
        if barcode:
            assert seen["barcode"].box[1] == pytest.approx(1 / 5)


def test_no_page_marked_research_only_is_learned_from(tmp_path: Path) -> None:
    one = planted(np.random.default_rng(2), receipt=True, barcode=False)

    def behold(picture: Image.Image) -> tuple[Sight, np.ndarray, np.ndarray]:
        return one.sight, np.zeros((60, 2), np.float32), one.tokens

    found = real_examples(known_folder(tmp_path / "real"), behold)
    assert [example.said for example in found] == [frozenset({"receipt"})] * 3
