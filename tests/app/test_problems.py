"""Every error leaves as one problem document (RFC 9457 with code, field and request_id), and none is unforeseen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from app.problems import STATUS_BY_CLASS, problem_of, status_of
from app.schemas.common import Problem
from retrieval.errors import ClaimsightError, EncoderTrouble, InvalidInput, NotFound, Refused
from tests.app.conftest import Api, MakeApi, picture


def _all_errors(kind: type[ClaimsightError] = ClaimsightError) -> Iterator[type[ClaimsightError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == "retrieval.errors":
            yield from _all_errors(child)


@pytest.mark.parametrize("kind", sorted(set(_all_errors()), key=lambda kind: kind.__name__))
def test_each_error_of_the_domain_has_a_row_of_its_own(kind: type[ClaimsightError]) -> None:
    assert kind in STATUS_BY_CLASS


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound.of("page", "p-1"), 404),
        (InvalidInput("No.", code="bad_filter", field="line"), 422),
        (Refused("Found ZIP.", code="unsupported_type"), 415),
        (Refused("Needs a password.", code="encrypted"), 422),
        (EncoderTrouble("Later.", code="encoder_rate_limited", retryable=True, retry_after_s=7.2), 503),
        (EncoderTrouble("Never.", code="query_refused", retryable=False), 422),
    ],
)
def test_status_follows_the_code_then_the_class(error: ClaimsightError, status: int) -> None:
    assert status_of(error) == HTTPStatus(status)
    reply = problem_of(error, request_id="r-1")
    body = json.loads(bytes(reply.body))
    assert reply.media_type == "application/problem+json"
    assert (body["status"], body["code"], body["detail"], body["request_id"]) == (
        status,
        error.code,
        error.detail,
        "r-1",
    )
    assert body.get("field") == error.field


def test_a_passing_fault_says_when_to_come_back() -> None:
    busy = EncoderTrouble("Later.", code="encoder_rate_limited", retryable=True, retry_after_s=7.2)
    assert problem_of(busy, request_id=None).headers["Retry-After"] == "8"


def check_problem(body: dict[str, Any], *, status: int, code: str, field: str | None = None) -> None:
    Problem.model_validate(body)
    assert body["type"] == f"urn:claimsight:problem:{code}"
    assert (body["status"], body["code"]) == (status, code)
    assert body.get("field") == field
    assert body["request_id"]
    assert body["detail"].endswith((".", "?"))


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code", "field"),
    [
        ("GET", "/nowhere", {}, 404, "no_such_route", None),
        ("GET", "/v1/claims/", {}, 404, "no_such_route", None),
        ("DELETE", "/healthz", {}, 405, "method_not_allowed", None),
        ("GET", "/v1/claims/none", {}, 404, "claim_not_found", None),
        ("PATCH", "/v1/claims/none", {"json": {}}, 404, "claim_not_found", None),
        ("DELETE", "/v1/claims/none", {}, 404, "claim_not_found", None),
        ("GET", "/v1/claims/none/assets", {}, 404, "claim_not_found", None),
        ("GET", "/v1/claims/none/pages", {}, 404, "claim_not_found", None),
        ("GET", "/v1/assets/none", {}, 404, "asset_not_found", None),
        ("GET", "/v1/assets/none/content", {}, 404, "asset_not_found", None),
        ("DELETE", "/v1/assets/none", {}, 404, "asset_not_found", None),
        ("GET", "/v1/pages/none", {}, 404, "page_not_found", None),
        ("GET", "/v1/pages/none/image", {}, 404, "page_not_found", None),
        ("GET", "/v1/pages/none/similar", {}, 404, "page_not_found", None),
        ("GET", "/v1/jobs/none", {}, 404, "job_not_found", None),
        ("GET", "/v1/jobs/none/events", {}, 404, "job_not_found", None),
        ("POST", "/v1/jobs/none/cancel", {}, 404, "job_not_found", None),
        ("POST", "/v1/jobs/none/retry", {}, 404, "job_not_found", None),
        ("POST", "/v1/search", {"json": {"page_id": "none"}}, 404, "page_not_found", None),
        ("POST", "/v1/explain", {"json": {"page_id": "none", "text": "hail"}}, 404, "page_not_found", None),
        ("POST", "/v1/search", {"content": b"{"}, 400, "malformed_json", "body"),
        ("POST", "/v1/search", {"content": b"[" * 100_000}, 400, "malformed_json", "body"),
        ("POST", "/v1/search", {"json": []}, 422, "bad_query", "body"),
        ("POST", "/v1/search", {"json": {}}, 422, "bad_query", "text"),
        ("POST", "/v1/search", {"json": {"text": "a", "page_id": "b"}}, 422, "bad_query", "text"),
        ("POST", "/v1/search", {"json": {"text": "a", "colour": 1}}, 422, "bad_query", "colour"),
        ("POST", "/v1/search", {"json": {"text": "a", "query": "b"}}, 422, "bad_query", "query"),
        ("POST", "/v1/search", {"json": {"text": "a", "limit": 0}}, 422, "bad_query", "limit"),
        ("POST", "/v1/search", {"json": {"text": "a", "limit": "10"}}, 422, "bad_query", "limit"),
        ("POST", "/v1/search", {"json": {"text": "a", "cursor": "x"}}, 422, "bad_cursor", "cursor"),
        ("POST", "/v1/search", {"json": {"text": "a", "filter": {"color": 1}}}, 422, "bad_filter", "color"),
        ("POST", "/v1/search", {"json": {"text": "a", "filter": {"line": "boat"}}}, 422, "bad_filter", "line"),
        ("GET", "/v1/claims?filter={", {}, 422, "bad_filter", "filter"),
        ("GET", f"/v1/claims?filter={'[' * 15_000}", {}, 422, "bad_filter", "filter"),
        ("GET", '/v1/claims?filter={"kind":"page"}', {}, 422, "bad_filter", "kind"),
        ("GET", "/v1/claims?sort=colour", {}, 422, "invalid_input", "sort"),
        ("GET", "/v1/claims?limit=0", {}, 422, "invalid_input", "limit"),
        ("GET", "/v1/claims?cursor=abc", {}, 422, "bad_cursor", "cursor"),
        ("GET", "/v1/facets?fields=color", {}, 422, "bad_filter", "color"),
        ("GET", "/v1/facets?fields=,", {}, 422, "bad_filter", "fields"),
        ("GET", "/v1/jobs?state=happy", {}, 422, "invalid_input", "state"),
        ("PUT", "/v1/claims/c", {"content": b"{"}, 400, "malformed_json", "body"),
        ("PUT", "/v1/claims/c", {"content": b"[" * 100_000}, 400, "malformed_body", None),
    ],
)
async def test_a_wrong_request_is_answered_with_a_problem(
    api: Api, method: str, path: str, options: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    headers = {"content-type": "application/json"} if "content" in options else {}
    reply = await api.client.request(method, path, headers=headers, **options)
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["request_id"] == reply.headers["x-request-id"]
    check_problem(reply.json(), status=status, code=code, field=field)


async def test_every_wrong_field_of_a_claim_is_named(api: Api) -> None:
    reply = await api.client.put("/v1/claims/c", json={"line": "boat", "loss_amount": -1, "colour": "red"})
    assert reply.status_code == 422
    errors = {error["field"]: error["detail"] for error in reply.json()["errors"]}
    assert set(errors) == {"line", "loss_amount", "colour"}
    assert errors["colour"] == "colour: there is no such field."
    reply = await api.client.post("/v1/claims", json={})
    assert reply.json()["detail"] == "claim_id: it is missing."


async def test_an_unexpected_exception_is_a_problem_without_its_text(
    make_api: MakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api = await make_api()

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the secret is 4711")

    api.services.store.claims.get = broken  # type: ignore[method-assign]
    reply = await api.client.get("/v1/claims/c")
    assert reply.status_code == 500
    check_problem(reply.json(), status=500, code="internal_error")
    written = capsys.readouterr()
    assert "4711" not in reply.text + written.out + written.err
    assert "RuntimeError" in written.out + written.err
    assert "Traceback" not in written.out + written.err


async def test_a_failing_encoder_is_told_and_tried_again(make_api: MakeApi) -> None:
    api = await make_api()
    await api.put_claim()
    api.encoder.fail_next(code="encoder_unavailable")
    reply = await api.client.post("/v1/search", json={"text": "hail"})
    assert reply.status_code == 503
    check_problem(reply.json(), status=503, code="encoder_unavailable")
    assert int(reply.headers["retry-after"]) > 0
    assert (await api.client.post("/v1/search", json={"text": "hail"})).status_code == 200


async def test_a_picture_that_is_none_is_refused_with_what_was_found(api: Api) -> None:
    for content, status, code in [(b"<html>", 415, "unsupported_type"), (b"", 422, "empty_file")]:
        reply = await api.client.post("/v1/search", files={"image": ("a.jpg", content)}, data={"query": "{}"})
        check_problem(reply.json(), status=status, code=code)
    damaged = picture(["hail"], "JPEG")[:400]
    reply = await api.client.post("/v1/search", files={"image": ("a.jpg", damaged)})
    check_problem(reply.json(), status=422, code="damaged")
