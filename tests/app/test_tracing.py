"""Traces arrive at a receiver over HTTP, tell what took the time, and hold nothing of what anybody asked."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import CollectorRegistry

from app.metrics import Metrics
from app.observing import Observer
from app.tracing import open_tracing
from retrieval.errors import InvalidInput
from retrieval.ingestion.worker import Worker
from retrieval.stores import open_store
from tests.app.conftest import MakeApi, picture
from tests.fakes.encoder import FakeEncoder

MARK = "Zq7unmistakable"
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Receiver:
    """What an OTLP collector takes: protobuf over HTTP. bodies: as they came."""

    def __init__(self) -> None:
        bodies: list[bytes] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                return

        self.bodies = bodies
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def spans(self) -> list[Any]:
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def facts_of(span: Any) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


async def test_a_search_and_an_ingest_are_traced_to_their_stages_and_calls(
    make_api: MakeApi, receiver: Receiver, tmp_path: Any
) -> None:
    metrics, tracing = Metrics(CollectorRegistry()), open_tracing(receiver.url)
    store = Observer(metrics, tracing).store(await open_store(f"sqlite:{tmp_path / 'data'}"))
    api = await make_api(store=store, metrics=metrics, tracing=tracing)
    await api.put_claim("C-1", description=MARK, policy_id=MARK)
    await api.upload("C-1", (f"{MARK}.png", picture([MARK])), headers={"X-Request-ID": "upload-7"})
    services = api.services
    encoder = services.observer.encoder(FakeEncoder())
    options: dict[str, Any] = {"worker_id": "w", "work_dir": api.spool, "limits": services.limits}
    assert await Worker(store, encoder, watch=services.observer, **options).run_once()
    asked = await api.client.post(
        "/v1/search",
        json={"text": MARK},
        headers={"traceparent": f"00-{TRACE}-{CALLER}-01", "X-Request-ID": "search-7"},
    )
    assert asked.status_code == 200
    assert (await api.client.get(f"/v1/claims/{MARK}")).status_code == 404
    await services.close()

    spans = receiver.spans()
    by_id = {span.span_id: span for span in spans}
    [search] = [span for span in spans if span.name == "POST /v1/search"]
    assert (search.trace_id.hex(), search.parent_span_id.hex()) == (TRACE, CALLER)
    assert facts_of(search) | {"request_id": "search-7", "http.response.status_code": 200} == facts_of(search)
    of_search = {span.name for span in spans if span.trace_id == search.trace_id}
    assert {f"search.{stage}" for stage in ("encode", "candidates", "rerank", "fetch")} <= of_search
    assert "store.pages.matching" in of_search
    [stage] = [span for span in spans if span.name == "search.candidates"]
    assert by_id[stage.parent_span_id] is search

    [entry] = [span for span in spans if span.name == "ingest.entry"]
    assert facts_of(entry)["request_id"] == "upload-7"
    [put] = [span for span in spans if span.name == "store.pages.put"]
    assert put.trace_id == entry.trace_id

    failed = [span for span in spans if span.name == "store.claims.get" and span.status.code]
    assert [facts_of(span)["error.code"] for span in failed] == ["claim_not_found"]
    assert all(MARK.encode() not in body for body in receiver.bodies)


async def test_a_receiver_that_is_away_hurts_no_request(make_api: MakeApi) -> None:
    api = await make_api(tracing=open_tracing("http://127.0.0.1:9/v1/traces"))
    assert (await api.client.get("/v1/claims")).status_code == 200


def test_without_the_packages_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("opentelemetry.exporter"):
            raise ImportError(name)
        return load(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InvalidInput) as refused:
        open_tracing("http://127.0.0.1:4318/v1/traces")
    assert refused.value.code == "otel_missing"
    assert "claimsight[otel]" in refused.value.detail
