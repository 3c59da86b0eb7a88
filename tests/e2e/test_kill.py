"""kill -9 of server and workers at random points of an ingest: every accepted file ends indexed exactly once."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from PIL import Image, ImageDraw

from tests.e2e.processes import Server, embedding_service, free_port, start, wait_for_job, with_embedding_service
from tests.fakes.mongo import *  # noqa: F403  # its fixtures

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]

Upload = list[tuple[str, tuple[str, bytes]]]

ROUNDS = {"sqlite": 12, "mongodb": 8}
SEED = 20261124


@pytest.fixture
def embeddings() -> Iterator[str]:
    with embedding_service() as url:
        yield url


def _document(folder: Path, name: str, pages: int) -> Path:
    pictures = []
    for number in range(pages):
        picture = Image.new("RGB", (500, 700), "white")
        ImageDraw.Draw(picture).text((40, 40), f"{name} page {number + 1}", fill="black")
        pictures.append(picture)
    path = folder / f"{name}.pdf"
    pictures[0].save(path, save_all=True, append_images=pictures[1:])
    return path


@pytest.mark.parametrize("engine", ROUNDS)
def test_a_kill_at_any_point_loses_nothing_and_doubles_nothing(
    tmp_path: Path, embeddings: str, request: pytest.FixtureRequest, engine: str
) -> None:
    chance, rounds, spool = random.Random(SEED), ROUNDS[engine], tmp_path / "data" / "spool"
    port = free_port()
    extra = {
        **with_embedding_service(embeddings),
        "CLAIMSIGHT_LEASE_TTL_S": "2",
        # Every kill may hit the same file before a page of it is stored, and each then counts as a try.
        "CLAIMSIGHT_MAX_ATTEMPTS": str(rounds + 5),
        "CLAIMSIGHT_SPOOL_DIR": str(spool),
        "TMPDIR": str(tmp_path / "tmp"),
    }
    (tmp_path / "tmp").mkdir()
    if engine == "mongodb":
        address, database = request.getfixturevalue("mongo_uri"), request.getfixturevalue("mongo_database")
        extra["CLAIMSIGHT_STORE"] = address.replace("/?", f"/{database}?")
    accepted: dict[str, dict[str, int]] = {}  # job_id -> {asset_id: pages}
    sent = 0
    server = start(tmp_path, port=port, workers=2, extra=extra)
    try:
        for round_number in range(rounds):
            server.wait_ready()
            with server.client() as client:
                claim_id = f"K-{round_number}"
                client.put(f"/v1/claims/{claim_id}", json={"line": "auto"}).raise_for_status()
                pages = {f"r{round_number}-{place}": chance.randint(1, 12) for place in range(3)}
                upload = [
                    ("files", (f"{name}.pdf", _document(tmp_path, name, count).read_bytes()))
                    for name, count in pages.items()
                ]
                sent += 1
                if chance.random() < 0.2:
                    # Killed while the upload is on its way: not accepted unless the answer said so.
                    reply = _upload_while_killing(server, client, claim_id, upload, after_s=chance.uniform(0.0, 0.05))
                    if reply is not None and reply.status_code == 202:
                        _remember(accepted, reply, pages)
                else:
                    reply = client.post(f"/v1/claims/{claim_id}/assets", files=upload)
                    assert reply.status_code == 202, reply.text
                    _remember(accepted, reply, pages)
                    time.sleep(chance.uniform(0.0, 1.5))
            server.kill_all()
            server = start(tmp_path, port=port, workers=2, extra=extra)
        server.wait_ready()
        _check_all_found(server, accepted)
        assert len(accepted) >= rounds * 0.7, f"only {len(accepted)} of {sent} uploads were accepted"
        server.kill_all()
        for path in spool.iterdir():
            os.utime(path, (time.time() - 7200,) * 2)
        server = start(tmp_path, port=port, workers=2, extra=extra)
        server.wait_ready()
        deadline = time.monotonic() + 60
        while left := set(os.listdir(spool)) - {"audit", "audit.key", "metrics"}:
            assert time.monotonic() < deadline, f"what a kill left on its way is still there two hours later: {left}"
            time.sleep(0.1)
        assert len(os.listdir(spool / "metrics")) == 1, "only the figures of the server that runs"
        assert os.listdir(tmp_path / "tmp") == []
    finally:
        server.kill_all()


def _check_all_found(server: Server, accepted: dict[str, dict[str, int]]) -> None:
    """Every accepted file is there once, and a search finds each of its pages once."""
    with server.client() as client:
        for job_id, expected in accepted.items():
            job = wait_for_job(client, job_id, limit_s=240)
            assert {entry["state"] for entry in job["entries"]} == {"succeeded"}, job
            listed = client.get(f"/v1/claims/{job['claim_id']}/assets").raise_for_status().json()["items"]
            counts = Counter(asset["asset_id"] for asset in listed)
            assert counts == dict.fromkeys(expected, 1)
            assert {asset["asset_id"]: asset["page_count"] for asset in listed} == expected
            hits = client.post(
                "/v1/search", json={"text": "page", "filter": {"claim_id": job["claim_id"]}, "limit": 100}
            ).raise_for_status()
            found = Counter(hit["page"]["asset_id"] for hit in hits.json()["hits"])
            assert found == expected, "every page is found exactly once"


def _remember(accepted: dict[str, dict[str, int]], reply: httpx2.Response, pages: dict[str, int]) -> None:
    job = reply.json()
    accepted[job["job_id"]] = {
        entry["asset_id"]: pages[entry["filename"].removesuffix(".pdf")] for entry in job["entries"]
    }


def _upload_while_killing(
    server: Server, client: httpx2.Client, claim_id: str, upload: Upload, *, after_s: float
) -> httpx2.Response | None:
    """The answer to an upload during which everything is killed, if one came."""
    timer = threading.Timer(after_s, server.kill_all)
    timer.start()
    try:
        return client.post(f"/v1/claims/{claim_id}/assets", files=upload)
    except httpx2.TransportError:
        return None
    finally:
        timer.join()
