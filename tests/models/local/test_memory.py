"""What was freed is given back to the system."""

from __future__ import annotations

import platform
import subprocess
import sys
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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such call")
def test_freed_memory_stays_for_the_next_page_until_it_is_given_back() -> None:
    """In a process of its own, since it holds for a whole process."""
    script = """
import ctypes, resource
from models.local.memory import give_back, keep_blocks

def faults_of_a_block():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    libc.free(ctypes.memset(libc.malloc(8 << 20), 1, 8 << 20))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
ctypes.memset.restype = ctypes.c_void_p
keep_blocks()
first, second = faults_of_a_block(), faults_of_a_block()
give_back()
print(first, second, faults_of_a_block())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    first, second, after = map(int, done.stdout.split())
    assert second < min(first, after) / 10
