"""Uploads: streamed, limited, durable when answered, and harmless whatever is sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.types import Message

from retrieval.errors import StoreUnavailable
from tests.app.conftest import SMALL, Api, MakeApi, noise, picture

SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "docs" / "samples" / "odd"
MIB = 1024 * 1024


def _left(api: Api) -> list[Path]:
    return list(api.spool.iterdir()) if api.spool.is_dir() else []


async def test_an_upload_is_a_job_with_an_entry_a_file(api: Api) -> None:
    await api.put_claim("C-1")
    reply = await api.upload("C-1", ("hail.png", picture(["hail"])), ("roof.jpg", picture(["roof"], "JPEG")))
    assert reply.status_code == 202
    job = reply.json()
    assert reply.headers["location"] == f"/v1/jobs/{job['job_id']}"
    assert (job["state"], job["claim_id"]) == ("queued", "C-1")
    assert [(entry["filename"], entry["state"]) for entry in job["entries"]] == [
        ("hail.png", "queued"),
        ("roof.jpg", "queued"),
    ]
    await api.work()
    job = (await api.client.get(f"/v1/jobs/{job['job_id']}")).json()
    assert job["state"] == "succeeded"
    assert [(entry["pages_done"], entry["pages_total"]) for entry in job["entries"]] == [(1, 1), (1, 1)]
    assert _left(api) == []


async def test_a_refused_file_does_not_hurt_its_neighbours(api: Api) -> None:
    await api.put_claim("C-1")
    reply = await api.upload(
        "C-1", ("page.html", b"<html><script>"), ("hail.png", picture(["hail"])), ("none.pdf", b"")
    )
    assert reply.status_code == 202
    states = [(entry["state"], entry["code"]) for entry in reply.json()["entries"]]
    assert states == [("failed", "unsupported_type"), ("queued", None), ("failed", "empty_file")]
    await api.work()
    job = (await api.client.get(f"/v1/jobs/{reply.json()['job_id']}")).json()
    assert job["state"] == "succeeded"
    assert job["entries"][1]["state"] == "succeeded"


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"<html><script>", 415, "unsupported_type"),
        (b"PK\x03\x04" + b"\0" * 100, 415, "unsupported_type"),
        (b"", 422, "empty_file"),
        (b"%PDF-1.7\n" + b"x" * (2 * MIB), 413, "file_too_large"),
    ],
)
async def test_when_every_file_is_refused_the_answer_is_the_refusal(
    api: Api, content: bytes, status: int, code: str
) -> None:
    await api.put_claim("C-1")
    reply = await api.upload("C-1", ("a.pdf", content), ("b.pdf", content))
    assert (reply.status_code, reply.json()["code"]) == (status, code), reply.text
    assert [file["filename"] for file in reply.json()["files"]] == ["a.pdf", "b.pdf"]
    assert (await api.client.get("/v1/jobs")).json()["items"] == []
    assert _left(api) == []


async def test_one_file_over_the_limit_is_refused_while_it_streams_and_the_next_is_taken(api: Api) -> None:
    await api.put_claim("C-1")
    reply = await api.upload("C-1", ("big.png", noise(side=1500)), ("hail.png", picture(["hail"])))
    assert reply.status_code == 202, reply.text
    assert [(entry["state"], entry["code"]) for entry in reply.json()["entries"]] == [
        ("failed", "file_too_large"),
        ("queued", None),
    ]


async def test_an_upload_over_the_limit_is_refused_whole(api: Api) -> None:
    await api.put_claim("C-1")
    part = noise(side=1100)
    assert len(part) < SMALL.file_bytes
    reply = await api.upload("C-1", *((f"{number}.png", part) for number in range(5)))
    assert (reply.status_code, reply.json()["code"]) == (413, "request_too_large")
    assert (await api.client.get("/v1/claims/C-1/assets")).json()["items"] == []
    assert _left(api) == []


async def test_a_file_beyond_what_a_tenant_may_store_is_refused_and_the_rest_is_taken(make_api: MakeApi) -> None:
    small, large = picture(["hail"]), noise(side=400)
    api = await make_api(limits=replace(SMALL, stored_bytes=len(small) + 100))
    await api.put_claim("C-1")
    reply = await api.upload("C-1", ("large.png", large), ("small.png", small))
    assert reply.status_code == 202
    assert [(entry["state"], entry["code"], entry["asset_id"] is None) for entry in reply.json()["entries"]] == [
        ("failed", "quota_exceeded", True),
        ("queued", None, False),
    ]
    await api.work()
    refused = await api.upload("C-1", ("large.png", large))
    assert (refused.status_code, refused.json()["code"]) == (413, "quota_exceeded")
    assert [file["filename"] for file in refused.json()["files"]] == ["large.png"]
    again = await api.upload("C-1", ("small.png", small))
    assert again.json()["entries"][0]["state"] == "duplicate", "what is there takes no room"
    assert _left(api) == []


async def test_too_many_files_are_refused(make_api: MakeApi) -> None:
    api = await make_api(max_files=2)
    await api.put_claim("C-1")
    reply = await api.upload("C-1", *((f"{number}.png", picture(["hail"])) for number in range(3)))
    assert (reply.status_code, reply.json()["code"]) == (422, "too_many_files")
    assert _left(api) == []


async def test_the_same_file_twice_is_stored_once_and_says_so(api: Api) -> None:
    await api.put_claim("C-1")
    content = picture(["hail"])
    first = await api.upload("C-1", ("a.png", content), ("b.png", content))
    assert [entry["state"] for entry in first.json()["entries"]] == ["queued", "duplicate"]
    await api.work()
    second = await api.upload("C-1", ("c.png", content))
    assert [(entry["state"], entry["code"]) for entry in second.json()["entries"]] == [("duplicate", "duplicate")]
    assert second.json()["state"] == "succeeded"
    assert len((await api.client.get("/v1/claims/C-1/assets")).json()["items"]) == 1


async def test_the_same_idempotency_key_gives_the_first_job(api: Api) -> None:
    await api.put_claim("C-1")
    await api.put_claim("C-2")
    key = {"Idempotency-Key": "upload-17"}
    first = await api.upload("C-1", ("a.png", picture(["hail"])), headers=key)
    again = await api.upload("C-1", ("a.png", picture(["hail"])), headers=key)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["job_id"] == first.json()["job_id"]
    other = await api.upload("C-2", ("a.png", picture(["hail"])), headers=key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    bad = await api.upload("C-1", ("a.png", picture(["hail"])), headers={"Idempotency-Key": "a b"})
    assert (bad.status_code, bad.json()["field"]) == (422, "Idempotency-Key")
    assert _left(api) == []


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the hostile samples (../shared/data/docs/samples/odd) are not here")
async def test_hostile_names_are_cleaned_and_come_back_in_a_safe_download(api: Api) -> None:
    content = (SAMPLES / "ok.pdf").read_bytes()
    for number, case in enumerate(json.loads((SAMPLES / "names.json").read_text())):
        claim_id = f"N-{number}"
        await api.put_claim(claim_id)
        reply = await api.upload(claim_id, (case["name"], content))
        assert reply.status_code == 202, (case, reply.text)
        shown = reply.json()["entries"][0]["filename"]
        assert shown
        assert not any(ord(sign) < 32 or sign in "\u202e\u2028" for sign in shown), case
        assert len(shown.encode()) <= 255
        if "shown as `escape.pdf`" in case["right"]:
            assert shown == "escape.pdf"
        elif "unchanged" in case["right"] or "kept as text" in case["right"]:
            assert shown == case["name"]
        asset_id = reply.json()["entries"][0]["asset_id"]
        download = await api.client.get(f"/v1/assets/{asset_id}/content", params={"claim_id": claim_id})
        disposition = download.headers["content-disposition"]
        assert disposition.startswith("attachment; ")
        assert download.content == content
        assert "\n" not in disposition
        assert "\r" not in disposition
    assert not list(api.spool.parent.parent.rglob("*escape*"))


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("application/json", b"{}", 415, "unsupported_content_type"),
        ("multipart/form-data", b"", 400, "malformed_body"),
        ("multipart/form-data; boundary=" + "x" * 300, b"", 400, "malformed_body"),
        ("multipart/form-data; boundary=x", b"", 400, "malformed_body"),
        ("multipart/form-data; boundary=x", b"hello", 400, "malformed_body"),
        ("multipart/form-data; boundary=x", b"--x\r\n", 400, "malformed_body"),
        ("multipart/form-data; boundary=x", b"--x\r\nnonsense\r\n\r\nabc\r\n--x--\r\n", 400, "malformed_body"),
        ("multipart/form-data; boundary=x", b"--x\r\nA: b\r\n\r\nabc\r\n--x--\r\n", 400, "malformed_body"),
        ("multipart/form-data; boundary=x", b"--x--\r\n", 422, "bad_upload"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.pdf"\r\n\r\n%PDF-1.7 cut',
            400,
            "malformed_body",
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n%PDF-\r\n--x--\r\n',
            422,
            "bad_upload",
        ),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: " + b"y" * 100_000 + b"\r\n\r\n%PDF-\r\n--x--\r\n",
            400,
            "malformed_body",
        ),
    ],
)
async def test_a_body_that_is_no_form_with_files_is_refused(
    api: Api, content_type: str, body: bytes, status: int, code: str
) -> None:
    await api.put_claim("C-1")
    reply = await api.client.post("/v1/claims/C-1/assets", content=body, headers={"content-type": content_type})
    assert (reply.status_code, reply.json()["code"]) == (status, code), reply.text
    assert _left(api) == []


class Wire:
    """An upload at the level of the server: says what was read and what was answered, in order."""

    def __init__(self, api: Api, claim_id: str, chunks: list[bytes], *, end: Message | None = None) -> None:
        self._api = api
        self._path = f"/v1/claims/{claim_id}/assets"
        self._messages: list[Message] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
        if end is not None:
            self._messages.append(end)
        self.events: list[str] = []
        self.status: int | None = None
        self.body = b""

    async def run(self) -> None:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": self._path,
            "raw_path": self._path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [
                (b"host", b"127.0.0.1"),
                (b"content-type", b"multipart/form-data; boundary=x"),
                (b"transfer-encoding", b"chunked"),
            ],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        await self._api.app(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        self.events.append("read")
        if not self._messages:
            return {"type": "http.disconnect"}
        return self._messages.pop(0)

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.events.append("answer")
            self.status = message["status"]
        self.body += message.get("body", b"")


HEAD = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'


async def test_a_claim_that_is_not_there_is_told_before_the_files_are_read(api: Api) -> None:
    wire = Wire(api, "none", [HEAD, b"y" * 1000], end={"type": "http.request", "body": b"", "more_body": False})
    await wire.run()
    assert wire.status == 404
    assert wire.events[0] == "answer"


async def test_a_store_that_is_down_is_told_before_the_files_are_read(api: Api) -> None:
    await api.put_claim("C-1")

    async def down() -> None:
        raise StoreUnavailable("The database does not answer.")

    api.services.store.ping = down  # type: ignore[method-assign]
    wire = Wire(api, "C-1", [HEAD, b"y" * 1000], end={"type": "http.request", "body": b"", "more_body": False})
    await wire.run()
    assert wire.status == 503
    assert wire.events[0] == "answer"


async def test_a_client_that_is_still_sending_is_read_on_so_that_it_sees_the_answer(api: Api) -> None:
    chunks = [HEAD, *(b"y" * 1000 for _ in range(20))]
    wire = Wire(api, "none", chunks, end={"type": "http.request", "body": b"", "more_body": False})
    await wire.run()
    assert wire.events.count("read") == len(chunks) + 1


async def test_a_client_that_goes_away_leaves_nothing_behind(api: Api) -> None:
    await api.put_claim("C-1")
    whole = HEAD + picture(["hail"]) + b"\r\n"
    wire = Wire(api, "C-1", [whole, HEAD, picture(["roof"])[:200]], end={"type": "http.disconnect"})
    await wire.run()
    assert _left(api) == []
    assert (await api.client.get("/v1/claims/C-1/assets")).json()["items"] == []
    assert (await api.client.get("/v1/jobs")).json()["items"] == []


async def test_a_cancelled_request_leaves_nothing_behind(api: Api) -> None:
    await api.put_claim("C-1")
    started = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield HEAD + picture(["hail"])
        started.set()
        await asyncio.Event().wait()

    sending = asyncio.create_task(
        api.client.post(
            "/v1/claims/C-1/assets", content=body(), headers={"content-type": "multipart/form-data; boundary=x"}
        )
    )
    await started.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert _left(api) == []


async def test_a_large_file_is_never_held_in_memory(make_api: MakeApi) -> None:
    """What stays in memory of 200 MiB is a few pieces, not the file."""
    import tracemalloc

    from retrieval.ingestion.limits import Limits

    api = await make_api(limits=Limits(file_bytes=250 * MIB, request_bytes=300 * MIB))
    await api.put_claim("C-1")
    piece = bytes(256 * 1024)

    async def body() -> AsyncIterator[bytes]:
        yield HEAD + picture(["hail"])
        for _ in range(200 * 4):
            yield piece
        yield b"\r\n--x--\r\n"

    tracemalloc.start()
    try:
        reply = await api.client.post(
            "/v1/claims/C-1/assets", content=body(), headers={"content-type": "multipart/form-data; boundary=x"}
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reply.status_code == 202, reply.text
    assert peak < 40 * MIB


async def test_outcomes_at_the_door_are_counted(api: Api) -> None:
    await api.put_claim("C-1")
    await api.upload("C-1", ("a.png", picture(["hail"])), ("b.png", picture(["hail"])), ("c.html", b"<html>"))
    text = (await api.client.get("/metrics")).text
    for outcome in ("accepted", "duplicate", "unsupported_type"):
        assert f'claimsight_uploaded_files_total{{outcome="{outcome}"}} 1.0' in text


async def test_endless_headers_of_a_part_are_refused(api: Api) -> None:
    await api.put_claim()
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n'
    for more in (b"X-Long: " + b"a" * 20_000, b"\r\n".join(b"X-%d: a" % number for number in range(4000))):
        reply = await api.client.post(
            "/v1/claims/C-1/assets",
            content=head + more + b"\r\n\r\nbytes\r\n--x--\r\n",
            headers={"content-type": "multipart/form-data; boundary=x"},
        )
        assert (reply.status_code, reply.json()["code"]) == (400, "malformed_body")
