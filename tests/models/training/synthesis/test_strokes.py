"""Letters made of strokes: the alphabet file is read as it is written, and each hand writes its own way."""

import random
from pathlib import Path

import numpy as np

from models.training.synthesis.signs import PRINTED
from models.training.synthesis.strokes import draw_hand, read_alphabet

# Every sign is an upright line from the height of a capital to the baseline, in a box of 10 units; the record of `!` is
# broken over two lines, as long ones are.
SIGN = "    1  5MWRFR[ RR["
FILE = "\n".join(["    1  1MW", "    1  5MWRFR[", " RR["] + [SIGN] * 94) + "\n"


def test_strokes_are_in_em_upwards_from_the_baseline(tmp_path: Path):
    path = tmp_path / "plain.jhf"
    path.write_text(FILE, encoding="ascii")
    letters = read_alphabet(path)
    assert len(letters) == 96
    assert letters[" "].strokes == []
    assert abs(letters["A"].advance - 10 / 30) < 1e-9
    assert letters["A"].strokes[0] == [(5 / 30, 21 / 30), (5 / 30, 0.0)]
    assert letters["!"] == letters["A"]


def test_a_hand_has_every_sign_and_no_two_hands_write_alike(tmp_path: Path):
    path = tmp_path / "plain.jhf"
    path.write_text(FILE, encoding="ascii")
    alphabets = dict.fromkeys(("cursive", "script", "plain", "even"), read_alphabet(path))
    first, again, other = (draw_hand(alphabets, random.Random(seed)) for seed in (1, 1, 2))
    assert set(first.letters) == set(PRINTED)
    drawings = [hand.sprite("B", 36)[0] for hand in (first, again, other)]
    assert np.array_equal(drawings[0], drawings[1])
    assert drawings[0].shape != drawings[2].shape or not np.array_equal(drawings[0], drawings[2])
    grey, _, top = first.sprite("B", 36)
    assert grey.max() > 200
    assert -40 < top < -10
