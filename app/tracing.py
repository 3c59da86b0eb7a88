"""Traces by OpenTelemetry, sent as OTLP over HTTP, where a receiver is named. The packages are an extra.

Spans say which route, stage or call, how long and with which code it failed; no fact, word or name is in one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from retrieval.errors import ClaimsightError, InvalidInput

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

_CLOSE_LIMIT_MS = 2000


class Tracing:
    """Spans of this process. Made by `open_tracing`, closed once."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("claimsight")

    @contextmanager
    def span(
        self, name: str, facts: Mapping[str, str | int], *, traceparent: str | None = None, is_request: bool = False
    ) -> Generator[Span]:
        """Around a piece of work; further spans in it are its children. traceparent: W3C header of the caller's."""
        from opentelemetry.trace import SpanKind, Status, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        caller = TraceContextTextMapPropagator().extract({"traceparent": traceparent}) if traceparent else None
        kind = SpanKind.SERVER if is_request else SpanKind.INTERNAL
        # Texts of exceptions may hold values, so only the code is told.
        with self._tracer.start_as_current_span(
            name, caller, kind, attributes=facts, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException as error:
                code = error.code if isinstance(error, ClaimsightError) else type(error).__name__
                span.set_attribute("error.code", code)
                span.set_status(Status(StatusCode.ERROR, code))
                raise

    async def close(self) -> None:
        """Sends what is left, for some seconds at most."""

        def end() -> None:
            self._provider.force_flush(_CLOSE_LIMIT_MS)
            self._provider.shutdown()

        await asyncio.to_thread(end)


def open_tracing(endpoint: str) -> Tracing:
    """endpoint: of an OTLP receiver, as http://127.0.0.1:4318/v1/traces.

    Raises InvalidInput otel_missing without the packages.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise InvalidInput(
            "Traces need further packages: pip install 'claimsight[otel]', or unset CLAIMSIGHT_OTLP_ENDPOINT.",
            code="otel_missing",
            field="CLAIMSIGHT_OTLP_ENDPOINT",
        ) from None
    resource = Resource.create({"service.name": "claimsight", "service.version": version("claimsight")})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return Tracing(provider)
