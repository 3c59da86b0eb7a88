"""What commands write: results on stdout, everything else on stderr; bars on a terminal, plain lines otherwise."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

_LINE_EVERY = 10


def say(text: str = "") -> None:
    typer.echo(text)


def note(text: str) -> None:
    """For people who watch; not part of the result."""
    typer.echo(text, err=True)


def say_json(value: object) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def table(rows: Sequence[Sequence[object]], *, header: Sequence[str]) -> str:
    """Columns of plain text, numbers to the right."""
    cells = [[str(value) for value in row] for row in [header, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    right = [bool(rows) and all(isinstance(row[column], int | float) for row in rows) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    )


class Bars:
    """Progress of named steps; made by `bars`."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._tenths: dict[str, int] = {}

    def show(self, name: str, done: int, total: int) -> None:
        if self._progress is not None:
            if name not in self._tasks:
                self._tasks[name] = self._progress.add_task(name, total=total)
            self._progress.update(self._tasks[name], completed=done, total=total)
            return
        tenth = done * _LINE_EVERY // total if total else _LINE_EVERY
        if self._tenths.get(name) != tenth:
            self._tenths[name] = tenth
            note(f"{name}: {done} of {total}")


@contextmanager
def bars(*, quiet: bool = False) -> Generator[Bars]:
    """quiet: lines only, for output that a script reads."""
    if quiet or not sys.stderr.isatty():
        yield Bars(None)
        return
    columns: tuple[Any, ...] = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=False) as progress:
        yield Bars(progress)
