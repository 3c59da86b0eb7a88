"""Any picture to the one that is stored and searched: upright, RGB on white, bounded in size, without metadata.
Runs in the rendering process only."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import cast

from PIL import Image

from retrieval.errors import Refused
from retrieval.ingestion.limits import Limits
from retrieval.ingestion.media import MediaType

FORMATS: dict[MediaType, tuple[str, ...]] = {
    MediaType.jpeg: ("JPEG", "MPO"),
    MediaType.png: ("PNG",),
    MediaType.webp: ("WEBP",),
    MediaType.tiff: ("TIFF",),
    MediaType.gif: ("GIF",),
    MediaType.heic: ("HEIF",),
}

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_STRIP_PIXELS = 4_000_000


def open_picture(source: Path, media_type: MediaType) -> Image.Image:
    """Its header only. Just the formats of that type are tried: Pillow knows some that start other programs."""
    Image.MAX_IMAGE_PIXELS = None  # our own limit is lower and counts all frames
    if media_type is MediaType.heic:
        import pillow_heif  # slow to load, and seldom needed

        pillow_heif.register_heif_opener()  # pyright: ignore[reportUnknownMemberType]
    return Image.open(source, formats=FORMATS[media_type])


def count_frames(picture: Image.Image, media_type: MediaType, limits: Limits) -> int:
    """Pictures to make pages of: every frame of a TIFF, else one. Nothing is decoded for it.

    Raises Refused: too_many_pixels, too_many_pages.
    """
    total = _pixels(picture, limits)
    if media_type is not MediaType.tiff:
        return 1
    frames = 1
    while _has_frame(picture, frames):
        frames += 1
        total += _pixels(picture, limits)
        if frames > limits.pages:
            raise Refused(f"The TIFF has more than {limits.pages} pages.", code="too_many_pages")
        if total > limits.frames_pixels:
            raise Refused(
                f"The pages of the TIFF have more than {limits.frames_pixels:,} pixels together.",
                code="too_many_pixels",
            )
    picture.seek(0)
    return frames


def normalised(picture: Image.Image, media_type: MediaType, limits: Limits) -> Image.Image:
    """The current frame, decoded. Raises Refused too_small, and whatever a decoder raises on bad data."""
    check_shape(picture.size, limits, code="too_small", noun="picture")
    # A TIFF frame is turned while it is loaded, a HEIC when it is opened; both drop the tag.
    turn = _UPRIGHT.get(_orientation(picture)) if media_type is not MediaType.tiff else None
    picture.draft("RGB", (limits.long_side, limits.long_side))
    picture.load()
    small = _reduced(picture, limits.long_side)
    if turn is not None:
        small = small.transpose(turn)
    return without_metadata(fitted(small, limits.long_side))


def fitted(picture: Image.Image, long_side: int) -> Image.Image:
    """Never larger than `long_side`; smaller pictures stay as they are."""
    factor = long_side / max(picture.size)
    if factor >= 1:
        return picture
    width, height = (max(1, round(side * factor)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def without_metadata(picture: Image.Image) -> Image.Image:
    """The pixels and nothing else: comments, EXIF, XMP and profiles would follow a picture into what is saved of it."""
    return Image.frombytes(picture.mode, picture.size, picture.tobytes())


def check_shape(size: tuple[int, int], limits: Limits, *, code: str, noun: str) -> None:
    """Raises Refused with `code` for a picture in which nothing can be seen."""
    width, height = size
    if min(size) < limits.min_side or max(size) > limits.max_ratio * min(size):
        raise Refused(
            f"The {noun} is {width} x {height} pixels: each side must have at least {limits.min_side}, and one at most "
            f"{limits.max_ratio:g} times the other.",
            code=code,
        )


def _pixels(picture: Image.Image, limits: Limits) -> int:
    pixels = picture.width * picture.height
    if pixels > limits.pixels:
        raise Refused(
            f"The picture has {picture.width} x {picture.height} pixels; at most {limits.pixels:,} are taken.",
            code="too_many_pixels",
        )
    return pixels


def _has_frame(picture: Image.Image, place: int) -> bool:
    try:
        picture.seek(place)
    except EOFError:
        return False
    return True


def _orientation(picture: Image.Image) -> int:
    """As the tag says; 1 where there is none, or none that can be read."""
    try:
        return int(picture.getexif().get(_ORIENTATION_TAG, 1))
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, struct.error):
        return 1


def _reduced(picture: Image.Image, long_side: int) -> Image.Image:
    """RGB, at most four times `long_side`. A large picture is converted strip by strip: whole, it would be in memory
    in both forms."""
    levels = cast(tuple[float, float], picture.getextrema()) if picture.mode in ("I", "F") else None
    factor = max(1, max(picture.size) // (2 * long_side))
    rows = max(1, _STRIP_PIXELS // picture.width // factor) * factor
    if factor == 1 and rows >= picture.height:
        return _to_rgb(picture, levels)
    width, height = (-(-side // factor) for side in picture.size)
    target = Image.new("RGB", (width, height))
    for top in range(0, picture.height, rows):
        strip = picture.crop((0, top, picture.width, min(top + rows, picture.height)))
        target.paste(_to_rgb(strip, levels).reduce(factor), (0, top // factor))
    return target


def _to_rgb(picture: Image.Image, levels: tuple[float, float] | None) -> Image.Image:
    """levels: (least, most) of the whole picture, for modes without a fixed range."""
    if picture.mode.startswith("I;16"):
        return _to_grey(picture.convert("I"), 0, 65535)
    if levels is not None:
        return _to_grey(picture, *levels)
    if picture.has_transparency_data:
        clear = picture.convert("RGBA")
        on_white = Image.new("RGB", picture.size, "white")
        on_white.paste(clear, mask=clear.getchannel("A"))
        return on_white
    return picture.convert("RGB")


def _to_grey(picture: Image.Image, least: float, most: float) -> Image.Image:
    """Scaled to 0..255: `convert` alone would clip to it."""
    scale = 255 / (most - least) if most > least else 0.0
    return picture.point(lambda value: value * scale - least * scale).convert("L").convert("RGB")
