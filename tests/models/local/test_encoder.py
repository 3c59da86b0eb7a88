"""The local encoder as its callers see it: protocol, independence of pages, pictures of any size."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models import EncoderOptions, create_encoder
from models.encoder import Embedding, Encoder, EncoderError, EncodingFailure, encoder_id
from models.local import LocalEncoder, reading
from models.local import encoder as encoder_module
from models.local.reading import Reader
from models.local.senses import SENSE_DIM
from models.local.weights import read_weights
from models.packing import pack_pages, quantise_tokens
from tests.models.local.conftest import CONFIG
from tests.models.local.drawing import noise, page

PAGES = [
    page((20, 20, "invoice 4711"), (20, 90, "total 190.80")),
    page((8, 8, "hail"), size=(200, 120)),
    noise((160, 96), 1),
    Image.new("RGB", (320, 200), "white"),
]


def embedded(results: list[Embedding | EncodingFailure]) -> list[Embedding]:
    assert all(isinstance(result, Embedding) for result in results)
    return [result for result in results if isinstance(result, Embedding)]


def assert_same(one: Embedding, other: Embedding) -> None:
    np.testing.assert_array_equal(one.summary, other.summary)
    for name in ("tokens", "cells"):
        np.testing.assert_equal(getattr(one, name), getattr(other, name))


async def test_it_is_an_encoder(encoder: LocalEncoder) -> None:
    assert isinstance(encoder, Encoder)
    assert (encoder.name, encoder.version, encoder_id(encoder)) == ("local", "tiny-1", "local/tiny-1")
    assert encoder.dims == CONFIG.network.summary_dim + SENSE_DIM
    assert encoder.batch_size >= 1


async def test_pages_and_queries_share_one_space(encoder: LocalEncoder) -> None:
    pages = embedded(await encoder.encode_pages(PAGES))
    words, picture = await encoder.encode_queries(["Hail, 17", PAGES[0]])
    assert [embedding.encoder for embedding in [*pages, words, picture]] == ["local/tiny-1"] * 6
    assert {embedding.summary.shape for embedding in [*pages, words, picture]} == {(encoder.dims,)}
    assert words.words == ("Hail,", "17")
    assert words.cells is None
    assert words.tokens is not None
    assert pages[0].tokens is not None
    assert words.tokens.shape[1] == pages[0].tokens.shape[1]
    np.testing.assert_allclose(np.linalg.norm(pages[0].tokens, axis=1), 1.0, atol=1e-3)
    assert_same(picture, pages[0])


async def test_a_page_does_not_depend_on_its_neighbours(encoder: LocalEncoder) -> None:
    alone = [embedded(await encoder.encode_pages([picture]))[0] for picture in PAGES]
    together = embedded(await encoder.encode_pages(PAGES[::-1]))[::-1]
    for one, other in zip(alone, together, strict=True):
        assert_same(one, other)


async def test_a_query_does_not_depend_on_its_neighbours(encoder: LocalEncoder) -> None:
    texts = ["hail", "invoice of 17 apr 2018", "a b c d e f"]
    together = await encoder.encode_queries(texts)
    for text, one in zip(texts, together, strict=True):
        assert_same((await encoder.encode_queries([text]))[0], one)


async def test_nothing_to_encode_gives_nothing(encoder: LocalEncoder) -> None:
    assert await encoder.encode_pages([]) == []
    assert await encoder.encode_queries([]) == []


async def test_a_blank_page_has_a_summary_and_no_tokens(encoder: LocalEncoder) -> None:
    for grey in (255, 128, 0):
        [blank] = embedded(await encoder.encode_pages([Image.new("RGB", (300, 400), (grey, grey, grey))]))
        assert blank.tokens is None
        assert blank.cells is None
    with pytest.raises(EncoderError) as caught:
        await encoder.explain((await encoder.encode_queries(["hail"]))[0], blank)
    assert caught.value.code == "explain_unsupported"


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2, 70_000), (33, 31), (4000, 3000)])
async def test_pictures_of_any_size_are_encoded(encoder: LocalEncoder, size: tuple[int, int]) -> None:
    picture = Image.new("RGB", size, "white")
    picture.paste("black", (0, 0, size[0] // 2, size[1] // 2))
    [result] = embedded(await encoder.encode_pages([picture]))
    if result.cells is not None:
        assert (result.cells >= 0).all()
        assert (result.cells <= np.array([*size, *size]) + 1e-2).all()
        assert (result.cells[:, 2:] > result.cells[:, :2]).all()


async def test_a_crowded_picture_that_may_hold_print_keeps_at_most_470_tokens(
    encoder: LocalEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "glances", lambda _: None)
    [result] = embedded(await encoder.encode_pages([noise((900, 800), 3)]))
    assert result.tokens is not None
    assert 400 < len(result.tokens) <= 470


async def test_a_picture_without_pixels_fails_alone(encoder: LocalEncoder) -> None:
    good, bad = await encoder.encode_pages([PAGES[0], Image.new("RGB", (0, 7))])
    assert isinstance(good, Embedding)
    assert isinstance(bad, EncodingFailure)
    assert bad.code == "image_refused"
    with pytest.raises(EncoderError, match="no pixels"):
        await encoder.encode_queries([Image.new("RGB", (0, 7))])


@pytest.mark.parametrize("text", ["???", "発煙筒", " - / - "])
async def test_a_text_without_letters_we_know_still_searches(encoder: LocalEncoder, text: str) -> None:
    [query] = await encoder.encode_queries([text])
    assert query.words == ()
    [found] = embedded(await encoder.encode_pages(PAGES[:1]))
    scores = await encoder.score(query, pack_pages([(found.summary, None, None)], encoder=found.encoder))
    assert np.isfinite(scores).all()


async def test_a_long_text_keeps_its_first_words(encoder: LocalEncoder) -> None:
    [query] = await encoder.encode_queries(["w1 " * 30 + " ".join(f"x{n}" for n in range(500))])
    assert query.tokens is not None
    assert len(query.words) <= len(query.tokens) + 30 <= 1024
    assert query.words[:31] == ("w1",) * 30 + ("x0",)


async def test_the_event_loop_runs_while_a_page_is_read(encoder: LocalEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    loop_ran = threading.Event()
    read = Reader.picture

    def waiting(self: Reader, picture: Image.Image) -> Embedding:
        assert loop_ran.wait(20), "the event loop stood still"
        return read(self, picture)

    monkeypatch.setattr(Reader, "picture", waiting)
    encoding = asyncio.create_task(encoder.encode_pages([PAGES[0]]))
    await asyncio.sleep(0)
    loop_ran.set()
    assert len(await encoding) == 1


async def test_without_memory_the_work_may_be_tried_again(
    encoder: LocalEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Reader, picture: Image.Image) -> Embedding:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Reader, "picture", full)
    with pytest.raises(EncoderError) as caught:
        await encoder.encode_pages([PAGES[0]])
    assert (caught.value.code, caught.value.retryable) == ("encoder_unavailable", True)


async def test_half_precision_gives_the_same_summary(weights: Path, encoder: LocalEncoder) -> None:
    config, network = read_weights(weights)
    exact, half = (
        Reader(config, network, device=torch.device("cpu"), half=half, encoder="local/tiny-1").picture(PAGES[0])
        for half in (False, True)
    )
    assert float(exact.summary @ half.summary) > 0.999
    assert exact.tokens is not None
    assert half.tokens is not None
    assert ((exact.tokens @ half.tokens.T).max(1) > 0.99).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
async def test_a_gpu_gives_the_same_vectors(weights: Path, encoder: LocalEncoder) -> None:
    gpu = LocalEncoder.load("cuda", threads=1, weights=weights)
    for ours, theirs in zip(
        embedded(await encoder.encode_pages(PAGES)), embedded(await gpu.encode_pages(PAGES)), strict=True
    ):
        assert float(ours.summary @ theirs.summary) > 0.999
    [query], [same] = await encoder.encode_queries(["hail 4711"]), await gpu.encode_queries(["hail 4711"])
    assert query.tokens is not None
    assert same.tokens is not None
    assert ((query.tokens * same.tokens).sum(1) > 0.999).all()
    [found] = embedded(await encoder.encode_pages(PAGES[:1]))
    assert found.tokens is not None
    packed = pack_pages([(found.summary, *quantise_tokens(found.tokens))], encoder=found.encoder)
    np.testing.assert_allclose(await gpu.score(query, packed), await encoder.score(query, packed), atol=0.02)


@pytest.mark.parametrize(("device", "said"), [("tpu", "auto, cpu or cuda"), ("cuda", "no CUDA device")])
def test_a_device_that_is_not_there_is_said_so(
    weights: Path, monkeypatch: pytest.MonkeyPatch, device: str, said: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EncoderError, match=said) as caught:
        LocalEncoder.load(device, weights=weights)
    assert caught.value.code == "encoder_misconfigured"


def test_the_registry_loads_it_by_name(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_module, "WEIGHTS", weights)
    assert create_encoder("local", EncoderOptions(device="cpu", threads=1)).version == "tiny-1"
    assert torch.get_num_threads() == 1


async def test_a_closed_encoder_gave_its_thread_back(weights: Path) -> None:
    made = LocalEncoder.load("cpu", threads=1, weights=weights)
    await made.encode_queries(["hail"])
    await made.aclose()
    with pytest.raises(RuntimeError, match="shutdown"):
        await made.encode_queries(["hail"])
