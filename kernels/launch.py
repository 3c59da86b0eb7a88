"""What the launching code of every operator shares."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor
from triton import knobs


def _take_the_newer_assembler() -> None:
    """Triton's wheels carry an assembler for Hopper and older GPUs and one for Blackwell, which serves all of them.

    Where that one is newer it assembles for every GPU: ptxas 12.8.93 of Triton 3.6 makes wrong code of gradients of the
    scan, up to an access outside shared memory; 12.9.86 beside it makes right code. A path that is set already stays.
    """
    if _version(knobs.nvidia.ptxas_blackwell) > _version(knobs.nvidia.ptxas):
        os.environ.setdefault("TRITON_PTXAS_PATH", knobs.nvidia.ptxas_blackwell.path)


@cache
def assembler_is_sound() -> bool:
    """Whether the assembler in use is newer than the one that makes wrong code."""
    return _version(knobs.nvidia.ptxas) > (12, 8)


def _version(tool: knobs.NvidiaTool) -> tuple[int, ...]:
    return tuple(int(part) for part in tool.version.split("."))


if torch.cuda.is_available():
    _take_the_newer_assembler()
LIBRARY = torch.library.Library("claimsight", "FRAGMENT")


def operator(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers a function of tensors as `claimsight::name`, so that torch.compile and autocast pass through it.

    As torch.library.custom_op, whose first call imports torch's compiler: 4 s that no one needs who does not compile.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        LIBRARY.define(name + torch.library.infer_schema(function, mutates_args=()))
        LIBRARY.impl(name, function, "CompositeExplicitAutograd")
        return getattr(torch.ops.claimsight, name).default

    return register


HOPPER, AMPERE = (9, 0), (8, 0)
Table = TypeVar("Table")


def for_device(tables: Mapping[tuple[int, int], Table], device: torch.device) -> Table:
    """The table of the newest compute capability that the device has; Hopper's in the interpreter."""
    capability = torch.cuda.get_device_capability(device) if device.type == "cuda" else HOPPER
    return tables[max([known for known in tables if known <= capability])]  # torch.compile traces no generator here


def together(tensor: Tensor) -> Tensor:
    """The kernels take any stride between rows, but the last dimension must lie together."""
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def aligned(tensor: Tensor) -> Tensor:
    """The tensor, or a copy, such that every row begins on 16 bytes and its last dimension lies together.

    Kernels take strides in steps of 16 bytes then, so that the compiler loads 16 bytes at a time.
    """
    numbers = 16 // tensor.element_size()
    fits = tensor.stride(-1) == 1 and all(stride % numbers == 0 for stride in tensor.stride()[:-1])
    return tensor if fits and tensor.data_ptr() % 16 == 0 else tensor.clone(memory_format=torch.contiguous_format)


def precision(tensor: Tensor) -> str:
    """fp32 products as three of TF32, close to full precision: the tests hold fp32 to 2e-5."""
    return "tf32x3" if tensor.dtype == torch.float32 else "tf32"


def flags(mask: Tensor | None) -> Tensor | None:
    """A bool mask as bytes lying together, which every Triton version loads alike."""
    return None if mask is None else mask.contiguous().view(torch.uint8)
