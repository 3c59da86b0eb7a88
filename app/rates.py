"""How often one key may ask: a token bucket for each, in this process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from app.identity import TooManyRequests

_MOST_BUCKETS = 10_000


@dataclass(slots=True)
class _Bucket:
    """left: requests that it still holds. at: seconds, when that was so."""

    left: float
    at: float


class RateLimiter:
    """per_minute: requests that a bucket gains; 0 for no limit. burst: the most that it holds. clock: seconds."""

    def __init__(self, *, per_minute: int, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_minute / 60
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, name: str) -> None:
        """One request out of the bucket of that name. Raises TooManyRequests when it is empty."""
        if not self._per_s:
            return
        now = self._clock()
        bucket = self._buckets.setdefault(name, _Bucket(self._burst, now))
        self._buckets.move_to_end(name)
        if len(self._buckets) > _MOST_BUCKETS:
            self._buckets.popitem(last=False)
        bucket.left = min(self._burst, bucket.left + (now - bucket.at) * self._per_s)
        bucket.at = now
        if bucket.left < 1:
            wait_s = (1 - bucket.left) / self._per_s
            raise TooManyRequests("This key asks more often than it may; try again.", retry_after_s=wait_s)
        bucket.left -= 1
