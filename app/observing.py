"""Store, encoder and the work of retrieval, as the figures of this process see them."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, cast

from app.metrics import Metrics
from app.tracing import Tracing
from models import Encoder
from retrieval.errors import ClaimsightError
from retrieval.ports import Store
from retrieval.watching import Counted, Outcome, Stretch

_PORTS = ("claims", "assets", "pages", "jobs", "audit", "keys")
_BATCHES = {"encode_pages": "pages", "encode_queries": "queries"}

Answered = Callable[[str, int], None]
Around = Callable[[str, Sequence[Any]], AbstractContextManager[None]]


class Observer:
    """Implements retrieval.watching.Watch. tracing: where spans are wanted too."""

    def __init__(self, metrics: Metrics, tracing: Tracing | None = None) -> None:
        self._metrics = metrics
        self._tracing = tracing

    def stretch(self, name: Stretch, **facts: str | int) -> AbstractContextManager[object]:
        return self._span(name, facts)

    @contextmanager
    def request(self, method: str, request_id: str, traceparent: str | None) -> Generator[Answered]:
        """Around a request. What it gives is called at the end with the route's template and the status."""
        if self._tracing is None:
            yield _nobody
            return
        facts = {"http.request.method": method, "request_id": request_id}
        with self._tracing.span(method, facts, traceparent=traceparent, is_request=True) as span:

            def answered(route: str, status: int) -> None:
                span.update_name(f"{method} {route}")
                span.set_attributes({"http.route": route, "http.response.status_code": status})

            yield answered

    def _span(self, name: str, facts: Mapping[str, str | int]) -> AbstractContextManager[object]:
        return nullcontext() if self._tracing is None else self._tracing.span(name, facts)

    def count(self, what: Counted, outcome: Outcome, number: int = 1) -> None:
        if number:
            self._metrics.ingested(what, outcome, number)

    def store(self, store: Store) -> Store:
        """The same store, whose calls are timed and whose errors are counted, by port and method."""
        observed = _Calls(store, self._around_store("store"))
        for port in _PORTS:
            setattr(observed, port, _Calls(getattr(store, port), self._around_store(port)))
        return cast("Store", observed)

    def encoder(self, encoder: Encoder) -> Encoder:
        """The same encoder, whose batches are timed and counted."""
        return cast("Encoder", _Calls(encoder, self._around_encoder))

    def _around_store(self, port: str) -> Around:
        @contextmanager
        def around(method: str, _arguments: Sequence[Any]) -> Generator[None]:
            started, code = time.perf_counter(), None
            try:
                with self._span(f"store.{port}.{method}", {}):
                    yield
            except ClaimsightError as error:
                code = error.code
                raise
            except Exception:
                code = "unexpected"
                raise
            finally:
                self._metrics.store_call(port, method, seconds=time.perf_counter() - started, code=code)

        return around

    @contextmanager
    def _around_encoder(self, method: str, arguments: Sequence[Any]) -> Generator[None]:
        started = time.perf_counter()
        yield
        if method in _BATCHES:
            size, seconds = len(arguments[0]), time.perf_counter() - started
            self._metrics.batch(_BATCHES[method], size=size, seconds=seconds)


def _nobody(_route: str, _status: int) -> None:
    return


class _Calls:
    """Everything of `target`; its coroutines run inside `around`."""

    def __init__(self, target: object, around: Around) -> None:
        self._target = target
        self._around = around

    @property
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """What isinstance goes by: from Python 3.12 on it sees no attribute of a protocol that __getattr__ gives."""
        return type(self._target)

    def __getattr__(self, name: str) -> Any:
        found: Any = getattr(self._target, name)
        if not iscoroutinefunction(found):
            return found

        @wraps(found)
        async def call(*arguments: Any, **options: Any) -> Any:
            with self._around(name, arguments):
                return await found(*arguments, **options)

        return call
