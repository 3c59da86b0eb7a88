"""Memory of a process and everything below it, while something runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from scripts.bench.processes import command_of, descendants

KIB_A_MIB = 1024
_EVERY_S = 0.1


class MemoryWatch:
    """Peaks of proportional set size (PSS, a page shared by n processes counts 1/n in each), sampled ten times a
    second: of each role, and of all together at one moment.

    root: process id. role: command line to the name that a peak is kept under; several processes of one role at one
    moment are added up.
    """

    def __init__(self, root: int, role: Callable[[str], str]) -> None:
        self._root = root
        self._role = role
        self._kib: dict[str, int] = {}
        self._whole_kib = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def peak_mib(self, role: str | None = None) -> int:
        """Of one role; without one, of the whole tree."""
        return (self._whole_kib if role is None else self._kib.get(role, 0)) // KIB_A_MIB

    def _run(self) -> None:
        while not self._stop.wait(_EVERY_S):
            now: dict[str, int] = {}
            for pid in descendants(self._root):
                with suppress(OSError):  # ended meanwhile
                    role = self._role(command_of(pid).replace(b"\0", b" ").decode("utf-8", "replace"))
                    now[role] = now.get(role, 0) + pss_kib(pid)
            for role, kib in now.items():
                self._kib[role] = max(self._kib.get(role, 0), kib)
            self._whole_kib = max(self._whole_kib, sum(now.values()))


def pss_kib(pid: int) -> int:
    """Proportional set size. Raises OSError when the process has ended."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
