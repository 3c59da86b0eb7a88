"""A picture's EXIF gives a few clean facts, never its place, and nothing in it can hurt the ingest."""

from __future__ import annotations

import random
from datetime import datetime
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from retrieval.capture import Capture
from tests.retrieval.ingestion.conftest import rendered

TAKEN = "2026:04:01 09:30:05"


def exif_of(*, software: str = "GIMP 2.10", taken: str = TAKEN) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Canon\0"
    exif[ExifTags.Base.Model] = " Canon  EOS\n5D "
    exif[ExifTags.Base.Software] = software
    exif[ExifTags.Base.DateTime] = "2026:04:09 10:00:00"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken
    place = exif.get_ifd(ExifTags.IFD.GPSInfo)
    place[ExifTags.GPS.GPSLatitudeRef], place[ExifTags.GPS.GPSLatitude] = "N", (52.0, 30.0, 15.5)
    return exif


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_the_facts_are_read_once_and_clean(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "photo"
    Image.effect_noise((64, 48), 60).convert("RGB").save(source, kind, exif=exif_of())
    told = (await rendered(source, tmp_path)).capture
    assert told == Capture(datetime(2026, 4, 1, 9, 30, 5), "Canon", "Canon EOS 5D", "GIMP 2.10", has_place=True)
    assert (await rendered(source, tmp_path, first=2, last=2)).capture is None


async def test_what_is_no_fact_is_left_out(tmp_path: Path) -> None:
    source = tmp_path / "photo.jpg"
    exif = exif_of(software="x" * 5000, taken="0000:00:00 00:00:00")
    Image.new("RGB", (64, 48), "red").save(source, exif=exif)
    told = (await rendered(source, tmp_path)).capture
    assert told is not None
    assert (told.taken_at, told.software) == (None, "x" * 80)
    Image.new("RGB", (64, 48), "red").save(source)
    assert (await rendered(source, tmp_path)).capture is None


async def test_damaged_exif_costs_the_facts_and_not_the_photo(tmp_path: Path) -> None:
    source, rng, whole = tmp_path / "photo.jpg", random.Random(0), exif_of().tobytes()
    for _ in range(6):
        broken = bytearray(whole)
        for place in rng.sample(range(10, len(broken)), 12):
            broken[place] = rng.randrange(256)
        Image.new("RGB", (64, 48), "red").save(source, exif=bytes(broken))
        rendering = await rendered(source, tmp_path)
        assert [page.number for page in rendering.pages] == [1]
