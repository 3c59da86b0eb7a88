"""Tokens that were found on a picture, and which of them are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.encoder import FloatArray
from models.local.config import ReadConfig


@dataclass(frozen=True, slots=True)
class Found:
    """What was read. tokens: (T, d), unit rows. boxes: (T, 4) in pixels. confidence: (T,), 0..1."""

    tokens: FloatArray
    boxes: FloatArray
    confidence: FloatArray


def enlarged(found: Found, copy: Image.Image, picture: Image.Image) -> Found:
    """What was found on a copy, with boxes in pixels of the picture."""
    scale = np.array([picture.width / copy.width, picture.height / copy.height] * 2, np.float32)
    return Found(found.tokens, found.boxes * scale, found.confidence)


def nothing(dims: int) -> Found:
    return Found(np.zeros((0, dims), np.float32), np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


def clipped(boxes: FloatArray, *, width: int, height: int) -> FloatArray:
    """Boxes inside a picture of that size, one pixel at least: cells may lie in what was added to its edges."""
    first = np.minimum(boxes[:, :2], np.array([width - 1, height - 1], np.float32))
    return np.concatenate([first, np.minimum(boxes[:, 2:], np.array([width, height], np.float32))], axis=1)


def joined(parts: Sequence[Found]) -> Found:
    return Found(
        np.concatenate([part.tokens for part in parts]),
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.confidence for part in parts]),
    )


def touching(boxes: FloatArray, others: FloatArray) -> NDArray[np.bool_]:
    """(n,): whether a box overlaps any of the others."""
    start = np.maximum(boxes[:, None, :2], others[None, :, :2])
    end = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.any((start < end).all(-1), axis=1)


def distinct(found: Found, read: ReadConfig, *, most: int) -> NDArray[np.int64]:
    """Which tokens are kept, in reading order: sure enough, no near copies of an earlier one, and the `most` surest."""
    keep = np.flatnonzero(found.confidence >= read.confidence)
    tokens = found.tokens[keep]
    alike = tokens @ tokens.T > read.duplicate
    copy = np.zeros(len(keep), bool)
    for place in range(len(keep)):
        if not copy[place]:
            copy[place + 1 :] |= alike[place, place + 1 :]
    keep = keep[~copy]
    if len(keep) > most:
        keep = np.sort(keep[np.argsort(-found.confidence[keep], kind="stable")[:most]])
    return keep


def with_neighbours(words: NDArray[np.int64], found: Found, read: ReadConfig, *, most: int) -> NDArray[np.int64]:
    """Those distinct tokens and, as far as there is room, the surest copies that stand beside one of them, in reading
    order: a word of an earlier line stands beside another word here, and phrases are told by their neighbours."""
    sure = np.flatnonzero(found.confidence >= read.confidence)
    new = np.isin(sure, words)
    beside = np.zeros(len(sure), bool)
    beside[1:] |= new[:-1]
    beside[:-1] |= new[1:]
    copies = sure[beside & ~new]
    copies = copies[np.argsort(-found.confidence[copies], kind="stable")[: most - len(words)]]
    return np.sort(np.concatenate([words, copies]))
