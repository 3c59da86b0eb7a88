"""Figures and logs of the real processes: what a worker did is in the server's answer and under the upload's id."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import httpx2
import pytest
from PIL import Image

from tests.app.test_monitoring import value
from tests.e2e.processes import embedding_service, free_port, start, wait_for_job, with_embedding_service

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_what_a_worker_did_is_in_the_metrics_and_the_log_of_the_server(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (300, 400), "white").save(picture, "PNG")
    with embedding_service() as url:
        server = start(tmp_path, port=free_port(), extra=with_embedding_service(url))
        try:
            server.wait_ready()
            with server.client() as client:
                client.put("/v1/claims/C-1", json={}).raise_for_status()
                files = {"files": ("a.png", picture.getvalue())}
                headers = {"X-Request-ID": "upload-7"}
                job = client.post("/v1/claims/C-1/assets", files=files, headers=headers).raise_for_status().json()
                assert wait_for_job(client, job["job_id"], limit_s=60)["state"] == "succeeded"
                client.post("/v1/search", json={"text": "hail"}).raise_for_status()
                text = _figures(client)
        finally:
            assert server.stop() == 0
    assert value(text, "claimsight_ingested_pages_total", outcome="succeeded") == 1
    assert value(text, "claimsight_encoder_batch_size_count", kind="pages") == 1
    assert value(text, "claimsight_search_stage_seconds_count", stage="encode") == 1
    assert value(text, "claimsight_store_call_seconds_count", port="pages", method="put") == 1
    assert value(text, "claimsight_requests_total", method="POST", route="/v1/search", status="200") == 1
    logged = [json.loads(line) for line in server.log.read_text().splitlines()]
    of_upload = {line["event"] for line in logged if line.get("request_id") == "upload-7"}
    assert {"request", "entry_succeeded"} <= of_upload


def _figures(client: httpx2.Client) -> str:
    """Once the worker has counted the file, which it does a moment after the job is done."""
    while True:
        text = client.get("/metrics").raise_for_status().text
        if 'claimsight_ingested_files_total{outcome="succeeded"} 1.0' in text:
            return text
        time.sleep(0.05)
