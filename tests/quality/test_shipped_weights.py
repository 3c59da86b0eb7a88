"""The weights that ship, on pages and photos of our own: a change that loses recall fails here.

The bounds leave room for one or two misses; what the encoder reaches on real pages stands in docs/quality.md.
"""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

from app.demo import FOLDER
from models import Embedding, EncoderOptions, PackedPages, create_encoder, pack_pages, quantise_tokens
from models.encoder import Encoder
from models.local.upright import turned

FORMS, PHOTOS = 14, 8

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("shipped_weights"), pytest.mark.slow]


@dataclass
class Shelf:
    encoder: Encoder
    claims: list[dict[str, Any]]
    forms: PackedPages
    pictures: list[Image.Image]
    photos: PackedPages


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shelf() -> AsyncIterator[Shelf]:
    encoder = create_encoder("local", EncoderOptions(device="cpu"))
    records = json.loads((FOLDER / "claims.json").read_text(encoding="utf-8"))
    claims = [record for record in records if "claim-form.jpg" in record["files"]][:FORMS]
    shown = [record for record in records if "photo-1.jpg" in record["files"]][:PHOTOS]
    forms = [opened(record, "claim-form.jpg") for record in claims]
    pictures = [opened(record, "photo-1.jpg") for record in shown]
    yield Shelf(encoder, claims, await packed(encoder, forms), pictures, await packed(encoder, pictures))
    await encoder.aclose()


def opened(record: dict[str, Any], name: str) -> Image.Image:
    with Image.open(FOLDER / "data" / record["claim_id"].lower() / name) as picture:
        return picture.convert("RGB")


async def packed(encoder: Encoder, pictures: list[Image.Image]) -> PackedPages:
    rows = []
    for embedding in await encoder.encode_pages(pictures):
        assert isinstance(embedding, Embedding)
        tokens = (None, None) if embedding.tokens is None else quantise_tokens(embedding.tokens)
        rows.append((embedding.summary, *tokens))
    return pack_pages(rows, encoder=f"{encoder.name}/{encoder.version}")


async def first(shelf: Shelf, query: str | Image.Image, pages: PackedPages) -> int:
    [embedding] = await shelf.encoder.encode_queries([query])
    return int(np.argmax(await shelf.encoder.score(embedding, pages)))


async def test_policy_numbers_find_their_form(shelf: Shelf) -> None:
    found = [await first(shelf, claim["policy_id"], shelf.forms) == i for i, claim in enumerate(shelf.claims)]
    assert sum(found) >= len(found) - 2


async def test_words_of_a_report_typed_in_lower_case_find_its_form(shelf: Shelf) -> None:
    typed = [" ".join(claim["description"].lower().split()[:7]) for claim in shelf.claims]
    found = [await first(shelf, words, shelf.forms) == i for i, words in enumerate(typed)]
    assert sum(found) >= len(found) - 2


async def test_photos_find_themselves_cropped_and_compressed(shelf: Shelf) -> None:
    found = []
    for i, picture in enumerate(shelf.pictures):
        width, height = picture.size
        crop = picture.crop((width // 12, height // 12, width - width // 14, height - height // 16))
        crop.save(small := io.BytesIO(), "JPEG", quality=45)
        found.append(await first(shelf, Image.open(small).convert("RGB"), shelf.photos) == i)
    assert sum(found) >= len(found) - 1


async def test_forms_scanned_on_their_side_or_upside_down_have_the_vectors_of_the_form(shelf: Shelf) -> None:
    for claim in shelf.claims[::5]:
        form = opened(claim, "claim-form.jpg")
        upright, *lying = await shelf.encoder.encode_pages([turned(form, turns) for turns in range(4)])
        assert isinstance(upright, Embedding)
        assert upright.tokens is not None
        for one in lying:
            assert isinstance(one, Embedding)
            assert one.tokens is not None
            np.testing.assert_array_equal(one.tokens, upright.tokens)
            np.testing.assert_array_equal(one.summary, upright.summary)
