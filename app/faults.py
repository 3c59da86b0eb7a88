"""What may be told of an exception that nobody foresaw: where it was raised, nothing of the data."""

from __future__ import annotations

from pathlib import Path


def place_of(error: BaseException) -> str:
    """ "file.py:12": enough to find the fault."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
