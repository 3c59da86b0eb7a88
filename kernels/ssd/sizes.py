"""Sizes of the Triton scan, by device, type and size of the state."""

from __future__ import annotations

from typing import NamedTuple

import torch

from kernels.launch import AMPERE, HOPPER, assembler_is_sound, for_device


class Config(NamedTuple):
    """Sizes for one class of inputs.

    chunk: tokens a state. group, backward_group: heads that a program of the output and of the gradients loops over.
    *_warps: of the kernels in turn. output_stages: tiles of a loop under way at once. output_registers: most a thread
    of the output may take, None for the compiler's choice. slots, gradient_slots, walk_slots: steps whose tiles are
    under way at once in the kernels of hopper/, 0 where there are none.
    """

    chunk: int
    group: int
    states_warps: int
    output_warps: int
    backward_group: int
    backward_warps: int
    output_stages: int = 1
    output_registers: int | None = None
    slots: int = 0
    gradient_slots: int = 0
    walk_slots: int = 0


MULTIPROCESSORS = 132
"""Of an H100 and an H200."""
WALKERS = 150
"""From so many documents times heads on, one program walks a whole document; with fewer, too few would work at once."""
CONFIGS = {
    # (16-bit inputs, state size up to) -> sizes for an H200.
    (True, 32): Config(128, 12, 4, 4, 12, 4, output_stages=3, slots=3, gradient_slots=2, walk_slots=4),
    (True, 64): Config(128, 12, 4, 4, 12, 4, output_stages=2, slots=3, gradient_slots=2, walk_slots=4),
    (True, 128): Config(128, 4, 4, 4, 12, 4, output_registers=168, slots=2, gradient_slots=2, walk_slots=2),
    (False, 64): Config(64, 2, 4, 4, 2, 4),
    (False, 128): Config(64, 2, 8, 8, 2, 8),
}
# Less shared memory and registers' worth of the narrow matrix instruction: compiled for 8.0 and 8.9, not timed there.
SMALLER = {(True, 128): Config(64, 2, 4, 4, 2, 4), (False, 128): Config(32, 2, 4, 4, 2, 4)}
TABLES = {HOPPER: CONFIGS, AMPERE: SMALLER}
CAREFUL = 8
"""Warps of the gradient kernels where the table's count comes out wrong."""
careful: set[tuple[torch.device, torch.dtype, int]] = set()
"""Devices, types and state sizes that need it; `trust` finds them out."""


def config_for(kind: torch.dtype, state: int, device: torch.device) -> Config:
    half = kind in (torch.bfloat16, torch.float16)
    config = next(
        config for (small, most), config in for_device(TABLES, device).items() if small == half and state <= most
    )
    # Where this goes wrong the process has no device after it, so it cannot be left to `trust`.
    risky = state <= 32 and device.type == "cuda" and not assembler_is_sound()
    if risky or (device, kind, state) in careful:
        return config._replace(backward_warps=CAREFUL, slots=0, gradient_slots=0, walk_slots=0)
    return config


def hopper_serves(x: torch.Tensor, chunk: int) -> bool:
    """Whether the kernels of hopper/ take such an x, [rows, heads, width]: bf16, heads of 64 side by side, in chunks of
    two halves of 64 rows, as many as their matrix instruction has."""
    if x.dtype != torch.bfloat16 or x.shape[-1] != 64 or x.stride(1) != 64 or chunk != 128 or not x.is_cuda:
        return False
    return torch.cuda.get_device_capability(x.device)[0] == HOPPER[0]
