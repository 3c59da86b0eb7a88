"""Trains the heads that say what a page looks like, for the towers as they are.

    python -m models.training.looks --fonts FONTS --real TRAIN --photos PHOTOS [--weights FOLDER] [--pages N]

FONTS: unpacked packages of models/training/synthesis/packages.txt. TRAIN: data/docs/train. PHOTOS: data/photos/train.
FOLDER: models/local/weights, where looks.npz is written. Some ten minutes of one core, for every page is looked at by
both towers; needed again whenever one of them is trained anew. Prints how well each word is told on a quarter of the
pages that another fit has not seen.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence

import numpy as np
import torch

from models.encoder import FloatArray
from models.local.encoder import LOOKS
from models.local.look_words import LOOKS as NAMES
from models.local.page_looks import SCENE, THINGS
from models.local.rotation import rotate_tokens
from models.local.weights import read_weights
from models.training.looks.examples import Beholder, Example, kinds_of, real_examples, scene_examples
from models.training.looks.fit import REAL_WEIGHT, fitted, labels, unprinted
from models.training.looks.pages import KINDS, sketched
from models.training.looks.sheet import Stock
from models.training.looks.stock import ask_for_sources, gathered

WORDS = (
    "receipt", "form", "invoice", "letter", "text", "table", "newspaper", "slide", "card", "cheque", "columns",
    "photographed", "crumpled", "skewed", "brochure", "label", "typewriter", *THINGS, SCENE,
)  # fmt: skip
SCENES = 160
"""Photos that are looked at themselves."""


def sketches(stock: Stock, count: int, behold: Beholder) -> list[Example]:
    """Kinds in the shares of KINDS."""
    cycle = [kind for kind, (_, share) in KINDS.items() for _ in range(share)]
    found: list[Example] = []
    for number in range(count):
        picture = sketched(stock, cycle[number % len(cycle)], number)
        sight, middle, tokens = behold(picture.image)
        found.append(Example(sight, kinds_of(middle, picture.things), tokens, picture.said, picture.doubtful))
    return found


def told(examples: Sequence[Example], weights: FloatArray, signs: FloatArray, seed: int) -> str:
    """For each word how often a page with it stands before one without, among a quarter of the pages, by heads that
    have not seen these."""
    held = np.random.default_rng(seed).random(len(examples)) < 0.25
    learnt = [one for one, out in zip(examples, held, strict=True) if not out]
    asked = [one for one, out in zip(examples, held, strict=True) if out]
    looks = fitted(learnt, WORDS, weights[~held], signs)
    sure = np.stack([looks.logits(one.sight, looks.found(one.sight)) for one in asked])
    lines: list[str] = []
    for word, values, wanted in zip(WORDS, sure.T, labels(asked, WORDS).T, strict=True):
        right, wrong = values[wanted == 1], values[wanted == 0]
        lines.append(f"{word:14s} {len(right):4d} pages  {(right[:, None] > wrong).mean() if len(right) else 0:.3f}")
    return "\n".join(lines)


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask_for_sources(parser)
    parser.add_argument("--pages", type=int, default=660, help="pages to sketch")
    given = parser.parse_args()
    torch.set_num_threads(1)
    chance = random.Random(given.seed)
    config, network = read_weights(given.weights)
    rotate_tokens(network)
    behold = Beholder(config, network)
    stock = gathered(given.fonts, given.photos, chance)
    drawn = sketches(stock, given.pages, behold)
    real = real_examples(given.real, behold)
    scenes = scene_examples(stock.photos[:SCENES], behold)
    examples = [*drawn, *real, *scenes]
    weights = np.repeat(np.array([1.0, REAL_WEIGHT, 1.0], np.float32), [len(drawn), len(real), len(scenes)])
    signs = unprinted(np.concatenate([one.tokens for one in examples]), len(NAMES), seed=given.seed)
    print(told(examples, weights, signs, given.seed))
    fitted(examples, WORDS, weights, signs, seed=given.seed).save(given.weights / LOOKS)


if __name__ == "__main__":
    main()
