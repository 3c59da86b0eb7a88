"""Weights on disk: what is written comes back, and what does not fit is said so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from models.encoder import EncoderError
from models.local import LocalEncoder
from models.local.config import LocalConfig
from models.local.network import Network
from models.local.weights import CONFIG, READER, VISUAL, read_weights
from tests.models.local import conftest


@pytest.fixture
def copy(weights: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(weights, tmp_path / "weights"))


def test_weights_come_back_in_half_precision(weights: Path, network: Network) -> None:
    config, again = read_weights(weights)
    assert config == conftest.CONFIG
    assert not again.training
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor.half().float(), rtol=0, atol=0)


def test_both_halves_lie_in_files_of_their_own(weights: Path) -> None:
    assert sorted(path.name for path in weights.iterdir()) == sorted([CONFIG, READER, VISUAL])


@pytest.mark.parametrize("name", [CONFIG, READER, VISUAL])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(EncoderError, match=name) as caught:
        LocalEncoder.load("cpu", weights=copy)
    assert (caught.value.code, caught.value.retryable) == ("encoder_misconfigured", False)
    assert str(copy.parent) not in caught.value.detail


@pytest.mark.parametrize("part", ["network", "score", "read"])
def test_a_field_that_this_code_does_not_know_is_refused(copy: Path, part: str) -> None:
    raw = json.loads((copy / CONFIG).read_text(encoding="utf-8"))
    raw[part]["flux"] = 1
    (copy / CONFIG).write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(ValueError, match="flux"):
        LocalConfig.from_json(copy / CONFIG)
    with pytest.raises(EncoderError, match="flux") as caught:
        LocalEncoder.load("cpu", weights=copy)
    assert caught.value.code == "encoder_misconfigured"


def test_weights_of_another_shape_are_refused(copy: Path) -> None:
    raw = json.loads((copy / CONFIG).read_text(encoding="utf-8"))
    raw["network"]["token_dim"] *= 2
    (copy / CONFIG).write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(EncoderError, match="do not fit"):
        LocalEncoder.load("cpu", weights=copy)


def test_a_cut_file_is_refused(copy: Path) -> None:
    whole = (copy / READER).read_bytes()
    (copy / READER).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EncoderError, match="do not fit"):
        LocalEncoder.load("cpu", weights=copy)
