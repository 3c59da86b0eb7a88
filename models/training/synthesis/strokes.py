"""Hands: alphabets made of pen strokes, each bent, leaned and thickened into one person's writing.

The strokes are Dr. A. V. Hershey's (package hershey-fonts-data): a joined cursive, a slanted script and two plain
alphabets. A font has one shape for a letter; here every hand has its own.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.training.synthesis.scribbles import Pen, smooth
from models.training.synthesis.signs import PRINTED, plain

ALPHABETS = {"cursive": "cursive.jhf", "script": "scripts.jhf", "plain": "futural.jhf", "even": "rowmans.jhf"}
BASELINE, CAPITAL, SMALL = 9, 21, 14
"""Hershey units: y of the baseline (down), height of a capital and of a small letter above it."""
EM = 30.0
"""Units of an em, so that a capital is 0.7 em high."""
NEAREST = {"£": "L", "§": "S", "°": "o", "ø": "o"}
Stroke = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Letter:
    """advance and strokes in em; x from the pen, y upwards from the baseline."""

    advance: float
    strokes: list[Stroke]


def read_alphabet(path: Path) -> dict[str, Letter]:
    """The signs of a .jhf file: 5 digits of number, 3 of pairs, then pairs of letters about R; ' R' lifts the pen."""
    text = path.read_text(encoding="ascii").replace("\r", "")
    letters: dict[str, Letter] = {}
    record = ""
    for line in text.split("\n"):
        record += line
        if len(record) < 8 or len(record) < 8 + 2 * int(record[5:8]):
            continue
        codes = [(ord(a) - ord("R"), ord(b) - ord("R")) for a, b in zip(record[8::2], record[9::2], strict=False)]
        left, right = codes[0]
        strokes: list[Stroke] = [[]]
        for x, y in codes[1:]:
            if x == ord(" ") - ord("R"):
                strokes.append([])
            else:
                strokes[-1].append(((x - left) / EM, (BASELINE - y) / EM))
        letters[chr(32 + len(letters))] = Letter((right - left) / EM, [stroke for stroke in strokes if stroke])
        record = ""
    return letters


@dataclass(frozen=True, slots=True)
class Hand:
    """One person's writing: a letter for every sign of PRINTED. pen: width of the stroke in em."""

    letters: dict[str, Letter]
    pen: float

    @property
    def cap(self) -> float:
        """Height of a capital in em."""
        return max(y for stroke in self.letters["H"].strokes for _, y in stroke)

    def sprite(self, sign: str, size: int) -> tuple[NDArray[np.uint8], int, int]:
        """The sign at `size` pixels an em: (grey, left and top from the pen), as fonts.sprite."""
        strokes = self.letters[sign].strokes
        points = [point for stroke in strokes for point in stroke]
        if not points:
            return np.zeros((1, 1), np.uint8), 0, 0
        edge = self.pen * size / 2 + 0.5
        x0 = math.floor(min(x for x, _ in points) * size - edge)
        y0 = math.floor(-max(y for _, y in points) * size - edge)
        x1 = math.ceil(max(x for x, _ in points) * size + edge)
        y1 = math.ceil(-min(y for _, y in points) * size + edge)
        pen = Pen.canvas(x1 - x0, y1 - y0)
        for stroke in strokes:
            pen.stroke([(x * size - x0, -y * size - y0) for x, y in stroke], self.pen * size)
        return pen.grey(), x0, y0


def read_hands(folder: Path, count: int, seed: int = 0) -> list[Hand]:
    """`count` hands from the alphabets under `folder`. Raises FileNotFoundError without them."""
    alphabets: dict[str, dict[str, Letter]] = {}
    for name, file in ALPHABETS.items():
        path = next(folder.rglob(file), None)
        if path is None:
            raise FileNotFoundError(f"stroke alphabet {file} not found under {folder}")
        alphabets[name] = read_alphabet(path)
    return [draw_hand(alphabets, random.Random(f"{seed}-{number}")) for number in range(count)]


def draw_hand(alphabets: dict[str, dict[str, Letter]], chance: random.Random) -> Hand:
    """Half of the hands join their letters, a quarter print, a quarter mix; figures are mostly plain."""
    kind = chance.choice(["cursive", "cursive", "cursive", "script", "plain", "even", "mixed", "mixed"])
    figures = chance.choice(["plain", "plain", "even", "script"])
    capitals = chance.choice([kind, "plain"])
    lean, wide, body = chance.uniform(-0.15, 0.5), chance.uniform(0.7, 1.2), chance.uniform(0.7, 1.2)
    if kind in ("cursive", "script", "mixed"):
        # these alphabets lean already
        lean -= 0.25
    wander = chance.uniform(0.008, 0.045)
    letters: dict[str, Letter] = {}
    for sign in PRINTED:
        base = sign if 32 <= ord(sign) < 127 else NEAREST.get(sign, plain(sign))
        base = base.upper() if sign.isupper() else base
        source = figures if not base.isalpha() else capitals if base.isupper() else kind
        source = chance.choice(["cursive", "plain"]) if source == "mixed" else source
        letter = with_habits(base, alphabets[source][base], chance)
        letters[sign] = bent(letter, chance, lean=lean, wide=wide, body=body, wander=wander)
    return Hand(letters, chance.uniform(0.03, 0.1))


def with_habits(sign: str, letter: Letter, chance: random.Random) -> Letter:
    """Strokes that some add: a bar through 7 and z, a flag and a foot on 1, a slash through 0."""
    height = CAPITAL / EM
    bars: dict[str, list[Stroke]] = {
        "7": [[(0.2, 0.5 * height), (0.55, 0.52 * height)]],
        "z": [[(0.1, 0.22), (0.45, 0.24)]],
        "1": [[(0.15, 0.7 * height), (0.35, height)], [(0.15, 0.0), (0.55, 0.0)]],
        "0": [[(0.12, 0.05), (0.55, height)]],
    }
    added = bars.get(sign, [])
    often = 0.12 if sign == "0" else 0.4
    return Letter(letter.advance, [*letter.strokes, *(stroke for stroke in added if chance.random() < often)])


def bent(letter: Letter, chance: random.Random, *, lean: float, wide: float, body: float, wander: float) -> Letter:
    """The letter rounded and moved by two slow waves; body: height of small letters against the alphabet's."""
    small = SMALL / EM
    waves = [
        (wander * chance.gauss(0, 1), chance.uniform(0.5, 1.6), chance.uniform(0.5, 1.6), chance.uniform(0, 6.3))
        for _ in range(4)
    ]
    size = chance.uniform(0.92, 1.08)

    def moved(x: float, y: float) -> tuple[float, float]:
        y = y * body if y < small else y + small * (body - 1)
        dx, dy = (
            sum(size * math.sin(6.3 * (across * x + up * y) + phase) for size, across, up, phase in pair)
            for pair in (waves[:2], waves[2:])
        )
        x, y = size * (x + dx), size * (y + dy)
        return wide * x + lean * y, y

    strokes = [smooth(stroke, 4) if len(stroke) > 2 else stroke for stroke in letter.strokes]
    return Letter(letter.advance * wide * size, [[moved(*point) for point in stroke] for stroke in strokes])
