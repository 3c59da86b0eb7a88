"""The few facts that are taken from a picture's EXIF. Runs in the rendering process only: they are hostile bytes."""

from __future__ import annotations

import struct
from datetime import datetime
from typing import TYPE_CHECKING, Any

from PIL import ExifTags, Image

from retrieval.capture import MOST_SIGNS

if TYPE_CHECKING:  # the rendering process starts faster without it
    from collections.abc import Mapping

_TIME = "%Y:%m:%d %H:%M:%S"
_TEXTS = {"make": ExifTags.Base.Make, "model": ExifTags.Base.Model, "software": ExifTags.Base.Software}


def facts_of(picture: Image.Image) -> dict[str, str | bool]:
    """Those that the picture states: taken_at (ISO, camera's clock), make, model, software, has_place. Of the place
    nothing but that there is one: coordinates never leave this process."""
    try:
        base = picture.getexif()
        shot: Mapping[int, Any] = base.get_ifd(ExifTags.IFD.Exif)
        place: Mapping[int, Any] = base.get_ifd(ExifTags.IFD.GPSInfo)
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, struct.error):
        return {}
    facts: dict[str, str | bool] = {}
    # When the file was changed last (DateTime) is no time of capture.
    for tag in (ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTimeDigitized):
        taken = _time(shot.get(tag))
        if taken is not None:
            facts["taken_at"] = taken
            break
    for name, tag in _TEXTS.items():
        text = _text(base.get(tag))
        if text:
            facts[name] = text
    if place.get(ExifTags.GPS.GPSLatitude) is not None:
        facts["has_place"] = True
    return facts


def _time(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        return datetime.strptime(value.strip("\0 ")[:19], _TIME).isoformat()
    except ValueError:  # many cameras write zeros where the clock was never set
        return None


def _text(value: object) -> str:
    """For display: one line of printable signs."""
    if not isinstance(value, str):
        return ""
    plain = "".join(sign if sign.isprintable() else " " for sign in value)
    return " ".join(plain.split())[:MOST_SIGNS]
