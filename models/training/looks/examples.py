"""Pages to learn looks from: sketches, real pages with what was seen on them by eye, and photos that are no pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from models.local.config import LocalConfig
from models.local.facts import measured
from models.local.network import Network
from models.local.page_copy import page_copy
from models.local.page_looks import SCENE, THINGS, Sight
from models.local.pictures import brightness, padded, thumbnail
from models.local.reading import sight_of
from models.training.looks.sheet import Box
from models.training.real_pages import listed

Behold = Callable[[Image.Image], tuple[Sight, NDArray[np.float32], NDArray[np.float32]]]
"""A picture to its sight, the middle of each cell in pixels of the picture, (n, 2), and the tokens, (m, dim)."""
UNKNOWN, PRINT = -1, -2
"""Kinds of cells of which less is known: nothing, or that it is print, in whatever face."""
BY_EYE = Path(__file__).parent / "by_eye.tsv"
KINDS = {
    "receipt": ({"receipt"}, {"invoice", "table", "photographed", "crumpled", "signature", "skewed"}),
    "invoice": ({"invoice", "table"}, {"form"}),
    "table": (set[str](), {"table", "text", "form", "columns", "invoice"}),
    "insurance": (set[str](), {"table", "form", "text", "letter"}),
    "contract": ({"text"}, {"letter"}),
    "report": (set[str](), {"text", "form", "table", "columns", "letter"}),
}
"""Of the types of real pages: words that are right, and words that may be."""


@dataclass(frozen=True, slots=True)
class Example:
    """sight: what the heads see. kinds: (n,), of each cell: 0 print, k THINGS[k - 1], PRINT, UNKNOWN. tokens: (m, dim),
    what was read. said: words that are
    right for the page, doubtful: words that may be; all others are wrong."""

    sight: Sight
    kinds: NDArray[np.int64]
    tokens: NDArray[np.float32]
    said: frozenset[str]
    doubtful: frozenset[str]


class Beholder:
    """Pictures to what the heads see and what was read, as the reader does it. network: with rotated tokens."""

    def __init__(self, config: LocalConfig, network: Network) -> None:
        self.config, self.network = config, network.eval()

    @torch.inference_mode()
    def __call__(self, picture: Image.Image) -> tuple[Sight, NDArray[np.float32], NDArray[np.float32]]:
        """See Behold."""
        shape = self.config.network
        look = thumbnail(picture, side=shape.thumbnail)
        features = self.network.visual.backbone(torch.from_numpy(look)[None])[0]
        copy = page_copy(picture, self.config)
        tokens, chunks, cells = self.network.page.read(torch.from_numpy(padded(brightness(copy.grey)))[None, None])
        sight = sight_of(features, cells, measured(look, copy.ink, copy.inked, aspect=picture.width / picture.height))
        row, column = np.divmod(sight.place, sight.columns)
        middle = np.stack([(column + 0.5) * shape.cell_width, (row + 0.5) * shape.cell_height], 1)
        middle = (middle * (picture.width / copy.grey.width, picture.height / copy.grey.height)).astype(np.float32)
        return sight, middle, tokens[0][chunks.mask[0]].numpy()


def kinds_of(middle: NDArray[np.float32], things: Sequence[tuple[str, Box]]) -> NDArray[np.int64]:
    """Which thing each cell belongs to; of several the one that comes first in THINGS."""
    kinds = np.zeros(len(middle), np.int64)
    for thing in reversed(THINGS):
        for name, (x0, y0, x1, y1) in things:
            if name == thing:
                edge = 4 if thing == "checkbox" else 0
                inside = (middle >= (x0 - edge, y0 - edge)) & (middle <= (x1 + edge, y1 + edge))
                kinds[inside.all(1)] = THINGS.index(thing) + 1
    return kinds


def in_print(middle: NDArray[np.float32], page: dict[str, Any]) -> NDArray[np.int64]:
    """PRINT for cells inside a word's box of a real page, UNKNOWN for others."""
    kinds = np.full(len(middle), UNKNOWN, np.int64)
    for word in page["words"]:
        x0, y0, x1, y1 = word["box"]
        kinds[((middle >= (x0, y0)) & (middle <= (x1, y1))).all(1)] = PRINT
    return kinds


def real_examples(folder: Path, behold: Behold) -> list[Example]:
    """Pages of a folder as data/docs/train describes it, but for research-only ones."""
    yes: dict[str, set[str]] = {}
    maybe: dict[str, set[str]] = {}
    for line in BY_EYE.read_text(encoding="utf-8").splitlines()[1:]:
        word, right, unsure = line.split("\t")
        for where, pages in ((yes, right), (maybe, unsure)):
            for page_id in pages.split():
                where.setdefault(page_id, set()).add(word)
    found: list[Example] = []
    for page, path in listed(folder, research_only=False):
        with Image.open(path) as picture:
            sight, middle, tokens = behold(picture.convert("RGB"))
        right, doubtful = KINDS[page["type"]]
        right = right | yes.get(page["page_id"], set())
        doubtful = (doubtful | maybe.get(page["page_id"], set()) | {"typewriter"}) - right
        found.append(Example(sight, in_print(middle, page), tokens, frozenset(right), frozenset(doubtful)))
    return found


def scene_examples(photos: Sequence[Image.Image], behold: Behold) -> list[Example]:
    """Photos: nothing is said of them, and of their cells nothing is known."""
    found: list[Example] = []
    for photo in photos:
        sight, middle, tokens = behold(photo)
        found.append(Example(sight, np.full(len(middle), UNKNOWN), tokens, frozenset({SCENE}), frozenset()))
    return found
