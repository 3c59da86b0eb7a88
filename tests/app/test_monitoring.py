"""Figures: they count what happens, in every process, under labels that nobody outside can make up."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from app.metrics import Metrics, Now
from app.observing import Observer
from models.encoder import Regional, Sketching
from retrieval.documents import QueueDepth
from retrieval.errors import NotFound, StoreUnavailable
from retrieval.ingestion.worker import Worker
from retrieval.stores.sqlite import SqliteStore
from tests.app.conftest import Api, noise, picture
from tests.fakes.encoder import FakeEncoder, SketchingFake

ROOT = Path(__file__).parents[2]
BOARD = json.loads((ROOT / "docs" / "monitoring" / "grafana.json").read_text("utf-8"))
RULES = yaml.safe_load((ROOT / "docs" / "monitoring" / "alerts.yml").read_text("utf-8"))
EXPRESSIONS = {
    **{panel["title"]: target["expr"] for panel in BOARD["panels"] for target in panel["targets"]},
    **{rule["alert"]: rule["expr"] for group in RULES["groups"] for rule in group["rules"]},
}
NOTHING = Now(QueueDepth(0, 0, 0.0), {"fake/1": 0}, (1, 1), 0, 0)
_PROMQL = {"sum", "max", "rate", "by", "le", "histogram_quantile"}


def series(text: str) -> dict[str, set[tuple[tuple[str, str], ...]]]:
    """Label sets by the name of the sample."""
    found: dict[str, set[tuple[tuple[str, str], ...]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).add(tuple(sorted(sample.labels.items())))
    return found


def value(text: str, name: str, **labels: str) -> float:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return 0.0


def everything() -> dict[str, set[str]]:
    """Every sample there can be, with the names of its labels."""
    metrics = Metrics(CollectorRegistry())
    metrics.request(method="GET", route="/", status=200, seconds=0.1)
    metrics.search({"encode": 1.0})
    metrics.file("accepted")
    for what in ("file", "page"):
        metrics.ingested(what, "failed", 1)
    metrics.batch("pages", size=1, seconds=0.1)
    metrics.store_call("claims", "get", seconds=0.1, code="claim_not_found")
    metrics.audit_sync(1, 0.1)
    found = series(metrics.snapshot(NOTHING).decode())
    return {name: {label for one in sets for label, _ in one} for name, sets in found.items()}


@pytest.mark.parametrize("title", list(EXPRESSIONS))
def test_what_the_dashboard_and_the_alerts_ask_for_is_there(title: str) -> None:
    known, expression = everything(), EXPRESSIONS[title]
    names = re.findall(r"claimsight_\w+", expression)
    assert names
    labels = set(re.findall(r"(\w+)\s*=~?\s*\"", expression))
    for listed in re.findall(r"by \(([^)]*)\)", expression):
        labels |= {label.strip() for label in listed.split(",")}
    for name in names:
        assert name in known, name
        assert labels <= known[name] | {"le"}, name


def test_every_figure_is_on_the_dashboard() -> None:
    asked = {
        name
        for panel in BOARD["panels"]
        for target in panel["targets"]
        for name in re.findall(r"claimsight_\w+", target["expr"])
    }
    families = {
        re.sub("_(total|bucket|sum|count)$", "", name) for name in everything() if not name.endswith("_created")
    }
    assert families == {re.sub("_(total|bucket|sum|count)$", "", name) for name in asked}


async def test_no_request_makes_up_a_label(api: Api) -> None:
    """Ids, words, file names, methods and addresses of a caller are in no series, and more of them make no more."""
    await api.add_page(["hail"])
    marks = [f"Zq7mark{number}" for number in range(12)]

    async def ask(mark: str) -> None:
        await api.put_claim(mark, description=mark, policy_id=mark)
        for path in (
            f"/{mark}",
            f"/v1/claims/{mark}-none",
            f"/v1/pages/{mark}/image",
            f"/v1/jobs/{mark}",
            f"/v1/facets?fields={mark}",
        ):
            await api.client.get(path, headers={"X-Request-ID": mark, "Accept": mark})
        await api.client.request(mark.upper(), "/v1/claims")
        await api.client.post("/v1/search", json={"text": mark, "filter": {f"attributes.{mark.lower()}": mark}})
        await api.client.post("/v1/search", json={"text": "hail", "filter": {mark: 1}})
        await api.upload(mark, (f"{mark}.txt", mark.encode()), (f"{mark}.png", picture([mark])))

    await ask(marks[0])
    await api.client.get("/metrics")
    before = series((await api.client.get("/metrics")).text)
    for mark in marks[1:]:
        await ask(mark)
    text = (await api.client.get("/metrics")).text
    assert series(text) == before
    assert "zq7mark" not in text.lower()


async def test_workers_count_files_pages_and_batches(api: Api) -> None:
    await api.put_claim()
    await api.upload("C-1", ("a.png", picture(["hail"])), ("b.pdf", b"%PDF-1.7 broken"), ("c.png", noise(side=200)))
    services = api.services
    worker = Worker(
        services.store,
        services.observer.encoder(FakeEncoder()),
        worker_id="w",
        work_dir=api.spool,
        limits=services.limits,
        watch=services.observer,
    )
    while await worker.run_once():
        pass
    text = (await api.client.get("/metrics")).text
    assert value(text, "claimsight_ingested_files_total", outcome="succeeded") == 2
    assert value(text, "claimsight_ingested_files_total", outcome="failed") == 1
    assert value(text, "claimsight_ingested_pages_total", outcome="succeeded") == 2
    assert value(text, "claimsight_encoder_batch_size_sum", kind="pages") == 2
    await services.journal.move()
    assert value(text, "claimsight_audit_unmoved") == 0
    assert value(text, "claimsight_sketched_pages") == 0


def test_an_observed_encoder_is_still_what_it_can_do() -> None:
    """On every version of Python: isinstance goes by the class alone from 3.12 on."""
    observed = Observer(Metrics(CollectorRegistry())).encoder(SketchingFake())
    assert isinstance(observed, SketchingFake)
    assert isinstance(observed, Regional)
    assert isinstance(observed, Sketching)


async def test_calls_of_the_store_are_timed_and_their_errors_counted_by_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = Metrics(CollectorRegistry())
    opened = await SqliteStore.open(tmp_path / "data")
    store = Observer(metrics).store(opened)
    try:
        for _ in range(3):
            with pytest.raises(NotFound):
                await store.claims.get("acme", "none")
        await store.ping()

        async def down(*_: Any) -> int:
            raise StoreUnavailable("down")

        monkeypatch.setattr(opened.claims, "count", down)
        with pytest.raises(StoreUnavailable):
            await store.claims.count("acme")
    finally:
        await store.close()
    text = metrics.snapshot(NOTHING).decode()
    assert value(text, "claimsight_store_call_seconds_count", port="claims", method="get") == 3
    assert value(text, "claimsight_store_errors_total", port="claims", method="get", code="claim_not_found") == 3
    assert value(text, "claimsight_store_errors_total", port="claims", method="count", code="store_unavailable") == 1
    assert value(text, "claimsight_store_call_seconds_count", port="store", method="ping") == 1


_PARENT = """
import os, pathlib, subprocess, sys
from app.shared_metrics import FOLDER_VARIABLE, shared_metrics
with shared_metrics(pathlib.Path("spool")):
    from prometheus_client import CollectorRegistry
    from app.metrics import Metrics
    from tests.app.test_monitoring import NOTHING, value
    metrics = Metrics(CollectorRegistry())
    metrics.ingested("page", "succeeded", 1)
    child = "from prometheus_client import CollectorRegistry; from app.metrics import Metrics; "
    child += "Metrics(CollectorRegistry()).ingested('page', 'succeeded', 20)"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", child], check=True)
    text = metrics.snapshot(NOTHING).decode()
    folder = os.environ[FOLDER_VARIABLE]
print(value(text, "claimsight_ingested_pages_total", outcome="succeeded"), os.path.exists(folder))
"""


def test_what_a_child_counted_is_in_the_answer_of_the_server_also_after_its_end(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PARENT],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["41.0", "False"], done.stderr
