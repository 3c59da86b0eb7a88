"""Which implementation of an operator runs: Triton on a supported GPU, plain PyTorch elsewhere.

CLAIMSIGHT_KERNELS forces a path for the whole process: `reference` or `triton`. A forced path that cannot
run raises; without the variable the choice never fails.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Literal

import torch
from torch import Tensor

Path = Literal["reference", "triton"]

VARIABLE = "CLAIMSIGHT_KERNELS"
LEAST_CAPABILITY = (8, 0)
"""bf16 matrix products begin with compute capability 8.0."""
INSTALLED = find_spec("triton") is not None
"""Asked once, here, because torch.compile cannot trace through the question."""


class KernelUnavailable(RuntimeError):
    """CLAIMSIGHT_KERNELS asks for a path that cannot run here, or names none."""


def forced() -> Path | None:
    """The path that CLAIMSIGHT_KERNELS forces, if any. Raises KernelUnavailable when it names none."""
    value = os.environ.get(VARIABLE, "")
    if value not in ("", "reference", "triton"):
        raise KernelUnavailable(f"{VARIABLE} is {value!r}; it may be 'reference', 'triton' or unset")
    return value or None


def choose(tensor: Tensor, *, fits: bool = True) -> Path:
    """The path for an operator whose first input is `tensor`.

    fits: whether the Triton kernels take inputs of this shape and type. Raises KernelUnavailable when
    CLAIMSIGHT_KERNELS=triton and they do not, or when the device cannot run them.
    """
    wanted = forced()
    if wanted == "reference":
        return "reference"
    runs = _device_runs_triton(tensor)
    if wanted == "triton":
        if not runs:
            raise KernelUnavailable(
                f"{VARIABLE}=triton, but Triton kernels cannot run on {tensor.device}: they need the triton package"
                " and a CUDA GPU of compute capability 8.0 or newer (or TRITON_INTERPRET=1 for tests)"
            )
        if not fits:
            raise KernelUnavailable(f"{VARIABLE}=triton, but the kernels do not take this shape or type of input")
        return "triton"
    return "triton" if runs and fits and tensor.is_cuda else "reference"


def _device_runs_triton(tensor: Tensor) -> bool:
    if not INSTALLED:
        return False
    if tensor.is_cuda:
        return torch.cuda.get_device_capability(tensor.device) >= LEAST_CAPABILITY
    return tensor.device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"
