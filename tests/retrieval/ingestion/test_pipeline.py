"""From a leased file to stored pages: nothing twice, nothing lost, and every page accounted for."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models import Embedding, EncodingFailure, encoder_id
from retrieval.documents import Claim, EntryState, Job, JobState, Lease, NewEntry
from retrieval.ingestion.limits import Limits
from retrieval.ingestion.pipeline import Pipeline
from retrieval.ingestion.spool import Spool
from retrieval.search.probes import as_stored
from tests.fakes.encoder import FakeEncoder, draw_words
from tests.retrieval.ingestion.conftest import CLAIM, TENANT, House, children, sample
from tests.retrieval.reuse.test_prints import photo

TTL = timedelta(seconds=30)


@pytest.fixture
def limits() -> Limits:
    return Limits(render_cpu_s=2, wall_s=30.0, long_side=320, pages_per_render=4)


def document(folder: Path, pages: int, *, blank: Sequence[int] = ()) -> bytes:
    """A PDF with the page number as a word of the fake encoder on each page."""
    pictures = [
        Image.new("RGB", (320, 320), "white") if number in blank else draw_words([f"page{number}"])
        for number in range(1, pages + 1)
    ]
    path = folder / f"document-{pages}.pdf"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], quality=95)
    return path.read_bytes()


class Stopping(FakeEncoder):
    """Encodes `calls` batches, then says `stopped` and never ends the next."""

    def __init__(self, *, batch_size: int, calls: int) -> None:
        super().__init__(batch_size=batch_size)
        self._calls = calls
        self.stopped = asyncio.Event()

    async def encode_pages(self, images: Sequence[Image.Image]) -> list[Embedding | EncodingFailure]:
        if len(self.page_batches) == self._calls:
            self.stopped.set()
            await asyncio.Event().wait()
        return await super().encode_pages(images)


async def leased(house: House, data: bytes) -> tuple[Job, Lease]:
    job = await house.upload([("a.pdf", data)])
    lease = await house.store.jobs.lease("w1", ttl=TTL)
    assert lease is not None
    return job, lease


def pipeline(house: House) -> Pipeline:
    return Pipeline(house.store, house.encoder, spool=Spool(house.spool), limits=house.limits)


async def numbers(house: House) -> list[int]:
    return [page.number for page in (await house.store.pages.list(TENANT, claim_id=CLAIM)).items]


async def test_pages_are_stored_in_batches_of_the_encoder(house: House, tmp_path: Path) -> None:
    house.encoder = FakeEncoder(batch_size=3)
    job = await house.ingest([("a.pdf", document(tmp_path, 11))])
    [entry] = job.entries
    assert (entry.state, entry.code, entry.pages_done, entry.pages_total) == (EntryState.succeeded, None, 11, 11)
    assert await numbers(house) == list(range(1, 12))
    assert max(house.encoder.page_batches) <= 3
    [asset] = await house.store.assets.list(TENANT, CLAIM)
    assert (asset.media_type, asset.page_count, asset.warnings) == ("application/pdf", 11, ())
    assert house.left_over() == []


async def test_stored_page_holds_the_vectors_of_its_picture(house: House, tmp_path: Path) -> None:
    await house.ingest([("a.pdf", document(tmp_path, 2))])
    second = (await house.store.pages.list(TENANT, claim_id=CLAIM)).items[1]
    assert (second.width, second.height, second.encoder) == (320, 320, encoder_id(house.encoder))
    assert second.usage == {"image_pixels": 320 * 320}
    [vectors] = (await house.store.pages.vectors(TENANT, [second.page_id])).values()
    assert vectors.tokens is not None
    assert vectors.cells is not None
    assert vectors.cells[0].tolist() == [0, 0, 80, 80]
    [query] = await house.encoder.encode_queries(["page2"])
    assert query.tokens is not None
    assert vectors.scales is not None
    best = (vectors.tokens.astype(np.float32) * vectors.scales[:, None].astype(np.float32)) @ query.tokens.T
    assert best.argmax() == 0, "the word stands in the first cell"
    assert best.max() > 0.9


async def test_blank_pages_are_pages(house: House, tmp_path: Path) -> None:
    job = await house.ingest([("a.pdf", document(tmp_path, 3, blank=(1, 2, 3)))])
    assert (job.entries[0].state, job.entries[0].pages_done) == (EntryState.succeeded, 3)


async def test_interrupted_ingest_goes_on_where_it_stopped(house: House, tmp_path: Path) -> None:
    house.encoder = Stopping(batch_size=2, calls=2)
    job = await house.upload([("a.pdf", document(tmp_path, 9))])
    lease = await house.store.jobs.lease("w1", ttl=timedelta(0))
    assert lease is not None
    work = asyncio.create_task(pipeline(house).ingest(lease))
    await house.encoder.stopped.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert house.left_over() == []
    assert children() == []
    assert await numbers(house) == [1, 2, 3, 4]
    house.encoder = FakeEncoder(batch_size=2)

    assert await house.worker().run_once()

    assert await numbers(house) == list(range(1, 10))
    assert sum(house.encoder.page_batches) == 5, "pages that were stored are not encoded again"
    finished = await house.store.jobs.get(TENANT, job.job_id)
    assert (finished.entries[0].state, finished.entries[0].pages_done) == (EntryState.succeeded, 9)


async def test_finished_file_ingested_again_costs_nothing(house: House, tmp_path: Path) -> None:
    await house.ingest([("a.pdf", document(tmp_path, 5))])
    [asset] = await house.store.assets.list(TENANT, CLAIM)
    before = list(house.encoder.page_batches)
    lease = await _lease_again(house, asset.asset_id)
    outcome = await pipeline(house).ingest(lease)
    assert outcome.state is EntryState.succeeded
    assert house.encoder.page_batches == before


async def _lease_again(house: House, asset_id: str) -> Lease:
    await house.store.jobs.submit(TENANT, CLAIM, [NewEntry("again.pdf", asset_id)])
    lease = await house.store.jobs.lease("w1", ttl=TTL)
    assert lease is not None
    return lease


async def test_page_that_the_encoder_refuses_is_listed_with_its_reason(house: House, tmp_path: Path) -> None:
    house.encoder = FakeEncoder(batch_size=2, refuse=_is_blank)
    job = await house.ingest([("a.pdf", document(tmp_path, 5, blank=(2, 5)))])
    [entry] = job.entries
    assert (entry.state, entry.code, entry.detail) == (
        EntryState.succeeded,
        "pages_failed",
        "2 of 5 pages could not be read.",
    )
    assert [(page.number, page.code) for page in entry.failed_pages] == [(2, "image_refused"), (5, "image_refused")]
    assert (entry.pages_done, entry.pages_total) == (5, 5)
    assert await numbers(house) == [1, 3, 4]


async def test_file_without_one_good_page_fails(house: House, tmp_path: Path) -> None:
    house.encoder = FakeEncoder(refuse=lambda _: True)
    job = await house.ingest([("a.pdf", document(tmp_path, 2))])
    [entry] = job.entries
    assert (entry.state, entry.code) == (EntryState.failed, "image_refused")
    assert job.state is JobState.failed
    assert [page.number for page in entry.failed_pages] == [1, 2]


async def test_encoder_fault_that_stays_fails_the_file(house: House) -> None:
    house.encoder.fail_next(code="encoder_unauthorised", retryable=False)
    job = await house.ingest([("a.jpg", sample("odd/ok.jpg").read_bytes())])
    assert (job.entries[0].state, job.entries[0].code) == (EntryState.failed, "encoder_unauthorised")
    assert house.left_over() == []


async def test_next_run_is_rendered_while_this_one_is_encoded(house: House, tmp_path: Path) -> None:
    house.encoder = FakeEncoder(batch_size=4)
    house.encoder.gate = asyncio.Event()
    _, lease = await leased(house, document(tmp_path, 16))
    work = asyncio.create_task(pipeline(house).ingest(lease))
    async with asyncio.timeout(30):
        while house.encoder.waiting < 1 or len(ahead := _rendered(house)) < 4 or children():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert house.encoder.waiting == 1
    assert ahead == ["5.webp", "6.webp", "7.webp", "8.webp"], "one run ahead, not more"
    house.encoder.gate.set()
    outcome = await work
    assert outcome.state is EntryState.succeeded
    assert house.left_over() == []


async def test_file_of_endless_pages_is_given_up(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page runs into the limit; after a few the rest is not tried."""
    _slow_tool(tmp_path / "tools", monkeypatch)
    house.limits = replace(house.limits, render_cpu_s=1, killed_pages=2, pages_per_render=2)
    house.encoder = FakeEncoder(batch_size=1)
    job = await house.ingest([("a.pdf", document(tmp_path, 9))])
    [entry] = job.entries
    assert (entry.state, entry.code) == (EntryState.failed, "timeout")
    assert [page.number for page in entry.failed_pages] == list(range(1, 10))
    assert entry.failed_pages[-1].detail.startswith("Not tried")
    assert entry.pages_done == 9
    assert children() == []


async def test_progress_counts_pages_as_they_are_stored(house: House, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []

    class Watching(FakeEncoder):
        async def encode_pages(self, images: Sequence[Image.Image]) -> list[Embedding | EncodingFailure]:
            entry = (await house.store.jobs.get(TENANT, job.job_id)).entries[0]
            seen.append((entry.pages_done, entry.pages_total))
            return await super().encode_pages(images)

    house.encoder = Watching(batch_size=2)
    job, lease = await leased(house, document(tmp_path, 6))
    await pipeline(house).ingest(lease)
    assert seen == [(0, 6), (2, 6), (4, 6)]


@pytest.mark.parametrize("tokens", [True, False])
async def test_vectors_are_stored_in_whole_pixels_of_the_picture(tokens: bool) -> None:
    encoder = FakeEncoder(tokens=tokens)
    [embedding] = await encoder.encode_pages([draw_words(["hail"], size=(321, 203))])
    assert isinstance(embedding, Embedding)
    vectors = as_stored(embedding, width=321, height=203)
    assert vectors.summary.dtype == np.float32
    if not tokens:
        assert (vectors.tokens, vectors.scales, vectors.cells) == (None, None, None)
        return
    assert vectors.tokens is not None
    assert vectors.cells is not None
    assert (vectors.tokens.dtype, vectors.cells.dtype) == (np.int8, np.uint16)
    assert vectors.cells[-1].tolist() == [241, 152, 321, 203]


def _is_blank(picture: Image.Image) -> bool:
    return min(low for low, _ in picture.getextrema()) > 200


def _rendered(house: House) -> list[str]:
    return sorted(path.name for path in house.spool.glob("*/*.webp"))


def _slow_tool(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pdftoppm that never ends, and the real pdfinfo."""
    folder.mkdir()
    (folder / "pdftoppm").write_text('#!/bin/sh\n[ "$1" = -v ] && exit 0\nwhile :; do :; done\n')
    (folder / "pdftoppm").chmod(0o755)
    if shutil.which("pdfinfo") is None:
        pytest.skip("poppler-utils is not installed")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


async def test_a_photo_of_another_claim_is_noted_on_entry_and_file(house: House) -> None:
    def jpeg(quality: int) -> bytes:
        target = io.BytesIO()
        photo(5).save(target, "JPEG", quality=quality)
        return target.getvalue()

    await house.store.claims.put(TENANT, Claim(claim_id="elsewhere"))
    await house.upload([("first.jpg", jpeg(90))], claim_id="elsewhere")
    job = await house.upload([("again.jpg", jpeg(50)), ("page.pdf", document(house.spool.parent, 1))])
    while await house.worker().run_once():
        pass
    again, page = (await house.store.jobs.get(TENANT, job.job_id)).entries
    assert (again.state, again.code, page.code) == (EntryState.succeeded, "photo_reused", None)
    assert "elsewhere" not in (again.detail or "")
    warned = {asset.filename: asset.warnings for asset in await house.store.assets.list(TENANT, CLAIM)}
    assert [code for code, _ in warned["again.jpg"]] == ["photo_reused"]
    assert warned["page.pdf"] == ()
    [first] = await house.store.assets.list(TENANT, "elsewhere")
    assert first.warnings == ()


class Reads(FakeEncoder):
    """Finds print where there is any ink."""

    def is_read(self, page: Embedding) -> bool:
        assert page.tokens is not None
        return bool((page.tokens @ page.tokens[0] < 0.99).any())


@pytest.mark.parametrize(("encoder", "kind"), [(Reads(), "photo"), (FakeEncoder(), "page")], ids=["reads", "does not"])
async def test_a_thing_on_a_white_ground_is_a_photo_where_the_encoder_finds_no_print_on_it(
    house: House, tmp_path: Path, encoder: FakeEncoder, kind: str
) -> None:
    """By its colours it is paper. Alone in its file it is no blank page; beside others it may be one."""
    house.encoder = encoder
    blank = io.BytesIO()
    Image.new("RGB", (320, 320), (250, 250, 250)).save(blank, "PNG")
    await house.ingest([("parcel.png", blank.getvalue())])
    await house.ingest([("letter.pdf", document(tmp_path, 1))])
    await house.ingest([("blank.pdf", document(tmp_path, 2, blank=(2,)))])
    names = {asset.asset_id: asset.filename for asset in await house.store.assets.list(TENANT, CLAIM)}
    pages = (await house.store.pages.list(TENANT, claim_id=CLAIM)).items
    kinds = {(names[page.asset_id], page.number): page.kind for page in pages}
    assert kinds == {("parcel.png", 1): kind, ("letter.pdf", 1): "page", ("blank.pdf", 1): "page",
                     ("blank.pdf", 2): "page"}  # fmt: skip
