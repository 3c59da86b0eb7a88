"""So many at once and no more: work that would only slow down what is under way is turned away at the door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from retrieval.errors import StoreUnavailable

LONGEST_WAIT_S = 5.0


class Gate:
    """`limit` inside at once; as many again wait their turn, first come, first in; the next is turned away, and so is
    who waited for `longest_wait_s`."""

    def __init__(self, limit: int, *, longest_wait_s: float | None = None) -> None:
        self._longest_wait_s = LONGEST_WAIT_S if longest_wait_s is None else longest_wait_s
        self._turns = asyncio.Semaphore(limit)
        self._most = 2 * limit
        self._here = 0
        self._nobody = asyncio.Event()
        self._nobody.set()

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Raises StoreUnavailable busy."""
        if self._here >= self._most:
            raise _busy()
        self._here += 1
        self._nobody.clear()
        try:
            try:
                async with asyncio.timeout(self._longest_wait_s):
                    await self._turns.acquire()
            except TimeoutError:
                raise _busy() from None
            try:
                yield
            finally:
                self._turns.release()
        finally:
            self._here -= 1
            if not self._here:
                self._nobody.set()

    async def quiet(self) -> None:
        """Returns while nobody is inside or waits."""
        await self._nobody.wait()


def _busy() -> StoreUnavailable:
    return StoreUnavailable("The server works on as many searches as it may; try again.", code="busy")
