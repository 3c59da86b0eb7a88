"""One table from errors to answers: problem details (RFC 9457) with our `code`, `field` and `request_id`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.access import AccessTable
from app.identity import IssuerUnavailable, NotAllowed, NotAuthenticated, TooManyRequests
from retrieval.errors import (
    ClaimsightError,
    Conflict,
    EncoderMismatch,
    EncoderTrouble,
    IndexNotReady,
    InvalidInput,
    LeaseLost,
    NotFound,
    Refused,
    StoreUnavailable,
    TooLarge,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
# Where the usual wait is too long (searches end soon) or too short (files take their time).
RETRY_AFTER_BY_CODE: Mapping[str, int] = {"busy": 1, "queue_full": 30}

# Each class of the domain's errors has a row; a test walks them all.
STATUS_BY_CLASS: Mapping[type[ClaimsightError], HTTPStatus] = {
    ClaimsightError: HTTPStatus.INTERNAL_SERVER_ERROR,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    Refused: HTTPStatus.UNPROCESSABLE_ENTITY,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    LeaseLost: HTTPStatus.CONFLICT,
    EncoderMismatch: HTTPStatus.CONFLICT,
    EncoderTrouble: HTTPStatus.SERVICE_UNAVAILABLE,
    StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    IndexNotReady: HTTPStatus.SERVICE_UNAVAILABLE,
    NotAuthenticated: HTTPStatus.UNAUTHORIZED,
    NotAllowed: HTTPStatus.FORBIDDEN,
    TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    IssuerUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
# Codes that say more than their class.
STATUS_BY_CODE: Mapping[str, HTTPStatus] = {
    "unsupported_type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "unsupported_content_type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "version_conflict": HTTPStatus.PRECONDITION_FAILED,
    "explain_unsupported": HTTPStatus.CONFLICT,
    "query_refused": HTTPStatus.UNPROCESSABLE_ENTITY,
    "text_unsupported": HTTPStatus.UNPROCESSABLE_ENTITY,
    "malformed_json": HTTPStatus.BAD_REQUEST,
    "malformed_body": HTTPStatus.BAD_REQUEST,
    "host_not_allowed": HTTPStatus.FORBIDDEN,
    "cross_origin": HTTPStatus.FORBIDDEN,
    "not_acceptable": HTTPStatus.NOT_ACCEPTABLE,
    "body_timeout": HTTPStatus.REQUEST_TIMEOUT,
    "busy": HTTPStatus.SERVICE_UNAVAILABLE,
    "queue_full": HTTPStatus.SERVICE_UNAVAILABLE,
}
_CODE_BY_STATUS = {
    HTTPStatus.BAD_REQUEST: "malformed_body",
    HTTPStatus.NOT_FOUND: "no_such_route",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
}
_DETAIL_BY_STATUS = {
    HTTPStatus.BAD_REQUEST: "The body cannot be read.",
    HTTPStatus.NOT_FOUND: "There is nothing at this address. /docs lists what there is.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address does not take this method.",
}
# Where pydantic's own words are about models, not about a request.
_WORDS = {"extra_forbidden": "there is no such field", "missing": "it is missing"}


def status_of(error: ClaimsightError) -> HTTPStatus:
    """By code where the code has a row, else by the nearest class that has one."""
    if error.code in STATUS_BY_CODE:
        return STATUS_BY_CODE[error.code]
    return next(STATUS_BY_CLASS[kind] for kind in type(error).__mro__ if kind in STATUS_BY_CLASS)


def problem(
    status: HTTPStatus,
    code: str,
    detail: str,
    *,
    request_id: str | None,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
    **members: object,
) -> JSONResponse:
    """members: further ones, for example `errors` for each wrong field."""
    body: dict[str, object] = {
        "type": f"urn:claimsight:problem:{code}",
        "title": status.phrase,
        "status": int(status),
        "code": code,
        "detail": _speakable(detail),
    }
    if field is not None:
        body["field"] = _speakable(field)
    body.update(members)
    if request_id is not None:
        body["request_id"] = request_id
    return JSONResponse(body, status_code=int(status), headers=dict(headers or {}), media_type=MEDIA_TYPE)


def problem_of(error: ClaimsightError, *, request_id: str | None, **members: object) -> JSONResponse:
    status = status_of(error)
    headers: dict[str, str] = {}
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        wait_s = error.retry_after_s if isinstance(error, EncoderTrouble) else None
        headers["Retry-After"] = str(math.ceil(wait_s or RETRY_AFTER_BY_CODE.get(error.code, RETRY_AFTER_S)))
    if isinstance(error, TooManyRequests):
        headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    if isinstance(error, NotAuthenticated | NotAllowed):
        headers["WWW-Authenticate"] = error.challenge
    return problem(
        status, error.code, error.detail, request_id=request_id, field=error.field, headers=headers, **members
    )


def unexpected(request_id: str | None) -> JSONResponse:
    """For an exception that nobody foresaw: nothing of it is told."""
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal_error",
        "Something went wrong here. The log has more under this request_id.",
        request_id=request_id,
    )


def invalid_input(error: ValidationError, *, code: str) -> InvalidInput:
    """A model's errors as one error of the domain, which names the first wrong field."""
    listed = _field_errors(error.errors(include_input=False, include_url=False, include_context=False))
    return InvalidInput(listed[0]["detail"], code=code, field=listed[0]["field"])


def install(app: FastAPI, access: AccessTable) -> None:
    """Every error of a route leaves as a problem. access: knows the methods of every address, where the framework names
    those of the first route with its path alone."""

    async def on_domain(request: Request, error: Exception) -> Response:
        return problem_of(cast("ClaimsightError", error), request_id=_request_id(request))

    async def on_validation(request: Request, error: Exception) -> Response:
        raw = cast("RequestValidationError", error).errors()
        if any(item.get("type") == "json_invalid" for item in raw):
            return problem(
                HTTPStatus.BAD_REQUEST,
                "malformed_json",
                "The body is not JSON.",
                request_id=_request_id(request),
                field="body",
            )
        listed = _field_errors(raw)
        return problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "invalid_input",
            listed[0]["detail"],
            request_id=_request_id(request),
            field=listed[0]["field"],
            errors=listed,
        )

    async def on_http(request: Request, error: Exception) -> Response:
        raised = cast("HTTPException", error)
        status = HTTPStatus(raised.status_code)
        headers = dict(raised.headers or {})
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(access.methods_of(request.url.path))
        return problem(
            status,
            _CODE_BY_STATUS.get(status, f"http_{int(status)}"),
            _DETAIL_BY_STATUS.get(status, status.description or status.phrase),
            request_id=_request_id(request),
            headers=headers,
        )

    async def on_disconnect(_request: Request, _error: Exception) -> Response:
        return Response(status_code=400)  # Nobody is there to read it.

    app.add_exception_handler(ClaimsightError, on_domain)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(ClientDisconnect, on_disconnect)


def _request_id(request: Request) -> str | None:
    return cast("str | None", request.scope.get("claimsight.request_id"))


def _field_errors(raw: Sequence[Any]) -> list[dict[str, str]]:
    """Names and sentences; the wrong value itself is not sent back."""
    found: list[dict[str, str]] = []
    for item in raw[:20]:
        parts = [str(part) for part in item.get("loc", ())]
        # Where it stands comes before its name; alone it is the name of a field that somebody made up.
        if len(parts) > 1 and parts[0] in ("body", "query", "path", "header"):
            parts = parts[1:]
        name = ".".join(parts)[:200] or "body"
        message = _WORDS.get(item.get("type")) or str(item.get("msg", "is not valid")).removeprefix("Value error, ")
        found.append({"field": _speakable(name), "detail": _speakable(f"{name}: {message}.".replace("..", "."))})
    return found or [{"field": "body", "detail": "The request is not valid."}]


def _speakable(text: str) -> str:
    """Lone surrogates cannot be sent as UTF-8."""
    return text.encode("utf-8", "replace").decode()
