"""Rows of many pages, laid end to end, looked at on a CPU: shared out to threads, and in windows of one size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def share_out(work: Callable[[slice], None], ends: NDArray[np.int64], *, least: int) -> None:
    """Calls `work` with some neighbouring pages in each of torch's threads, about as many rows each, in fewer threads
    where there is little to do; torch has one thread inside. ends: int64 [pages], the row behind the last of each.
    least: rows that are worth a thread. Raises what `work` raises."""
    threads = torch.get_num_threads()
    rows = int(ends[-1]) if len(ends) else 0
    count = max(1, min(threads, rows // least))
    edges = np.searchsorted(ends, rows * np.arange(1, count) / count, side="right")
    # One page may be longer than a part.
    parts = [slice(first, end) for first, end in pairwise(sorted({0, *edges.tolist(), len(ends)}))]
    looks = [_pool(threads).submit(_alone, work, part) for part in parts]
    # Also where one has failed: a thread that begins takes over what was set last, by whatever thread.
    wait(looks)
    torch.set_num_threads(threads)
    for look in looks:
        look.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "pages")


def _alone(work: Callable[[slice], None], part: slice) -> None:
    """With one thread of torch: where it has two, its product of integers of eight bits was seen to take ten times as
    long, and two that wait for each other after every block are slow beside other processes."""
    torch.get_num_threads()  # what is set before a thread has asked once does not last
    torch.set_num_threads(1)
    work(part)


def windows(begins: NDArray[np.int64], end: int, size: int) -> Iterator[tuple[int, int, slice]]:
    """(first row, row behind the last, pages with rows between them), wherever pages begin: oneDNN compiles code for
    each size it meets, and of these all but the last are of one. begins: first rows of pages that all have rows, each
    up to the next one and the last up to `end`; at least one page."""
    for start in range(int(begins[0]), end, size):
        stop = min(start + size, end)
        yield start, stop, slice(int(np.searchsorted(begins, start, "right")) - 1, int(np.searchsorted(begins, stop)))


def keep_largest(found: NDArray[Any], scores: NDArray[Any], begins: NDArray[np.int64], start: int) -> None:
    """Raises `found` [words, pages] to the largest score of each page in a window. scores: [words, rows], from row
    `start` on. begins: first rows of these pages; the first may have begun before."""
    np.maximum(found, np.maximum.reduceat(scores, np.maximum(begins - start, 0), axis=1), out=found)
