"""Turns the likeness of two photos into the chance that they show the same kind of damage, on photos held back.

    python scripts/calibrate_photos.py PHOTOS PAGES [--maps FILE] [--write]

PHOTOS, PAGES: as data/photos/train and data/docs/train. In each of FOLDS rounds the head is trained as it ships, but
without one part of the photos; pairs are taken among that part: every photo with its ten nearest, as a search shows
them, because they are another kind of pair than two photos drawn at random. A logistic curve through all of them gives
picture_slope and picture_bias. No dev photo is touched; scripts/bench_calibration.py measures on those. --maps: keeps
the frozen features there for the next run. --write: puts the figures into config.json of the weights.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from models.local.backbone import Backbone
from models.local.config import LocalConfig
from models.local.visual_tower import joined
from models.training.photos.data import SEVERITY_ONLY, load, training_entries
from models.training.photos.train import Bank, PhotoSettings, features, fit, parts_of
from scripts.bench import record
from scripts.bench.neighbours import Neighbours, fitted, nearest_pairs

CONFIG = record.REPOSITORY / "models" / "local" / "weights" / "config.json"
FOLDS = 4


def bank_of(photos: Path, pages: Path, side: int, maps: Path | None) -> Bank:
    """Frozen features of every picture that the head is trained on."""
    pictures = load(training_entries(photos, pages, permissive=False))
    if maps is not None and maps.is_file():
        stored = np.load(maps, mmap_mode="r")
        return Bank(pictures.entries, torch.from_numpy(np.array(stored))[None], pictures.aspect[None])
    bank = features(pictures, Backbone(side), 0, side, torch.device("cpu"))
    if maps is not None:
        np.save(maps, bank.maps[0].numpy())
    return bank


def held_back(bank: Bank, config: LocalConfig) -> Neighbours:
    """Pairs of all rounds."""
    settings = PhotoSettings()
    part = np.random.default_rng(settings.seed).integers(0, FOLDS, len(bank.entries))
    labelled = np.array([not entry.is_page and entry.fine not in SEVERITY_ONLY for entry in bank.entries])
    is_photo = np.array([not entry.is_page for entry in bank.entries])
    found: list[Neighbours] = []
    for fold in range(FOLDS):
        seen = np.flatnonzero((part != fold) | ~is_photo).tolist()
        asked = np.flatnonzero((part == fold) & labelled).tolist()
        head = fit(bank, seen, settings, config.network, print)
        vectors = joined(*parts_of(head, bank, asked)).numpy()
        found.append(nearest_pairs(vectors, [bank.entries[row].fine for row in asked]))
        print(f"round {fold + 1}: {len(asked)} photos held back, {found[-1].same.mean():.3f} of their pairs alike")
    return Neighbours(
        np.concatenate([pairs.cosines for pairs in found]), np.concatenate([pairs.same for pairs in found])
    )


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("pages", type=Path)
    parser.add_argument("--maps", type=Path)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    config = LocalConfig.from_json(CONFIG)
    pairs = held_back(bank_of(given.photos, given.pages, config.network.thumbnail, given.maps), config)
    slope, bias = (round(value, 4) for value in fitted(pairs))
    print(f"{len(pairs.same)} pairs: picture_slope {slope}, picture_bias {bias}")
    if given.write:
        score = dataclasses.replace(config.score, picture_slope=slope, picture_bias=bias)
        CONFIG.write_text(dataclasses.replace(config, score=score).to_json(), encoding="utf-8")


if __name__ == "__main__":
    main()
