"""Backups of a server that ingests, copies that are killed: real processes, and the same answers afterwards."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from retrieval.audit import check_audit
from retrieval.comparing import compare
from retrieval.ports import Store
from retrieval.stores.sqlite import SqliteStore, verify
from tests.app.conftest import picture
from tests.e2e.processes import (
    Server,
    embedding_service,
    environment,
    serving,
    wait_for_job,
    with_embedding_service,
)

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

SEED = 20261128
CLAIMS = 12
KILLS = 12
WORDS = [f"word{number}" for number in range(20)]


@pytest.fixture
def encoder() -> Iterator[dict[str, str]]:
    """Settings for the local fake of the embedding service: light, so that restarts stay quick."""
    with embedding_service() as url:
        yield with_embedding_service(url)


def command(folder: Path, *arguments: str, **settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli", *arguments],
        env=environment(folder, settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def timed(folder: Path, *arguments: str) -> float:
    """Seconds that a command takes here when nobody kills it."""
    started = time.monotonic()
    process = command(folder, *arguments)
    _, log = process.communicate(timeout=120)
    assert process.returncode == 0, log
    return time.monotonic() - started


def upload(client: httpx2.Client, claim_id: str, number: int, **facts: Any) -> str:
    client.put(f"/v1/claims/{claim_id}", json=facts).raise_for_status()
    drawn = picture([WORDS[number % 20], WORDS[(number * 3 + 1) % 20], claim_id])
    reply = client.post(f"/v1/claims/{claim_id}/assets", files={"files": (f"{claim_id}.png", drawn)})
    return str(reply.raise_for_status().json()["job_id"])


def answers(server: Server) -> list[list[tuple[str, float]]]:
    """To 100 searches among the claims that were there before."""
    found = []
    with server.client() as client:
        for number in range(100):
            asked = {"text": f"{WORDS[number % 20]} {WORDS[number * 7 % 20]}", "filter": {"line": "auto"}, "limit": 5}
            hits = client.post("/v1/search", json=asked).raise_for_status().json()["hits"]
            found.append([(hit["page"]["page_id"], hit["score"]) for hit in hits])
    return found


def fill(server: Server) -> None:
    with server.client() as client:
        jobs = [upload(client, f"old-{number}", number, line="auto") for number in range(CLAIMS)]
        for job in jobs:
            assert wait_for_job(client, job, limit_s=120)["state"] == "succeeded"


def test_a_backup_taken_while_ingesting_gives_the_same_answers_elsewhere(
    tmp_path: Path, encoder: dict[str, str]
) -> None:
    accepted: list[str] = []
    with serving(tmp_path, workers=2, extra=encoder) as server:
        fill(server)
        before = answers(server)
        assert all(before)
        stop = threading.Event()

        def ingest() -> None:
            with server.client() as client:
                while not stop.is_set():
                    number = len(accepted)
                    accepted.append(upload(client, f"new-{number}", number, line="travel"))
                    if number % 3 == 2:
                        client.delete(f"/v1/claims/new-{number - 1}").raise_for_status()

        writing = threading.Thread(target=ingest)
        writing.start()
        for number in range(3):
            while len(accepted) <= number + 1:
                assert writing.is_alive()
                time.sleep(0.02)
            timed(tmp_path, "backup", str(tmp_path / f"backup-{number}"))
        stop.set()
        writing.join(60)
        assert answers(server) == before
    (tmp_path / "elsewhere").mkdir()
    timed(tmp_path / "elsewhere", "restore", str(tmp_path / "backup-2"))
    assert verify(tmp_path / "elsewhere" / "data", progress=lambda *_: None).faults == ()
    with serving(tmp_path / "elsewhere", workers=1, extra=encoder) as server:
        assert answers(server) == before
        # What was accepted before the backup and still waited is ingested here.
        with server.client() as client:
            for job in client.get("/v1/jobs", params={"limit": 200}).json()["items"]:
                assert wait_for_job(client, job["job_id"], limit_s=120)["state"] == "succeeded"


def test_a_copy_and_a_backup_killed_at_any_moment_lose_and_double_nothing(
    tmp_path: Path, encoder: dict[str, str]
) -> None:
    chance = random.Random(SEED)
    with serving(tmp_path, workers=2, extra=encoder) as server:
        fill(server)
    target = f"sqlite:{tmp_path / 'copied'}"
    whole = {
        work: timed(tmp_path, work, *arguments)
        for work, *arguments in (
            ("copy", "--to", f"sqlite:{tmp_path / 'timed'}"),
            ("backup", str(tmp_path / "timed-b")),
        )
    }
    killed = number = 0
    while killed < KILLS:
        number += 1
        work = ["copy", "--to", target] if number % 2 else ["backup", str(tmp_path / "backup")]
        started, process = time.monotonic(), command(tmp_path, *work)
        try:
            process.wait(whole[work[0]] * chance.uniform(0.3, 1.0))
        except subprocess.TimeoutExpired:
            killed += 1
        else:
            # The machine is quicker now, or much of the copy was there already: the next one is killed sooner.
            whole[work[0]] = time.monotonic() - started
        process.kill()
        process.communicate()
        if number % 2 == 0 and (tmp_path / "backup").exists():
            assert (tmp_path / "backup" / "backup.json").exists(), "a folder of this name is a whole backup"
            (tmp_path / "backup").rename(tmp_path / f"whole-{number}")
    done = command(tmp_path, "copy", "--to", target, "--json")
    output, log = done.communicate(timeout=120)
    assert done.returncode == 0, log
    assert json.loads(output)["claims"] == CLAIMS
    assert asyncio.run(differences(tmp_path / "data", tmp_path / "copied")) == []
    assert verify(tmp_path / "copied", progress=lambda *_: None).faults == ()
    timed(tmp_path, "backup", str(tmp_path / "backup"))
    assert not (tmp_path / "backup.partial").exists()


async def differences(one: Path, other: Path) -> list[object]:
    stores: list[Store] = [await SqliteStore.open(one), await SqliteStore.open(other)]
    counts = dict.fromkeys(("claims", "assets", "pages", "jobs"), 0)
    found: list[object] = []
    for number in range(CLAIMS):
        found += await compare(*stores, "default", f"old-{number}", counts)
    found += (await check_audit(stores[1].audit, "default", noted=await stores[0].audit.head("default"))).faults
    assert counts == {"claims": CLAIMS, "assets": CLAIMS, "pages": CLAIMS, "jobs": CLAIMS}
    for store in stores:
        await store.close()
    return found
