"""Words that find photos: four wordings a label, each searched among labelled photos.

    python scripts/bench_photo_words.py PHOTOS [--own-eyes FOLDER]

PHOTOS: a folder with dev/ and labels.jsonl in it. The wordings (bench/photo_wordings.py) were written from the labels'
descriptions and tuned on nothing. A photo of the label is relevant, all others are not. Writes photo_words.csv in
docs/benchmarks and a contact sheet of first pages, of photos that may be shown; --own-eyes: one of all photos.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from pathlib import Path
from statistics import mean

import torch
from PIL import Image
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))

from models import Encoder
from scripts.bench import photos, record
from scripts.bench.photo_wordings import WORDINGS

FIRST_PAGE = 10
CHANCE_ORDERS = 200


def answers(scores: Tensor, relevant: Tensor) -> tuple[float, float]:
    """Average precision, and precision of the first page. Among equal scores what is not relevant comes first."""
    order = sorted(range(len(scores)), key=lambda row: (-float(scores[row]), bool(relevant[row])))
    hits = relevant[order].double()
    precision = hits.cumsum(0) / torch.arange(1, len(hits) + 1)
    return float((precision * hits).sum() / hits.sum()), float(hits[:FIRST_PAGE].mean())


def by_chance(relevant: Tensor) -> float:
    """Average precision of a random order, the mean of many."""
    generator = torch.Generator().manual_seed(0)
    draws = (torch.rand(len(relevant), generator=generator) for _ in range(CHANCE_ORDERS))
    return mean(answers(draw, relevant)[0] for draw in draws)


def rows_of(found: dict[str, list[tuple[float, float]]], chance: dict[str, float]) -> list[dict[str, object]]:
    """found: of each label, its wordings' answers. The mean of labels first."""

    def row(name: str, part: list[tuple[float, float]], expected: float) -> dict[str, object]:
        precision = mean(one for one, _ in part)
        return {
            "label": name,
            "queries": len(part),
            "map": f"{precision:.4f}",
            "chance": f"{expected:.4f}",
            "times_chance": f"{precision / expected:.1f}",
            "first_page": f"{mean(page for _, page in part):.3f}",
            "worst_map": f"{min(one for one, _ in part):.4f}",
        }

    every = [one for part in found.values() for one in part]
    cars = [label for label in found if label.startswith("car_")]
    of_cars = [one for label in cars for one in found[label]]
    return [
        row(photos.ALL, every, mean(chance.values())),
        row("cars", of_cars, mean(chance[label] for label in cars)),
        *(row(label, part, chance[label]) for label, part in found.items()),
    ]


async def measure(encoder: Encoder, seen: photos.Gallery, own_eyes: Path | None) -> None:
    """Asks all wordings, prints and writes; own_eyes: a folder for the sheet of all photos."""
    labels, counts = seen.labels, Counter(seen.labels)
    shown = photos.showable(seen.entries)
    found: dict[str, list[tuple[float, float]]] = {}
    chance: dict[str, float] = {}
    lines: list[tuple[str, list[tuple[Image.Image, bool]]]] = []
    public: list[tuple[str, list[tuple[Image.Image, bool]]]] = []
    for label in sorted(WORDINGS.keys() & counts.keys()):
        relevant = torch.tensor([name == label for name in labels])
        queries = await encoder.encode_queries(WORDINGS[label])
        scores = await photos.likeness(encoder, queries, seen.pages)
        found[label] = [answers(one, relevant) for one in scores]
        chance[label] = by_chance(relevant)
        order = scores[0].argsort(descending=True).tolist()
        tops = [(seen.pictures[row], labels[row] == label) for row in order[:FIRST_PAGE]]
        lines.append((f"{WORDINGS[label][0]}   ({label})", tops))
        if any(labels[row] == label for row in shown):
            free = [row for row in order if row in set(shown)][:FIRST_PAGE]
            public.append((WORDINGS[label][0], [(seen.pictures[row], labels[row] == label) for row in free]))
    stamp = record.stamp(["torch"], others={"weights": encoder.version})
    rows = rows_of(found, chance)
    record.write_csv(record.BENCHMARKS / "photo_words.csv", [{**row, **stamp} for row in rows])
    record.show(rows)
    photos.sheet(public, photos.SHEETS / "words.jpg", first_apart=False)
    if own_eyes:
        photos.sheet(lines, own_eyes / "words.jpg", first_apart=False)


async def run(given: argparse.Namespace) -> None:
    encoder = photos.one_thread()
    await measure(encoder, await photos.gallery(encoder, given.photos / "dev"), given.own_eyes)
    await encoder.aclose()


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--own-eyes", type=Path)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
