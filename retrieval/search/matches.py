"""Which parts of two pictures look alike: parts that are each other's nearest, as boxes and as a picture of both."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from models.encoder import Regional, Regions, SimilarityMap
from retrieval.errors import EncoderTrouble
from retrieval.search.probes import encoder_errors

MOST_MATCHES = 5
LEAST_LIKENESS = 0.35
"""Cosine of two parts from which they count as alike."""
MOST_OVERLAP = 0.2
"""Of two boxes in one picture, intersection over union; what overlaps more is shown once."""
HEIGHT, GAP = 512, 12
"""Pixels of the drawn pictures, and between them."""
COLOURS = ((255, 138, 0), (0, 132, 255), (0, 168, 90), (196, 46, 160), (214, 40, 40))

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class RegionMatch:
    """box, other_box: x0, y0, x1, y1 in pixels of the stored pictures. likeness: 0..1."""

    box: Box
    other_box: Box
    likeness: float


@dataclass(frozen=True, slots=True)
class Matches:
    """regions: the most alike first, at most MOST_MATCHES; empty where nothing is alike. overlay: PNG of both pictures
    beside each other with the boxes of a match in one colour; None when not asked for."""

    page_id: str
    other_page_id: str
    regions: tuple[RegionMatch, ...]
    overlay: bytes | None = None


def matched(first: Regions, second: Regions) -> tuple[RegionMatch, ...]:
    """Parts that are each other's nearest, the most alike first, and none over another in either picture."""
    if not len(first.vectors) or not len(second.vectors):
        return ()
    likeness = first.vectors @ second.vectors.T
    there, back = likeness.argmax(1), likeness.argmax(0)
    mutual = [(place, int(other)) for place, other in enumerate(there) if back[other] == place]
    mutual.sort(key=lambda pair: -likeness[pair])
    kept: list[tuple[int, int]] = []
    for place, other in mutual:
        if likeness[place, other] < LEAST_LIKENESS or len(kept) == MOST_MATCHES:
            break
        apart = all(
            _overlap(first.boxes[place], first.boxes[mine]) <= MOST_OVERLAP
            and _overlap(second.boxes[other], second.boxes[theirs]) <= MOST_OVERLAP
            for mine, theirs in kept
        )
        if apart:
            kept.append((place, other))
    return tuple(
        RegionMatch(_pixels(first.boxes[place]), _pixels(second.boxes[other]), round(float(likeness[place, other]), 4))
        for place, other in kept
    )


async def like_parts(encoder: Regional, asked: Sequence[Image.Image], photo: Image.Image) -> SimilarityMap:
    """How alike each part of a photo is to the part of the pictures asked with that it is most like. Raises
    EncoderTrouble explain_unsupported for a photo that is flat all over."""
    with encoder_errors():
        theirs = await encoder.regions(photo)
        mine = [await encoder.regions(picture) for picture in asked]
    vectors = np.concatenate([one.vectors for one in mine])
    if not len(vectors) or not len(theirs.vectors):
        raise EncoderTrouble(
            "There is nothing on one of these pictures to compare.", code="explain_unsupported", retryable=False
        )
    scores = np.clip((vectors @ theirs.vectors.T).max(0, keepdims=True), 0.0, 1.0)
    return SimilarityMap(words=("",), scores=scores, cells=theirs.boxes)


def drawn(picture: Image.Image, other: Image.Image, regions: tuple[RegionMatch, ...]) -> bytes:
    """PNG. Slow work without I/O, for a thread. picture, other: as stored."""
    sides = [_outlined(picture, [region.box for region in regions])]
    sides.append(_outlined(other, [region.other_box for region in regions]))
    both = Image.new("RGB", (sum(side.width for side in sides) + GAP, HEIGHT), "white")
    both.paste(sides[0], (0, 0))
    both.paste(sides[1], (sides[0].width + GAP, 0))
    target = io.BytesIO()
    both.save(target, "PNG", compress_level=3)
    return target.getvalue()


def _outlined(image: Image.Image, boxes: list[Box]) -> Image.Image:
    scale = HEIGHT / image.height
    small = image.resize((max(1, round(image.width * scale)), HEIGHT), Image.Resampling.LANCZOS, reducing_gap=2.0)
    draw = ImageDraw.Draw(small)
    for number, box in enumerate(boxes):
        colour = COLOURS[number]
        place = [round(edge * scale) for edge in box]
        draw.rectangle(place, outline="white", width=6)
        draw.rectangle(place, outline=colour, width=4)
        draw.rectangle((place[0], place[1], place[0] + 22, place[1] + 22), fill=colour)
        draw.text((place[0] + 8, place[1] + 4), str(number + 1), fill="white")
    return small


def _overlap(box: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    start, end = np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])
    shared = float(np.prod(np.maximum(end - start, 0)))
    return shared / (float(np.prod(box[2:] - box[:2])) + float(np.prod(other[2:] - other[:2])) - shared)


def _pixels(box: NDArray[np.float32]) -> Box:
    x0, y0, x1, y1 = (round(float(edge)) for edge in box)
    return x0, y0, x1, y1
