"""Voyage with the local look at each photo beside it: two spaces joined by rank, and Voyage alone for words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

import numpy as np
import pytest
from PIL import Image

from models.cosine import cosine_scores
from models.encoder import Calibrated, Embedding, Encoder, FloatArray, PackedPages, Regional, Regions
from models.fused import FusedEncoder
from models.packing import pack_pages, quantise_tokens
from models.registry import is_encoder_name
from models.voyage import VoyageEncoder
from tests.fakes.encoder import draw_words
from tests.fakes.voyage import FakeVoyage


class Upright:
    """Sees how tall a picture is, and nothing else."""

    version = "7"

    async def vectors(self, images: Sequence[Image.Image]) -> list[FloatArray]:
        turns = [np.arctan2(image.height, image.width) for image in images]
        return [np.array([np.cos(turn), np.sin(turn)], np.float32) for turn in turns]

    async def regions(self, image: Image.Image) -> Regions:
        raise NotImplementedError

    def same_kind(self, cosine: float) -> float:
        return cosine

    async def aclose(self) -> None:
        return


@pytest.fixture
def fake() -> Iterator[FakeVoyage]:
    with FakeVoyage() as running:
        yield running


@pytest.fixture
async def encoder(fake: FakeVoyage) -> AsyncIterator[FusedEncoder]:
    made = FusedEncoder(VoyageEncoder(api_key=fake.key, base_url=fake.url, dims=512, timeout_s=20), Upright())
    yield made
    await made.aclose()


async def stored(encoder: Encoder, images: list[Image.Image], *, without: int | None = None) -> PackedPages:
    pages = [page for page in await encoder.encode_pages(images) if isinstance(page, Embedding)]
    rows = [
        (page.summary, *((None, None) if page.tokens is None or place == without else quantise_tokens(page.tokens)))
        for place, page in enumerate(pages)
    ]
    return pack_pages(rows, encoder=pages[0].encoder)


WIDE, TALL = (400, 100), (100, 400)
PICTURES = [
    draw_words(["hail"] * 9, size=WIDE),
    draw_words(["hail"] * 8, size=TALL),
    draw_words(["fire"] * 8, size=WIDE),
    draw_words(["fire"] * 9, size=TALL),
]


async def test_a_picture_is_found_by_both_spaces(encoder: FusedEncoder) -> None:
    assert (encoder.name, encoder.version) == ("voyage+local", "voyage-multimodal-3.5-512+7")
    pages = await stored(encoder, PICTURES)
    [query] = await encoder.encode_queries([draw_words(["fire"] * 9, size=(110, 400))])
    scores = await encoder.score(query, pages)
    assert int(scores.argmax()) == 3
    # Second are those that one of the two finds; last is the one that neither does.
    assert int(scores.argmin()) == 0
    main = cosine_scores(query, pages)
    assert sorted(scores.tolist()) == sorted(main.tolist())


async def test_words_and_pages_without_a_look_go_by_voyage_alone(encoder: FusedEncoder) -> None:
    pages = await stored(encoder, PICTURES, without=3)
    [words, picture] = await encoder.encode_queries(["hail", PICTURES[3]])
    assert (await encoder.score(words, pages)).tolist() == cosine_scores(words, pages).tolist()
    assert (await encoder.score(picture, pages))[3] < cosine_scores(picture, pages)[3]


async def test_a_refused_page_stays_refused_and_the_look_gives_the_chance(
    fake: FakeVoyage, encoder: FusedEncoder
) -> None:
    assert isinstance(encoder, Calibrated)
    assert isinstance(encoder, Regional)
    [tall, words] = await encoder.encode_queries([PICTURES[1], "hail"])
    [page] = await encoder.encode_pages(PICTURES[3:])
    assert isinstance(page, Embedding)
    assert page.cells is not None
    assert page.cells.tolist() == [[0, 0, 100, 400]]
    assert await encoder.same_kind(tall, page) == pytest.approx(1.0)
    assert await encoder.same_kind(words, page) is None


def test_it_has_a_name_of_its_own() -> None:
    assert is_encoder_name("voyage+local")
