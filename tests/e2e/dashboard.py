"""The dashboard as a process, demo claims entered through the API, and a headless browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
from playwright.sync_api import Browser, Error, Page, sync_playwright

from app.demo import DemoClaim
from tests.e2e.processes import free_port
from ui.client import Client, Picture

START_LIMIT_S = 90.0
CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def dashboard(api_url: str, folder: Path, *, home: Path | None = None, port: int | None = None) -> Iterator[str]:
    """`python -m ui` in front of that API; its address. home: of the user who runs it, with Streamlit's secrets."""
    port = port or free_port()
    log = folder / "dashboard.log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CLAIMSIGHT_", "STREAMLIT_"))}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ui", "--port", str(port)],
            env={**kept, "CLAIMSIGHT_API_URL": api_url} | ({"HOME": str(home)} if home else {}),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_LIMIT_S
        while not _answers(f"{url}/_stcore/health"):
            assert process.poll() is None, log.read_text(errors="replace")[-4000:]
            assert time.monotonic() < deadline, f"the dashboard was not there in {START_LIMIT_S} s"
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=15)


def enter(api_url: str, cases: Sequence[DemoClaim], facts: dict[str, dict[str, object]], *, limit_s: float) -> None:
    """Creates the claims and uploads their files as a user would; returns when all can be found."""
    client = Client(api_url)
    try:
        jobs: list[str] = []
        for case in cases:
            client.create_claim(facts[case.claim.claim_id])
            files = [Picture(path.name, path.read_bytes(), "application/octet-stream") for path in case.files]
            jobs.append(client.upload(case.claim.claim_id, files).job_id)
        deadline = time.monotonic() + limit_s
        for job_id in jobs:
            while not (job := client.job(job_id)).finished:
                assert time.monotonic() < deadline, f"not indexed within {limit_s} s: {job}"
                time.sleep(0.3)
            assert all(entry.state == "succeeded" for entry in job.entries), job
    finally:
        client.close()


@contextmanager
def browser() -> Iterator[Browser]:
    """The system's Chromium with a new profile and no connection of its own to the outside."""
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(_FLAGS), env={**os.environ, "HOME": profile}
        )
        try:
            yield started
        finally:
            with suppress(Error):
                started.close()


def settled(page: Page) -> Page:
    """Waits until the dashboard has drawn what was asked last. On a busy machine the browser still loads widgets after
    the end of the script, with grey bars in their place."""
    page.wait_for_function(
        "() => document.querySelector('.stApp')?.getAttribute('data-test-script-state') === 'notRunning'"
        " && !document.querySelector('[data-stale=true], [data-testid=stSkeleton]')"
    )
    return page


def _answers(url: str) -> bool:
    with suppress(httpx2.TransportError):
        return httpx2.get(url, timeout=5).status_code == 200
    return False
