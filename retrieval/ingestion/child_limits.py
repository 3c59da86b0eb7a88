"""What a rendering process does to itself before it opens anything: limits, and death with its parent. Linux first;
where a system lacks one of these the others still hold."""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1


def bind(*, cpu_s: int, memory_bytes: int, output_bytes: int) -> None:
    """Limits of this process and of what it starts. The soft limit of processor time ends it, the hard one kills."""
    _lower(resource.RLIMIT_CORE, 0, 0)
    _lower(resource.RLIMIT_CPU, cpu_s, cpu_s + 1)
    _lower(resource.RLIMIT_FSIZE, output_bytes, output_bytes)
    if sys.platform == "linux":
        _lower(resource.RLIMIT_AS, memory_bytes, memory_bytes)


def bind_rest(*, cpu_s: int) -> None:
    """From now on this process may use so much more processor time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    end = math.ceil(used.ru_utime + used.ru_stime) + cpu_s
    _lower(resource.RLIMIT_CPU, end, end + 1)


def die_with_parent(parent: int) -> None:
    """The kernel kills this process when its parent ends. parent: its process id, for a parent that ended before."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _lower(what: int, soft: int, hard: int) -> None:
    """Never above what this process was given."""
    _, given = resource.getrlimit(what)
    if given != resource.RLIM_INFINITY:
        soft, hard = min(soft, given), min(hard, given)
    resource.setrlimit(what, (soft, hard))
