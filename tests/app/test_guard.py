"""What every request meets: an id, the key, the origin check, limits, headers, and a log line without secrets."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.types import Message

from app.guard import JSON_BYTES
from tests.app.conftest import BASE_URL, Api, MakeApi

KEY = "0123456789abcdef-key"


async def test_a_request_id_is_taken_over_or_made(api: Api) -> None:
    reply = await api.client.get("/healthz", headers={"X-Request-ID": "order-17.b"})
    assert reply.headers["x-request-id"] == "order-17.b"
    for hostile in ["", "a b", "x" * 65, "a;b", "a\tb"]:
        reply = await api.client.get("/nowhere", headers={"X-Request-ID": hostile})
        assert reply.headers["x-request-id"] not in (hostile, "")
        assert reply.json()["request_id"] == reply.headers["x-request-id"]


async def test_answers_carry_security_headers_and_no_cors(api: Api) -> None:
    for path in ["/healthz", "/v1/claims", "/docs", "/openapi.json", "/nowhere"]:
        headers = (await api.client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert not [name for name in headers if name.startswith("access-control-")]


async def test_another_origin_gets_no_permission(make_api: MakeApi) -> None:
    api = await make_api(api_key=KEY)
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "DELETE"}
    reply = await api.client.options("/v1/claims", headers=preflight)
    assert reply.status_code in (401, 405)
    assert not [name for name in reply.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Host": "evil.example"}, "host_not_allowed"),
        ({"Host": "127.0.0.1.evil.example"}, "host_not_allowed"),
        ({"Host": "[::"}, "host_not_allowed"),
        ({"Origin": "https://evil.example"}, "cross_origin"),
        ({"Origin": "null"}, "cross_origin"),
        ({"Host": "localhost:8000", "Origin": "http://localhost:8501"}, "cross_origin"),
    ],
)
async def test_without_a_key_only_this_machine_and_no_foreign_page_may_ask(
    api: Api, headers: dict[str, str], code: str
) -> None:
    reply = await api.client.get("/v1/claims", headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (403, code)


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:8000", "LOCALHOST"])
async def test_without_a_key_this_machine_may_ask(api: Api, host: str) -> None:
    assert (await api.client.get("/v1/claims", headers={"Host": host})).status_code == 200
    own = {"Host": host, "Origin": f"http://{host}"}
    assert (await api.client.get("/v1/claims", headers=own)).status_code == 200


async def test_with_a_key_every_route_but_health_asks_for_it(make_api: MakeApi) -> None:
    api = await make_api(api_key=KEY)
    for path, item in (await _openapi(api))["paths"].items():
        for method in item:
            reply = await api.client.request(method, path.replace("{", "").replace("}", ""))
            if path in ("/healthz", "/readyz"):
                assert reply.status_code in (200, 503)
            else:
                assert (path, method, reply.status_code) == (path, method, 401)
                assert reply.headers["www-authenticate"] == "Bearer"
    for wrong in ["", f"Bearer {KEY}x", f"Basic {KEY}", KEY, "Bearer"]:
        assert (await api.client.get("/v1/claims", headers={"Authorization": wrong})).status_code == 401
    # With the key, the name of the server does not matter.
    right = {"Authorization": f"Bearer {KEY}", "Host": "claims.example"}
    assert (await api.client.get("/v1/claims", headers=right)).status_code == 200


async def _openapi(api: Api) -> dict[str, Any]:
    reply = await api.client.get("/openapi.json", headers={"Authorization": f"Bearer {KEY}"})
    return dict(reply.json())


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/claims/..%2f..%2fetc%2fpasswd", "claim_id"),
        ("/v1/claims/%2e%2e%2fx/assets", "claim_id"),
        ("/v1/claims/../secret", "claim_id"),
        ("/v1/claims/..%5cx", "claim_id"),
        ("/v1/claims/a..b", "claim_id"),
        ("/v1/claims/a%00b", "claim_id"),
        ("/v1/claims/a%0ab", "claim_id"),
        ("/v1/claims/a%20b", "claim_id"),
        ("/v1/claims/%E2%80%AEb", "claim_id"),
        ("/v1/claims/" + "x" * 129, "claim_id"),
        ("/v1/assets/..%2f..%2fclaimsight.db/content", "asset_id"),
        ("/v1/pages/..%2f..%2fx/image", "page_id"),
        ("/v1/pages/..%2fx/similar", "page_id"),
        ("/v1/jobs/..%2fx/events", "job_id"),
    ],
)
async def test_an_id_that_could_be_a_path_is_refused_and_named(api: Api, path: str, field: str) -> None:
    reply = await _raw_get(api, path)
    assert reply["status"] == 422, reply
    assert reply["body"]["field"] == field
    for method in ("PUT", "PATCH", "DELETE", "POST"):
        assert (await _raw_get(api, path, method))["status"] in (422, 405)


async def _raw_get(api: Api, raw_path: str, method: str = "GET") -> dict[str, Any]:
    """As a client that sends the path exactly so; httpx2 would tidy the dots away."""
    from urllib.parse import unquote

    replies = await _asgi(
        api, method, unquote(raw_path), raw_path.encode(), [], [{"type": "http.request", "body": b"{}"}]
    )
    return {"status": replies[0]["status"], "body": json.loads(b"".join(m.get("body", b"") for m in replies[1:]))}


async def _asgi(
    api: Api, method: str, path: str, raw: bytes, headers: list[tuple[bytes, bytes]], messages: list[Message]
) -> list[Message]:
    sent: list[Message] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": raw,
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    queue = list(messages)

    async def receive() -> Message:
        if queue:
            return queue.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    await api.app(scope, receive, send)
    return sent


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read(api: Api) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(JSON_BYTES + 1).encode())]
    replies = await _asgi(
        api, "PUT", "/v1/claims/c", b"/v1/claims/c", [*headers, (b"expect", b"100-continue")], messages=[]
    )
    assert replies[0]["status"] == 413


async def test_a_body_that_grows_too_large_is_refused_on_the_way(api: Api) -> None:
    chunk = b" " * 64 * 1024
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while sent < 4 * JSON_BYTES:
            sent += len(chunk)
            yield chunk

    reply = await api.client.put("/v1/claims/c", content=endless(), headers={"content-type": "application/json"})
    assert reply.status_code == 413
    assert reply.json()["code"] == "request_too_large"


async def test_more_requests_than_allowed_are_told_to_come_back(make_api: MakeApi) -> None:
    api = await make_api(max_requests=1)
    entered, leave = asyncio.Event(), asyncio.Event()
    ping = api.services.store.ping

    async def slow() -> None:
        entered.set()
        await leave.wait()
        await ping()

    api.services.store.ping = slow  # type: ignore[method-assign]
    first = asyncio.create_task(api.upload("c", ("a.pdf", b"%PDF-")))
    await entered.wait()
    reply = await api.client.get("/v1/claims")
    assert (reply.status_code, reply.json()["code"]) == (503, "busy")
    assert (await api.client.get("/healthz")).status_code == 200
    leave.set()
    assert (await first).status_code == 404
    assert (await api.client.get("/v1/claims")).status_code == 200


async def test_the_log_names_routes_and_not_what_was_asked(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    await api.put_claim("SECRET-1", description="SECRET-2 smashed")
    await api.upload("SECRET-1", ("SECRET-3.pdf", b"SECRET-4"))
    await api.client.post("/v1/search", json={"text": "SECRET-5", "filter": {"claim_id": "SECRET-1"}})
    await api.client.get("/v1/claims", params={"filter": '{"policy_id": "SECRET-6"}'})
    await api.client.get("/SECRET-7")
    written = "".join(capsys.readouterr())
    assert "/v1/claims/{claim_id}/assets" in written
    assert "SECRET" not in written


async def test_metrics_name_routes_and_not_what_was_asked(api: Api) -> None:
    await api.put_claim("SECRET-1")
    await api.client.post("/v1/search", json={"text": "SECRET-2"})
    await api.client.get("/SECRET-3")
    await api.client.request("SECRET4", "/healthz")
    text = (await api.client.get("/metrics")).text
    assert 'claimsight_requests_total{method="PUT",route="/v1/claims/{claim_id}",status="201"} 1.0' in text
    assert 'claimsight_search_stage_seconds_count{stage="encode"} 1.0' in text
    assert "claimsight_queue_entries" in text
    assert "SECRET" not in text


async def test_a_stored_file_is_never_shown_from_a_guessed_path(api: Api, tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_text("outside")
    for path in ["/v1/assets/../../outside.txt/content", "/docs/../outside.txt", "/static/outside.txt"]:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(api.app), base_url=BASE_URL) as client:
            assert (await client.get(path)).status_code in (404, 422)
