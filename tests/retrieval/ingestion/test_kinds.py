"""Photos of damage and pictures of paper are told apart by what they look like."""

from __future__ import annotations

import pillow_heif
import pytest
from PIL import Image, ImageDraw, ImageOps

from retrieval.documents import PageKind
from retrieval.ingestion.kinds import kind_of
from tests.retrieval.ingestion.conftest import sample


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("real/photo.heic", "photo"),
        ("real/phone_photo_gps.jpg", "photo"),
        ("real/phone_rotated_gps.jpg", "photo"),
        ("real/orientation_6.jpg", "photo"),
        ("odd/ok.jpg", "photo"),
        ("real/receipt_scan.jpg", "page"),
        ("real/screenshot.png", "page"),
        ("real/page.webp", "page"),
        ("real/scanned_forms.tiff", "page"),
    ],
)
def test_kind_of_real_pictures(name: str, kind: PageKind) -> None:
    pillow_heif.register_heif_opener()
    with Image.open(sample(name)) as picture:
        assert kind_of(ImageOps.exif_transpose(picture).convert("RGB")) == kind


def test_kind_looks_at_the_picture_and_leaves_it_alone() -> None:
    page = Image.new("RGB", (1700, 2200), "white")
    ImageDraw.Draw(page).rectangle((100, 100, 1600, 400), fill="black")
    assert kind_of(page) == "page"
    assert page.size == (1700, 2200)
    assert kind_of(Image.new("RGB", (20, 20), (180, 30, 30))) == "photo"
