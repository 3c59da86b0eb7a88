"""The OpenAPI document is right about the API, and docs/api.md about every route."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from app.reference import render_reference
from tests.app.conftest import Api

DOCS = Path(__file__).parents[2] / "docs" / "api.md"
METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture
def document(api: Api) -> dict[str, Any]:
    return api.app.openapi()


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method.upper(), path, item[method]


def test_every_route_is_in_the_guide_and_every_line_of_it_is_a_route(document: dict[str, Any]) -> None:
    written = set(re.findall(r"^\| `([A-Z]+) (/\S+)` \|", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert written == {(method, path) for method, path, _ in _operations(document)}


def test_every_code_of_the_table_is_in_the_guide() -> None:
    from app.problems import STATUS_BY_CODE

    text = DOCS.read_text(encoding="utf-8")
    assert [code for code in STATUS_BY_CODE if f"`{code}`" not in text] == []


def test_every_operation_is_described_and_tagged(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    for method, path, operation in _operations(document):
        assert operation["summary"], (method, path)
        assert operation["description"], (method, path)
        assert set(operation["tags"]) <= tags, (method, path)
        if path.startswith("/v1"):
            for status in ("401", "403", "422", "503"):
                content = operation["responses"][status]["content"]
                assert "application/problem+json" in content, (method, path)


def test_every_reference_inside_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    named = set(re.findall(r"'#/components/schemas/([^']+)'", repr(document)))
    assert named <= set(schemas)


def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    checked = 0
    for name, schema in document["components"]["schemas"].items():
        rooted = {**schema, "components": document["components"]}
        for example in schema.get("examples", []):
            jsonschema.Draft202012Validator(rooted).validate(example)
            checked += 1
        assert "$defs" not in schema, name
    for _, _, operation in _operations(document):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            if "example" in content:
                rooted = {**content["schema"], "components": document["components"]}
                jsonschema.Draft202012Validator(rooted).validate(content["example"])
                checked += 1
    assert checked >= 8


async def test_answers_fit_the_document(api: Api, document: dict[str, Any]) -> None:
    page_id = (await api.add_page(["hail"], "C-1", line="auto", loss_date="2026-03-31"))["page"]["page_id"]
    asset_id = (await api.client.get("/v1/claims/C-1/assets")).json()["items"][0]["asset_id"]
    job_id = (await api.client.get("/v1/jobs")).json()["items"][0]["job_id"]
    ids = {"claim_id": "C-1", "page_id": page_id, "other_page_id": page_id, "asset_id": asset_id, "job_id": job_id}
    for method, path, operation in _operations(document):
        schema = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema")
        if schema is None or method in ("DELETE", "PUT") or (method, path) == ("POST", "/v1/claims/{claim_id}/assets"):
            continue
        body: dict[str, Any] = {}
        if path == "/v1/search":
            body = {"text": "hail"}
        elif path == "/v1/explain":
            body = {"text": "hail", "page_id": page_id}
        reply = await api.client.request(method, path.format(**ids), json=body if method != "GET" else None)
        assert reply.status_code == 200, (path, reply.text)
        jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(reply.json())


async def test_a_method_that_is_not_taken_is_told_all_that_are(api: Api, document: dict[str, Any]) -> None:
    unlisted = {"/openapi.json": ["get", "head"], "/docs": ["get"]}
    for path, operations in (*document["paths"].items(), *unlisted.items()):
        reply = await api.client.request("OPTIONS", path.replace("{", "").replace("}", ""))
        assert reply.status_code == 405, path
        assert set(reply.headers["Allow"].split(", ")) == {method.upper() for method in operations}, path


def test_the_reference_page_shows_every_route_and_loads_nothing(document: dict[str, Any]) -> None:
    html, policy = render_reference(document)
    for _, path, _ in _operations(document):
        assert path in html
    assert "<script" not in html
    assert not re.findall(r"(?:src|href)='(?!/openapi\.json)", html)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
