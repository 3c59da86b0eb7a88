"""Copies of a photo lie on it, whatever was done to them; other photos do not."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from PIL import Image

from retrieval.reuse.prints import overlay, print_of
from scripts.bench.disguises import MILD, STRONG


def photo(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Patches of every size, as photos have them."""
    rng = np.random.default_rng(seed)
    levels = sum(
        np.asarray(
            Image.fromarray(rng.integers(0, 256, (side, side), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC),
            np.float32,
        )
        for side in (4, 9, 20, 40)
    )
    return Image.fromarray((np.asarray(levels) / 4).astype(np.uint8)).convert("RGB")


def likeness(first: Image.Image, second: Image.Image) -> float:
    one, two = print_of(first), print_of(second)
    assert one is not None
    assert two is not None
    return overlay(one, two).likeness


@pytest.mark.parametrize("name", [*MILD, *STRONG])
def test_a_disguised_copy_lies_on_its_original(name: str) -> None:
    disguise = {**MILD, **STRONG}[name]
    for seed in range(2):
        copy = disguise(photo(seed), Random(seed))
        assert likeness(copy, photo(seed)) > 0.75
        assert likeness(photo(seed), copy) > 0.75


def test_a_copy_held_askew_still_lies_on_its_original() -> None:
    for seed, degrees in ((0, 6), (1, -5)):
        askew = photo(seed).rotate(degrees, Image.Resampling.BICUBIC, fillcolor=(90, 90, 90))
        assert likeness(askew, photo(seed)) > 0.75
        assert likeness(askew.transpose(Image.Transpose.FLIP_LEFT_RIGHT), photo(seed)) > 0.75


def test_other_photos_do_not() -> None:
    assert max(likeness(photo(seed), photo(seed + 50)) for seed in range(6)) < 0.6


def test_it_says_how_the_two_lie() -> None:
    mirror = photo(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    one, two, part = print_of(photo(1)), print_of(mirror), print_of(photo(1).crop((40, 30, 280, 210)))
    assert one is not None
    assert two is not None
    assert part is not None
    assert (overlay(one, two).mirrored, overlay(one, two).share) == (True, 1.0)
    cut = overlay(one, part)
    assert (cut.mirrored, cut.first_inside) == (False, False)
    assert cut.share == pytest.approx(0.75, abs=0.06)
    assert overlay(part, one).first_inside


def test_a_photo_without_outlines_is_compared_with_none() -> None:
    assert print_of(Image.new("RGB", (320, 240), (120, 130, 140))) is None
    assert print_of(Image.linear_gradient("L").convert("RGB")) is None


def test_the_narrowest_and_widest_photos_can_be_compared() -> None:
    assert likeness(photo(3, (16, 800)), photo(3, (16, 800))) > 0.9
    assert likeness(photo(3, (16, 800)), photo(4, (800, 16))) < 0.5
