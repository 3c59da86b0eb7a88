"""Pictures as the Voyage service wants them: within its limits, and no larger than it looks at.

Source of the numbers: MongoDB documentation, "Multimodal embeddings" (limits and token counting), and the tests of the
voyageai package 0.5.0 (256 x 256 counts 117 tokens, 10 x 10 counts 89, 4000 x 4000 counts 3571).
"""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass

from PIL import Image

MAX_PIXELS = 2_000_000
MIN_PIXELS = 50_000
PIXELS_PER_TOKEN = 560
_LONGEST_RATIO = 8.0
_SHORTEST_SIDE = 56
_SAFE_RATIO = 2.0
_SAFE_SIDE = 256
_JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True)
class SentPicture:
    """data_url: JPEG or PNG in base64. pixels: what the service bills. tokens: what it counts."""

    data_url: str
    pixels: int
    tokens: int

    @property
    def size_bytes(self) -> int:
        return len(self.data_url)


def prepare_picture(image: Image.Image, *, cautious: bool = False) -> SentPicture:
    """Shrinks to 2 megapixels (the service would, and bills no more), widens strips and icons with white.

    cautious: a second try for a picture that was refused: at most twice as long as wide, no side under 256 pixels.
    Which shapes the service takes is not published; tall receipts, wide banners and tiny icons were refused.
    Slow: for a thread.
    """
    fitted = _fit(image.convert("RGB"), cautious=cautious)
    pixels = min(max(fitted.width * fitted.height, MIN_PIXELS), MAX_PIXELS)
    return SentPicture(_data_url(fitted), pixels, pixels // PIXELS_PER_TOKEN)


def _fit(image: Image.Image, *, cautious: bool) -> Image.Image:
    ratio, side = (_SAFE_RATIO, _SAFE_SIDE) if cautious else (_LONGEST_RATIO, _SHORTEST_SIDE)
    image = _pad(image, ratio)
    scale = min(1.0, math.sqrt(MAX_PIXELS / (image.width * image.height)))
    if min(image.size) * scale < side:
        scale = side / min(image.size)
    if scale == 1.0:
        return image
    size = (max(1, int(image.width * scale)), max(1, int(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)


def _pad(image: Image.Image, ratio: float) -> Image.Image:
    width = max(image.width, math.ceil(image.height / ratio))
    height = max(image.height, math.ceil(image.width / ratio))
    if (width, height) == image.size:
        return image
    padded = Image.new("RGB", (width, height), "white")
    padded.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return padded


def _data_url(image: Image.Image) -> str:
    """PNG where a few colours make it the smaller and exact form (clean text pages), else JPEG."""
    target = io.BytesIO()
    if image.getcolors(256) is not None:
        kind = "png"
        image.save(target, "PNG")
    else:
        kind = "jpeg"
        image.save(target, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return f"data:image/{kind};base64,{base64.b64encode(target.getvalue()).decode('ascii')}"
