"""Logs: one JSON object a line, found by the request, and nothing of what anybody typed or sent."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import structlog
from PIL import Image

from app.logs import configure_logs
from scripts.demo_data.paper import Words
from scripts.demo_data.pdf import write_pdf
from tests.app.conftest import Api, picture

MARK = "Zq7unmistakable"


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """All that the process logs, at the most talkative level."""
    written = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    monkeypatch.setattr("sys.stderr", written)
    configure_logs("debug")
    structlog.configure(cache_logger_on_first_use=False)
    yield written
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(logs: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in logs.getvalue().splitlines()]


async def test_no_input_of_any_field_reaches_a_log(api: Api, logs: io.StringIO, tmp_path: Path) -> None:
    facts = {
        "policy_id": f"{MARK}-policy", "description": f"{MARK} text", "damage_types": [f"{MARK.lower()}"],
        "location": {"city": f"{MARK} city", "region": MARK, "country": "AT"}, "vehicle": {"make": MARK, "model": MARK},
        "attributes": {f"{MARK.lower()}_name": f"{MARK} value"},
    }  # fmt: skip
    claim = f"{MARK}-claim"
    keys = {
        "Idempotency-Key": f"{MARK}-key",
        "Authorization": f"Bearer {MARK}",
        "Cookie": MARK,
        "User-Agent": MARK,
        "Referer": MARK,
    }
    await api.put_claim(claim, **facts)
    files = [
        (f"{MARK}.png", picture([MARK])),
        (f"{MARK}.txt", MARK.encode()),
        (f"{MARK}.pdf", f"%PDF-1.7 {MARK}".encode()),
    ]
    scan = Image.new("RGB", (320, 440), "white")
    write_pdf(tmp_path / "digital.pdf", [(scan, [Words(20, 40, f"{MARK} 12", 14)])])
    files.append((f"{MARK}-2.pdf", (tmp_path / "digital.pdf").read_bytes()))
    uploaded = (await api.upload(claim, *files, headers=keys)).json()
    await api.work()
    filter_text = quote(json.dumps({"policy_id": f"{MARK}-policy"}))
    for method, path, options in (
        ("GET", f"/v1/claims?filter={filter_text}&cursor={MARK}", {}),
        ("GET", f"/v1/facets?filter={filter_text}&fields={MARK}", {}),
        ("GET", f"/v1/claims/{claim}/pages?asset_id={MARK}", {}),
        ("GET", f"/{MARK}/{MARK}?{MARK}={MARK}", {}),
        ("PATCH", f"/v1/claims/{claim}", {"json": {"description": MARK, MARK: MARK}}),
        ("POST", "/v1/claims", {"json": {"claim_id": f"{MARK}/x", "line": MARK}}),
        ("POST", "/v1/claims", {"content": MARK.encode(), "headers": {"content-type": "application/json"}}),
        ("POST", "/v1/search", {"json": {"text": f"{MARK} words", "filter": {"location.city": f"{MARK} city"}}}),
        ("POST", "/v1/search", {"json": {"text": MARK, "filter": {MARK: MARK}}}),
        ("POST", "/v1/search", {"json": {"text": f'"{MARK} 12"'}}),
        ("POST", "/v1/search", {"files": [("image", (f"{MARK}.png", picture([MARK])))]}),
        ("POST", "/v1/search", {"files": [("image", (f"{MARK}.png", MARK.encode()))], "data": {"query": MARK}}),
        ("POST", "/v1/explain", {"json": {"page_id": MARK, "text": MARK}}),
        ("GET", f"/v1/jobs/{uploaded['job_id']}/events", {"headers": {"Last-Event-ID": MARK}}),
        ("GET", f"/v1/pages/{MARK}/image?width={MARK}", {"headers": {"If-None-Match": MARK, "Accept": MARK}}),
        ("DELETE", f"/v1/claims/{claim}", {}),
    ):
        reply = await api.client.request(method, path, **options)
        assert reply.status_code < 500, (method, path, reply.text)
    written = lines(logs)
    assert len(written) > 15
    assert MARK.lower() not in logs.getvalue().lower()


async def test_a_worker_logs_under_the_request_of_the_upload(api: Api, logs: io.StringIO) -> None:
    await api.put_claim()
    uploaded = await api.upload("C-1", ("a.png", picture(["hail"])), headers={"X-Request-ID": "upload-7"})
    await api.work()
    job = await api.services.store.jobs.get("test-tenant", uploaded.json()["job_id"])
    assert job.request_id == "upload-7"
    of_worker = [line for line in lines(logs) if line.get("event") == "entry_succeeded"]
    assert [(line["request_id"], line["job_id"]) for line in of_worker] == [("upload-7", job.job_id)]
    of_request = [line for line in lines(logs) if line.get("event") == "request" and line["request_id"] == "upload-7"]
    assert [line["route"] for line in of_request] == ["/v1/claims/{claim_id}/assets"]
