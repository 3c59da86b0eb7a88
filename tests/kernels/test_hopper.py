"""The kernels for Hopper, as far as they can be seen without one; test_ssd_triton.py has what a GPU shows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton")
from kernels.ssd.sizes import CONFIGS, hopper_serves

SHARED = 232_448
"""Bytes of shared memory that a program on Hopper may have."""


@pytest.mark.parametrize("state", [16, 128])
def test_every_kernel_compiles_for_hopper(state: int, tmp_path: Path) -> None:
    script = Path(__file__).with_name("compile_for_hopper.py")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, str(script), str(state)], capture_output=True, text=True, timeout=240,
                          env=environment | {"TRITON_CACHE_DIR": str(tmp_path)}, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["output", "columns", "rows", "walk"]
    assert all(int(line.split()[-4]) <= SHARED for line in lines)


def test_they_serve_nothing_but_bf16_heads_of_64_on_hopper(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.zeros(4, 2, 64, dtype=torch.bfloat16)
    assert not hopper_serves(x, 128)
    monkeypatch.setattr(torch.Tensor, "is_cuda", True, raising=False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    assert hopper_serves(x, 128)
    assert not hopper_serves(x, 64)
    assert not hopper_serves(x.half(), 128)
    assert not hopper_serves(torch.zeros(4, 2, 32, dtype=torch.bfloat16), 128)
    assert not hopper_serves(torch.zeros(4, 64, 2, dtype=torch.bfloat16).mT, 128)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (10, 0))
    assert not hopper_serves(x, 128)


def test_the_table_has_them_for_every_16_bit_size() -> None:
    for (half, _), config in CONFIGS.items():
        assert (config.slots > 0, config.gradient_slots > 0, config.walk_slots > 0) == (half, half, half)
