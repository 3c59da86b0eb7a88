"""Scores of the released weights mean what they say."""

from __future__ import annotations

import torch

from models.local.config import ScoreConfig
from models.training.release import Pairs, fitted, reliability


def drawn_pairs(slope: float, bias: float, length: float, count: int = 60_000) -> Pairs:
    torch.manual_seed(0)
    cosine, excess = torch.rand(count, dtype=torch.float64), torch.randn(count, dtype=torch.float64)
    chance = torch.sigmoid(slope * cosine + bias - length * excess)
    return Pairs(cosine, excess, torch.rand(count, dtype=torch.float64) < chance)


def test_calibration_finds_the_figures_that_made_the_pairs() -> None:
    score = fitted(drawn_pairs(20.0, -9.0, 0.7), ScoreConfig(length=0.7))
    assert abs(score.slope - 20.0) < 1.0
    assert score.length == 0.7


def test_reliability_compares_what_was_said_with_what_is_true() -> None:
    pairs = drawn_pairs(20.0, -9.0, 0.7)
    rows = reliability(pairs, ScoreConfig(slope=20.0, bias=-9.0, length=0.7))
    assert rows[:, 2].sum() == len(pairs.present)
    assert abs(rows[:, 0] - rows[:, 1]).max() < 0.05
