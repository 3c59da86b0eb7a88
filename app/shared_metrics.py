"""One folder for the figures of a server and its workers. Apart from app.metrics, because the library looks at the
variable when it is imported."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from retrieval.ingestion.spool import Spool

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def shared_metrics(spool: Path) -> Generator[None]:
    """From here on this process and the children it starts count into one folder below `spool`, which is gone at the
    end, or, after a kill, when the next one is made. Call it before anything imports prometheus_client."""
    files = Spool(spool / "metrics")
    files.sweep()
    folder = files.entry("folder")
    folder.create()
    os.environ[FOLDER_VARIABLE] = str(folder.path)
    try:
        yield
    finally:
        del os.environ[FOLDER_VARIABLE]
        folder.remove()
