"""Labelled photos as the photo benchmarks take them: encoded once, compared as search does, drawn on contact sheets."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from models import Embedding, Encoder, EncoderOptions, PackedPages, create_encoder, encoder_id, pack_pages
from models.local.network import Network
from models.local.pictures import log_aspect, thumbnail
from models.packing import quantise_tokens
from models.training.photos.data import Entry, photo_entries
from models.training.photos.scores import Ranking, ranking
from scripts.bench.record import REPOSITORY

SHEETS = REPOSITORY / "docs" / "pictures" / "photos"
WEIGHTS = REPOSITORY / "models" / "local" / "weights"
SHOWABLE = ("yatharthbhatia/car-damage-analysis", "jvk1chaitanya/fire-image-detection")
"""Repositories that state a licence for their pictures under which they may be shown: CC BY 4.0 and Apache-2.0."""
ALL, MACRO, CARS = "all", "mean of labels", "cars among cars"
THUMB, GAP, FOOT = 92, 8, 5


@dataclass(frozen=True)
class Gallery:
    """Photos as the encoder has stored them. cpu_s: processor seconds that each took."""

    entries: tuple[Entry, ...]
    pictures: tuple[Image.Image, ...]
    embeddings: tuple[Embedding, ...]
    pages: PackedPages
    cpu_s: tuple[float, ...]

    @property
    def labels(self) -> list[str]:
        return [entry.fine for entry in self.entries]


def opened(entries: Sequence[Entry]) -> tuple[Image.Image, ...]:
    """RGB, wholly in memory."""
    return tuple(Image.open(entry.path).convert("RGB") for entry in entries)


def one_thread() -> Encoder:
    """The local encoder on one thread of the processor, and torch with it."""
    return create_encoder("local", EncoderOptions(device="cpu", threads=1))


async def encoded(encoder: Encoder, pictures: Sequence[Image.Image]) -> tuple[list[Embedding], list[float]]:
    """As an ingest encodes them, with the processor seconds of each. A picture that fails ends the script."""
    found: list[Embedding] = []
    spent: list[float] = []
    await encoder.encode_pages(pictures[:1])  # first calls load code and choose kernels
    for picture in pictures:
        begun = time.process_time()
        [page] = await encoder.encode_pages([picture])
        spent.append(time.process_time() - begun)
        if not isinstance(page, Embedding):
            raise SystemExit(page.detail)
        found.append(page)
    return found, spent


@torch.inference_mode()
def summaries(network: Network, pictures: Sequence[Image.Image]) -> Tensor:
    """What the visual tower sees, [n, dim], one picture at a time."""
    side = network.config.thumbnail
    looks = ((torch.from_numpy(thumbnail(picture, side=side))[None], log_aspect(picture)) for picture in pictures)
    return torch.cat([network.visual(look, torch.tensor([aspect])) for look, aspect in looks])


async def gallery(encoder: Encoder, folder: Path) -> Gallery:
    """folder: photos with labels.jsonl."""
    entries = tuple(photo_entries(folder))
    pictures = opened(entries)
    embeddings, spent = await encoded(encoder, pictures)
    rows = [
        (page.summary, *((None, None) if page.tokens is None else quantise_tokens(page.tokens))) for page in embeddings
    ]
    return Gallery(entries, pictures, tuple(embeddings), pack_pages(rows, encoder=encoder_id(encoder)), tuple(spent))


async def likeness(encoder: Encoder, queries: Sequence[Embedding], pages: PackedPages) -> Tensor:
    """[queries, pages]: the scores of search."""
    return torch.stack([torch.from_numpy(await encoder.score(query, pages)) for query in queries])


def figures(found: Ranking) -> dict[str, object]:
    return {
        "queries": len(found.query),
        "map": f"{found.precision.mean():.4f}",
        "ndcg10": f"{found.ndcg.mean():.4f}",
        "p5": f"{found.first_five.mean():.4f}",
    }


def judged(system: str, found: Tensor, labels: Sequence[str]) -> list[dict[str, object]]:
    """Rows of one system: all queries, mean of labels, cars among cars, then each label. found: [n, n], likeness."""
    every = ranking(found, labels)
    car = [place for place, label in enumerate(labels) if label.startswith("car_")]
    each = {name: every.of([label == name for label in labels]) for name in sorted(set(labels))}
    each = {name: part for name, part in each.items() if len(part.query)}
    macro = {
        "queries": len(each),
        "map": f"{mean(part.precision.mean().item() for part in each.values()):.4f}",
        "ndcg10": f"{mean(part.ndcg.mean().item() for part in each.values()):.4f}",
        "p5": f"{mean(part.first_five.mean().item() for part in each.values()):.4f}",
    }
    parts = {
        ALL: figures(every),
        MACRO: macro,
        CARS: figures(ranking(found[car][:, car], [labels[place] for place in car])),
        **{name: figures(part) for name, part in each.items()},
    }
    return [{"system": system, "queries_of": name, **row} for name, row in parts.items()]


def showable(entries: Sequence[Entry]) -> list[int]:
    """Rows of photos whose licence lets them be shown."""
    return [row for row, entry in enumerate(entries) if entry.source in SHOWABLE]


def sheet(
    lines: Sequence[tuple[str, Sequence[tuple[Image.Image, bool]]]], path: Path, *, columns: int = 1, first_apart: bool
) -> None:
    """A line of pictures for each name, with a green foot under those marked right. first_apart: the first is the
    query."""
    longest = max(len(pictures) for _, pictures in lines)
    width, height = longest * THUMB + 3 * GAP, THUMB + 14 + GAP
    drawn = Image.new("RGB", (columns * width, -(-len(lines) // columns) * height), "white")
    pen = ImageDraw.Draw(drawn)
    for number, (name, pictures) in enumerate(lines):
        left, top = number % columns * width, number // columns * height
        pen.text((left, top), name, fill="black")
        for place, (picture, right) in enumerate(pictures):
            x, y = left + place * THUMB + (GAP if place and first_apart else 0), top + 13
            drawn.paste(picture.resize((THUMB - 4, THUMB - 4 - FOOT), Image.Resampling.LANCZOS), (x, y))
            if right:
                pen.rectangle((x, y + THUMB - 4 - FOOT, x + THUMB - 5, y + THUMB - 5), fill="green")
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn.save(path, quality=72, optimize=True)
