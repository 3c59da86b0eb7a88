"""Photo or page? Paper and screens are mostly one bright, colourless ground; photos are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:  # the rendering process starts faster without it
    from retrieval.documents import PageKind

_SIDE = 256
_COLOURLESS = 40  # saturation below it, of 255
_BRIGHT = 170
_GROUND_LEVELS = 24


def kind_of(picture: Image.Image) -> PageKind:
    """picture: RGB. "page" when at least 60 % of it is colourless, 50 % bright, and 40 % of one brightness."""
    small = picture.copy()
    small.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    area = small.width * small.height
    saturation = small.convert("HSV").getchannel("S").histogram()
    brightness = small.convert("L").histogram()
    ground = max(sum(brightness[level : level + _GROUND_LEVELS]) for level in range(257 - _GROUND_LEVELS))
    is_paper = (
        sum(saturation[:_COLOURLESS]) >= 0.6 * area and sum(brightness[_BRIGHT:]) >= 0.5 * area and ground >= 0.4 * area
    )
    return "page" if is_paper else "photo"
