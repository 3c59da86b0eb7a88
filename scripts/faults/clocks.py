"""A worker whose clock is off, as a process of its own: `python -m scripts.faults.clocks FILE`. It is the worker of the
command line, but the time of its store is the real one and as many seconds as FILE says, read at each look."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from unittest.mock import patch

from scripts.faults.house import House
from tests.e2e.processes import ROOT, environment


@contextmanager
def workers_by(house: House, *offsets: Path) -> Iterator[None]:
    """One worker for each file with seconds, until the block ends."""
    with log_of(house).open("ab") as log:
        started = [
            subprocess.Popen(
                [sys.executable, "-m", "scripts.faults.clocks", str(file)],
                cwd=ROOT,
                env=environment(house.folder, house.environment),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            for file in offsets
        ]
    try:
        yield
        assert all(one.poll() is None for one in started), log_of(house).read_text(errors="replace")
    finally:
        for one in started:
            os.killpg(one.pid, signal.SIGKILL)
            one.wait()


def log_of(house: House) -> Path:
    return house.folder / "clocks.log"


def clock_by(file: Path) -> Callable[[], datetime]:
    return lambda: datetime.now(UTC) + timedelta(seconds=float(file.read_text(encoding="ascii")))


def main(file: Path) -> None:
    from app import wiring
    from app.cli import app

    with patch.object(wiring, "open_store", partial(wiring.open_store, clock=clock_by(file))):
        app(["worker"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
