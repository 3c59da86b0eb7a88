"""Every way of keeping a picture ends as the same upright RGB on white."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageStat, PngImagePlugin

from retrieval.errors import Refused
from retrieval.ingestion.limits import Limits
from retrieval.ingestion.media import MediaType
from retrieval.ingestion.normalise import count_frames, normalised, open_picture

LIMITS = Limits(long_side=512)


def check(source: Path, media_type: MediaType, expected: Image.Image, *, tolerance: float = 3.0) -> None:
    with open_picture(source, media_type) as picture:
        shown = normalised(picture, media_type, LIMITS)
    assert shown.mode == "RGB"
    assert shown.size == expected.size
    assert max(ImageStat.Stat(ImageChops.difference(shown, expected)).mean) < tolerance
    assert not shown.info


def scene(size: tuple[int, int] = (120, 80)) -> Image.Image:
    """Red in the upper left, green in the upper right, blue below."""
    picture = Image.new("RGB", size, (20, 40, 200))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, size[0] // 2, size[1] // 2), fill=(200, 30, 20))
    draw.rectangle((size[0] // 2 + 1, 0, size[0], size[1] // 2), fill=(30, 180, 40))
    return picture


TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("ending", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", TURNS)
def test_each_orientation_ends_upright(tmp_path: Path, orientation: int, ending: str) -> None:
    """TURNS undoes what a viewer does for the tag, so that the viewer's picture is the scene again."""
    turn = TURNS[orientation]
    stored = scene() if turn is None else scene().transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    source = tmp_path / f"a.{ending}"
    stored.save(source, exif=exif, **({} if ending == "tiff" else {"quality": 95}))
    check(source, MediaType(f"image/{ending}"), scene(), tolerance=6.0)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "LA", "RGBA"])
def test_each_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    grey = scene().convert("L").convert("RGB")
    coarse = {"1", "P"}
    expected = scene().convert(mode).convert("RGB") if mode in coarse else grey if mode in ("L", "LA") else scene()
    source = tmp_path / "a.tiff"
    (scene().convert("LA") if mode == "LA" else scene().convert(mode)).save(source)
    check(source, MediaType.tiff, expected, tolerance=8.0)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_is_clear_becomes_white(tmp_path: Path, mode: str) -> None:
    clear = Image.new(mode, (100, 60), 0)
    clear.paste(Image.new("L", (50, 60), 90).convert(mode), (0, 0))
    clear.save(tmp_path / "a.png")
    expected = Image.new("RGB", (100, 60), "white")
    expected.paste((90, 90, 90), (0, 0, 50, 60))
    check(tmp_path / "a.png", MediaType.png, expected)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_one_clear_colour_becomes_white(tmp_path: Path, mode: str) -> None:
    picture = Image.new(mode, (100, 60), 0 if mode == "L" else (0, 0, 0))
    picture.paste(77 if mode == "L" else (77, 77, 77), (0, 0, 50, 60))
    picture.save(tmp_path / "a.png", transparency=0 if mode == "L" else (0, 0, 0))
    expected = Image.new("RGB", (100, 60), "white")
    expected.paste((77, 77, 77), (0, 0, 50, 60))
    check(tmp_path / "a.png", MediaType.png, expected)


@pytest.mark.parametrize(("ending", "order"), [("png", "<"), ("tiff", "<"), ("tiff", ">")])
def test_sixteen_bit_grey_keeps_its_tones(tmp_path: Path, ending: str, order: str) -> None:
    ramp = struct.pack(f"{order}4096H", *[x * 1024 for _ in range(64) for x in range(64)])
    source = tmp_path / f"a.{ending}"
    Image.frombytes("I;16B" if order == ">" else "I;16", (64, 64), ramp).save(source)
    expected = Image.new("L", (64, 64))
    expected.putdata([x * 4 for _ in range(64) for x in range(64)])
    check(source, MediaType(f"image/{ending}"), expected.convert("RGB"))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_numbers_without_a_range_are_spread_over_the_tones(tmp_path: Path, mode: str) -> None:
    ramp = Image.linear_gradient("L").convert(mode).point(lambda level: level * 40 + 7000)
    ramp.save(tmp_path / "a.tiff")
    check(tmp_path / "a.tiff", MediaType.tiff, Image.linear_gradient("L").convert("RGB"))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "I;16"])
def test_large_picture_read_in_strips_is_whole(tmp_path: Path, mode: str) -> None:
    large = scene((4400, 3100))
    if mode == "I;16":
        grey = large.convert("L")
        high = Image.merge("LA", (Image.new("L", grey.size), grey))  # low byte 0, high byte the tone
        large16 = Image.frombytes("I;16", grey.size, high.tobytes())
        large16.save(tmp_path / "a.tiff")
        check(tmp_path / "a.tiff", MediaType.tiff, grey.convert("RGB").resize((512, 361)))
        return
    large.convert(mode).save(tmp_path / "a.png", compress_level=1)
    check(tmp_path / "a.png", MediaType.png, large.convert(mode).convert("RGB").resize((512, 361)))


def test_small_picture_is_not_enlarged(tmp_path: Path) -> None:
    scene((60, 40)).save(tmp_path / "a.png")
    check(tmp_path / "a.png", MediaType.png, scene((60, 40)))


@pytest.mark.parametrize("size", [(15, 100), (100, 15), (1, 1), (2000, 20), (20, 2000)])
def test_picture_in_which_nothing_can_be_seen_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("L", size).save(tmp_path / "a.png")
    with pytest.raises(Refused) as caught, open_picture(tmp_path / "a.png", MediaType.png) as picture:
        normalised(picture, MediaType.png, LIMITS)
    assert caught.value.code == "too_small"


def test_pixels_are_counted_before_decoding(tmp_path: Path) -> None:
    Image.new("L", (200, 100)).save(tmp_path / "a.png")
    with open_picture(tmp_path / "a.png", MediaType.png) as picture:
        assert count_frames(picture, MediaType.png, replace(LIMITS, pixels=20_000)) == 1
        with pytest.raises(Refused) as caught:
            count_frames(picture, MediaType.png, replace(LIMITS, pixels=19_999))
    assert caught.value.code == "too_many_pixels"


@pytest.mark.parametrize(
    ("limits", "code"),
    [(replace(LIMITS, pages=4), "too_many_pages"), (replace(LIMITS, frames_pixels=20_000), "too_many_pixels")],
)
def test_frames_of_a_tiff_are_counted(tmp_path: Path, limits: Limits, code: str) -> None:
    frames = [Image.new("L", (100, 50), level) for level in range(5)]
    frames[0].save(tmp_path / "a.tiff", save_all=True, append_images=frames[1:])
    with open_picture(tmp_path / "a.tiff", MediaType.tiff) as picture:
        assert count_frames(picture, MediaType.tiff, LIMITS) == 5
        assert picture.tell() == 0
        with pytest.raises(Refused) as caught:
            count_frames(picture, MediaType.tiff, limits)
    assert caught.value.code == code


@pytest.mark.parametrize(("ending", "frames"), [("gif", 1), ("webp", 1), ("tiff", 3)])
def test_only_a_tiff_has_pages(tmp_path: Path, ending: str, frames: int) -> None:
    pictures = [Image.new("RGB", (50, 50), (level, 0, 0)) for level in (0, 100, 200)]
    pictures[0].save(tmp_path / "a", ending, save_all=True, append_images=pictures[1:])
    media_type = MediaType(f"image/{ending}")
    with open_picture(tmp_path / "a", media_type) as picture:
        assert count_frames(picture, media_type, LIMITS) == frames


def test_notes_in_a_picture_are_dropped(tmp_path: Path) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", "taken at 52.504306")
    scene().save(tmp_path / "a.png", pnginfo=notes, dpi=(300, 300))
    with open_picture(tmp_path / "a.png", MediaType.png) as picture:
        shown = normalised(picture, MediaType.png, LIMITS)
    saved = io.BytesIO()
    shown.save(saved, "PNG")
    assert b"52.504306" not in saved.getvalue()
    assert not shown.info
