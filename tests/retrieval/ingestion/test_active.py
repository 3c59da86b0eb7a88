"""Nothing in a file is fetched or executed, whichever tool renders it."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from tests.retrieval.ingestion.conftest import rendered, sample


def _pointing_here(source: Path, *, port: int, program: Path) -> bytes:
    """The file with every address turned to this machine and its launch action to a program that is there."""
    data = re.sub(rb"http://[a-z]+\.invalid", b"http://127.0.0.1:%d" % port, source.read_bytes())
    return data.replace(b"/no/such/program", str(program).encode())


@pytest.mark.parametrize("tool", ["poppler", "pdfium"])
async def test_active_content_reaches_nobody_and_starts_nothing(
    tmp_path: Path, request: pytest.FixtureRequest, tool: str
) -> None:
    if tool == "pdfium":
        request.getfixturevalue("no_poppler")
    program, source = tmp_path / "program", tmp_path / "active.pdf"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        source.write_bytes(_pointing_here(sample("odd/active.pdf"), port=listening.getsockname()[1], program=program))
        rendering = await rendered(source, tmp_path)
        assert len(rendering.pages) == 1
        with pytest.raises(BlockingIOError):
            listening.accept()
    assert not (tmp_path / "started").exists()
