"""Child processes kept alive: started again with growing waits, stopped gently, never left behind."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

import structlog

from app.services import WorkersAlive

_log = structlog.get_logger("claimsight.supervisor")


class Supervisor:
    """`count` children that run `command`.

    silent: what they write to stdout is dropped. grace_s: between asking a child to stop and killing it.
    first_wait_s, longest_wait_s: before a child that ended is started again; the wait doubles with each end and starts
    over once a child has lived for `settled_s`.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        count: int,
        environment: Mapping[str, str],
        silent: bool = False,
        grace_s: float = 15.0,
        first_wait_s: float = 0.5,
        longest_wait_s: float = 30.0,
        settled_s: float = 60.0,
    ) -> None:
        self._name = name
        self._command = (sys.executable, "-m", "app.leash", str(os.getpid()), *command)
        self._count = count
        self._environment = dict(environment)
        self._stdout = asyncio.subprocess.DEVNULL if silent else None
        self._grace_s = grace_s
        self._first_wait_s = first_wait_s
        self._longest_wait_s = longest_wait_s
        self._settled_s = settled_s
        self._pids: dict[int, int] = {}

    def workers(self) -> WorkersAlive:
        return WorkersAlive(alive=len(self._pids), wanted=self._count)

    def pids(self) -> list[int]:
        """Of the children that live, by place."""
        return [self._pids[place] for place in sorted(self._pids)]

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; all children have ended when it returns."""
        async with asyncio.TaskGroup() as group:
            for place in range(self._count):
                group.create_task(self._keep(place, stop))

    async def _keep(self, place: int, stop: asyncio.Event) -> None:
        wait_s = self._first_wait_s
        loop = asyncio.get_running_loop()
        while not stop.is_set():
            started = loop.time()
            status = await self._run_once(place, stop)
            if stop.is_set():
                return
            if loop.time() - started >= self._settled_s:
                wait_s = self._first_wait_s
            _log.warning("child_ended", child=self._name, status=status, starts_again_in_s=wait_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait_s)
            wait_s = min(2 * wait_s, self._longest_wait_s)

    async def _run_once(self, place: int, stop: asyncio.Event) -> int:
        """The child's exit status."""
        child = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.DEVNULL, stdout=self._stdout, env=self._environment
        )
        self._pids[place] = child.pid
        ended = asyncio.create_task(child.wait())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Also when cancelled: a child is not left behind.
            stopping.cancel()
            if not ended.done():
                await self._stop(child, ended)
            self._pids.pop(place, None)
        return await ended

    async def _stop(self, child: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
        with suppress(ProcessLookupError):
            child.terminate()
        done, _ = await asyncio.wait({ended}, timeout=self._grace_s)
        if not done:
            _log.warning("child_killed", child=self._name)
            with suppress(ProcessLookupError):
                child.kill()
            await asyncio.wait({ended})
