"""What the kernel says of processes. Any of them may end at any moment, also between the opening and the reading of its
file, so none of these raises for one that has ended.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def descendants(root: int) -> list[int]:
    """The process itself and all below it. Read from each process's own line, since the lists of children that a thread
    keeps are gone when the thread is.
    """
    below: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            below.setdefault(parent, []).append(int(stat.parent.name))
    found = [root]
    for pid in found:
        found += below.get(pid, [])
    return found


def command_of(pid: int) -> bytes:
    """Its words with a zero byte behind each; empty for one that has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def lives(pid: int) -> bool:
    """Whether it still runs; one that has ended and waits for its parent to look does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    return False
