"""Scores of the released weights mean what they say."""

from __future__ import annotations

from pathlib import Path

import torch

from models.local.config import LocalConfig, NetworkConfig, ScoreConfig
from models.local.weights import CONFIG
from models.training.release import Pairs, fitted, reliability, replaced_config


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


def test_new_weights_keep_what_was_fitted_on_photos(tmp_path: Path) -> None:
    first = replaced_config(tmp_path, version="1", network=NetworkConfig())
    assert first == LocalConfig("1")
    before = LocalConfig("1", score=ScoreConfig(picture_slope=11.5, near=0.5))
    (tmp_path / CONFIG).write_text(before.to_json(), encoding="utf-8")
    after = replaced_config(tmp_path, version="2", network=NetworkConfig(token_dim=32))
    assert (after.version, after.network.token_dim, after.score) == ("2", 32, before.score)
