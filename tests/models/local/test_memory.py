"""What was freed is given back to the system."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from models.local.memory import give_back

MIB = 1024 * 1024
BLOCK = MIB // 10  # below the size from which the C library maps a block of its own


def resident_mib() -> float:
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return int(fields["VmRSS"].split()[0]) / 1024


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such call")
def test_holes_between_blocks_are_given_back() -> None:
    kept: list[bytearray] = []
    for _ in range(2000):
        hole = bytearray(b"x" * BLOCK)
        kept.append(bytearray(b"x" * 1000))
        kept.append(hole)
    full = resident_mib()
    del kept[1::2]
    give_back()
    assert resident_mib() < full - 100
    assert len(kept) == 2000
