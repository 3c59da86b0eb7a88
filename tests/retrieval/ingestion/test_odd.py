"""Every hostile and broken file of the samples ends as its README says, and its neighbours are indexed."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from PIL import Image

from retrieval.documents import EntryState, Job, JobEntry, JobState, Page
from retrieval.ingestion.limits import Limits
from tests.retrieval.ingestion import make_big
from tests.retrieval.ingestion.conftest import CLAIM, QUICK, TENANT, House, children, resident_mib, sample, webp_chunks

# What is looked for in the pictures of a file.
Look = Callable[[list[Image.Image]], None]


@dataclass(frozen=True)
class Right:
    """The right end of a file. pages: indexed. code: of the entry, "" for none; any of `codes` will do.
    media_type: as it is sent back. sizes: of the pictures. says: part of the sentence. patient: under the default
    limits, which leave it the time it needs on any machine."""

    pages: int = 0
    codes: tuple[str, ...] = ()
    failed_pages: int = 0
    says: str = ""
    media_type: str | None = None
    sizes: tuple[tuple[int, int], ...] = ()
    look: Look | None = None
    patient: bool = False


def _indexed(pages: int, **more: object) -> Right:
    return Right(pages=pages, **more)  # type: ignore[arg-type]


def _refused(*codes: str, says: str = "") -> Right:
    return Right(codes=codes, says=says)


def _failed(*codes: str) -> Right:
    """A file of one page that is marked failed."""
    return Right(codes=codes, failed_pages=1)


def _colour(picture: Image.Image, x: float, y: float) -> tuple[int, int, int]:
    pixel = picture.getpixel((int(x * picture.width), int(y * picture.height)))
    assert isinstance(pixel, tuple)
    return (int(pixel[0]), int(pixel[1]), int(pixel[2]))


def _mean(picture: Image.Image) -> float:
    histogram = picture.convert("L").histogram()
    return sum(level * count for level, count in enumerate(histogram)) / sum(histogram)


def _dark_share(picture: Image.Image) -> float:
    histogram = picture.convert("L").histogram()
    return sum(histogram[:128]) / sum(histogram)


def _red_car(pictures: list[Image.Image]) -> None:
    [picture] = pictures
    red, green, blue = _colour(picture, 0.5, 0.52)
    assert red > 150, "the car is red"
    assert green < 80, "the car is red"
    assert blue < 80, "the car is red"
    red, green, blue = _colour(picture, 0.05, 0.1)
    assert blue > red + 30, "the sky is blue and above"


def _red_car_without_transparency(pictures: list[Image.Image]) -> None:
    [picture] = pictures
    assert _mean(picture) > 60


def _text(pictures: list[Image.Image]) -> None:
    for picture in pictures:
        assert 0.0001 < _dark_share(picture) < 0.5, "dark text on a light page"


def _ramp(pictures: list[Image.Image]) -> None:
    assert 110 < _mean(pictures[0]) < 145
    assert _colour(pictures[0], 0.02, 0.5)[0] < 30
    assert _colour(pictures[0], 0.98, 0.5)[0] > 225


def _text_on_white(pictures: list[Image.Image]) -> None:
    assert _mean(pictures[0]) > 200
    _text(pictures)


CAR = (320, 240)
PORTRAIT = (792, 1024)
LANDSCAPE = (1024, 792)

RIGHT: dict[str, Right] = {
    "ok.pdf": _indexed(2, media_type="application/pdf", sizes=(PORTRAIT, PORTRAIT), look=_text),
    "ok.jpg": _indexed(1, media_type="image/jpeg", sizes=(CAR,), look=_red_car),
    "enc_user.pdf": _refused("encrypted", says="password is needed"),
    "enc_user_rc4.pdf": _refused("encrypted", says="password is needed"),
    "enc_owner_only.pdf": _indexed(1, look=_text),
    "truncated.pdf": _refused("damaged"),
    "broken_xref.pdf": _indexed(1, look=_text),
    "junk_before_header.pdf": _indexed(1, look=_text),
    "page_tree_loop.pdf": Right(pages=1, codes=("pages_failed",), failed_pages=1),
    "zero_pages.pdf": _refused("no_pages"),
    "count_lies.pdf": _refused("damaged"),
    "no_pages_key.pdf": _refused("damaged", "no_pages"),
    "deep_nesting.pdf": _failed("damaged"),
    "header_only.pdf": _refused("damaged"),
    "huge_page.pdf": _indexed(1, sizes=((1024, 1024),), look=_text),
    "userunit_page.pdf": _indexed(1, look=_text),
    "strip_page.pdf": _failed("page_too_large"),
    "zero_mediabox.pdf": _indexed(1, look=_text),
    "rotate_45.pdf": _indexed(1, sizes=(PORTRAIT,), look=_text),
    "rotated_mixed.pdf": _indexed(4, sizes=(PORTRAIT, LANDSCAPE, PORTRAIT, LANDSCAPE), look=_text),
    "bomb_stream.pdf": _failed("timeout"),
    "bomb_path.pdf": _failed("timeout", "out_of_memory"),
    "log_flood.pdf": _failed("damaged", "timeout"),
    "bomb_image.pdf": _failed("timeout"),
    "bomb_jbig2.pdf": _failed("timeout", "out_of_memory"),
    "bomb_forms.pdf": _failed("timeout"),
    "form_loop.pdf": _indexed(1, look=_text),
    "bomb_dash.pdf": _failed("timeout", "out_of_memory"),
    "text_flood.pdf": _indexed(1, patient=True),
    "pages_10000.pdf": _refused("too_many_pages", says="10000 pages"),
    "active.pdf": _indexed(1, look=_text),
    "polyglot.pdf": _indexed(1, look=_text),
    "jbig2.pdf": _indexed(1, look=_text),
    "jpx.pdf": _indexed(1, look=_text),
    "zero_bytes.pdf": _refused("empty_file"),
    "text_named.pdf": _refused("unsupported_type", says="text"),
    "html_named.jpg": _refused("unsupported_type", says="HTML"),
    "eps_named.jpg": _refused("unsupported_type", says="PostScript"),
    "elf_named.png": _refused("unsupported_type", says="program"),
    "exe_named.pdf": _refused("unsupported_type", says="program"),
    "zip_named.pdf": _refused("unsupported_type", says="ZIP"),
    "jpeg_named.png": _indexed(1, media_type="image/jpeg", look=_red_car),
    "pdf_named.jpg": _indexed(1, media_type="application/pdf", look=_text),
    "letter.docx": _refused("unsupported_type", says="DOCX document; save as PDF"),
    "table.xlsx": _refused("unsupported_type", says="XLSX"),
    "message.eml": _refused("unsupported_type", says="e-mail"),
    "xxe.svg": _refused("unsupported_type", says="SVG"),
    "truncated.jpg": _failed("damaged"),
    "orientation_99.jpg": _indexed(1, sizes=(CAR,), look=_red_car),
    "bad_crc.png": _indexed(1, sizes=(CAR,), look=_red_car),
    "bad_crc_ihdr.png": _refused("damaged"),
    "truncated.png": _failed("damaged"),
    "truncated.heic": _failed("damaged"),
    "icc_corrupt.jpg": _indexed(1, sizes=(CAR,), look=_red_car),
    "exif_junk.jpg": _indexed(1, sizes=(CAR,), look=_red_car),
    "exif_broken.jpg": _indexed(1, sizes=(CAR,), look=_red_car),
    "ifd_loop.tif": _indexed(1, media_type="image/tiff"),
    "header_bomb.tif": _refused("too_many_pixels"),
    "header_bomb.jpg": _refused("too_many_pixels"),
    "ztxt_bomb.png": _refused("damaged"),
    "bomb_50000.png": _refused("too_many_pixels"),
    "bomb_13000.png": _refused("too_many_pixels"),
    "frames_10000.gif": _indexed(1, media_type="image/gif", sizes=((1024, 1024),)),
    "pages_500.tif": _indexed(500, media_type="image/tiff", look=_text),
    "gps.jpg": _indexed(1, sizes=(CAR,), look=_red_car),
    "gps_xmp.jpg": _indexed(1, sizes=(CAR,), look=_red_car),
    "two_pictures.jpg": _indexed(1, media_type="image/jpeg", sizes=(CAR,), look=_red_car),
    "pixel_1x1.png": _failed("too_small"),
    "strip_1x30000.png": _failed("too_small"),
    "gray16.png": _indexed(1, look=_ramp),
    "palette_alpha.png": _indexed(1, sizes=(CAR,), look=_red_car_without_transparency),
    "rgba_text.png": _indexed(1, look=_text_on_white),
    "cmyk_adobe.jpg": _indexed(1, sizes=(CAR,), look=_red_car),
    "progressive.jpg": _indexed(1, sizes=(CAR,), look=_red_car),
    "arithmetic.jpg": _indexed(1),
    "lossless.jpg": _indexed(1),
    "animated.webp": _indexed(1, media_type="image/webp", sizes=((160, 120),)),
}
MADE = {
    "pages_10000.pdf": make_big.pages_pdf,
    "bomb_50000.png": make_big.bomb_png,
    "frames_10000.gif": make_big.frames_gif,
}
PATIENT = Limits(wall_s=QUICK.wall_s * 4)
# In no picture that the service keeps of any file.
SECRETS = (b"52.504", b"13.378", b"52,30.2584N", b"SERIAL-000111", b"<script")


def _bytes_of(name: str) -> bytes:
    return MADE[name]() if name in MADE else sample(f"odd/{name}").read_bytes()


def test_every_file_of_the_folder_has_its_case() -> None:
    folder = sample("odd/README.md").parent
    files = {path.name for path in folder.iterdir()} - {"README.md", "make.py", "check.py", "names.json"}
    assert files == set(RIGHT) - set(MADE)


@pytest.mark.parametrize("name", RIGHT)
async def test_odd_file_ends_as_promised_and_its_neighbours_are_indexed(house: House, name: str) -> None:
    right = RIGHT[name]
    controls = [(control, _bytes_of(control)) for control in ("ok.pdf", "ok.jpg") if control != name]
    data = _bytes_of(name)
    before_mib = resident_mib()
    house.limits = PATIENT if right.patient else house.limits

    job = await house.ingest([(name, data), *controls])

    assert job.state is JobState.succeeded
    entry, *others = job.entries
    assert [(other.state, other.code, other.pages_done) for other in others] == [
        (EntryState.succeeded, None, 2 if other.filename == "ok.pdf" else 1) for other in others
    ]
    _check_entry(entry, right)
    pages = await _pages(house, job)
    counts = Counter(page.asset_id for page in pages)
    assert counts[entry.asset_id or ""] == right.pages
    assert sum(counts.values()) == right.pages + sum(other.pages_done for other in others)
    await _check_pictures(house, [page for page in pages if page.asset_id == entry.asset_id], right)
    if right.media_type is not None:
        [asset] = await house.store.assets.get(TENANT, entry.asset_id or "", claim_id=CLAIM)
        assert (asset.media_type, asset.page_count) == (right.media_type, right.pages)
    assert house.left_over() == []
    assert children() == []
    assert resident_mib() < before_mib + 100


def _check_entry(entry: JobEntry, right: Right) -> None:
    assert len(entry.failed_pages) == right.failed_pages
    if right.pages:
        assert entry.state is EntryState.succeeded
        assert entry.pages_total == right.pages + right.failed_pages
        assert entry.code in (right.codes or (None,))
        return
    assert entry.state is EntryState.failed
    assert entry.code in right.codes
    assert entry.detail is not None
    assert right.says in entry.detail
    assert "/" not in entry.detail, "no path of the server"
    assert "Traceback" not in entry.detail


async def _check_pictures(house: House, pages: list[Page], right: Right) -> None:
    encoded = [await house.store.pages.picture(TENANT, page.page_id) for page in pages]
    for data in encoded:
        assert webp_chunks(data) == {b"VP8 "}, "nothing but the picture"
        assert not [secret for secret in SECRETS if secret in data]
    pictures = [Image.open(io.BytesIO(data), formats=["WEBP"]) for data in encoded]
    assert [page.number for page in pages] == list(range(1, len(pages) + 1))
    assert [picture.size for picture in pictures] == [(page.width, page.height) for page in pages]
    assert {picture.mode for picture in pictures} <= {"RGB"}
    if right.sizes:
        assert tuple(picture.size for picture in pictures) == right.sizes
    if right.look is not None:
        right.look(pictures)


async def _pages(house: House, job: Job) -> list[Page]:
    pages: list[Page] = []
    cursor: str | None = None
    while True:
        listing = await house.store.pages.list(TENANT, claim_id=job.claim_id, cursor=cursor)
        pages += listing.items
        cursor = listing.next_cursor
        if cursor is None:
            return pages


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bomb_stream.pdf", "bomb_image.pdf"])
async def test_slow_but_finite_page_is_taken_within_the_default_limits(house: House, name: str) -> None:
    house.limits = PATIENT
    job = await house.ingest([(name, _bytes_of(name))])
    assert job.entries[0].code in (None, "timeout")
    assert house.left_over() == []
    assert children() == []
