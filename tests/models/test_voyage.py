"""The Voyage encoder, through the real client over real HTTP against a local fake of the endpoint."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest
from PIL import Image

from models.encoder import Embedding, Encoder, EncoderError, EncodingFailure
from models.packing import pack_pages
from models.registry import EncoderOptions, create_encoder
from models.voyage import VoyageEncoder
from models.voyage.pictures import prepare_picture
from tests.fakes.encoder import draw_words
from tests.fakes.voyage import FakeVoyage, Malformed


@pytest.fixture
def fake() -> Iterator[FakeVoyage]:
    with FakeVoyage() as running:
        yield running


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
async def encoder(fake: FakeVoyage, pauses: list[float]) -> AsyncIterator[VoyageEncoder]:
    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    made = VoyageEncoder(api_key=fake.key, base_url=fake.url, dims=512, timeout_s=20, pause=pause)
    yield made
    await made.aclose()


def pages(count: int) -> list[Image.Image]:
    return [draw_words([f"word{place}"]) for place in range(count)]


async def codes(encoder: VoyageEncoder, images: list[Image.Image]) -> list[str]:
    results = await encoder.encode_pages(images)
    return [result.code if isinstance(result, EncodingFailure) else "ok" for result in results]


async def error_of(encoder: VoyageEncoder, images: list[Image.Image]) -> EncoderError:
    with pytest.raises(EncoderError) as caught:
        await encoder.encode_pages(images)
    return caught.value


async def test_pages_are_sent_as_documents_and_queries_as_queries(fake: FakeVoyage, encoder: VoyageEncoder) -> None:
    await encoder.encode_pages(pages(2))
    await encoder.encode_queries(["hail", draw_words(["hail"])])
    document, query = [received.body for received in fake.received]
    assert (document["input_type"], document["truncation"]) == ("document", False)
    assert query["input_type"] == "query"
    assert {body["output_dimension"] for body in (document, query)} == {512}


async def test_vectors_have_length_one_and_carry_encoder_and_cost(encoder: VoyageEncoder) -> None:
    [page] = await encoder.encode_pages([Image.new("RGB", (256, 256), "red")])
    assert isinstance(page, Embedding)
    assert page.summary.dtype == np.float32
    assert page.summary.shape == (512,)
    assert abs(float(np.linalg.norm(page.summary)) - 1) < 1e-6
    assert page.tokens is None
    assert page.encoder == "voyage/voyage-multimodal-3.5-512"
    assert page.usage == {"image_pixels": 65_536, "tokens": 117}


@pytest.mark.parametrize(("size", "tokens"), [((256, 256), 117), ((10, 10), 89), ((4000, 4000), 3571)])
def test_tokens_are_counted_as_the_service_counts_them(size: tuple[int, int], tokens: int) -> None:
    assert abs(prepare_picture(Image.new("RGB", size)).tokens - tokens) <= 2


async def test_words_find_the_picture_that_shows_them(encoder: VoyageEncoder) -> None:
    images = pages(8)
    stored = [page for page in await encoder.encode_pages(images) if isinstance(page, Embedding)]
    packed = pack_pages([(page.summary, None, None) for page in stored], encoder=stored[0].encoder)
    [words, picture] = await encoder.encode_queries(["word3", images[5]])
    by_picture = await encoder.score(picture, packed)
    assert int(np.argmax(by_picture)) == 5
    assert by_picture.max() == pytest.approx(1.0, abs=1e-4)
    assert ((await encoder.score(words, packed)) >= 0).all()


async def test_a_reply_in_another_order_is_put_in_order(fake: FakeVoyage, encoder: VoyageEncoder) -> None:
    expected = await encoder.encode_pages(pages(4))
    fake.break_next("shuffled")
    got = await encoder.encode_pages(pages(4))
    for wanted, result in zip(expected, got, strict=True):
        assert isinstance(wanted, Embedding)
        assert isinstance(result, Embedding)
        np.testing.assert_allclose(wanted.summary, result.summary, atol=1e-6)


async def test_429_waits_as_long_as_the_service_says(
    fake: FakeVoyage, encoder: VoyageEncoder, pauses: list[float]
) -> None:
    fake.answer_next(429, "Too many requests", headers={"Retry-After": "7"}, times=2)
    assert await codes(encoder, pages(1)) == ["ok"]
    assert pauses == [7.0, 7.0]


async def test_a_long_wait_is_left_to_the_caller(fake: FakeVoyage, encoder: VoyageEncoder, pauses: list[float]) -> None:
    fake.answer_next(429, "Too many requests", headers={"Retry-After": "600"})
    error = await error_of(encoder, pages(1))
    assert (error.code, error.retryable, error.retry_after_s) == ("encoder_rate_limited", True, 600.0)
    assert pauses == []


async def test_an_account_without_payment_is_not_tried_again(fake: FakeVoyage, encoder: VoyageEncoder) -> None:
    fake.answer_next(
        429,
        "You have not yet added your payment method in the billing page and will have reduced "
        "rate limits of 3 RPM and 10K TPM.",
        times=5,
    )
    error = await error_of(encoder, pages(1))
    assert (error.code, error.retryable) == ("encoder_rate_limited", False)
    assert "payment" in error.detail
    assert len(fake.received) == 1


@pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 505])
async def test_a_passing_fault_of_the_service_is_tried_again(
    fake: FakeVoyage, encoder: VoyageEncoder, status: int
) -> None:
    fake.answer_next(status, times=2)
    assert await codes(encoder, pages(2)) == ["ok", "ok"]
    assert len(fake.received) == 3


async def test_a_lasting_fault_ends_in_an_error_that_may_be_tried_later(
    fake: FakeVoyage, encoder: VoyageEncoder, pauses: list[float]
) -> None:
    fake.answer_next(503, times=100)
    error = await error_of(encoder, pages(1))
    assert (error.code, error.retryable) == ("encoder_unavailable", True)
    assert len(fake.received) == 5
    assert len(pauses) == 4


async def test_a_dropped_connection_is_tried_again(fake: FakeVoyage, encoder: VoyageEncoder) -> None:
    fake.drop_next(times=2)
    assert await codes(encoder, pages(1)) == ["ok"]


async def test_a_service_that_does_not_answer_is_given_up(fake: FakeVoyage) -> None:
    async def pause(_: float) -> None:
        pass

    fake.stall_next(times=5)
    encoder = VoyageEncoder(api_key=fake.key, base_url=fake.url, timeout_s=0.1, pause=pause)
    error = await error_of(encoder, pages(1))
    assert (error.code, error.retryable) == ("encoder_unavailable", True)
    await encoder.aclose()


async def test_a_question_is_given_up_long_before_a_page_is(fake: FakeVoyage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.voyage.encoder._QUERY_LIMIT_S", 0.2)
    fake.stall_next()
    encoder = VoyageEncoder(api_key=fake.key, base_url=fake.url, timeout_s=600.0)
    with pytest.raises(EncoderError) as failed:
        await encoder.encode_queries(["hail"])
    assert (failed.value.code, failed.value.retryable) == ("encoder_unavailable", True)
    await encoder.aclose()


async def test_a_service_that_is_not_there_is_an_error(pauses: list[float]) -> None:
    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    with FakeVoyage() as gone:
        url = gone.url
    encoder = VoyageEncoder(api_key="k", base_url=url, pause=pause)
    assert (await error_of(encoder, pages(1))).code == "encoder_unavailable"
    await encoder.aclose()


@pytest.mark.parametrize(
    "malformed", ["half", "not_json", "wrong_count", "same_index", "nan", "zero", "wrong_dimension"]
)
async def test_a_malformed_reply_gives_no_vectors(
    fake: FakeVoyage, encoder: VoyageEncoder, malformed: Malformed
) -> None:
    fake.break_next(malformed, times=100)
    error = await error_of(encoder, pages(3))
    assert (error.code, error.retryable) == ("encoder_unavailable", True)


@pytest.mark.parametrize("named", [True, False])
async def test_one_refused_page_does_not_harm_the_others(fake: FakeVoyage, encoder: VoyageEncoder, named: bool) -> None:
    fake.name_refused = named
    fake.refuse = lambda image: image.getpixel((image.width // 2, image.height // 2)) == (255, 0, 255)
    images = pages(8)
    images[3] = Image.new("RGB", (300, 300), (255, 0, 255))
    expected = ["ok"] * 8
    expected[3] = "image_refused"
    assert await codes(encoder, images) == expected
    assert len(fake.received) <= 12


async def test_several_refused_pages_are_each_named(fake: FakeVoyage, encoder: VoyageEncoder) -> None:
    fake.refuse = lambda image: image.getpixel((image.width // 2, image.height // 2)) == (255, 0, 255)
    bad = Image.new("RGB", (300, 300), (255, 0, 255))
    good = draw_words(["fine"])
    assert await codes(encoder, [bad, good, bad, bad, good]) == [
        "image_refused",
        "ok",
        "image_refused",
        "image_refused",
        "ok",
    ]


async def test_a_refused_shape_is_padded_and_sent_once_more(fake: FakeVoyage, encoder: VoyageEncoder) -> None:
    fake.refuse = lambda image: max(image.size) > 3 * min(image.size)
    receipt = Image.new("RGB", (100, 900), "grey")
    assert await codes(encoder, [draw_words(["a"]), receipt]) == ["ok", "ok"]
    last = fake.received[-1].pictures[0]
    assert last is not None
    assert max(last.size) <= 2 * min(last.size)


async def test_a_refused_query_picture_is_padded_and_sent_once_more(fake: FakeVoyage, encoder: VoyageEncoder) -> None:
    fake.refuse = lambda image: max(image.size) > 3 * min(image.size)
    assert len(await encoder.encode_queries([Image.new("RGB", (100, 900), "grey")])) == 1


async def test_a_query_refused_twice_is_an_error_that_stays(fake: FakeVoyage, encoder: VoyageEncoder) -> None:
    fake.refuse = lambda image: True
    with pytest.raises(EncoderError) as caught:
        await encoder.encode_queries([draw_words(["a"])])
    assert (caught.value.code, caught.value.retryable) == ("query_refused", False)


async def test_a_batch_with_too_many_tokens_is_split(fake: FakeVoyage, encoder: VoyageEncoder) -> None:
    fake.max_tokens = 500
    assert await codes(encoder, pages(8)) == ["ok"] * 8
    assert max(len(received.pictures) for received in fake.received[1:]) < 8


async def test_a_page_with_too_many_tokens_fails_alone(fake: FakeVoyage, encoder: VoyageEncoder) -> None:
    fake.max_input_tokens = 1000
    large = draw_words(["large"], size=(1200, 1200))
    assert await codes(encoder, [draw_words(["a"]), large, draw_words(["b"])]) == ["ok", "image_too_large", "ok"]


# The client hands aiohttp one block of bytes, which aiohttp comments on above a mebibyte.
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_a_large_batch_leaves_in_requests_of_bounded_size(fake: FakeVoyage, encoder: VoyageEncoder) -> None:
    rng = np.random.default_rng(5)
    noise = Image.fromarray(rng.integers(0, 256, (1400, 1400, 3), dtype=np.uint8))
    assert await codes(encoder, [noise] * 9 + pages(20)) == ["ok"] * 29
    assert max(len(received.pictures) for received in fake.received) <= 16
    assert max(received.size_bytes for received in fake.received) < 5_000_000
    assert sum(len(received.pictures) for received in fake.received) == 29


async def test_pictures_leave_with_at_most_two_megapixels(fake: FakeVoyage, encoder: VoyageEncoder) -> None:
    await encoder.encode_pages([Image.new("RGB", (4000, 3000), "navy")])
    sent = fake.received[0].pictures[0]
    assert sent is not None
    assert 1_990_000 < sent.width * sent.height <= 2_000_000


async def test_few_requests_are_under_way_at_once(fake: FakeVoyage, encoder: VoyageEncoder) -> None:
    fake.gate.clear()
    work = asyncio.create_task(encoder.encode_pages(pages(16 * 7)))
    assert await asyncio.to_thread(fake.wait_in_flight, 4)
    fake.gate.set()
    await work
    assert fake.most_in_flight == 4


async def test_a_wrong_key_is_said_and_never_shown(fake: FakeVoyage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "pa-secret-4711"
    encoder = VoyageEncoder(api_key=secret, base_url=fake.url)
    error = await error_of(encoder, pages(1))
    assert (error.code, error.retryable) == ("encoder_unauthorised", False)
    fake.answer_next(410, f"key {secret} may not use this model")
    echoed = await error_of(encoder, pages(1))
    assert secret not in error.detail + echoed.detail + repr(error) + repr(echoed) + repr(encoder)
    assert secret not in caplog.text
    await encoder.aclose()


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (410, "This model is retired, use voyage-multimodal-4."),
        (422, "value is not valid"),
        (404, "Not Found"),
        (400, "Model voyage-multimodal-3.5 is not supported."),
    ],
)
async def test_a_request_that_can_never_work_is_not_repeated(
    fake: FakeVoyage, encoder: VoyageEncoder, status: int, detail: str
) -> None:
    fake.answer_next(status, detail, times=9)
    error = await error_of(encoder, pages(2))
    assert (error.code, error.retryable) == ("encoder_misconfigured", False)
    assert detail in error.detail
    assert len(fake.received) == 1


@pytest.mark.parametrize("options", [EncoderOptions(), EncoderOptions(voyage_api_key="k", voyage_dims=300)])
def test_a_start_without_key_or_with_odd_dims_is_refused(options: EncoderOptions) -> None:
    with pytest.raises(EncoderError) as caught:
        create_encoder("voyage", options)
    assert caught.value.code == "encoder_misconfigured"


async def test_it_is_an_encoder_that_cannot_explain(encoder: VoyageEncoder) -> None:
    assert isinstance(encoder, Encoder)
    [query] = await encoder.encode_queries(["hail"])
    with pytest.raises(EncoderError) as caught:
        await encoder.explain(query, query)
    assert caught.value.code == "explain_unsupported"
