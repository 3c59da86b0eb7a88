"""What happens to every request before and after its route: id, who asks, sizes, headers, log line, last resort."""

from __future__ import annotations

import asyncio
import re
import time
from urllib.parse import unquote

import structlog
import uuid_utils
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access import OPEN, AccessTable
from app.faults import place_of
from app.identity import LOCAL, set_who
from app.problems import problem_of, unexpected
from app.services import Services
from retrieval.errors import ClaimsightError, InvalidInput, StoreUnavailable, TooLarge

JSON_BYTES = 1024 * 1024
_FORM_ROOM = 1024 * 1024  # boundaries, part headers and the query beside the files
_LINGER_S = 10.0
_BODY_IDLE_S = 60.0
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ID_FIELDS = {"claims": "claim_id", "assets": "asset_id", "pages": "page_id", "jobs": "job_id"}
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}

_log = structlog.get_logger("claimsight.requests")


class Guard:
    """ASGI middleware around the whole app."""

    def __init__(self, app: ASGIApp, services: Services, access: AccessTable) -> None:
        self._app = app
        self._services = services
        self._access = access
        self._active = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _given_id(headers) or str(uuid_utils.uuid7())
        scope["claimsight.request_id"] = request_id
        exchange = _Exchange(scope, receive, send, headers, request_id)
        started = time.perf_counter()
        self._active += 1
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        observed = self._services.observer.request(method, request_id, headers.get("traceparent"))
        with structlog.contextvars.bound_contextvars(request_id=request_id), observed as answered:
            try:
                await self._answer(scope, exchange)
            finally:
                self._active -= 1
                answered(_route_of(scope), exchange.status or 499)
                self._note(method, scope, exchange, time.perf_counter() - started)

    async def _answer(self, scope: Scope, exchange: _Exchange) -> None:
        try:
            await self._admit(scope, exchange.headers)
            await exchange.take_body(self._services.limits.request_bytes)
            await self._app(scope, exchange.receive, exchange.send)
        except ClaimsightError as error:
            await problem_of(error, request_id=exchange.request_id)(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            exchange.status = 499
        except Exception as error:  # noqa: BLE001  The last resort: told to the user as a 500, to the log by its type.
            _log.error("request_failed_unexpectedly", error=type(error).__name__, at=place_of(error))
            if exchange.status is None:
                await unexpected(exchange.request_id)(scope, exchange.receive, exchange.send)

    async def _admit(self, scope: Scope, headers: Headers) -> None:
        """Raises for a request that no route should see; says in the scope who asks."""
        _check_path(scope)
        need = self._access.need_of(scope["method"], scope["path"])
        if need is OPEN:
            return
        if self._active > self._services.max_requests:
            raise StoreUnavailable("The server works on as many requests as it may; try again.", code="busy")
        who = await self._services.door.identify(headers)
        set_who(scope, who)
        if who.actor != LOCAL:
            self._services.rates.take(who.actor)
        if need is not None:
            need.check(who)

    def _note(self, method: str, scope: Scope, exchange: _Exchange, seconds: float) -> None:
        route = _route_of(scope)
        status = exchange.status or 499
        self._services.metrics.request(method=method, route=route, status=status, seconds=seconds)
        log = _log.debug if route in ("/healthz", "/readyz", "/metrics") else _log.info
        log("request", method=method, route=route, status=status, took_ms=round(seconds * 1000, 1))


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _route_of(scope: Scope) -> str:
    """The template, never the path: it holds claim numbers."""
    return getattr(scope.get("route"), "path", None) or "(none)"


class _Exchange:
    """One request and its answer: counts the body, adds headers, and reads on a little after an early answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, headers: Headers, request_id: str) -> None:
        self.headers = headers
        self.request_id = request_id
        self.status: int | None = None
        self._scope = scope
        self._receive = receive
        self._send = send
        self._kept: list[Message] = []
        self._limit = JSON_BYTES
        self._taken = 0
        self._body_done = _has_no_body(headers)
        self._asked = False

    async def take_body(self, request_bytes: int) -> None:
        """Small bodies are read here, whole and bounded; forms with files stream through to their route.

        Raises TooLarge before reading where the length is announced, else as soon as it shows.
        """
        form = self.headers.get("content-type", "").lower().startswith("multipart/form-data")
        self._limit = request_bytes + _FORM_ROOM if form else JSON_BYTES
        length = self.headers.get("content-length", "")
        if length.isascii() and length.isdigit() and int(length) > self._limit:
            raise self._too_large()
        if form or self._body_done:
            return
        while not self._body_done:
            message = await self._next()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            self._kept.append(message)

    async def receive(self) -> Message:
        return self._kept.pop(0) if self._kept else await self._next()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self.request_id
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        elif message["type"] == "http.response.body" and not message.get("more_body") and not self._body_done:
            # A client that is still sending may never read an answer after which the connection is cut at once.
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def _next(self) -> Message:
        self._asked = True
        try:
            # Once the body is here, this waits for the client to go away, however long that takes.
            async with asyncio.timeout(None if self._body_done else _BODY_IDLE_S):
                message = await self._receive()
        except TimeoutError:
            self._body_done = True
            raise InvalidInput("The rest of the body did not come.", code="body_timeout", field="body") from None
        if message["type"] == "http.request":
            self._taken += len(message.get("body", b""))
            self._body_done = not message.get("more_body", False)
            if self._taken > self._limit:
                raise self._too_large()
        else:
            self._body_done = True
        return message

    async def _linger(self) -> None:
        if self.headers.get("expect", "").lower() == "100-continue" and not self._asked:
            return  # It waits for our word before it sends; the answer is the word.
        try:
            async with asyncio.timeout(_LINGER_S):
                while not self._body_done:
                    await self._next()
        except (TimeoutError, ClaimsightError):
            return

    def _too_large(self) -> TooLarge:
        mib = self._limit / (1024 * 1024)
        return TooLarge(f"The body is larger than {mib:g} MiB.", code="request_too_large")


def _given_id(headers: Headers) -> str | None:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else None


def _has_no_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers


def _check_path(scope: Scope) -> None:
    """An id with a slash, or one that names a folder above, would otherwise be read as another route."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    parts = [unquote(part.decode("latin-1"), errors="replace") for part in raw.split(b"?")[0].split(b"/")]
    for place, part in enumerate(parts):
        if "/" in part or "\\" in part or part in (".", "..") or any(ord(sign) < 32 for sign in part):
            field = _ID_FIELDS.get(parts[place - 1] if place else "", "path")
            raise InvalidInput(
                f"{field} takes visible characters without slashes and two dots.", code="bad_id", field=field
            )
