"""Runs that give the same bits again, on the same kind and number of GPUs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def repeat_exactly() -> None:
    """Of its operations torch takes only those that give the same bits every time, and refuses what has none. For the
    whole process, before it first uses a GPU."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    # Nothing here reads memory that it has not written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]


@contextmanager
def in_any_order() -> Iterator[None]:
    """For work that gives the same bits in whatever order it adds, which torch cannot know: it sorts before it adds
    whole numbers, and refuses running sums of floats although those of many short rows are taken in order."""
    mode = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("default")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
