"""Rows of many pages are looked at once each, by as many threads as torch may use, and an error is not lost."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.pages import keep_largest, share_out, windows
from tests.kernels.threads import torch_threads

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(lengths=LENGTHS, least=st.integers(1, 50), threads=st.integers(1, 6))
def test_every_page_falls_to_one_thread(lengths: list[int], least: int, threads: int) -> None:
    seen: list[slice] = []
    with torch_threads(threads):
        share_out(seen.append, np.cumsum(lengths), least=least)
        assert torch.get_num_threads() == threads
    assert len(seen) <= max(1, min(threads, sum(lengths) // least))
    edges = sorted((part.start, part.stop) for part in seen)
    assert all(first < last for first, last in edges)
    assert [0, *(last for _, last in edges)] == [*(first for first, _ in edges), len(lengths)]


def test_no_pages_are_no_work() -> None:
    share_out(pytest.fail, np.zeros(0, np.int64), least=1)


def test_threads_work_at_the_same_time_each_with_one_of_torch() -> None:
    both, inside = threading.Barrier(2), list[int]()

    def work(part: slice) -> None:
        inside.append(torch.get_num_threads())
        both.wait(timeout=30)

    with torch_threads(2):
        share_out(work, np.array([10, 20]), least=1)
        assert inside == [1, 1]
        with ThreadPoolExecutor(1) as later:
            assert later.submit(torch.get_num_threads).result() == 2


def test_an_error_reaches_the_caller_and_torch_keeps_its_threads() -> None:
    def work(part: slice) -> None:
        raise MemoryError("too many rows")

    before = torch.get_num_threads()
    with pytest.raises(MemoryError, match="too many rows"):
        share_out(work, np.array([3]), least=1)
    assert torch.get_num_threads() == before


def test_where_one_fails_the_others_end_before_the_caller_goes_on() -> None:
    begun, ended = threading.Barrier(2), list[int]()

    def work(part: slice) -> None:
        begun.wait(timeout=30)
        if part.start == 0:
            raise MemoryError("too many rows")
        time.sleep(0.2)
        ended.append(part.start)

    with torch_threads(2):
        with pytest.raises(MemoryError):
            share_out(work, np.array([10, 20]), least=1)
        assert ended == [1]
        assert torch.get_num_threads() == 2


@settings(max_examples=60, deadline=None)
@given(lengths=LENGTHS, size=st.integers(1, 50), first=st.integers(0, 5), words=st.integers(1, 3))
def test_windows_show_every_row_once_and_maxima_are_those_of_pages(
    lengths: list[int], size: int, first: int, words: int
) -> None:
    edges = np.cumsum([first, *lengths])
    scores = np.random.default_rng(sum(lengths)).standard_normal((words, int(edges[-1])))
    found = np.full((words, len(lengths)), -np.inf)
    shown: list[int] = []
    for start, stop, here in windows(edges[:-1], int(edges[-1]), size):
        assert stop - start == size or stop == edges[-1]
        shown.extend(range(start, stop))
        keep_largest(found[:, here], scores[:, start:stop], edges[:-1][here], start)
    assert shown == list(range(first, int(edges[-1])))
    wanted = [scores[:, begin:end].max(1) for begin, end in pairwise(edges.tolist())]
    assert np.array_equal(found, np.stack(wanted, axis=1))
