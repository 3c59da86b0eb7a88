"""The map of a page: it lights where the word stands, as numbers and as a picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from retrieval.errors import EncoderMismatch, EncoderTrouble, NotFound
from retrieval.ports import Store
from retrieval.queries import Query
from retrieval.search import SearchEngine
from retrieval.search.explain import LONG_SIDE_CELLS, OVERLAY_SIDE
from tests.conformance.builders import OTHER_TENANT, TENANT
from tests.fakes.encoder import FakeEncoder, draw_words
from tests.retrieval.search.building import add_pages, ask

WORDS = ["hail", "invoice", "total", "garage", "paint", "door", "mirror"]


def cell_of(grid: np.ndarray) -> tuple[int, int]:
    """Row and column, among 4 x 4, of the cell of the encoder in which the grid is brightest."""
    rows, cols = grid.shape
    row, col = np.unravel_index(int(grid.argmax()), grid.shape)
    return int(row * 4 // rows), int(col * 4 // cols)


@pytest.fixture
async def page_id(store: Store, encoder: FakeEncoder) -> str:
    [page] = await add_pages(store, encoder, "C-1", [draw_words(WORDS, size=(600, 800))])
    return page


async def test_each_word_lights_the_cell_where_it_stands(engine: SearchEngine, page_id: str) -> None:
    found = await engine.explain(TENANT, ask("mirror hail"), page_id)
    assert found.words == ("mirror", "hail")
    assert found.grids.shape == (2, LONG_SIDE_CELLS, LONG_SIDE_CELLS * 3 // 4)
    assert cell_of(found.grids[0]) == (1, 2)
    assert cell_of(found.grids[1]) == (0, 0)
    assert found.grids.min() >= 0
    assert found.grids.max() <= 1


async def test_both_words_stand_out_together(engine: SearchEngine, page_id: str) -> None:
    found = await engine.explain(TENANT, ask("mirror hail"), page_id)
    rows, cols = found.combined.shape
    blocks = found.combined.reshape(4, rows // 4, 4, cols // 4).mean(axis=(1, 3))
    assert sorted((row, col) for row, col in zip(*np.nonzero(blocks > 0.9), strict=True)) == [(0, 0), (1, 2)]
    assert float(np.median(found.combined)) < 0.3


async def test_the_overlay_is_the_page_with_its_matches_coloured(
    store: Store, engine: SearchEngine, page_id: str
) -> None:
    found = await engine.explain(TENANT, ask("mirror"), page_id)
    assert found.overlay is not None
    overlay = Image.open(io.BytesIO(found.overlay))
    assert overlay.format == "PNG"
    assert overlay.size == (600, 800)
    plain = Image.open(io.BytesIO(await store.pages.picture(TENANT, page_id))).convert("RGB")
    change = np.abs(np.asarray(overlay, float) - np.asarray(plain, float)).sum(axis=2)
    blocks = change.reshape(4, 200, 4, 150).mean(axis=(1, 3))
    assert np.unravel_index(int(blocks.argmax()), (4, 4)) == (1, 2)
    assert float(np.median(blocks)) < 5


async def test_a_large_page_gets_a_small_overlay(store: Store, encoder: FakeEncoder, engine: SearchEngine) -> None:
    [large] = await add_pages(store, encoder, "C-2", [draw_words(WORDS, size=(2000, 1000))])
    found = await engine.explain(TENANT, ask("hail"), large)
    assert found.overlay is not None
    assert Image.open(io.BytesIO(found.overlay)).size == (OVERLAY_SIDE, OVERLAY_SIDE // 2)
    assert (found.width, found.height) == (2000, 1000)
    assert found.grids.shape == (1, LONG_SIDE_CELLS // 2, LONG_SIDE_CELLS)


async def test_the_overlay_can_be_left_out(engine: SearchEngine, page_id: str) -> None:
    assert (await engine.explain(TENANT, ask("hail"), page_id, overlay=False)).overlay is None


async def test_several_pictures_make_one_map(engine: SearchEngine, page_id: str) -> None:
    pictures = (draw_words(["hail"]), draw_words(["paint"]))
    found = await engine.explain(TENANT, Query(images=pictures), page_id)
    assert found.words == ("",)
    assert found.grids.shape[0] == 1


async def test_a_stored_page_can_be_the_question(
    store: Store, encoder: FakeEncoder, engine: SearchEngine, page_id: str
) -> None:
    [other] = await add_pages(store, encoder, "C-2", [draw_words(["theft", "hail"])])
    found = await engine.explain(TENANT, Query(page_id=other), page_id)
    assert found.words == ("",)


async def test_a_page_that_is_not_there_is_an_error(engine: SearchEngine, page_id: str) -> None:
    for tenant, wanted in ((TENANT, "nothing-1"), (OTHER_TENANT, page_id)):
        with pytest.raises(NotFound):
            await engine.explain(tenant, ask("hail"), wanted)


async def test_an_encoder_without_tokens_says_that_it_cannot(store: Store) -> None:
    plain = FakeEncoder(name="plain", tokens=False)
    [page] = await add_pages(store, plain, "C-1", [draw_words(WORDS)])
    with pytest.raises(EncoderTrouble) as caught:
        await SearchEngine(store, plain).explain(TENANT, ask("hail"), page)
    assert (caught.value.code, caught.value.retryable) == ("explain_unsupported", False)


async def test_a_page_of_another_encoder_is_not_explained(store: Store, engine: SearchEngine) -> None:
    [old] = await add_pages(store, FakeEncoder(version="0"), "C-1", [draw_words(WORDS)])
    with pytest.raises(EncoderMismatch):
        await engine.explain(TENANT, ask("hail"), old)


async def test_a_page_with_nothing_to_read_is_not_blamed_on_the_encoder(store: Store, engine: SearchEngine) -> None:
    [blank] = await add_pages(store, FakeEncoder(tokens=False), "C-1", [draw_words([])])
    with pytest.raises(EncoderTrouble) as caught:
        await engine.explain(TENANT, ask("hail"), blank)
    assert caught.value.code == "explain_unsupported"
    assert "one vector a page" not in caught.value.detail


async def test_a_photo_found_by_a_picture_is_explained_by_its_like_parts(
    store: Store, encoder: FakeEncoder, engine: SearchEngine
) -> None:
    words = [f"a{number}" for number in range(16)]
    [photo] = await add_pages(store, encoder, "C-1", [draw_words(words)], kind="photo")
    asked = draw_words([f"b{number}" for number in range(15)] + ["a6"])
    found = await engine.explain(TENANT, Query(images=(asked,)), photo)
    assert (found.words, cell_of(found.combined)) == (("",), (1, 2))
    assert found.overlay is not None
    with pytest.raises(EncoderTrouble):
        await SearchEngine(store, FakeEncoder(tokens=False)).explain(TENANT, Query(images=(asked,)), photo)
