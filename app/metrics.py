"""What Prometheus reads at /metrics. Labels are routes, stages, methods and codes: never ids, names or words.

`serve` shares its figures with the workers under it: each process keeps its own in a file of one folder
(`share_metrics`), and /metrics adds them up. A worker that runs elsewhere shows its own (`serve_metrics`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from app.shared_metrics import FOLDER_VARIABLE
from retrieval.documents import QueueDepth

_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_STAGE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_CALL_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_BATCH_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SIZE_BUCKETS = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class Now:
    """What is looked up when somebody asks. workers: (alive, wanted) where this server supervises some.
    sketched_pages: whose sketches this process has in memory."""

    depth: QueueDepth
    pages: Mapping[str, int]
    workers: tuple[int, int] | None
    audit_unmoved: int
    sketched_pages: int


class Metrics:
    """Figures of this process, or of all that share the folder."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._requests = Counter(
            "claimsight_requests", "Answered requests.", ["method", "route", "status"], registry=registry
        )
        self._request_s = _seconds(
            registry, "request", "Time to the end of the answer.", _REQUEST_BUCKETS, "method", "route"
        )
        self._stage_s = _seconds(registry, "search_stage", "Time of each stage of a search.", _STAGE_BUCKETS, "stage")
        self._files = Counter(
            "claimsight_uploaded_files",
            "Uploaded files by how the door took them: accepted, duplicate, or the code of the refusal.",
            ["outcome"],
            registry=registry,
        )
        self._ingested = {
            "file": Counter(
                "claimsight_ingested_files", "Files that a worker ended or gave back.", ["outcome"], registry=registry
            ),
            "page": Counter(
                "claimsight_ingested_pages", "Pages stored or failed by workers.", ["outcome"], registry=registry
            ),
        }
        self._batch_s = _seconds(registry, "encoder_batch", "Time of a batch in the encoder.", _BATCH_BUCKETS, "kind")
        self._batch_size = Histogram(
            "claimsight_encoder_batch_size",
            "Pages or questions in a batch.",
            ["kind"],
            registry=registry,
            buckets=_SIZE_BUCKETS,
        )
        self._call_s = _seconds(registry, "store_call", "Time of a call of the store.", _CALL_BUCKETS, "port", "method")
        self._call_errors = Counter(
            "claimsight_store_errors", "Calls of the store that failed.", ["port", "method", "code"], registry=registry
        )
        self._audit = Counter(
            "claimsight_audit_reads", "Records of reads that are durable in the journal.", registry=registry
        )
        self._audit_s = _seconds(registry, "audit_sync", "Time until records of reads are durable.", _CALL_BUCKETS)

    def request(self, *, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, str(status)).inc()
        self._request_s.labels(method, route).observe(seconds)

    def search(self, stages_ms: Mapping[str, float]) -> None:
        for stage, took_ms in stages_ms.items():
            self._stage_s.labels(stage).observe(took_ms / 1000)

    def file(self, outcome: str) -> None:
        self._files.labels(outcome).inc()

    def ingested(self, what: str, outcome: str, number: int) -> None:
        """what: file or page."""
        self._ingested[what].labels(outcome).inc(number)

    def batch(self, kind: str, *, size: int, seconds: float) -> None:
        """kind: pages or queries."""
        self._batch_size.labels(kind).observe(size)
        self._batch_s.labels(kind).observe(seconds)

    def store_call(self, port: str, method: str, *, seconds: float, code: str | None) -> None:
        """code: of the error, None for a call that did what it should."""
        self._call_s.labels(port, method).observe(seconds)
        if code is not None:
            self._call_errors.labels(port, method, code).inc()

    def audit_sync(self, records: int, seconds: float) -> None:
        self._audit.inc(records)
        self._audit_s.observe(seconds)

    def snapshot(self, now: Now) -> bytes:
        """The text of /metrics."""
        looked_up = CollectorRegistry()
        looked_up.register(_LookedUp(now))
        return generate_latest(self._counted()) + generate_latest(looked_up)

    def serve(self, host: str, port: int) -> None:
        """On a thread of its own, for a process without an API."""
        start_http_server(port, addr=host, registry=self._registry)

    def _counted(self) -> CollectorRegistry:
        folder = os.environ.get(FOLDER_VARIABLE)
        if folder is None:
            return self._registry
        registry = CollectorRegistry()
        MultiProcessCollector(registry, folder)
        return registry


class _LookedUp(Collector):
    def __init__(self, now: Now) -> None:
        self._now = now

    def collect(self) -> Iterable[Metric]:
        now = self._now
        queue = GaugeMetricFamily("claimsight_queue_entries", "Files in the queue.", labels=["state"])
        queue.add_metric(["queued"], now.depth.queued)
        queue.add_metric(["running"], now.depth.running)
        yield queue
        yield GaugeMetricFamily(
            "claimsight_queue_oldest_seconds", "Age of the file that waits longest.", now.depth.oldest_queued_s
        )
        pages = GaugeMetricFamily("claimsight_pages", "Stored pages by encoder.", labels=["encoder"])
        for encoder, count in now.pages.items():
            pages.add_metric([encoder], count)
        yield pages
        if now.workers is not None:
            workers = GaugeMetricFamily("claimsight_workers", "Ingest processes of this server.", labels=["state"])
            workers.add_metric(["alive"], now.workers[0])
            workers.add_metric(["wanted"], now.workers[1])
            yield workers
        yield GaugeMetricFamily(
            "claimsight_audit_unmoved", "Records of reads on their way into the chain.", now.audit_unmoved
        )
        yield GaugeMetricFamily(
            "claimsight_sketched_pages", "Pages of large collections whose words are looked for.", now.sketched_pages
        )


def _seconds(registry: CollectorRegistry, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(f"claimsight_{name}_seconds", text, labels, registry=registry, buckets=buckets)
