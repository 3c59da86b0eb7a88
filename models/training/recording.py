"""A step of training as a CUDA graph.

A step of so small a network makes thousands of launches, for which the processor takes several times as long as the GPU
for the work; recorded once for each size of page, it is one.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

UNRECORDED = 3
"""Calls before a recording: what is compiled, chosen or reserved at first use is no part of a step."""

Packed = tuple[Tensor, ...]
Call = Callable[[Packed], Tensor]


class Recorder:
    """Makes recordings that never run beside each other, and so share their scratch memory."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        # What is recorded keeps the scratch memory of its stream; recorders that work beside each other share none.
        self.stream = torch.cuda.Stream(device)
        self.memory = torch.cuda.graph_pool_handle()

    def __call__(self, call: Call, packed: Packed) -> Call:
        """`call` for batches of the sizes of `packed`, which may lie in memory of the host. It runs UNRECORDED times
        first, with all that it changes. What it gives back or leaves behind is overwritten by the next replay."""
        held = tuple(tensor.to(self.device, copy=True) for tensor in packed)
        torch.cuda.synchronize(self.device)
        with torch.cuda.stream(self.stream):
            for _ in range(UNRECORDED):
                call(held)
        torch.cuda.synchronize(self.device)
        graph = torch.cuda.CUDAGraph()
        # Other threads pin batches and watch over messages meanwhile, which a recording of all threads would forbid.
        with torch.cuda.graph(graph, pool=self.memory, stream=self.stream, capture_error_mode="thread_local"):
            result = call(held)

        def replay(packed: Packed) -> Tensor:
            for mine, given in zip(held, packed, strict=True):
                mine.copy_(given, non_blocking=True)
            graph.replay()
            return result

        return replay
