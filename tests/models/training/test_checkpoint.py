"""A run that is cut goes on where it was."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from models.local.config import LocalConfig
from models.local.network import Network
from models.local.reading_network import ReadingNetwork
from models.local.weights import write_weights
from models.training import checkpoint
from models.training.checkpoint import PART_BYTES, Clock
from tests.models.training.tiny import TINY


def trained() -> tuple[ReadingNetwork, torch.optim.AdamW]:
    torch.manual_seed(0)
    reader = ReadingNetwork(TINY)
    optimiser = torch.optim.AdamW(reader.parameters(), lr=1e-2)
    for parameter in reader.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimiser.step()
    return reader, optimiser


def test_weights_moments_and_clock_come_back(tmp_path: Path) -> None:
    reader, optimiser = trained()
    checkpoint.save(tmp_path / "run", reader, optimiser, Clock(steps=7, seconds=3.5))
    again = ReadingNetwork(checkpoint.network_of(tmp_path / "run"))
    resumed = torch.optim.AdamW(again.parameters(), lr=1e-2)
    assert checkpoint.load(tmp_path / "run", again, resumed) == Clock(steps=7, seconds=3.5)
    for name, parameter in reader.named_parameters():
        other = again.get_parameter(name)
        torch.testing.assert_close(other, parameter, rtol=1e-3, atol=1e-6)
        before, after = optimiser.state[parameter]["exp_avg_sq"], resumed.state[other]["exp_avg_sq"]
        torch.testing.assert_close(after, before, rtol=2e-2, atol=1e-8)
        assert resumed.state[other]["step"] == 7


def test_files_stay_small_enough_to_carry(tmp_path: Path) -> None:
    class Big(ReadingNetwork):
        def __init__(self) -> None:
            super().__init__(TINY)
            self.ballast = torch.nn.ParameterList(torch.zeros(3_000_000) for _ in range(4))

    checkpoint.save(tmp_path, Big(), torch.optim.AdamW([torch.zeros(1)]), Clock())
    sizes = [path.stat().st_size for path in tmp_path.glob("weights-*")]
    assert len(sizes) == 2
    assert max(sizes) <= PART_BYTES + 100_000


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    reader, optimiser = trained()
    checkpoint.save(tmp_path, reader, optimiser, Clock())
    other = ReadingNetwork(type(TINY)(stem_dim=32, cell_dim=64, cell_layers="r", chunk_dim=64, text_dim=64))
    with pytest.raises(RuntimeError):
        checkpoint.load_weights(tmp_path, other)


def test_a_new_schedule_begins_from_released_weights(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network, reader = Network(TINY), ReadingNetwork(TINY)
    write_weights(tmp_path, LocalConfig("1", network=TINY), network)
    checkpoint.load_weights(tmp_path, reader)
    for name, parameter in reader.named_parameters():
        torch.testing.assert_close(parameter, network.get_parameter(name), rtol=1e-3, atol=1e-6)


def test_a_new_schedule_may_leave_out_the_last_layers_and_nothing_else(tmp_path: Path) -> None:
    reader, optimiser = trained()
    checkpoint.save(tmp_path, reader, optimiser, Clock())
    shorter = ReadingNetwork(dataclasses.replace(TINY, chunk_layers=TINY.chunk_layers[:-1]))
    checkpoint.begin_from(tmp_path, shorter)
    for name, parameter in shorter.named_parameters():
        torch.testing.assert_close(parameter, reader.get_parameter(name), rtol=1e-3, atol=1e-6)
    longer = ReadingNetwork(dataclasses.replace(TINY, chunk_layers=TINY.chunk_layers + "s"))
    narrower = ReadingNetwork(dataclasses.replace(TINY, chunk_dim=128))
    for other in (longer, narrower):
        with pytest.raises(RuntimeError):
            checkpoint.begin_from(tmp_path, other)
