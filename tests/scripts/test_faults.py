"""The benchmark of faults: what it starts ends with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from scripts.bench.processes import command_of, descendants, lives
from tests.e2e.processes import ROOT

FAULT = "sqlite: worker frozen"  # two workers, and the longest round


def test_a_polite_stop_ends_the_service_too(tmp_path: Path) -> None:
    command = [sys.executable, "scripts/bench_faults.py", "--quick", "--only", FAULT]
    with (tmp_path / "log").open("wb") as log:
        bench = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}, stderr=log)
    started: list[int] = []
    try:
        while not (started := _service(bench.pid)):
            assert bench.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.05)
        bench.terminate()
        assert bench.wait() == -signal.SIGINT
        while any(lives(pid) for pid in started):  # killed, but the kernel tells nobody when it is done
            time.sleep(0.02)
        assert not list(tmp_path.glob("claimsight-faults-*"))
    finally:
        bench.kill()
        bench.wait()
        for pid in started:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _service(bench: int) -> list[int]:
    """Server and workers; empty until the first worker is there."""
    of_service = {pid: command for pid in descendants(bench)[1:] if b"app.cli" in (command := command_of(pid))}
    return list(of_service) if any(b"app.cli\0worker" in command for command in of_service.values()) else []
