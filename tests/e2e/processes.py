"""Claimsight as a user runs it: its own processes, spoken to over HTTP."""

from __future__ import annotations

import itertools
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).parents[2]
START_LIMIT_S = 120.0
_PORTS = range(12_000, 32_000)
# From anywhere among them, for other processes of the tests look for ports too, with the same seed.
_ports = itertools.islice(itertools.cycle(_PORTS), secrets.randbelow(len(_PORTS)), None)


def free_port() -> int:
    """Below the ports that the kernel gives to connections, so that none takes it before its server does; another one
    at each call."""
    while True:
        port = next(_ports)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass
class Server:
    """A running `claimsight serve` with its workers, in a process group of its own."""

    process: subprocess.Popen[bytes]
    url: str
    folder: Path
    log: Path

    def client(self, *, timeout_s: float = 60.0) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, timeout=timeout_s)

    def wait_ready(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"serve ended with {self.process.returncode}:\n{self.tail()}")
            with suppress(httpx2.TransportError):
                if httpx2.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    return
            time.sleep(0.1)
        raise AssertionError(f"serve was not ready in {START_LIMIT_S} s:\n{self.tail()}")

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def kill_all(self) -> None:
        """kill -9 of the server and every worker at once, as a power cut would."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=30)

    def stop(self) -> int:
        """Asks politely, as a service manager does; the exit status."""
        self.process.terminate()
        try:
            return self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill_all()
            raise AssertionError(f"serve did not stop within 30 s of SIGTERM:\n{self.tail()}") from None


def environment(folder: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLAIMSIGHT_")}
    return {
        **kept,
        "CLAIMSIGHT_STORE": f"sqlite:{folder / 'data'}",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        **(extra or {}),
    }


def start(folder: Path, *, port: int, workers: int = 1, extra: Mapping[str, str] | None = None) -> Server:
    log = folder / "serve.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve", "--port", str(port), "--workers", str(workers)],
            env=environment(folder, extra),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Server(process=process, url=f"http://127.0.0.1:{port}", folder=folder, log=log)


@contextmanager
def embedding_service() -> Iterator[str]:
    """The local fake of the embedding service as a process; its address. Light, so that many starts stay quick."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.voyage", "--port", str(port)], cwd=ROOT, start_new_session=True
    )
    try:
        deadline = time.monotonic() + START_LIMIT_S
        while True:
            with suppress(httpx2.TransportError):
                httpx2.get(f"http://127.0.0.1:{port}/", timeout=2)
                break
            assert process.poll() is None
            assert time.monotonic() < deadline, f"the embedding service was not there in {START_LIMIT_S} s"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()


def with_embedding_service(url: str) -> dict[str, str]:
    """The variables that make Claimsight use it."""
    return {
        "CLAIMSIGHT_ENCODER": "voyage",
        "CLAIMSIGHT_VOYAGE_API_KEY": "test-key-secret",
        "CLAIMSIGHT_VOYAGE_BASE_URL": url,
    }


@contextmanager
def serving(folder: Path, *, workers: int = 1, extra: Mapping[str, str] | None = None) -> Iterator[Server]:
    server = start(folder, port=free_port(), workers=workers, extra=extra)
    try:
        server.wait_ready()
        yield server
    finally:
        server.kill_all()


def wait_for_job(client: httpx2.Client, job_id: str, *, limit_s: float) -> dict[str, Any]:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        job = client.get(f"/v1/jobs/{job_id}").raise_for_status().json()
        if job["state"] in ("succeeded", "failed", "cancelled"):
            return dict(job)
        time.sleep(0.2)
    raise AssertionError(f"job {job_id} did not end within {limit_s} s: {job}")
