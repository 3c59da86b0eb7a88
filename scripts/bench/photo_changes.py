"""What happens to a photo on its way: each change in three strengths, weakest first."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

Change = Callable[[Image.Image], Image.Image]


def cropped(share: float) -> Change:
    """`share` of each side is kept, more of the left and the top than of the rest cut off."""

    def change(picture: Image.Image) -> Image.Image:
        width, height = round(share * picture.width), round(share * picture.height)
        left, top = int(0.7 * (picture.width - width)), int(0.6 * (picture.height - height))
        return picture.crop((left, top, left + width, top + height))

    return change


def compressed(quality: int) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        picture.save(stream := io.BytesIO(), "JPEG", quality=quality)
        return Image.open(stream).convert("RGB")

    return change


def resized(share: float) -> Change:
    return lambda picture: picture.resize((max(1, int(picture.width * share)), max(1, int(picture.height * share))))


def lit(factor: float) -> Change:
    return lambda picture: ImageEnhance.Brightness(picture).enhance(factor)


def blurred(pixels: float) -> Change:
    return lambda picture: picture.filter(ImageFilter.GaussianBlur(pixels))


def mirrored(share: float) -> Change:
    return lambda picture: ImageOps.mirror(cropped(share)(picture) if share < 1 else picture)


def framed(share: float) -> Change:
    """As a screenshot shows it: bars of `share` of the height above and below, with a line of signs in the upper."""

    def change(picture: Image.Image) -> Image.Image:
        bar = max(4, int(share * picture.height))
        screen = Image.new("RGB", (picture.width, picture.height + 2 * bar), (18, 18, 20))
        screen.paste(picture, (0, bar))
        pen = ImageDraw.Draw(screen)
        pen.text((6, max(0, bar // 2 - 6)), "9:41   Photos   100%", fill="white")
        for place in range(4):
            x = int((place + 0.5) * picture.width / 4)
            pen.ellipse(
                (x - bar // 6, screen.height - bar // 2 - bar // 6, x + bar // 6, screen.height - bar // 3), fill="grey"
            )
        return screen

    return change


def turned(degrees: float) -> Change:
    return lambda picture: picture.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=(0, 0, 0))


CHANGES: Mapping[str, tuple[tuple[str, Change], ...]] = {
    "crop": tuple((f"{share:.0%} of each side", cropped(share)) for share in (0.9, 0.75, 0.6)),
    "re-compress": tuple((f"JPEG {quality}", compressed(quality)) for quality in (50, 25, 10)),
    "resize": tuple((f"{share:.0%}", resized(share)) for share in (0.5, 0.33, 0.2)),
    "darker": tuple((f"{factor:.0%}", lit(factor)) for factor in (0.7, 0.5, 0.3)),
    "brighter": tuple((f"{factor:.0%}", lit(factor)) for factor in (1.3, 1.6, 2.0)),
    "blur": tuple((f"{pixels} px", blurred(pixels)) for pixels in (1, 2, 4)),
    "mirror": (("alone", mirrored(1.0)), ("and crop 90%", mirrored(0.9)), ("and crop 75%", mirrored(0.75))),
    "screenshot": tuple((f"bars {share:.0%}", framed(share)) for share in (0.05, 0.12, 0.25)),
    "rotation": tuple((f"{degrees} degrees", turned(degrees)) for degrees in (3, 8, 15)),
}
