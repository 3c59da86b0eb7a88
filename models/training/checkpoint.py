"""A run on disk: weights in fp16, second moments in bf16, clock and shape in run.json; each file under 16 MB."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.local.config import NetworkConfig, known
from models.local.reading_network import ReadingNetwork
from models.local.weights import READER

PART_BYTES = 15_000_000
LAYER = re.compile(r".*_layers\.\d+\.")


@dataclass(frozen=True, slots=True)
class Clock:
    """steps and seconds of training so far, over all calls of a run."""

    steps: int = 0
    seconds: float = 0.0


def save(folder: Path, reader: ReadingNetwork, optimiser: torch.optim.Optimizer, clock: Clock) -> None:
    """First moments are left out: they come back within some ten steps."""
    folder.mkdir(parents=True, exist_ok=True)
    _save_parts(folder, "weights", {name: tensor.half() for name, tensor in reader.state_dict().items()})
    moments = {
        name: optimiser.state[parameter]["exp_avg_sq"].sqrt().bfloat16()
        for name, parameter in reader.named_parameters()
        if parameter in optimiser.state
    }
    _save_parts(folder, "moments", moments)
    record = {"clock": asdict(clock), "network": asdict(reader.config)}
    (folder / "run.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def load(folder: Path, reader: ReadingNetwork, optimiser: torch.optim.Optimizer) -> Clock:
    """Puts weights and moments back. Raises RuntimeError when the weights are of another network, FileNotFoundError
    when there is no run in the folder."""
    clock = Clock(**_record(folder)["clock"])
    load_weights(folder, reader)
    moments = _load_parts(folder, "moments")
    for name, parameter in reader.named_parameters():
        if name in moments:
            optimiser.state[parameter] = {
                "step": torch.tensor(float(clock.steps), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": moments[name].to(parameter.device).float() ** 2,
            }
    return clock


def network_of(folder: Path) -> NetworkConfig:
    """The shape of the network of a run."""
    return NetworkConfig(**known(NetworkConfig, _record(folder)["network"]))


def load_weights(folder: Path, reader: ReadingNetwork, *, strict: bool = True) -> None:
    """The weights alone: to begin another schedule from them, or to use them. folder: of a run, or of released
    weights (they are stored as trained; only a loaded encoder turns them). strict: the network has no others."""
    reader.load_state_dict(_weights(folder), strict=strict)


def begin_from(folder: Path, reader: ReadingNetwork) -> None:
    """As `load_weights`, into a network that may have fewer layers: the last ones are left out. Raises RuntimeError
    when it differs in anything else."""
    own = {_layer(name) for name in reader.state_dict()}
    reader.load_state_dict({name: tensor for name, tensor in _weights(folder).items() if _layer(name) in own})


def _layer(name: str) -> str:
    """The layer of a list that a weight belongs to; of others nothing."""
    layer = LAYER.match(name)
    return layer.group() if layer else ""


def _weights(folder: Path) -> dict[str, Tensor]:
    released = folder / READER
    tensors = load_file(released) if released.is_file() else _load_parts(folder, "weights")
    return {name: tensor.float() for name, tensor in tensors.items()}


def _save_parts(folder: Path, kind: str, tensors: dict[str, Tensor]) -> None:
    part: dict[str, Tensor] = {}
    parts = [part]
    size = 0
    for name, tensor in tensors.items():
        if size + tensor.nbytes > PART_BYTES and part:
            part, size = {}, 0
            parts.append(part)
        part[name] = tensor.cpu().contiguous()
        size += tensor.nbytes
    for number, tensors_of_part in enumerate(parts):
        save_file(tensors_of_part, folder / f"{kind}-{number}.safetensors")


def _load_parts(folder: Path, kind: str) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for path in sorted(folder.glob(f"{kind}-*.safetensors")):
        tensors.update(load_file(path))
    return tensors


def _record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))
