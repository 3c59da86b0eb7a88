"""The door for uploads: limits while streaming, a durable job, duplicates, and nothing left in the spool."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import pytest

from retrieval.documents import EntryState, JobState
from retrieval.errors import Conflict, NotFound, Refused, TooLarge
from retrieval.ingestion.intake import Received, RefusedFile
from retrieval.ingestion.limits import KIB, Limits
from tests.retrieval.ingestion.conftest import CLAIM, TENANT, House, chunks_of, sample

PDF = b"%PDF-1.7\nnot much of one"


class Counted:
    """Chunks that remember how many were taken."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = chunks
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            self.taken += 1
            yield chunk


async def test_received_file_is_hashed_typed_and_spooled(house: House) -> None:
    received = await house.intake.receive("a/b.pdf", chunks_of(PDF, 3))
    assert received.filename == "b.pdf"
    assert received.asset_id == hashlib.sha256(PDF).hexdigest()
    assert (received.size_bytes, received.media_type) == (len(PDF), "application/pdf")
    assert received.spooled.path.read_bytes() == PDF
    await house.intake.discard([received])
    assert house.left_over() == []


async def test_too_large_file_is_refused_before_it_is_read_to_its_end(house: House) -> None:
    house.limits = Limits(file_bytes=100 * KIB)
    stream = Counted(PDF, *[b"x" * 40 * KIB] * 10)
    with pytest.raises(TooLarge, match=r"larger than 0\.09\d+ MiB") as caught:
        await house.intake.receive("big.pdf", aiter(stream))
    assert caught.value.code == "file_too_large"
    assert stream.taken == 4
    assert house.left_over() == []


async def test_too_large_request_is_refused(house: House) -> None:
    house.limits = Limits(request_bytes=100)
    with pytest.raises(TooLarge) as caught:
        await house.intake.receive("b.pdf", chunks_of(PDF), before_bytes=90)
    assert caught.value.code == "request_too_large"
    assert house.left_over() == []


async def test_wrong_type_is_refused_by_the_first_bytes(house: House) -> None:
    stream = Counted(*[b"<!doctype html>" + b" " * 10_000] * 5)
    with pytest.raises(Refused, match="HTML"):
        await house.intake.receive("photo.jpg", aiter(stream))
    assert stream.taken == 1
    assert house.left_over() == []


async def test_broken_stream_leaves_nothing(house: House) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield PDF
        raise ConnectionError("the client went away")

    with pytest.raises(ConnectionError):
        await house.intake.receive("a.pdf", broken())
    assert house.left_over() == []


async def test_job_has_an_entry_for_each_file_in_order(house: House) -> None:
    job = await house.upload([("a.pdf", PDF), ("empty.pdf", b""), ("b.jpg", b"\xff\xd8\xff\xe0")])
    assert [(entry.filename, entry.state, entry.code) for entry in job.entries] == [
        ("a.pdf", EntryState.queued, None),
        ("empty.pdf", EntryState.failed, "empty_file"),
        ("b.jpg", EntryState.queued, None),
    ]
    assert [asset.filename for asset in await house.store.assets.list(TENANT, CLAIM)] == ["a.pdf", "b.jpg"]
    assert house.left_over() == []


async def test_unknown_claim_is_refused_and_leaves_nothing(house: House) -> None:
    received = await house.intake.receive("a.pdf", chunks_of(PDF))
    with pytest.raises(NotFound):
        await house.intake.submit(TENANT, "no-such-claim", [received])
    assert house.left_over() == []


async def test_same_file_twice_in_an_upload_is_one_file(house: House) -> None:
    job = await house.upload([("a.pdf", PDF), ("copy.pdf", PDF)])
    assert [(entry.state, entry.code) for entry in job.entries] == [
        (EntryState.queued, None),
        (EntryState.duplicate, "duplicate"),
    ]
    assert len(await house.store.assets.list(TENANT, CLAIM)) == 1


@pytest.mark.parametrize("worked", [True, False], ids=["after its ingest", "while it waits"])
async def test_file_that_the_claim_holds_is_a_duplicate_without_work(house: House, worked: bool) -> None:
    data = sample("odd/ok.jpg").read_bytes()
    await (house.ingest if worked else house.upload)([("a.jpg", data)])
    job = await house.upload([("b.jpg", data)])
    assert [(entry.state, entry.code) for entry in job.entries] == [(EntryState.duplicate, "duplicate")]
    assert job.state is JobState.succeeded
    assert len(await house.store.assets.list(TENANT, CLAIM)) == 1


async def test_file_whose_ingest_failed_is_ingested_again(house: House) -> None:
    data = sample("odd/ok.jpg").read_bytes()
    house.encoder.fail_next(retryable=False, code="encoder_unauthorised")
    first = await house.ingest([("a.jpg", data)])
    assert first.entries[0].state is EntryState.failed
    again = await house.ingest([("a.jpg", data)])
    assert (again.entries[0].state, again.entries[0].pages_done) == (EntryState.succeeded, 1)


async def test_file_whose_ingest_was_cancelled_is_ingested_again(house: House) -> None:
    data = sample("odd/ok.jpg").read_bytes()
    first = await house.upload([("a.jpg", data)])
    await house.store.jobs.cancel(TENANT, first.job_id)
    again = await house.ingest([("a.jpg", data)])
    assert again.entries[0].state is EntryState.succeeded


async def test_same_idempotency_key_gives_the_same_job(house: House) -> None:
    async def send(data: bytes) -> tuple[str, bool]:
        received = await house.intake.receive("a.pdf", chunks_of(data))
        job, new = await house.intake.submit(TENANT, CLAIM, [received], idempotency_key="k1")
        return job.job_id, new

    first, new = await send(PDF)
    assert new
    assert await send(PDF) == (first, False)
    with pytest.raises(Conflict):
        await send(PDF + b"other")
    assert house.left_over() == []


async def test_refused_file_keeps_its_cleaned_name_and_reason() -> None:
    refused = RefusedFile.of("../x\n.doc", Refused("Found a program.", code="unsupported_type"))
    assert (refused.filename, refused.error.code) == ("x.doc", "unsupported_type")
    assert refused.entry().detail == "Found a program."


async def test_received_says_nothing_of_the_spool(house: House) -> None:
    received = await house.intake.receive("a.pdf", chunks_of(PDF))
    assert isinstance(received, Received)
    assert str(house.spool) not in repr(received)
    await house.intake.discard([received])


@pytest.mark.parametrize(("name", "size"), [("odd/gps.jpg", (320, 240)), ("odd/ok.pdf", (792, 1024))])
async def test_query_picture_is_upright_rgb_and_kept_nowhere(house: House, name: str, size: tuple[int, int]) -> None:
    picture = await house.intake.read_picture(chunks_of(sample(name).read_bytes()))
    assert (picture.mode, picture.size) == ("RGB", size)
    assert house.left_over() == []


@pytest.mark.parametrize(
    ("name", "code"),
    [("odd/truncated.jpg", "damaged"), ("odd/enc_user.pdf", "encrypted"), ("odd/eps_named.jpg", "unsupported_type")],
)
async def test_bad_query_picture_is_refused(house: House, name: str, code: str) -> None:
    with pytest.raises(Refused) as caught:
        await house.intake.read_picture(chunks_of(sample(name).read_bytes()))
    assert caught.value.code == code
    assert house.left_over() == []
