"""What is timed, and how: the median of a CUDA graph's replays with a flushed cache, after a check of the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import triton
from torch import Tensor

BYTES_PER_MS, READ_PER_MS, FLOP_PER_MS = 4.25e9, 4.38e9, 804e9
"""Measured on one H200: copy, read, bf16 matrix product."""
Run = Callable[[], object]
Prepared = tuple[Run, Callable[[], float], float]


@dataclass(frozen=True)
class Case:
    """prepare makes the inputs and gives the call to time and a check: relative error of its result, and its bound."""

    operator: str
    shape: str
    dtype: str
    floor_ms: float
    must_ms: float | None
    stretch_ms: float | None
    prepare: Callable[[], Prepared]
    impl: str = "ours"


class Wrong(RuntimeError):
    """The result is off by more than its bound: it has no time."""


def error(got: Tensor, expected: Tensor) -> float:
    got, expected = got.detach().double(), expected.detach().double()
    return float((got - expected).norm() / expected.norm())


def measure(case: Case, rep: int = 60) -> float:
    """Milliseconds. Raises Wrong, or whatever the call raises."""
    torch.manual_seed(0)
    call, check, bound = case.prepare()
    wrong = check()
    if not wrong <= bound:
        raise Wrong(f"relative error {wrong:.1e}, allowed {bound:.0e}")
    return replayed(call, rep)


def replayed(call: Run, rep: int = 60) -> float:
    """Median milliseconds of one capture of the call."""
    return float(triton.testing.do_bench(captured(call), warmup=15, rep=rep, return_mode="median"))


def captured(call: Run) -> Run:
    """The call as a CUDA graph. Raises what capturing raises."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(2):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay
