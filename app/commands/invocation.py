"""How a command starts and ends. Nothing heavy is imported before it runs: --help must not wait."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def quiet_settings() -> Any:
    """app.settings.Settings, with logs for people: they read what commands write, routine events would be in the way.

    Raises InvalidInput bad_setting.
    """
    from app.logs import configure_logs
    from app.settings import load_settings

    settings = load_settings()
    configure_logs("warning" if settings.log_level == "info" else settings.log_level)
    return settings


def finish(work: Coroutine[Any, Any, int]) -> None:
    """Runs the command; what it returns is the exit status."""
    raise typer.Exit(asyncio.run(work))
