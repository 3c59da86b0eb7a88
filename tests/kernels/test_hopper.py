"""The kernels for Hopper, as far as they can be seen without one; test_ssd_triton.py has what a GPU shows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton")
from kernels.maxsim import hopper as late
from kernels.ssd.sizes import CONFIGS, hopper_serves

SHARED = 232_448
"""Bytes of shared memory that a program on Hopper may have."""


LATE = [f"late {dims}" for dims in late.CONFIGS]


@pytest.mark.parametrize(
    ("which", "names"),
    [("16", ["output", "columns", "rows", "walk"]), ("128", ["output", "columns", "rows", "walk"]), ("late", LATE)],
)
def test_every_kernel_compiles_for_hopper(which: str, names: list[str], tmp_path: Path) -> None:
    script = Path(__file__).with_name("compile_for_hopper.py")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, str(script), which], capture_output=True, text=True, timeout=240,
                          env=environment | {"TRITON_CACHE_DIR": str(tmp_path)}, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == names
    assert all(int(line.split()[-4]) <= SHARED for line in lines)


def test_late_interaction_of_many_queries_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    def served(queries: int, span: int, length: int, dims: int, kind: torch.dtype) -> bool:
        return late.hopper_serves(torch.zeros(queries, span, dims, dtype=kind),
                                  torch.zeros(2, length, dims, dtype=kind))  # fmt: skip

    assert not served(16, 32, 1024, 128, torch.float16)
    monkeypatch.setattr(torch.Tensor, "is_cuda", True, raising=False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    for kind in (torch.float16, torch.bfloat16):
        assert served(16, 32, 1024, 128, kind)
        assert served(8, 32, 1536, 64, kind)
        assert served(48, 16, 512, 64, kind)
    assert not served(16, 32, 1024, 128, torch.float32)
    assert not served(4, 32, 1024, 128, torch.float16)
    assert not served(9, 32, 1024, 128, torch.float16)
    assert not served(16, 32, 256, 128, torch.float16)
    assert not served(16, 32, 1000, 128, torch.float16)
    assert not served(16, 32, 1024, 96, torch.float16)
    assert not served(4, 128, 1024, 128, torch.float16)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (10, 0))
    assert not served(16, 32, 1024, 128, torch.float16)


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
