"""An adjuster's day in a real browser, against the real server and workers, on demo claims."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from app.demo import FOLDER, demo_claims
from tests.e2e.dashboard import CHROMIUM, browser, dashboard, enter, settled
from tests.e2e.processes import serving

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]

ENTERED = ("C-2026-04137", "C-2026-04211", "C-2025-04359", "C-2026-04507", "C-2026-05099", "C-2026-05691")
WAIT_MS = 60_000
ALL_DRAWN = r"""() => {
  const band = document.querySelector('.cs-costs-h');
  return band && document.querySelectorAll('.cs-card').length === Number(band.textContent.match(/\d+/) ?? 1);
}"""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("dashboard")
    records = {record["claim_id"]: record for record in json.loads((FOLDER / "claims.json").read_text("utf-8"))}
    facts = {number: {k: v for k, v in record.items() if k != "files"} for number, record in records.items()}
    cases = [case for case in demo_claims() if case.claim.claim_id in ENTERED]
    with serving(folder) as server:
        enter(server.url, cases, facts, limit_s=300)
        yield server.url


@pytest.fixture(scope="module")
def address(api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with dashboard(api, tmp_path_factory.mktemp("address")) as url:
        yield url


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1440, "height": 1000})
    context.set_default_timeout(WAIT_MS)
    expect.set_options(timeout=WAIT_MS)
    outside: list[str] = []
    context.on("request", lambda request: outside.append(request.url) if _is_outside(request.url) else None)
    yield context.new_page()
    context.close()
    assert not outside, "the dashboard asked other hosts"


def _is_outside(url: str) -> bool:
    return url.startswith(("http", "ws")) and not re.match(r"(http|ws)://127\.0\.0\.1[:/]", url)


def _cards(page: Page) -> list[str]:
    """Claims of the cards, once as many are drawn as the band above them says: the browser draws after the script."""
    settled(page).wait_for_function(ALL_DRAWN)
    return page.locator(".cs-card .cs-id").all_inner_texts()


def _first_card(page: Page) -> Locator:
    return page.locator(".st-key-card-1")


def _photo_of(claim_id: str) -> bytes:
    """The claim's first photo as another phone would send it: cropped, smaller, compressed again."""
    with Image.open(FOLDER / "data" / claim_id.lower() / "photo-1.jpg") as photo:
        width, height = photo.size
        cut = photo.convert("RGB").crop((width // 20, height // 20, width - width // 20, height - height // 20))
        target = io.BytesIO()
        cut.resize((cut.width * 9 // 10, cut.height * 9 // 10)).save(target, "JPEG", quality=60)
    return target.getvalue()


def test_words_bring_cards_with_costs_and_pictures(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.get_by_role("heading", name="Find claims like this one")).to_be_visible()
    page.get_by_label("Describe the damage").fill("quotation Summit Roofing clay tiles scaffold")
    page.keyboard.press("Enter")
    expect(page.get_by_text("What these")).to_be_visible()
    found = _cards(page)
    assert "C-2026-05099" in found[:3]
    picture = page.locator("[class*=st-key-picture-hit-1-] img")
    expect(picture).to_have_attribute("alt", re.compile(f"claim {found[0]}: "))
    page.wait_for_function("image => image.complete && image.naturalWidth > 100", arg=picture.element_handle())
    page.wait_for_url(re.compile("q=quotation"))


def test_a_dropped_photo_brings_its_claim_first(page: Page, address: str) -> None:
    page.goto(address)
    photo = {"name": "IMG_2041.jpg", "mimeType": "image/jpeg", "buffer": _photo_of("C-2026-04137")}
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files([photo])
    expect(page.get_by_role("heading", name="like your photo")).to_be_visible()
    assert _cards(page)[0] == "C-2026-04137"


def test_a_filter_is_kept_in_the_address(page: Page, address: str) -> None:
    page.goto(f"{address}/?q=windscreen")
    expect(page.get_by_text("What these")).to_be_visible()
    assert len(_cards(page)) > 1
    page.get_by_role("button", name="denied").click()
    expect(page.locator(".cs-card")).to_have_count(1)
    assert _cards(page) == ["C-2025-04359"]
    page.wait_for_url(re.compile("status=denied"))
    page.reload()
    expect(page.locator(".cs-card")).to_have_count(1)
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(page.locator(".cs-card").nth(1)).to_be_visible()


def test_more_like_this_and_back(page: Page, address: str) -> None:
    page.goto(f"{address}/?q=windscreen")
    expect(page.get_by_text("What these")).to_be_visible()
    first = _cards(page)[0]
    _first_card(page).get_by_role("link", name="More like this").click()
    expect(page.get_by_role("heading", name=re.compile(f"like .* of {first}"))).to_be_visible()
    assert first not in _cards(page)
    page.wait_for_url(re.compile("like="))
    page.go_back()
    expect(page.get_by_role("heading", name="for “windscreen”")).to_be_visible()
    # At once, while the rest is still being drawn.
    expect(_first_card(page)).to_contain_text(first)
    _first_card(page).get_by_role("link", name="Open claim").click()
    expect(page.get_by_role("heading", name=first, exact=True)).to_be_visible()
    page.wait_for_url(re.compile("/claim.claim="))
    page.go_back()
    expect(page.get_by_role("heading", name="for “windscreen”")).to_be_visible()


def test_why_marks_the_page(page: Page, address: str) -> None:
    page.goto(f"{address}/?q=scaffold+labor+quotation")
    expect(page.get_by_text("What these")).to_be_visible()
    _first_card(page).get_by_role("button", name="Why").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("img", name="matching parts are marked")).to_be_visible()
    expect(dialog.get_by_text("quotation", exact=True)).to_be_visible()


def _brightness(part: Locator, what: str) -> float:
    """0 (black) to 255 of a colour of the part as it is drawn. what: a property of CSS."""
    drawn = part.evaluate("(part, what) => getComputedStyle(part)[what]", what)
    return sum(float(value) for value in re.findall(r"[\d.]+", drawn)[:3]) / 3


@pytest.mark.parametrize(("scheme", "dark"), [("dark", True), ("light", False)])
def test_it_is_as_dark_as_the_system_is_set(
    page: Page, address: str, scheme: Literal["dark", "light"], dark: bool
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{address}/?q=scaffold+labor+quotation")
    expect(page.get_by_text("What these")).to_be_visible()
    _first_card(page).get_by_role("button", name="Why").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("quotation", exact=True)).to_be_visible()
    for ground in (page.locator(".stApp"), _first_card(page)):
        assert (_brightness(ground, "backgroundColor") < 60) is dark
    for text in (_first_card(page).locator(".cs-id"), dialog.locator(".cs-why-score")):
        assert (_brightness(text, "color") > 120) is dark


def test_a_claims_address_may_be_the_first_visit_after_a_start(page: Page, api: str, tmp_path: Path) -> None:
    with dashboard(api, tmp_path) as url:
        page.goto(f"{url}/claim?claim=C-2026-04507")
        expect(page.get_by_role("heading", name="C-2026-04507")).to_be_visible()
        expect(settled(page).get_by_role("link", name="main", exact=True)).to_have_count(0)
        expect(page.get_by_role("link", name="Search", exact=True).first).to_be_visible()


def _is_tall(page: Page, picture: Locator, tall: bool) -> bool:
    """Waits until it is so."""
    shape = "(p) => p[0].complete && p[0].naturalWidth > 100 && (p[0].naturalHeight > p[0].naturalWidth) === p[1]"
    return bool(page.wait_for_function(shape, arg=[picture.element_handle(), tall]))


def test_a_page_opens_large_and_is_turned(page: Page, address: str) -> None:
    page.goto(f"{address}/claim?claim=C-2026-04507")
    expect(page.get_by_role("heading", name="C-2026-04507")).to_be_visible()
    page.locator(".st-key-page-0").get_by_role("button", name="View").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("1 of 5")).to_be_visible()
    picture = dialog.get_by_role("img", name=re.compile("^Page 1 of"))
    expect(picture).to_be_visible()
    assert _is_tall(page, picture, True)
    dialog.get_by_role("button", name="Turn").click()
    assert _is_tall(page, picture, False)
    dialog.get_by_role("button", name="Next").click()
    expect(dialog.get_by_text("2 of 5")).to_be_visible()


def test_a_new_claim_takes_files_and_is_found(page: Page, address: str) -> None:
    page.goto(f"{address}/claims")
    page.get_by_role("button", name="New claim").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Claim number").fill("E2E-77")
    dialog.get_by_label("Loss amount").fill("640")
    dialog.get_by_label("What happened").fill("A stone hit the phone <b>hard</b>.")
    dialog.get_by_role("button", name="Save claim").click()
    expect(page.get_by_role("heading", name="E2E-77")).to_be_visible()
    expect(page.get_by_text("A stone hit the phone <b>hard</b>.")).to_be_visible()
    page.get_by_role("tab", name="Files").click()
    good = {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": _photo_of("C-2026-05099")}
    bad = {"name": "broken.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7 this is not a document"}
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files([good, bad])
    page.get_by_role("button", name="Upload 2 files").click()
    expect(page.locator(".cs-entry-succeeded", has_text="photo.jpg")).to_be_visible()
    expect(page.locator(".cs-entry-failed", has_text="broken.pdf")).to_be_visible()
    expect(page.locator(".cs-entry-failed .cs-reason")).not_to_be_empty()
    expect(page.get_by_text("Finished")).to_be_visible()
    page.get_by_role("tab", name="Similar claims").click()
    expect(page.locator(".cs-card").first).to_be_visible()
    assert _cards(page)[0] == "C-2026-05099"


def test_a_claim_is_deleted_after_a_question(page: Page, address: str) -> None:
    page.goto(f"{address}/claim?claim=C-2026-05691")
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete claim").click()
    expect(page.get_by_role("heading", name="Claims", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="C-2026-05691")).to_have_count(0)
    page.goto(f"{address}/claim?claim=C-2026-05691")
    expect(page.get_by_text("This claim does not exist, or it was deleted.")).to_be_visible()
