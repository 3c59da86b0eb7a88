"""What sketches are made of: faces, words, and photos whose sources allow it."""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from PIL import Image

from models.local.encoder import WEIGHTS
from models.local.meanings import meanings
from models.training.looks.sheet import Stock
from models.training.photos.data import PERMISSIVE, photo_entries
from models.training.synthesis.fonts import GROUPS, HAND, group_of, usable

FACES = {"office": 60, "text": 60, "mono": 50, "pixel": 16}
"""Most faces of a group; of handwriting there are few, so all."""
PHOTOS = 400


def ask_for_sources(parser: argparse.ArgumentParser) -> None:
    """What every head is trained from, and where it goes."""
    parser.add_argument("--fonts", type=Path, required=True)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--seed", type=int, default=0)


def gathered(fonts: Path, photos: Path, chance: random.Random) -> Stock:
    """fonts: unpacked packages of models/training/synthesis/packages.txt. photos: data/photos/train."""
    paths = [one.path for one in photo_entries(photos) if one.source in PERMISSIVE]
    pictures = [Image.open(path).convert("RGB") for path in chance.sample(paths, PHOTOS)]
    return Stock(faces(fonts, chance), meanings().words, pictures)


def faces(folder: Path, chance: random.Random) -> dict[str, list[str]]:
    """Some font files of each group, those by hand first; only as many are opened as it takes."""
    files = sorted({path.name: path for path in folder.rglob("*") if path.suffix in (".ttf", ".otf")}.values())
    chance.shuffle(files)
    files.sort(key=lambda path: not path.name.lower().startswith(HAND))
    chosen: dict[str, list[str]] = {group: [] for group in GROUPS}
    for path in files:
        if not path.name.lower().startswith(HAND) and all(len(chosen[name]) >= most for name, most in FACES.items()):
            break
        number = group_of(path) if usable(path) else None
        if number is not None and len(chosen[GROUPS[number]]) < FACES.get(GROUPS[number], len(files)):
            chosen[GROUPS[number]].append(str(path))
    return chosen
