"""Memory that libraries keep: what the C library holds after it was freed, and what oneDNN compiled."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
_LARGEST_MMAP_THRESHOLD = 32 << 20
_COMPILED = 256
"""Compiled products and convolutions that oneDNN keeps; every page has sizes of its own, so 1,024 of them, its own
number, took 600 MiB after some hundred pages and saved no time."""


def keep_blocks() -> None:
    """For the whole process, before the first page: freed memory stays for the next page until `give_back`. glibc
    would hand it back and ask for it again several times within a page, a seventh of its processor time."""
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(_COMPILED))
    mallopt = _glibc("mallopt")
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        mallopt(_TRIM_THRESHOLD, 1 << 30)


def give_back() -> None:
    """Hands freed memory back to the system, where the C library is glibc; takes some 20 ms.

    The next page is of another size, its blocks do not fit into the holes, and a worker grew with every page: after 16
    pages 390 of its 1010 MiB were holes. Mapping all large blocks instead doubles the processor time.
    """
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _glibc(name: str) -> Callable[..., Any] | None:
    """A call of the C library, None where it has no such call."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
