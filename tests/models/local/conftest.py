"""A tiny local encoder with random weights on disk. What it promises here does not depend on what it has learnt."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.local import LocalEncoder
from models.local.config import LocalConfig, ReadConfig, ScoreConfig
from models.local.network import Network
from models.local.weights import write_weights
from tests.models.training.tiny import TINY

CONFIG = LocalConfig(
    version="tiny-1",
    network=TINY,
    # Random vectors of different words lie close together, so only a near copy may count as the same. Its summaries are
    # random, so what pictures show does not count.
    score=ScoreConfig(slope=400.0, bias=-390.0, topic=0.0),
    # Every inked cell begins a token (below) and none is dropped: so it is known where tokens must lie.
    read=ReadConfig(duplicate=2.0, confidence=0.0),
)


@pytest.fixture(scope="session")
def network() -> Network:
    torch.manual_seed(5)
    network = Network(TINY)
    torch.nn.init.constant_(network.page.router.score.bias, 9.0)
    torch.nn.init.normal_(network.visual.head.detail.weight, std=0.1)
    return network.eval()


@pytest.fixture(scope="session")
def weights(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    write_weights(folder, CONFIG, network)
    return folder


@pytest.fixture(scope="session")
def encoder(weights: Path) -> LocalEncoder:
    return LocalEncoder.load("cpu", threads=1, weights=weights)
