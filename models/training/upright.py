"""Trains the head that tells which way up a page lies, for the page tower as it is.

    python -m models.training.upright --fonts FONTS --real TRAIN --photos PHOTOS [--weights FOLDER] [--pages N]

FONTS: unpacked packages of models/training/synthesis/packages.txt. TRAIN: data/docs/train. PHOTOS: data/photos/train.
FOLDER: models/local/weights, where upright.npz is written. Every page is looked at four times, turned by quarters, and
photos once, for they are to stay as they are: some twenty minutes of one core, needed again whenever the reader is
trained anew. Prints how often each way is told, on a quarter of the pages that another fit has not seen and on pages
that may validate but not train.
"""

from __future__ import annotations

import argparse
import itertools
import random
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track
from torch.nn import functional as F

from models.encoder import FloatArray
from models.local.config import LocalConfig
from models.local.encoder import UPRIGHT
from models.local.network import Network
from models.local.page_copy import page_copy
from models.local.pictures import brightness, padded
from models.local.upright import TURNS, Upright, mean_cell, turned
from models.local.weights import read_weights
from models.training.looks.fit import minimise
from models.training.looks.pages import KINDS, sketched
from models.training.looks.sheet import Stock
from models.training.looks.stock import ask_for_sources, gathered
from models.training.real_pages import listed

DECAY = 3e-3
"""Of weights over numbers of spread 1."""
SCENES = 160
"""Photos that are to stay as they are."""
HELD = 0.25


def sketches(stock: Stock, count: int) -> Iterator[Image.Image]:
    """As many of each kind."""
    for number, kind in zip(range(count), itertools.cycle(KINDS), strict=False):
        yield sketched(stock, kind, number).image


class Beholder:
    """Pictures to what the head reads."""

    def __init__(self, config: LocalConfig, network: Network) -> None:
        self.config, self.network = config, network

    @torch.inference_mode()
    def __call__(self, picture: Image.Image) -> FloatArray:
        """(dim,)"""
        grey = brightness(page_copy(picture, self.config).grey)
        return mean_cell(self.network.page.cells(torch.from_numpy(padded(grey))[None, None]))

    def every_way(self, pictures: Iterable[Image.Image]) -> FloatArray:
        """(pictures, 4, dim): as if k quarter turns to the left set it upright, at k."""
        return np.stack([[self(turned(one, -turns % len(TURNS))) for turns in range(len(TURNS))] for one in pictures])


def fitted(ways: FloatArray, photos: FloatArray) -> Upright:
    """ways: (pages, 4, dim), as `every_way` gives them. photos: (n, dim), which stay as they are."""
    pages, count, dim = ways.shape
    given = np.concatenate([ways.reshape(-1, dim), photos])
    wanted = torch.from_numpy(np.concatenate([np.tile(np.arange(count), pages), np.zeros(len(photos), np.int64)]))
    mean, spread = given.mean(0), given.std(0) + 1e-6
    x = torch.from_numpy((given - mean) / spread)
    head = torch.zeros(dim + 1, count, requires_grad=True)
    minimise(
        lambda: F.cross_entropy(x @ head[:-1] + head[-1], wanted) + DECAY * head[:-1].pow(2).sum(), head, steps=200
    )
    weight = head[:-1].detach().numpy() / spread[:, None]
    return Upright(weight.astype(np.float32), (head[-1].detach().numpy() - mean @ weight).astype(np.float32))


def told(upright: Upright, ways: FloatArray) -> NDArray[np.int64]:
    """(4, 4): pages that turn to stand upright by so many quarters, and by how many they are said to."""
    return np.stack([np.bincount(column, minlength=len(TURNS)) for column in upright.said(ways).T])


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask_for_sources(parser)
    parser.add_argument("--pages", type=int, default=280, help="pages to sketch")
    given = parser.parse_args()
    torch.set_num_threads(1)
    chance = random.Random(given.seed)
    behold = Beholder(*read_weights(given.weights))
    stock = gathered(given.fonts, given.photos, chance)
    drawn = behold.every_way(track(sketches(stock, given.pages), "sketched pages", given.pages))
    # Real pages stand upright.
    real, others = (
        behold.every_way(Image.open(path).convert("RGB") for path in track(paths, name))
        for name, paths in (
            ("real pages", [path for _, path in listed(given.real, research_only=False)]),
            ("to validate", [path for _, path in listed(given.real, research_only=True)]),
        )
    )
    scenes = np.stack([behold(photo) for photo in track(stock.photos[:SCENES], "photos")])
    pages = np.concatenate([drawn, real])
    held = np.random.default_rng(given.seed).random(len(pages)) < HELD
    part = fitted(pages[~held], scenes[::2])
    for name, asked in (("a quarter of the pages", pages[held]), ("pages to validate", others)):
        print(f"{name}: turns wanted, and what is said\n{told(part, asked)}")
    print(f"photos left as they are: {(part.said(scenes[1::2]) == 0).mean()}")
    fitted(pages, scenes).save(given.weights / UPRIGHT)


if __name__ == "__main__":
    main()
