"""The text that a PDF has of its own comes with its pages, and costs none of them when it cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrieval.filters import EVERYTHING
from retrieval.ingestion import child_limits, pdfium
from retrieval.ingestion.limits import Limits
from retrieval.ingestion.media import MediaType
from retrieval.ingestion.render_child import _Job
from scripts.demo_data.paper import Words
from scripts.demo_data.pdf import write_pdf
from tests.app.conftest import picture
from tests.fakes.encoder import draw_words
from tests.retrieval.ingestion.conftest import CLAIM, QUICK, TENANT, House, rendered, sample

PICTURE = draw_words(["hail"], size=(320, 440))
PAGES = [(PICTURE, [Words(20, 40, "Rechnung Nr. RE (4711) über 1.840,50 €", 14)]), (PICTURE, [])]


def digital(folder: Path) -> bytes:
    write_pdf(folder / "digital.pdf", PAGES)
    return (folder / "digital.pdf").read_bytes()


async def test_text_of_a_digital_pdf_is_stored_with_its_page_and_found(house: House, tmp_path: Path) -> None:
    files = [("bill.pdf", digital(tmp_path)), ("photo.png", picture(["dent"]))]
    await house.ingest(files)
    pages = (await house.store.pages.list(TENANT, claim_id=CLAIM)).items
    texts = await house.store.pages.texts(TENANT, [page.page_id for page in pages])
    assert len(pages) == 3
    assert list(texts.values()) == ["rechnung nr. re (4711) über 1.840,50 €"]
    encoder = pages[0].encoder
    found = await house.store.pages.containing(TENANT, ["1.840,50"], EVERYTHING, encoder=encoder, limit=10)
    assert found == set(texts)
    assert house.left_over() == []


@pytest.mark.usefixtures("no_poppler")
async def test_text_is_read_without_poppler_too(tmp_path: Path) -> None:
    digital(tmp_path)
    rendering = await rendered(tmp_path / "digital.pdf", tmp_path)
    assert ["4711" in page.own_text() for page in rendering.pages] == [True, False]


async def test_real_text_is_read_line_by_line_and_only_to_the_limit(tmp_path: Path) -> None:
    rendering = await rendered(sample("real/police_report.pdf"), tmp_path)
    assert all(len(page.own_text()) > 100 for page in rendering.pages)
    limits = Limits(long_side=256, text_chars=10)
    rendering = await rendered(sample("real/police_report.pdf"), tmp_path, limits=limits)
    assert all(0 < len(page.own_text()) <= 10 for page in rendering.pages)


def test_text_that_cannot_be_read_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_limits, "bind_rest", lambda cpu_s: None)
    said: list[str] = []
    monkeypatch.setattr(_Job, "say", lambda self, event, **facts: said.append(event))
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
    with (tmp_path / "output").open("wb") as output:
        _Job(tmp_path / "broken.pdf", MediaType.pdf, 1, 1, tmp_path, QUICK, output)._texts([1])
        monkeypatch.setattr(pdfium, "texts", lambda *_: [][0])
        _Job(tmp_path / "broken.pdf", MediaType.pdf, 1, 1, tmp_path, QUICK, output)._texts([1])
    assert said == []
