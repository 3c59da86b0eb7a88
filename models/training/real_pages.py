"""Crops of real pages whose words are known, cut and turned on the device."""

from __future__ import annotations

import gzip
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from models.local.config import NetworkConfig
from models.local.words import as_bytes, canonical
from models.training.batch import UNKNOWN, Batch

RESEARCH_ONLY = "research-only"
CANVAS = 1400
"""Longest side of the stored pages in pixels."""


@dataclass(frozen=True, slots=True)
class KnownPage:
    """A page and its words: canonical form, x of a place inside the word, y of its middle, x of its end, in pixels."""

    page_id: str
    picture: np.ndarray
    words: list[tuple[str, float, float, float]]


def listed(folder: Path, *, research_only: bool) -> Iterator[tuple[dict[str, Any], Path]]:
    """Entries of pages.jsonl.gz of a folder as ../data/docs/train describes it, each with its picture. research_only:
    those that may be used to validate weights, never to train ones that are shipped; otherwise all others."""
    with gzip.open(folder / "pages.jsonl.gz", "rt", encoding="utf-8") as lines:
        for page in map(json.loads, lines):
            if (page["licence"] == RESEARCH_ONLY) == research_only:
                yield page, folder / "pages" / f"{page['page_id']}.webp"


def known_pages(folder: Path, *, research_only: bool) -> Iterator[KnownPage]:
    """Pages as `listed` has them, with their words. Text that somebody's OCR wrote is left out."""
    for page, path in listed(folder, research_only=research_only):
        if page["text_source"] == "pdf-ocr-layer":
            continue
        words = [word for entry in page["words"] for word in _split(entry)]
        if words:
            with Image.open(path) as picture:
                yield KnownPage(page["page_id"], np.asarray(picture.convert("L")), words)


def _split(entry: dict[str, Any]) -> Iterator[tuple[str, float, float, float]]:
    """The words of a box, which may hold a line: its width is shared by the signs. Upright lines only."""
    x0, y0, x1, y1 = entry["box"]
    text = entry["text"]
    sign = (x1 - x0) / max(1, len(text))
    if y1 - y0 > 3.5 * max(6.0, 2.2 * sign):
        return
    for match in re.finditer(r"\S+", text):
        word = canonical(match.group())
        if word:
            inside = match.start() + min(1.0, 0.5 * (match.end() - match.start()))
            yield word, x0 + inside * sign, 0.5 * (y0 + y1), x0 + match.end() * sign


class RealPages:
    """Draws crops; every page stays on the device as bytes."""

    def __init__(
        self, folder: Path, *, device: torch.device | str, height: int, width: int, network: NetworkConfig, seed: int
    ) -> None:
        self.device, self.height, self.width, self.network = torch.device(device), height, width, network
        self.rng = np.random.default_rng(seed)
        canvases: list[np.ndarray] = []
        self.words: list[tuple[np.ndarray, np.ndarray]] = []
        for page in known_pages(folder, research_only=False):
            canvas = np.full((CANVAS, CANVAS), int(np.percentile(page.picture, 90)), np.uint8)
            rows, columns = (min(CANVAS, side) for side in page.picture.shape)
            canvas[:rows, :columns] = page.picture[:rows, :columns]
            canvases.append(canvas)
            letters = as_bytes([word for word, *_ in page.words])
            self.words.append((letters, np.array([word[1:] for word in page.words], np.float32)))
        if not canvases:
            raise ValueError(f"no page to train on in {folder}")
        self.canvases = torch.from_numpy(np.stack(canvases)).to(self.device)

    def __call__(self, count: int) -> Batch:
        """`count` crops. Sign labels are unknown; word cells are estimates."""
        height, width, rng = self.height, self.width, self.rng
        chosen = rng.integers(0, len(self.words), count)
        scale = np.exp(rng.uniform(math.log(0.75), math.log(1.4), count))
        stretch = rng.uniform(0.93, 1.07, count)
        angle = np.clip(rng.normal(0, 0.012, count), -0.04, 0.04)
        maps = np.zeros((count, 2, 3), np.float32)
        pages, places, letters = [], [], []
        nr_columns = width // self.network.cell_width
        for i, page in enumerate(chosen):
            word_letters, at = self.words[page]
            middle = at[rng.integers(len(at)), :2] + rng.uniform(-0.4, 0.4, 2) * (width, height) / scale[i]
            turn = np.array([[math.cos(angle[i]), -math.sin(angle[i])], [math.sin(angle[i]), math.cos(angle[i])]])
            forward = turn @ np.diag([scale[i] * stretch[i], scale[i] / stretch[i]])
            back = np.linalg.inv(forward)
            # grid_sample's coordinates: -1..1 over the crop and over the canvas.
            maps[i, :, :2] = back * (width, height) / CANVAS
            maps[i, :, 2] = 2 * middle / CANVAS - 1
            x, y = ((at[:, :2] - middle) @ forward.T + (width / 2, height / 2)).T
            end = ((np.stack([at[:, 2], at[:, 1]], 1) - middle) @ forward.T)[:, 0] + width / 2
            inside = (x >= 0) & (end < width + 2) & (y >= 0) & (y < height)
            row, column = y[inside] // self.network.cell_height, x[inside] // self.network.cell_width
            pages.append(np.full(int(inside.sum()), i, np.int64))
            places.append((row * nr_columns + column).astype(np.int64))
            letters.append(word_letters[inside])
        image = self._cut(torch.from_numpy(chosen).to(self.device), torch.from_numpy(maps).to(self.device))
        cells = (height // self.network.cell_height) * nr_columns
        return Batch(
            image=image,
            signs=torch.full((count, cells, self.network.slots), UNKNOWN, device=self.device),
            word_page=torch.from_numpy(np.concatenate(pages)).to(self.device),
            word_cell=torch.from_numpy(np.concatenate(places)).to(self.device),
            word_bytes=torch.from_numpy(np.concatenate(letters)).to(self.device),
        )

    def _cut(self, chosen: Tensor, maps: Tensor) -> Tensor:
        count = len(chosen)
        source = self.canvases[chosen][:, None].float() / 255
        grid = F.affine_grid(maps, [count, 1, self.height, self.width], align_corners=False)
        image = F.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=False)

        def draw(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(count, 1, 1, 1, device=self.device)

        soft = F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), 3, 1)
        image = torch.lerp(image, soft, draw(-0.3, 1.0).clamp(min=0))
        image = (image.clamp(0, 1) ** draw(0.7, 1.35)) * draw(0.75, 1.0) + draw(0.0, 0.1)
        return (image + torch.randn_like(image) * draw(-0.03, 0.06).clamp(min=0)).clamp(0, 1)
