"""The guard against reused photos: how many disguised copies it finds, how often it is wrong about other photos.

    python scripts/bench_reuse.py PHOTOS [--vectors FOLDER]

PHOTOS: a folder with train/ and dev/, each with labels.jsonl. All photos of both are the collection, and all of them
ask twice: untouched, and in a disguise drawn at random. Of each photo asked with, the nearest by vector are laid over
it, as at ingest. A false alarm: an untouched photo for which any other is called a copy; other photos that are one
with it, as scripts/bench/photo_copies.tsv has them by eye, do not count. Found: a disguised photo whose original is
called one. The line that tells copies from others is drawn on a sample of train alone (--choose); dev is told apart.
--vectors: keeps the encoder's vectors and the comparisons of untouched photos there for the next run. Writes
docs/benchmarks/reuse.csv.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from models.local.pictures import log_aspect, thumbnail
from models.local.visual_tower import VisualTower
from models.local.weights import read_weights
from retrieval.reuse.finder import CANDIDATES, COSINE_WEIGHT, LINE
from retrieval.reuse.prints import Print, overlay, print_of
from scripts.bench import record
from scripts.bench.disguises import MILD, STRONG
from scripts.bench.photo_files import photo_paths

WEIGHTS = record.REPOSITORY / "models" / "local" / "weights"
EVERY = {**MILD, **STRONG}
COPIES = Path(__file__).parent / "bench" / "photo_copies.tsv"
DISGUISES_TO_CHOOSE_BY = 5
TRAIN_DISGUISED, TRAIN_PLAIN = 120, 300
FALSE_ALARMS = 0.01

Vectors = NDArray[np.float32]


def seen(tower: VisualTower, pictures: Sequence[Image.Image], side: int) -> Vectors:
    """Summaries as the encoder makes them, a picture at a time."""
    with torch.inference_mode():
        found = [
            tower(torch.from_numpy(thumbnail(picture, side=side))[None], torch.tensor([log_aspect(picture)]))
            for picture in pictures
        ]
    return torch.cat(found).numpy()


def kept(folder: Path | None, name: str, make: Callable[[], Vectors]) -> Vectors:
    """What an earlier run wrote under that name, else made now."""
    path = None if folder is None else folder / f"{name}.npy"
    if path is not None and path.is_file():
        return np.load(path)
    made = make()
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, made)
    return made


def known_copies() -> frozenset[frozenset[str]]:
    lines = COPIES.read_text(encoding="utf-8").splitlines()
    return frozenset(frozenset(line.split("\t")) for line in lines if not line.startswith("#"))


def disguises_of(path: Path, *, choosing: bool) -> list[str]:
    rng = random.Random(path.stem)
    return rng.sample(list(EVERY), DISGUISES_TO_CHOOSE_BY if choosing else 1)


def disguised(path: Path, name: str) -> Image.Image:
    return EVERY[name](opened(path), random.Random(f"{path.stem} {name}"))


def opened(path: Path) -> Image.Image:
    with Image.open(path) as photo:
        return photo.convert("RGB")


class Collection:
    """Photos with their vectors; prints are made when first asked for. copies: names of pairs that are one photo."""

    def __init__(self, paths: Sequence[Path], vectors: Vectors, copies: frozenset[frozenset[str]]) -> None:
        self.paths, self.vectors, self._copies = paths, vectors, copies
        self._prints: dict[int, Print | None] = {}

    def near(self, vector: Vectors, *, without: int | None = None) -> list[int]:
        order = np.argsort(-(self.vectors @ vector), kind="stable")
        return [int(place) for place in order if place != without][:CANDIDATES]

    def strangers(self, place: int) -> list[int]:
        """The nearest photos to one of them that are not known to be copies of it."""
        mine = self.paths[place].stem
        near = self.near(self.vectors[place], without=place)
        return [other for other in near if frozenset((mine, self.paths[other].stem)) not in self._copies]

    def worth(self, mine: Print | None, vector: Vectors, place: int) -> float:
        """What the guard compares with its line."""
        if place not in self._prints:
            self._prints[place] = print_of(opened(self.paths[place]))
        theirs = self._prints[place]
        if mine is None or theirs is None:
            return -1.0
        return overlay(mine, theirs).likeness + COSINE_WEIGHT * float(self.vectors[place] @ vector)


def alarms(collection: Collection, places: Sequence[int]) -> Vectors:
    """(n, 3): of each untouched photo the most that any other is worth, its own place and that of the other."""
    found: list[tuple[float, int, int]] = []
    for place in places:
        mine, vector = print_of(opened(collection.paths[place])), collection.vectors[place]
        found.append(
            max((collection.worth(mine, vector, other), place, other) for other in collection.strangers(place))
        )
    return np.array(found, np.float32)


def worths(collection: Collection, cases: Sequence[tuple[int, str]], vectors: Vectors) -> list[float]:
    """Of each disguised photo: what its original is worth, -1 when it is not among the nearest."""
    found: list[float] = []
    for (place, name), vector in zip(cases, vectors, strict=True):
        mine = print_of(disguised(collection.paths[place], name))
        near = place in collection.near(vector)
        found.append(collection.worth(mine, vector, place) if near else -1.0)
    return found


def table(
    part: str, cases: Sequence[tuple[int, str]], found: Sequence[float], plain: Sequence[float]
) -> list[record.Row]:
    rows: list[record.Row] = [
        {"photos": part, "asked": "untouched", "count": len(plain), "called": share(plain)},
    ]
    groups = {"mild, all": set(MILD), "strong, all": set(STRONG), **{name: {name} for name in EVERY}}
    for label, names in groups.items():
        chosen = [worth for (_, name), worth in zip(cases, found, strict=True) if name in names]
        rows.append({"photos": part, "asked": label, "count": len(chosen), "called": share(chosen)})
    return rows


def share(worth: Sequence[float]) -> str:
    return f"{np.mean(np.array(worth) >= LINE):.4f}"


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--vectors", type=Path, help="folder to keep vectors in")
    parser.add_argument("--choose", action="store_true", help="say where train would draw the line; measure nothing")
    given = parser.parse_args()
    torch.set_num_threads(1)
    config, network = read_weights(WEIGHTS)
    side, tower = config.network.thumbnail, network.visual
    parts = {part: photo_paths(given.photos / part) for part in ("train", "dev")}
    plain = {
        part: kept(given.vectors, part, lambda paths=paths: seen(tower, [opened(path) for path in paths], side))
        for part, paths in parts.items()
    }
    vectors = np.concatenate([plain["train"], plain["dev"]])
    collection = Collection([*parts["train"], *parts["dev"]], vectors, known_copies())
    first_dev, rng = len(parts["train"]), random.Random(0)
    asked = sorted(rng.sample(range(first_dev), TRAIN_DISGUISED)) if given.choose else range(len(collection.paths))
    cases = [(p, name) for p in asked for name in disguises_of(collection.paths[p], choosing=given.choose)]
    disguised_vectors = kept(
        given.vectors,
        "train-disguised" if given.choose else "disguised",
        lambda: np.concatenate([seen(tower, [disguised(collection.paths[p], how)], side) for p, how in cases]),
    )
    found = worths(collection, cases, disguised_vectors)
    untouched = sorted(rng.sample(range(first_dev), TRAIN_PLAIN)) if given.choose else list(asked)
    others = kept(
        given.vectors, "train-alarms" if given.choose else "alarms", lambda: alarms(collection, untouched)
    ).tolist()
    print("called copies though not disguised:")
    for worth, place, other in sorted(others, reverse=True):
        if worth >= LINE:
            print(f"  {worth:.3f}  {collection.paths[int(place)].stem}  {collection.paths[int(other)].stem}")
    if given.choose:
        drawn = np.quantile([worth for worth, _, _ in others], 1 - FALSE_ALARMS, method="higher")
        print(f"at most {FALSE_ALARMS:.0%} false alarms on train: line above {drawn:.3f}; in use: {LINE}")
        record.show(table("train, a sample", cases, found, [worth for worth, _, _ in others]))
        return
    rows: list[record.Row] = []
    for part, first in (("all", 0), ("dev", first_dev)):
        mine = [number for number, (place, _) in enumerate(cases) if place >= first]
        plain_worth = [worth for worth, place, _ in others if place >= first]
        rows += table(part, [cases[number] for number in mine], [found[number] for number in mine], plain_worth)
    stamp = record.stamp(["torch", "numpy", "pillow"], others={"weights": config.version})
    size = {"collection": len(collection.paths)}
    record.write_csv(record.BENCHMARKS / "reuse.csv", [{**row, **size, **stamp} for row in rows])
    record.show([{**row, **size, **stamp} for row in rows])


if __name__ == "__main__":
    main()
