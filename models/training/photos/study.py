"""Compares settings of the visual tower on training photos alone: photos not seen, labels not seen, a source not seen.

    python -m models.training.photos.study --photos FOLDER --pages FOLDER --out FILE.csv

Three kinds of split. photos: a quarter of the photos is kept out. labels: six labels, four of them of cars, are kept
out and are the queries, among them and a quarter of the other photos. source: the car photos of one repository are
kept out, so that the rest comes from other cameras and other hands. No dev photo is touched.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor
from torch.nn import functional as F

from models.local.backbone import Backbone
from models.local.config import NetworkConfig
from models.local.visual_tower import LEARNED_SHARE, joined
from models.training.photos.data import SEVERITY_ONLY, Entry, load, training_entries
from models.training.photos.objective import PhotoLossWeights
from models.training.photos.scores import ranking
from models.training.photos.train import Bank, PhotoSettings, features, fit, parts_of

SOURCES = ("yatharthbhatia/car-damage-analysis", "AlmogJakov/Car-Damage-Assessment")
LABEL_SPLITS = 3
SHARES = (0.0, 0.5, 0.6, LEARNED_SHARE, 0.8, 0.9, 1.0)
"""Of the learned part in the cosine."""


@dataclass(frozen=True, slots=True)
class Split:
    """train, test: rows. asked: labels whose photos are queries; empty = all."""

    kind: str
    train: tuple[int, ...]
    test: tuple[int, ...]
    asked: frozenset[str] = frozenset()


def splits(entries: Sequence[Entry], *, seed: int = 0) -> list[Split]:
    """See the module. Pages and photos without a fine label are trained on and never asked."""
    rng = random.Random(seed)
    quarter = [rng.randrange(4) == 0 for _ in entries]
    counts = {entry.fine for entry in entries if not entry.is_page and entry.fine not in SEVERITY_ONLY}
    cars = sorted(label for label in counts if label.startswith("car_"))
    others = sorted(counts - set(cars))

    def made(kind: str, out: Callable[[int, Entry], bool], asked: frozenset[str] = frozenset()) -> Split:
        tested = [entry.fine in counts and out(row, entry) for row, entry in enumerate(entries)]
        train = tuple(row for row, entry in enumerate(entries) if not out(row, entry))
        return Split(kind, train, tuple(row for row, test in enumerate(tested) if test), asked)

    found = [made("photos", lambda row, entry: quarter[row])]
    for _ in range(LABEL_SPLITS):
        asked = frozenset(rng.sample(cars, 4) + rng.sample(others, 2))
        found.append(made("labels", lambda row, entry, asked=asked: quarter[row] or entry.fine in asked, asked))
    for source in SOURCES:
        found.append(made("source", lambda row, entry, source=source: entry.source == source))
    return found


def precision(vectors: Tensor, labels: Sequence[str], asked: frozenset[str]) -> float:
    """mAP of the queries whose label is asked for."""
    found = ranking(vectors @ vectors.T, labels)
    if asked:
        found = found.of([label in asked for label in labels])
    return float(found.precision.mean())


def judged(split: Split, vectors: Tensor, entries: Sequence[Entry]) -> dict[str, float]:
    """mAP over all tested photos, and over cars among cars. vectors: unit, of split.test."""
    labels = [entries[row].fine for row in split.test]
    car = [place for place, label in enumerate(labels) if label.startswith("car_")]
    return {
        split.kind: precision(vectors, labels, split.asked),
        f"{split.kind}, cars": precision(vectors[car], [labels[place] for place in car], split.asked),
    }


def variants() -> dict[str, PhotoSettings]:
    """What is compared; every one differs from the first in what its name says."""
    plain, weights = PhotoSettings(views=12, steps=400, pictures=128), PhotoLossWeights()
    replace = dataclasses.replace

    def weighed(**changed: float) -> PhotoSettings:
        return replace(plain, weights=replace(weights, **changed))

    return {
        "as shipped": PhotoSettings(),
        "labels alone": PhotoSettings(severity=False),
        "refined": plain,
        "kept 0.3": weighed(kept=0.3),
        "kept 1": weighed(kept=1.0),
        "agreement 0": weighed(agreement=0.0),
        "agreement 1": weighed(agreement=1.0),
        "no graded pairs": weighed(kind=0.0, part=0.0, severity=0.0),
        "graded pairs x 3": weighed(kind=0.3, part=0.3, severity=0.15),
        "temperature 0.2": weighed(temperature=0.2),
        "temperature 0.05": weighed(temperature=0.05),
        "dropout 0.5": replace(plain, dropout=0.5),
        "rate 3e-4": replace(plain, rate=3e-4, direct_rate=1e-4),
        "rate 3e-3": replace(plain, rate=3e-3, direct_rate=1e-3),
        "1500 steps": replace(plain, steps=1500),
        "one view": replace(plain, views=0),
    }


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--pages", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", help="names of variants")
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = NetworkConfig()
    chosen = {name: variant for name, variant in variants().items() if not given.only or name in given.only}
    torch.manual_seed(PhotoSettings().seed)
    pictures = load(training_entries(given.photos, given.pages, permissive=False))
    views = max(variant.views for variant in chosen.values())
    bank = features(pictures, Backbone(config.thumbnail).to(device), views, config.thumbnail, device)
    every = splits(bank.entries)
    rows: dict[str, dict[str, list[float]]] = {}

    def note(name: str, split: Split, vectors: Tensor) -> None:
        for kind, value in judged(split, vectors, bank.entries).items():
            rows.setdefault(name, {}).setdefault(kind, []).append(value)

    pooled = bank.pooled().cpu()
    for split in every:
        centred = F.normalize(pooled[list(split.test)] - pooled[list(split.train)].mean(0), dim=1)
        note("pretrained features", split, centred)
    for name, variant in chosen.items():
        seen = Bank(bank.entries, bank.maps[: variant.views + 1], bank.aspect[: variant.views + 1])
        for split in every:
            head = fit(seen, split.train, variant, config, lambda said: None)
            base, learned = parts_of(head, bank, split.test)
            for share in SHARES if variant == PhotoSettings() else (LEARNED_SHARE,):
                named = name if share == LEARNED_SHARE else f"{name}, share {share}"
                note(named, split, joined(base, learned, share))
        print(name, {kind: round(mean(values), 3) for kind, values in rows[name].items()}, flush=True)
        write(given.out, rows)


def write(path: Path, rows: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    """A line for each settings, the mean over the splits of each kind."""
    kinds = list(next(iter(rows.values())))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["settings", *kinds])
        writer.writerows([name, *(f"{mean(found[kind]):.4f}" for kind in kinds)] for name, found in rows.items())


if __name__ == "__main__":
    main()
