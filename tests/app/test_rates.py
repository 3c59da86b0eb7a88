"""The token bucket: a burst, then a steady rate; its memory has an end."""

from __future__ import annotations

import pytest

from app.identity import TooManyRequests
from app.rates import RateLimiter


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def taken(limiter: RateLimiter, name: str = "key:1") -> bool:
    try:
        limiter.take(name)
    except TooManyRequests:
        return False
    return True


def test_a_burst_then_the_rate() -> None:
    clock = Clock()
    limiter = RateLimiter(per_minute=60, burst=5, clock=clock)
    assert [taken(limiter) for _ in range(7)] == [True] * 5 + [False] * 2
    clock.now += 2.0
    assert [taken(limiter) for _ in range(3)] == [True, True, False]
    clock.now += 3600
    assert [taken(limiter) for _ in range(6)] == [True] * 5 + [False]


def test_refusals_cost_nothing_and_say_when_to_come_back() -> None:
    clock = Clock()
    limiter = RateLimiter(per_minute=6, burst=1, clock=clock)
    assert taken(limiter)
    for _ in range(100):
        assert not taken(limiter)
    clock.now += 4.0
    with pytest.raises(TooManyRequests) as refused:
        limiter.take("key:1")
    assert refused.value.retry_after_s == pytest.approx(6.0)
    clock.now += refused.value.retry_after_s
    assert taken(limiter)


def test_the_longest_unused_buckets_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.rates._MOST_BUCKETS", 3)
    limiter = RateLimiter(per_minute=1, burst=1, clock=Clock())
    for name in ("a", "b", "c", "d"):
        assert taken(limiter, name)
    assert not taken(limiter, "b")
    assert not taken(limiter, "d")
    assert taken(limiter, "a"), "forgotten, so it starts anew"
