"""The inputs that fuzzing started from and found: what held once holds still."""

from __future__ import annotations

import pytest

from tests.fuzz.targets import SEEDS, TARGETS

CASES = [(name, path.name) for name in TARGETS for path in sorted((SEEDS / name).iterdir())]


@pytest.mark.parametrize(("target", "seed"), CASES)
def test_seed(target: str, seed: str) -> None:
    TARGETS[target]((SEEDS / target / seed).read_bytes())


def test_every_target_has_seeds() -> None:
    assert {name for name, _ in CASES} == set(TARGETS)
