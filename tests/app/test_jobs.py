"""Jobs over HTTP: listed, followed event by event, cancelled, tried again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request

from app.identity import Identity, set_who
from app.routes import jobs as routes
from app.routes.context import Context
from retrieval.documents import Job
from retrieval.errors import NotFound
from retrieval.ingestion.worker import Worker
from retrieval.keys import Role
from tests.app.conftest import Api, MakeApi, picture
from tests.app.test_door import add_key
from tests.fakes.encoder import FakeEncoder


async def _upload(api: Api, *words: str) -> str:
    await api.put_claim("C-1")
    reply = await api.upload("C-1", *((f"{word}.png", picture([word])) for word in words))
    assert reply.status_code == 202, reply.text
    return str(reply.json()["job_id"])


def _events(text: str) -> list[dict[str, Any]]:
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        if fields:
            found.append({**fields, "data": json.loads(fields["data"])})
    return found


async def test_jobs_are_listed_newest_first_by_claim_and_state(api: Api) -> None:
    first = await _upload(api, "hail")
    await api.work()
    second = await _upload(api, "roof")
    listed = (await api.client.get("/v1/jobs")).json()["items"]
    assert [job["job_id"] for job in listed] == [second, first]
    queued = (await api.client.get("/v1/jobs", params={"state": "queued"})).json()["items"]
    assert [job["job_id"] for job in queued] == [second]
    assert (await api.client.get("/v1/jobs", params={"claim_id": "C-9"})).json()["items"] == []
    page = (await api.client.get("/v1/jobs", params={"limit": 1})).json()
    rest = (await api.client.get("/v1/jobs", params={"cursor": page["next_cursor"]})).json()
    assert [job["job_id"] for job in rest["items"]] == [first]


async def test_events_of_a_finished_job_end_at_once_and_are_not_sent_twice(api: Api) -> None:
    job_id = await _upload(api, "hail")
    await api.work()
    reply = await api.client.get(f"/v1/jobs/{job_id}/events")
    assert reply.headers["content-type"].startswith("text/event-stream")
    [event] = _events(reply.text)
    assert (event["event"], event["data"]["state"]) == ("job", "succeeded")
    again = await api.client.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": event["id"]})
    assert again.status_code == 204
    older = await api.client.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": "0"})
    assert _events(older.text) == [event]


class Line:
    """The events of one job as they come, read one by one."""

    def __init__(self, api: Api, job: Job, key: str = "") -> None:
        headers = [(b"host", b"127.0.0.1"), *([(b"authorization", f"Bearer {key}".encode())] if key else [])]
        request = Request({"type": "http", "app": api.app, "headers": headers})
        set_who(request.scope, Identity(api.services.tenant, Role.viewer, "test"))
        self._events: AsyncIterator[str] = routes._events(Context(request), job)

    async def next(self) -> str:
        return await anext(self._events, "(end)")


async def test_events_follow_a_job_until_it_ends(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "POLL_S", 0.01)
    job_id = await _upload(api, "hail", "roof")
    store = api.services.store
    line = Line(api, await store.jobs.get(api.services.tenant, job_id))
    [event] = _events(await line.next())
    assert event["data"]["state"] == "queued"
    following = asyncio.create_task(line.next())
    worker = Worker(store, api.encoder, worker_id="w", work_dir=api.spool, limits=api.services.limits)
    await worker.run_once()
    [event] = _events(await following)
    assert event["data"]["state"] == "running"
    seen = [int(event["id"])]
    await worker.run_once()
    while (text := await line.next()) != "(end)":
        [event] = _events(text)
        seen.append(int(event["id"]))
    assert event["data"]["state"] == "succeeded"
    assert seen == sorted(set(seen))


async def test_a_quiet_line_is_kept_open_and_ends_with_the_server(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "POLL_S", 0.01)
    monkeypatch.setattr(routes, "HEARTBEAT_S", 0.0)
    job_id = await _upload(api, "hail")
    line = Line(api, await api.services.store.jobs.get(api.services.tenant, job_id))
    await line.next()
    assert (await line.next()).startswith(":")
    api.services.stopping.set()
    assert await line.next() == "(end)"


async def test_the_line_ends_soon_after_its_key_was_revoked(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "POLL_S", 0.01)
    monkeypatch.setattr(routes, "HEARTBEAT_S", 0.0)
    job_id = await _upload(api, "hail")
    key = await add_key(api, role=Role.viewer)
    line = Line(api, await api.services.store.jobs.get(api.services.tenant, job_id), key)
    await line.next()
    assert (await line.next()).startswith(":")
    await api.services.store.keys.revoke(key.split("_")[1])
    [event] = _events(await line.next())
    assert (event["event"], event["data"]) == ("problem", {"code": "key_revoked"})
    assert await line.next() == "(end)"


async def test_the_line_of_a_deleted_job_ends_with_a_problem(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "POLL_S", 0.01)
    job_id = await _upload(api, "hail")
    line = Line(api, await api.services.store.jobs.get(api.services.tenant, job_id))
    await line.next()
    await api.client.delete("/v1/claims/C-1")
    [event] = _events(await line.next())
    assert (event["event"], event["data"]) == ("problem", {"code": NotFound.of("job", job_id).code})
    assert await line.next() == "(end)"


async def test_cancel_stops_what_waits_and_retry_starts_it_again(api: Api) -> None:
    job_id = await _upload(api, "hail")
    early = await api.client.post(f"/v1/jobs/{job_id}/retry")
    assert (early.status_code, early.json()["code"]) == (409, "job_not_finished")
    reply = await api.client.post(f"/v1/jobs/{job_id}/cancel")
    assert (reply.status_code, reply.json()["state"], reply.json()["cancel_requested"]) == (200, "cancelled", True)
    await api.work()
    assert (await api.client.post("/v1/search", json={"text": "hail"})).json()["hits"] == []
    again = await api.client.post(f"/v1/jobs/{job_id}/retry")
    assert (again.status_code, again.json()["state"]) == (200, "queued")
    await api.work()
    assert len((await api.client.post("/v1/search", json={"text": "hail"})).json()["hits"]) == 1


async def test_a_page_that_the_encoder_refuses_is_listed_as_failed_with_the_reason(make_api: MakeApi) -> None:
    api = await make_api(encoder=FakeEncoder(refuse=lambda _: True))
    job_id = await _upload(api, "hail")
    await api.work()
    job = (await api.client.get(f"/v1/jobs/{job_id}")).json()
    [entry] = job["entries"]
    assert (job["state"], entry["state"]) == ("failed", "failed")
    assert entry["code"]
    assert entry["detail"]
