"""What happens to a photo before it is handed in a second time, drawn at random within stated bounds."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from random import Random

from PIL import Image, ImageDraw, ImageEnhance, ImageOps

Disguise = Callable[[Image.Image, Random], Image.Image]


def cropped(share: float) -> Disguise:
    """A part of the photo with `share` of its area, anywhere."""

    def cut(photo: Image.Image, rng: Random) -> Image.Image:
        width, height = (round(side * share**0.5) for side in photo.size)
        left, top = rng.randint(0, photo.width - width), rng.randint(0, photo.height - height)
        return photo.crop((left, top, left + width, top + height))

    return cut


def compressed(quality: int) -> Disguise:
    def saved(photo: Image.Image, rng: Random) -> Image.Image:
        target = io.BytesIO()
        photo.save(target, "JPEG", quality=quality)
        return Image.open(target).convert("RGB")

    return saved


def resized(share: float) -> Disguise:
    """Each side times `share`."""

    def scaled(photo: Image.Image, rng: Random) -> Image.Image:
        return photo.resize((max(16, round(photo.width * share)), max(16, round(photo.height * share))))

    return scaled


def relit(most: float) -> Disguise:
    """Brighter or darker by `most`, and as much contrast more or less."""

    def lit(photo: Image.Image, rng: Random) -> Image.Image:
        brighter = ImageEnhance.Brightness(photo).enhance(1 + rng.choice((-most, most)))
        return ImageEnhance.Contrast(brighter).enhance(1 + rng.choice((-most, most)))

    return lit


def mirrored(photo: Image.Image, rng: Random) -> Image.Image:
    return ImageOps.mirror(photo)


def rotated(degrees: float) -> Disguise:
    """Turned either way, the empty corners left in grey."""

    def turned(photo: Image.Image, rng: Random) -> Image.Image:
        return photo.rotate(rng.choice((-degrees, degrees)), Image.Resampling.BICUBIC, fillcolor=(90, 90, 90))

    return turned


def screenshot(share: float) -> Disguise:
    """The photo in the window of a telephone or a viewer: bars with signs above and below, plain edges at the sides."""

    def shown(photo: Image.Image, rng: Random) -> Image.Image:
        bar, edge = round(photo.height * share), round(photo.width * rng.choice((0.0, share / 2)))
        ground = rng.choice(((255, 255, 255), (18, 18, 20), (236, 238, 240)))
        window = Image.new("RGB", (photo.width + 2 * edge, photo.height + 2 * bar), ground)
        window.paste(photo, (edge, bar))
        draw, ink = ImageDraw.Draw(window), tuple(255 - part for part in ground)
        for left in range(6, window.width - 12, 22):
            draw.rectangle((left, bar // 3, left + rng.randint(4, 14), bar // 3 + 3), fill=ink)
            draw.ellipse((left, window.height - bar // 2, left + 5, window.height - bar // 2 + 5), fill=ink)
        return window

    return shown


def joined(*steps: Disguise) -> Disguise:
    def all_(photo: Image.Image, rng: Random) -> Image.Image:
        for step in steps:
            photo = step(photo, rng)
        return photo

    return all_


MILD: Mapping[str, Disguise] = {
    "compressed (quality 40)": compressed(40),
    "half the size": resized(0.5),
    "brightness and contrast 15 %": joined(relit(0.15), compressed(80)),
    "cropped to 90 %": joined(cropped(0.9), compressed(80)),
    "mirrored": joined(mirrored, compressed(80)),
    "rotated 1 degree": joined(rotated(1.0), compressed(80)),
}
STRONG: Mapping[str, Disguise] = {
    "cropped to 60 %": joined(cropped(0.6), compressed(60)),
    "brightness and contrast 35 %, quality 25": joined(relit(0.35), compressed(25)),
    "screenshot": joined(screenshot(0.12), compressed(70)),
    "rotated 4 degrees": joined(rotated(4.0), compressed(60)),
    "mirrored, cropped to 75 %, relit, small": joined(
        mirrored, cropped(0.75), relit(0.2), resized(0.6), compressed(50)
    ),
}
