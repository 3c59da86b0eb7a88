"""Real files become the right pictures: every page, upright, in its colours, without metadata."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from retrieval.errors import Refused
from retrieval.ingestion.limits import Limits
from scripts.demo_data.pdf import write_pdf
from tests.retrieval.ingestion.conftest import QUICK, children, rendered, sample, webp_chunks

# 1024 on the long side; the sizes are those of pdftoppm -scale-to.
REAL: dict[str, tuple[int, str, tuple[int, int]]] = {
    "claim_form_hail.pdf": (2, "page", (725, 1024)),
    "police_report.pdf": (2, "page", (725, 1024)),
    "motor_policy.pdf": (13, "page", (792, 1024)),
    "repair_estimate.pdf": (2, "page", (725, 1024)),
    "receipt_scan.jpg": (1, "page", (430, 1024)),
    "scanned_forms.tiff": (2, "page", (768, 1024)),
    "handbook_text_photos.pdf": (1, "page", (786, 1024)),
    "landscape_table.pdf": (1, "page", (1024, 622)),
    "rotated_page.pdf": (2, "page", (1024, 792)),
    "mixed_orientation.pdf": (4, "page", (792, 1024)),
    "phone_photo_gps.jpg": (1, "photo", (1012, 759)),
    "phone_rotated_gps.jpg": (1, "photo", (102, 205)),
    "orientation_6.jpg": (1, "photo", (450, 600)),
    "photo.heic": (1, "photo", (1024, 899)),
    "screenshot.png": (1, "page", (911, 710)),
    "page.webp": (1, "page", (724, 1024)),
    "cmyk_map.jpg": (1, "page", (640, 682)),
    "manual_400_pages.pdf": (400, "page", (792, 1024)),
}
SECRETS = (b"Exif", b"GPS", b"http://ns.adobe.com", b"Apple", b"Google", b"Pixel")


async def picture_of(source: Path, folder: Path, *, limits: Limits = QUICK, number: int = 1) -> Image.Image:
    rendering = await rendered(source, folder, limits=limits, first=number, last=number)
    [page] = rendering.pages
    return page.load()[1]


@pytest.mark.parametrize("name", REAL)
async def test_real_file_gives_its_pages_without_metadata(tmp_path: Path, name: str) -> None:
    count, kind, size = REAL[name]
    rendering = await rendered(sample(f"real/{name}"), tmp_path)
    assert (rendering.page_count, rendering.failed, rendering.warnings) == (count, (), ())
    assert [page.number for page in rendering.pages] == list(range(1, min(count, 20) + 1))
    assert {page.kind for page in rendering.pages} == {kind}
    assert (rendering.pages[0].width, rendering.pages[0].height) == size
    for page in rendering.pages:
        encoded, picture, _ = *page.load(), page.own_text()
        assert picture.mode == "RGB"
        assert webp_chunks(encoded) == {b"VP8 "}
        assert not [secret for secret in SECRETS if secret in encoded]
    assert os.listdir(tmp_path) == []


def test_the_real_files_have_437_pages_together() -> None:
    assert sum(count for count, _, _ in REAL.values()) == 437


async def test_last_pages_of_a_long_file_come_with_their_numbers(tmp_path: Path) -> None:
    rendering = await rendered(sample("real/manual_400_pages.pdf"), tmp_path, first=396, last=415)
    assert [page.number for page in rendering.pages] == [396, 397, 398, 399, 400]
    assert ImageStat.Stat(rendering.pages[4].load()[1].convert("L")).mean[0] > 250, "page 400 is blank, and no fault"


async def test_a_square_page_is_rendered_whatever_its_size(tmp_path: Path) -> None:
    write_pdf(tmp_path / "square.pdf", [(Image.new("L", (side, side), 255), []) for side in (320, 500, 613)])
    rendering = await rendered(tmp_path / "square.pdf", tmp_path)
    assert rendering.failed == ()
    assert {(page.width, page.height) for page in rendering.pages} == {(QUICK.long_side, QUICK.long_side)}


async def test_count_alone_renders_nothing(tmp_path: Path) -> None:
    rendering = await rendered(sample("real/manual_400_pages.pdf"), tmp_path, first=1, last=0)
    assert (rendering.page_count, rendering.pages) == (400, ())


async def test_run_is_never_longer_than_the_limit(tmp_path: Path) -> None:
    limits = replace(QUICK, pages_per_render=3)
    rendering = await rendered(sample("real/motor_policy.pdf"), tmp_path, limits=limits, first=2, last=13)
    assert [page.number for page in rendering.pages] == [2, 3, 4]


async def test_photo_is_upright_as_its_tag_says(tmp_path: Path) -> None:
    upright = await picture_of(sample("real/orientation_6.jpg"), tmp_path)
    with Image.open(sample("real/orientation_6.jpg")) as stored:
        turned = stored.convert("RGB").transpose(Image.Transpose.ROTATE_270)
    assert _difference(upright, turned) < 4


async def test_tiff_frames_are_turned_once(tmp_path: Path) -> None:
    rendering = await rendered(sample("real/scanned_forms.tiff"), tmp_path, limits=replace(QUICK, long_side=2048))
    assert [(page.width, page.height) for page in rendering.pages] == [(1000, 1333), (1362, 1038)]


async def test_colours_of_print_are_not_inverted(tmp_path: Path) -> None:
    colours = ImageStat.Stat(await picture_of(sample("real/cmyk_map.jpg"), tmp_path)).median
    assert min(colours) > 230, "the ground of the map is white and pale yellow"


@pytest.mark.usefixtures("no_poppler")
@pytest.mark.parametrize("name", [name for name in REAL if name.endswith(".pdf")])
async def test_real_pdf_gives_the_same_pages_without_poppler(tmp_path: Path, name: str) -> None:
    count, kind, size = REAL[name]
    rendering = await rendered(sample(f"real/{name}"), tmp_path, last=4)
    assert (rendering.page_count, rendering.failed) == (count, ())
    assert {page.kind for page in rendering.pages} == {kind}
    page = rendering.pages[0]
    assert max(page.width, page.height) == 1024
    assert abs(page.width - size[0]) <= 1
    assert abs(page.height - size[1]) <= 1
    assert _dark_share(page.load()[1]) > 0.002, "there is text"


@pytest.mark.usefixtures("no_poppler")
@pytest.mark.parametrize(
    ("name", "answers"),
    [
        ("enc_user.pdf", {"encrypted"}),
        ("enc_user_rc4.pdf", {"encrypted"}),
        ("enc_owner_only.pdf", {1}),
        ("truncated.pdf", {"damaged", 1, 2}),
        ("broken_xref.pdf", {1}),
        ("junk_before_header.pdf", {1}),
        ("page_tree_loop.pdf", {1, 2, "damaged"}),
        ("zero_pages.pdf", {"no_pages", "damaged"}),
        ("count_lies.pdf", {"damaged", 1}),
        ("no_pages_key.pdf", {"damaged", "no_pages"}),
        ("header_only.pdf", {"damaged"}),
        ("deep_nesting.pdf", {1, "damaged", "timeout", "out_of_memory"}),
        ("huge_page.pdf", {1}),
        ("strip_page.pdf", {"page_too_large"}),
        ("zero_mediabox.pdf", {1, "page_too_large"}),
        ("rotated_mixed.pdf", {4}),
        ("bomb_stream.pdf", {1, "timeout", "out_of_memory", "damaged"}),
        ("bomb_path.pdf", {1, "timeout", "out_of_memory", "damaged"}),
        ("log_flood.pdf", {1, "timeout", "out_of_memory", "damaged"}),
        ("bomb_image.pdf", {1, "timeout", "out_of_memory", "damaged"}),
        ("bomb_jbig2.pdf", {1, "timeout", "out_of_memory", "damaged"}),
        ("bomb_forms.pdf", {1, "timeout", "out_of_memory", "damaged"}),
        ("bomb_dash.pdf", {1, "timeout", "out_of_memory", "damaged"}),
        ("form_loop.pdf", {1}),
        ("active.pdf", {1}),
        ("jbig2.pdf", {1}),
        ("jpx.pdf", {1}),
    ],
)
async def test_odd_pdf_ends_without_poppler_too(tmp_path: Path, name: str, answers: set[object]) -> None:
    try:
        rendering = await rendered(sample(f"odd/{name}"), tmp_path, limits=replace(QUICK, render_cpu_s=1))
    except Refused as refused:
        answer: object = refused.code
    else:
        answer = len(rendering.pages) if rendering.pages else rendering.failed[0].code
    assert answer in answers
    assert children() == []


@pytest.fixture
def no_fonts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "fonts.conf"
    config.write_text('<?xml version="1.0"?><fontconfig></fontconfig>')
    monkeypatch.setenv("FONTCONFIG_FILE", str(config))


@pytest.mark.usefixtures("no_fonts")
@pytest.mark.parametrize(
    "name", ["claim_form_hail.pdf", "police_report.pdf", "repair_estimate.pdf", "motor_policy.pdf"]
)
async def test_text_page_has_its_text_on_a_machine_without_fonts(tmp_path: Path, name: str) -> None:
    picture = await picture_of(sample(f"real/{name}"), tmp_path)
    assert _dark_share(picture) > 0.01


def _difference(one: Image.Image, other: Image.Image) -> float:
    return max(ImageStat.Stat(ImageChops.difference(one, other)).mean)


def _dark_share(picture: Image.Image) -> float:
    histogram = picture.convert("L").histogram()
    return sum(histogram[:128]) / sum(histogram)
