"""Weights on disk: config.json, and the network in two files of half precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from models.encoder import EncoderError
from models.local.config import LocalConfig
from models.local.network import Network

CONFIG, READER, VISUAL = "config.json", "reader.safetensors", "visual.safetensors"


def read_weights(folder: Path) -> tuple[LocalConfig, Network]:
    """The network in fp32 on the CPU, ready for use. Raises EncoderError encoder_misconfigured when a file is missing
    or belongs to other code."""
    missing = [name for name in (CONFIG, READER, VISUAL) if not (folder / name).is_file()]
    if missing:
        raise _misconfigured(
            f"The local encoder has no weights: {', '.join(missing)} missing in its folder {folder.name}/."
            " Install them there, or choose the voyage encoder."
        )
    try:
        config = LocalConfig.from_json(folder / CONFIG)
        network = Network(config.network)
        tensors = load_file(folder / READER) | load_file(folder / VISUAL)
        network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise _misconfigured(
            f"The weights of the local encoder do not fit this version of Claimsight: {error}"
        ) from error
    return config, network.eval().requires_grad_(False)


def write_weights(folder: Path, config: LocalConfig, network: Network) -> None:
    """What `read_weights` reads, in fp16; the folder is made."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(config.to_json(), encoding="utf-8")
    _write(folder / READER, network, lambda name: not name.startswith("visual."))
    _write(folder / VISUAL, network, lambda name: name.startswith("visual."))


def _write(path: Path, network: Network, wanted: Callable[[str], bool]) -> None:
    tensors = {
        name: tensor.detach().to("cpu", torch.float16).contiguous()
        for name, tensor in network.state_dict().items()
        if wanted(name)
    }
    save_file(tensors, path)


def _misconfigured(detail: str) -> EncoderError:
    return EncoderError("encoder_misconfigured", detail, retryable=False)
