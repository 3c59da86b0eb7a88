"""`claimsight demo`, the first thing a stranger runs: both addresses answer and the demo claims are found."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.demo import FOLDER, demo_claims
from tests.e2e.processes import embedding_service, environment, free_port, with_embedding_service

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]


@contextmanager
def _demo(folder: Path, embeddings: str) -> Iterator[tuple[str, str]]:
    """Addresses of API and dashboard as it prints them. Ends it by Ctrl-C, which must be a success."""
    command = [sys.executable, "-m", "app.cli", "demo", "--data", str(folder / "demo")]
    command += ["--port", str(free_port()), "--dashboard-port", str(free_port())]
    variables = environment(folder, with_embedding_service(embeddings))
    with (folder / "demo.log").open("ab") as log:
        process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder)
    assert process.stdout is not None
    try:
        printed = ""
        while not (found := re.search(r"Dashboard +(\S+)\nAPI +(\S+)", printed)):
            line = process.stdout.readline()
            assert line, (folder / "demo.log").read_text()[-4000:]
            printed += line
        yield found[2], found[1]
    finally:
        process.send_signal(signal.SIGINT)
        process.stdout.close()
        status = process.wait(timeout=60)
    assert status == 0, (folder / "demo.log").read_text()[-4000:]


def _stored(api: str) -> dict[str, Any]:
    return dict(httpx2.get(f"{api}/readyz", timeout=30).raise_for_status().json()["encoder"]["stored"])


def test_the_demo_is_ready_when_it_prints_its_addresses_and_can_be_started_again(tmp_path: Path) -> None:
    files = sum(len(case.files) for case in demo_claims())
    with embedding_service() as embeddings:
        with _demo(tmp_path, embeddings) as (api, dashboard):
            assert f"You may look already: {dashboard}." in (tmp_path / "demo.log").read_text()
            assert httpx2.get(dashboard, timeout=30).status_code == 200
            claims = httpx2.get(f"{api}/v1/claims", params={"limit": 200}, timeout=30).raise_for_status().json()
            assert len(claims["items"]) == len(demo_claims())
            jobs = httpx2.get(f"{api}/v1/jobs", params={"limit": 200}, timeout=30).raise_for_status().json()["items"]
            assert {entry["state"] for job in jobs for entry in job["entries"]} == {"succeeded"}
            stored = _stored(api)
            assert sum(stored.values()) >= files
            photo = {"image": ("photo.jpg", (FOLDER / "try-this.jpg").read_bytes())}
            for question in ({"json": {"text": "hail"}}, {"files": photo}):
                found = httpx2.post(f"{api}/v1/search", timeout=60, **question).raise_for_status().json()
                assert found["hits"]
        with _demo(tmp_path, embeddings) as (api, _):
            assert _stored(api) == stored, "nothing is entered twice"
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{api}/healthz", timeout=5)
