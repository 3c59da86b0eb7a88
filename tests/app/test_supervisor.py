"""Children are kept alive, stopped gently, and end with their parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.services import WorkersAlive
from app.supervisor import Supervisor
from scripts.bench.processes import lives

# Says its process id, then waits; on SIGTERM it says goodbye.
CHILD = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
def leave(*_):
    (folder / f"{os.getpid()}.bye").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
(folder / f"{os.getpid()}.pid").touch()
while True:
    time.sleep(60)
"""
STUBBORN = CHILD.replace("sys.exit(0)", "pass")


def _supervisor(folder: Path, *, code: str = CHILD, count: int = 1, **options: float) -> Supervisor:
    return Supervisor(
        "child",
        (sys.executable, "-c", code, str(folder)),
        count=count,
        environment=dict(os.environ),
        **{"first_wait_s": 0.01, **options},  # type: ignore[arg-type]
    )


def _pids(folder: Path) -> list[int]:
    return [int(path.stem) for path in folder.glob("*.pid")]


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  It changes in another process or task that tells nobody.
        await asyncio.sleep(0.02)


async def _started(folder: Path, count: int) -> list[int]:
    """Process ids, once so many have run; the supervisor may know of them a moment later."""
    await _until(lambda: len(_pids(folder)) >= count)
    return _pids(folder)


async def test_children_are_stopped_gently(tmp_path: Path) -> None:
    stop = asyncio.Event()
    supervisor = _supervisor(tmp_path, count=2)
    running = asyncio.create_task(supervisor.run(stop))
    pids = await _started(tmp_path, 2)
    await _until(lambda: supervisor.workers() == WorkersAlive(alive=2, wanted=2))
    stop.set()
    await running
    assert all((tmp_path / f"{pid}.bye").exists() and not lives(pid) for pid in pids)
    assert supervisor.workers().alive == 0


async def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    stop = asyncio.Event()
    supervisor = _supervisor(tmp_path)
    running = asyncio.create_task(supervisor.run(stop))
    [first] = await _started(tmp_path, 1)
    os.kill(first, signal.SIGKILL)
    second = next(pid for pid in await _started(tmp_path, 2) if pid != first)
    await _until(lambda: supervisor.pids() == [second])
    stop.set()
    await running
    assert not lives(second)


async def test_waits_before_a_new_start_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    stop = asyncio.Event()
    supervisor = _supervisor(
        tmp_path, code="raise SystemExit(3)", first_wait_s=0.01, longest_wait_s=0.05, settled_s=60.0
    )
    real, here = asyncio.wait_for, asyncio.current_task()

    async def noted(awaitable: object, timeout: float | None) -> object:
        if here not in asyncio.all_tasks():  # Another event loop, of a server that other tests share.
            return await real(awaitable, timeout)  # type: ignore[arg-type]
        waits.append(timeout or 0.0)
        if len(waits) == 5:
            stop.set()
        return await real(awaitable, timeout)  # type: ignore[arg-type]

    monkeypatch.setattr("app.supervisor.asyncio.wait_for", noted)
    await supervisor.run(stop)
    assert waits == pytest.approx([0.01, 0.02, 0.04, 0.05, 0.05])


async def test_a_child_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(_supervisor(tmp_path, code=STUBBORN, grace_s=0.1).run(stop))
    [pid] = await _started(tmp_path, 1)
    stop.set()
    await running
    assert not lives(pid)


async def test_a_cancelled_supervisor_leaves_no_child(tmp_path: Path) -> None:
    running = asyncio.create_task(_supervisor(tmp_path).run(asyncio.Event()))
    [pid] = await _started(tmp_path, 1)
    running.cancel()
    await asyncio.wait({running})
    assert not lives(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="the leash is Linux's")
def test_children_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = f"""
import asyncio, os, sys
from app.supervisor import Supervisor
command = (sys.executable, "-c", {CHILD!r}, {str(tmp_path)!r})
asyncio.run(Supervisor("child", command, count=2, environment=dict(os.environ)).run(asyncio.Event()))
"""
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    try:
        while len(pids := _pids(tmp_path)) < 2:
            assert parent.poll() is None
            time.sleep(0.02)
    finally:
        parent.kill()
        parent.wait()
    while any(lives(pid) for pid in pids):
        time.sleep(0.02)
