"""Memory that the C library keeps after it was freed."""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Hands freed memory back to the system, where the C library is glibc; takes some 20 ms.

    glibc raises the size from which it maps blocks of their own to 32 MiB, so a page's blocks come from its heaps. The
    next page is of another size, its blocks do not fit into the holes, and a worker grew with every page: after 16
    pages 390 of its 1010 MiB were holes. Mapping all large blocks instead doubles the processor time.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
