"""The probe that tells scenes from pictures that hold print (models.local.scenes): made on a CPU in some ten minutes.

    python -m models.training.photos.scenes PHOTOS PAGES [--out FILE]

PHOTOS: a folder with labels.jsonl, as data/photos/train: scenes. PAGES: as data/docs/train; its pages, parts of them,
pages laid into photos at an angle, and plates with a few signs laid into photos hold print. Pages that no shipped
weights may learn from are left out. Prints what the probe misses on a quarter of the photos and pages that it did not
see, which is what models.local.scenes.SURE and DOUBT were chosen by.
"""

from __future__ import annotations

import argparse
import math
import random
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps
from torch import Tensor
from torch.nn import functional as F

from models.local.backbone import Backbone
from models.local.config import NetworkConfig
from models.local.pictures import thumbnail
from models.local.scenes import DOUBT, PROBE, SURE, mean_features
from models.training.photos.data import Entry, page_entries, photo_entries

SHARES = (0.15, 0.25, 0.4, 0.75)
"""Of a photo, that a page laid into it covers."""
PLATES = 400
PHOTOS = 1200
WIDTH = 1200
"""Pixels of the photos that something is laid into: a page keeps its print."""
DECAY, FOLDS, SEED = 1e-3, 4, 0


@dataclass(frozen=True, slots=True)
class Example:
    """group: the photo or page that it is of; examples of one are never in two folds. share: of the picture that
    print covers."""

    kind: str
    group: int
    share: float
    picture: Image.Image


def examples(photos: Sequence[Entry], pages: Sequence[Entry], rng: random.Random) -> Iterator[Example]:
    """One after the other: they would not fit in memory together."""
    scenes, grounds = photos[:PHOTOS], photos[PHOTOS:]
    for number, entry in enumerate(scenes):
        yield Example("scene", number, 0.0, _opened(entry))
    for number, entry in enumerate(pages, len(scenes)):
        page = _opened(entry)
        yield Example("page", number, 1.0, page)
        yield Example("part of a page", number, 1.0, _restyled(_part(page, rng), rng))
        share = SHARES[number % len(SHARES)]
        yield Example("page in a photo", number, share, laid(page, _opened(rng.choice(grounds)), share, rng))
    for number in range(PLATES):
        share = rng.uniform(0.03, 0.3)
        picture = laid(_plate(rng), _opened(rng.choice(grounds)), share, rng)
        yield Example("plate in a photo", len(scenes) + len(pages) + number, share, picture)


def laid(sheet: Image.Image, ground: Image.Image, share: float, rng: random.Random) -> Image.Image:
    """A sheet on a photo in perspective, in its light, covering about `share` of it."""
    width, height = WIDTH, max(WIDTH // 2, round(WIDTH * ground.height / ground.width))
    ground = ground.resize((width, height), Image.Resampling.BICUBIC)
    scale = math.sqrt(share * width * height / (sheet.width * sheet.height))
    scale = min(scale, 1.15 * width / sheet.width, 1.15 * height / sheet.height)
    half = np.array([sheet.width, sheet.height]) * scale / 2
    room = np.maximum(np.array([width, height]) / 2 - half, 0)
    middle = np.array([width, height]) / 2 + room * [rng.uniform(-1, 1), rng.uniform(-1, 1)]
    turn = math.radians(rng.gauss(0, 8) + (rng.choice((90, 180, 270)) if rng.random() < 0.2 else 0))
    corners = (
        half
        * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        * [[1 + rng.gauss(0, 0.05), 1 + rng.gauss(0, 0.05)] for _ in range(4)]
    )
    turned = corners @ np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]]) + middle
    source = np.array([[0, 0], [sheet.width, 0], [sheet.width, sheet.height], [0, sheet.height]])
    way = _perspective(turned, source)
    light = ImageEnhance.Brightness(sheet).enhance(rng.uniform(0.55, 1.05))
    over = light.transform((width, height), Image.Transform.PERSPECTIVE, way, Image.Resampling.BICUBIC)
    mask = Image.new("L", sheet.size, 255).transform((width, height), Image.Transform.PERSPECTIVE, way)
    ground.paste(over, (0, 0), mask.filter(ImageFilter.GaussianBlur(1)))
    return ground.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 1.5))) if rng.random() < 0.3 else ground


def _perspective(target: np.ndarray, source: np.ndarray) -> list[float]:
    """Pillow's eight numbers that take `target` points to `source` points, both (4, 2)."""
    rows: list[list[float]] = []
    for (x, y), (u, v) in zip(target, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    return np.linalg.solve(np.array(rows), source.flatten()).tolist()


def _part(page: Image.Image, rng: random.Random) -> Image.Image:
    share = rng.uniform(0.25, 0.7)
    width, height = round(page.width * share), round(page.height * share)
    left, top = rng.randint(0, page.width - width), rng.randint(0, page.height - height)
    return page.crop((left, top, left + width, top + height))


def _restyled(page: Image.Image, rng: random.Random) -> Image.Image:
    """Dark as some screens are, or tinted as some paper is."""
    if rng.random() < 0.25:
        return ImageOps.invert(page)
    tint = tuple(rng.randint(150, 255) for _ in range(3))
    return Image.blend(page, Image.new("RGB", page.size, tint), rng.uniform(0, 0.5))


def _plate(rng: random.Random) -> Image.Image:
    """One to three short lines of letters and digits, as on number plates, labels and meters."""
    lines = ["".join(rng.choices(string.ascii_uppercase + string.digits, k=rng.randint(4, 12))) for _ in range(3)]
    lines = lines[: rng.randint(1, 3)]
    ground = tuple(rng.randint(0, 255) for _ in range(3))
    ink = tuple(255 if sum(ground) < 384 else 0 for _ in range(3))
    plate = Image.new("RGB", (420, 40 + 70 * len(lines)), ground)
    font = ImageFont.load_default(rng.randint(36, 60))
    for number, line in enumerate(lines):
        ImageDraw.Draw(plate).text((20, 20 + 70 * number), line, fill=ink, font=font)
    return plate


def _opened(entry: Entry) -> Image.Image:
    with Image.open(entry.path) as picture:
        return picture.convert("RGB")


def fitted(features: Tensor, has_print: Tensor) -> tuple[Tensor, Tensor]:
    """Logistic regression with weight decay. features: unit rows [n, channels]; has_print: [n], 0 or 1."""
    # Unit rows of 2,560 numbers are small; scaled, the decay means the same as for rows of ordinary size.
    scale = math.sqrt(features.shape[1]) / 2
    weight = torch.zeros(features.shape[1], requires_grad=True)
    bias = torch.zeros((), requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=300, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        told = scale * features @ weight + bias
        value = F.binary_cross_entropy_with_logits(told, has_print) + DECAY * weight.square().sum()
        value.backward()
        return value

    solver.step(loss)
    return scale * weight.detach(), bias.detach()


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("pages", type=Path)
    parser.add_argument("--out", type=Path, default=PROBE)
    given = parser.parse_args()
    rng = random.Random(SEED)
    photos, pages = photo_entries(given.photos), page_entries(given.pages)
    rng.shuffle(photos)
    side = NetworkConfig().thumbnail
    backbone = Backbone(side)
    kinds: list[tuple[str, int, float]] = []
    rows: list[Tensor] = []
    for example in examples(photos, pages, rng):
        look = torch.from_numpy(thumbnail(example.picture, side=side))[None]
        rows.append(mean_features(backbone(look))[0])
        kinds.append((example.kind, example.group, example.share))
    features = torch.stack(rows)
    has_print = torch.tensor([float(kind != "scene") for kind, _, _ in kinds])
    report(features, has_print, kinds)
    weight, bias = fitted(features, has_print)
    np.savez(given.out, weight=weight.numpy().astype(np.float16), bias=np.float32(bias))


def report(features: Tensor, has_print: Tensor, kinds: Sequence[tuple[str, int, float]]) -> None:
    """What is taken for a scene of examples that were not fitted on."""
    fold = torch.tensor([random.Random(group).randrange(FOLDS) for _, group, _ in kinds])
    told = torch.zeros(len(kinds))
    for held in range(FOLDS):
        weight, bias = fitted(features[fold != held], has_print[fold != held])
        told[fold == held] = torch.sigmoid(features[fold == held] @ weight + bias)
    names = [f"{kind}, {share:.0%}" if kind == "page in a photo" else kind for kind, _, share in kinds]
    for name in sorted(set(names)):
        part = told[[one == name for one in names]]
        sure, scene = ((part <= bound).float().mean() for bound in (SURE, DOUBT))
        print(f"{name}: {len(part)}, unread {sure:.4f}, taken for a scene {scene:.4f}, least {part.min():.4f}")


if __name__ == "__main__":
    main()
