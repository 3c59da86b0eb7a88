"""Logs: one JSON object a line on stderr. No query text, no file names, no file contents, no keys."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

_STAMPS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
]


def configure_logs(level: str) -> None:
    """For structlog and the standard library alike, so that uvicorn's lines look like ours. Call it once."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_STAMPS,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_STAMPS,
            processors=[
                _type_of_exception,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # Other people's packages tell addresses and bodies at these levels; warnings of theirs stay.
    for name in ("httpx", "httpx2", "httpcore", "pymongo", "voyageai", "PIL", "asyncio", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _type_of_exception(_logger: Any, _method: str, event: Any) -> Any:
    """A traceback may show values; the type is enough to look for the cause."""
    raised = event.pop("exc_info", None)
    if isinstance(raised, BaseException):
        event["error"] = type(raised).__name__
    elif raised:
        kind = sys.exc_info()[0] if raised is True else raised[0]
        event["error"] = getattr(kind, "__name__", "")
    event.pop("exception", None)
    event.pop("stack_info", None)
    return event
