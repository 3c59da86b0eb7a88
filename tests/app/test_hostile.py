"""No input makes a 500: whatever is sent as path, query, body or form, the answer is an ordinary one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.main import create_app
from retrieval.stores import open_store
from tests.app.conftest import BASE_URL, services_over

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    ["line", "status", "loss_amount", "loss_date", "damage_types", "attributes.a", "vehicle.year", "or", "not", "and"]
)
OPERATORS = st.sampled_from(["eq", "ne", "in", "nin", "gt", "gte", "lt", "lte", "exists", "$gt"])
FILTER = st.dictionaries(FIELDS | st.text(max_size=8), JSON | st.dictionaries(OPERATORS, JSON, max_size=3), max_size=4)
FACTS = st.dictionaries(
    st.sampled_from(["line", "status", "loss_amount", "loss_date", "currency", "damage_types", "location", "vehicle"])
    | st.sampled_from(["description", "attributes", "policy_id", "claim_id"])
    | st.text(max_size=8),
    JSON,
    max_size=5,
)
BODY = st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode())
QUESTION = st.fixed_dictionaries(
    {},
    optional={
        "text": JSON | st.text(min_size=1, max_size=30),
        "page_id": JSON,
        "filter": FILTER | JSON,
        "group_by": JSON,
        "limit": JSON,
        "cursor": JSON,
        "exclude_claim_ids": JSON,
        "min_score": JSON,
        "overlay": JSON,
    },
)

# An example is a handful of requests; one API answers them all.
many = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


class Sync:
    """An API with an event loop that turns only while a question is asked."""

    def __init__(self, client: httpx2.AsyncClient, runner: asyncio.Runner) -> None:
        self._client = client
        self._runner = runner

    def ask(self, *requests: tuple[str, str, dict[str, Any]]) -> list[httpx2.Response]:
        return self._runner.run(self._ask(requests))

    async def _ask(self, requests: tuple[tuple[str, str, dict[str, Any]], ...]) -> list[httpx2.Response]:
        await self._client.put("/v1/claims/C-1", json={"line": "auto", "attributes": {"a": 1}})
        return [await self._client.request(method, path, **options) for method, path, options in requests]


@asynccontextmanager
async def _client(folder: Path) -> AsyncIterator[httpx2.AsyncClient]:
    store = await open_store(f"sqlite:{folder / 'data'}")
    app = create_app(services_over(store, folder / "spool"))
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=BASE_URL) as client,
    ):
        yield client


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Sync]:
    opening = _client(tmp_path)
    with asyncio.Runner() as runner:
        client = runner.run(opening.__aenter__())
        yield Sync(client, runner)
        runner.run(opening.__aexit__(None, None, None))


def check(replies: list[httpx2.Response]) -> None:
    for reply in replies:
        assert reply.status_code < 500, (reply.request.method, reply.request.url, reply.text)
        if reply.status_code >= 400:
            assert reply.headers["content-type"] == "application/problem+json"
            assert reply.json()["code"]


def _json(value: object) -> dict[str, Any]:
    return {"content": json.dumps(value).encode(), "headers": {"content-type": "application/json"}}


@many
@given(facts=FACTS | JSON, claim_id=st.text(min_size=1, max_size=12))
def test_claims(api: Sync, facts: Any, claim_id: str) -> None:
    path = f"/v1/claims/{quote(claim_id.encode('utf-8', 'replace'), safe='')}"
    check(
        api.ask(
            ("PUT", path, _json(facts)),
            ("POST", "/v1/claims", _json(facts)),
            ("PATCH", "/v1/claims/C-1", _json(facts)),
            ("GET", path, {}),
            ("GET", "/v1/claims/C-1", {}),
            ("DELETE", path, {}),
        )
    )


@many
@given(filter=FILTER | JSON, sort=st.text(max_size=8), cursor=st.text(max_size=30), fields=st.text(max_size=30))
def test_lists_and_facets(api: Sync, filter: Any, sort: str, cursor: str, fields: str) -> None:
    def clean(text: str) -> str:
        return text.encode("utf-8", "replace").decode()

    text = json.dumps(filter)
    check(
        api.ask(
            ("GET", "/v1/claims", {"params": {"filter": text}}),
            ("GET", "/v1/claims", {"params": {"filter": clean(sort), "sort": clean(sort), "cursor": clean(cursor)}}),
            ("GET", "/v1/facets", {"params": {"filter": text, "fields": clean(fields)}}),
            ("GET", "/v1/jobs", {"params": {"claim_id": clean(sort), "state": clean(cursor)}}),
        )
    )


@many
@given(question=QUESTION | JSON, body=BODY)
def test_questions(api: Sync, question: Any, body: bytes) -> None:
    check(
        api.ask(
            ("POST", "/v1/search", _json(question)),
            ("POST", "/v1/explain", _json(question)),
            ("POST", "/v1/search", {"content": body, "headers": {"content-type": "application/json"}}),
            ("POST", "/v1/search", {"content": body}),
        )
    )


@many
@given(
    body=st.binary(max_size=300),
    name=st.binary(max_size=30),
    content=st.binary(max_size=100),
    content_type=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
)
def test_forms(api: Sync, body: bytes, name: bytes, content: bytes, content_type: str) -> None:
    form = {"content-type": "multipart/form-data; boundary=x"}
    head = b'--x\r\nContent-Disposition: form-data; name="%s"; filename="'
    rest = name + b'"\r\n\r\n' + content + b"\r\n--x--\r\n"
    check(
        api.ask(
            ("POST", "/v1/claims/C-1/assets", {"content": body, "headers": form}),
            ("POST", "/v1/claims/C-1/assets", {"content": head % b"files" + rest, "headers": form}),
            ("POST", "/v1/search", {"content": head % b"image" + rest, "headers": form}),
            ("POST", "/v1/search", {"content": b"--x\r\n" + body, "headers": form}),
            ("POST", "/v1/claims/C-1/assets", {"content": body, "headers": {"content-type": content_type}}),
        )
    )


@many
@given(raw=st.text(min_size=1, max_size=20), header=st.text(st.characters(min_codepoint=33, max_codepoint=126)))
def test_paths_and_headers(api: Sync, raw: str, header: str) -> None:
    part = quote(raw.encode("utf-8", "replace"), safe="")
    names = ["If-Match", "If-None-Match", "Last-Event-ID", "Idempotency-Key", "X-Request-ID", "Accept"]
    headers = dict.fromkeys(names, header)
    check(
        api.ask(
            *(("GET", f"/v1/{noun}/{part}", {"headers": headers}) for noun in ("claims", "assets", "pages", "jobs")),
            ("GET", f"/v1/pages/{part}/image", {"params": {"width": part}}),
            ("GET", f"/v1/assets/{part}/content", {"headers": headers}),
            ("PUT", "/v1/claims/C-1", {**_json({}), "headers": {**headers, "content-type": "application/json"}}),
            ("POST", f"/v1/jobs/{part}/retry", {}),
            ("GET", f"/{part}", {}),
        )
    )
