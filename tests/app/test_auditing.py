"""Every search, view, download, change and deletion leaves a record, before it is answered, without its words."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route

from app.auditing import DECISIONS, QueryMarks, query_marks
from retrieval.audit import check_audit, claims_in, concerns
from retrieval.documents import AuditEvent
from retrieval.errors import ClaimsightError, StoreUnavailable
from tests.app.conftest import MARKS, TENANT, Api, MakeApi, picture

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def routes_of(api: Api) -> set[tuple[str, str]]:
    """Method and template of each route there is."""
    found = {(method, path) for path, methods in api.app.openapi()["paths"].items() for method in methods}
    hidden = {
        (method, route.path) for route in api.app.routes if isinstance(route, Route) for method in route.methods or ()
    }
    return {(method.upper(), path) for method, path in found | hidden if method.upper() != "HEAD"}


@dataclass
class Made:
    """What the calls below are made of."""

    page_id: str
    asset_id: str
    job_id: str


@dataclass
class Call:
    """One request. actions: the records that it leaves. concerns: the claim that they name."""

    method: str
    route: str
    actions: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    claim: str | None = "C-1"

    @property
    def name(self) -> str:
        return f"{self.method} {self.route} {' '.join(self.actions)}"


WORDS = {"text": "hail"}
CALLS = [
    Call("GET", "/v1/claims", ("claims.list",)),
    Call("POST", "/v1/claims", ("claim.create",), {"json": {"claim_id": "C-9"}}, "C-9"),
    Call("GET", "/v1/claims/{claim_id}", ("claim.view",)),
    Call("PUT", "/v1/claims/{claim_id}", ("claim.replace",), {"json": {"line": "auto"}}),
    Call("PATCH", "/v1/claims/{claim_id}", ("claim.change",), {"json": {"line": "auto"}}),
    Call("PUT", "/v1/claims/{claim_id}/hold", ("claim.hold",)),
    Call("PUT", "/v1/claims/{claim_id}/hold", ()),
    Call("DELETE", "/v1/claims/{claim_id}/hold", ("claim.release",)),
    Call("GET", "/v1/claims/{claim_id}/pages", ("pages.list",)),
    Call("GET", "/v1/claims/{claim_id}/assets", ("assets.list",)),
    Call("GET", "/v1/assets/{asset_id}", ("asset.view",)),
    Call("GET", "/v1/assets/{asset_id}/content", ("asset.download",)),
    Call("GET", "/v1/assets/{asset_id}/content", ("asset.download",), {"headers": {"If-None-Match": "*"}}),
    Call("GET", "/v1/pages/{page_id}", ("page.view",)),
    Call("GET", "/v1/pages/{page_id}/image", ("page.picture",)),
    Call("GET", "/v1/pages/{page_id}/image", ("page.picture",), {"headers": {"If-None-Match": "*"}}),
    Call("GET", "/v1/pages/{page_id}/similar", ("search.page",), claim="C-2"),
    Call("GET", "/v1/pages/{page_id}/matches/{other_page_id}", ("page.matches",)),
    Call("POST", "/v1/claims/{claim_id}/similar", ("search.claim",), {"json": {}}, "C-2"),
    Call("GET", "/v1/claims/{claim_id}/reused", ("photos.reused",)),
    Call("POST", "/v1/search", ("search.words",), {"json": WORDS}),
    Call("POST", "/v1/search", ("search.words",), {"json": {**WORDS, "group_by": "claim"}}, "C-2"),
    Call("POST", "/v1/search", ("search.picture",), {"files": [("image", ("a.png", picture(["hail"])))]}),
    Call("POST", "/v1/explain", ("page.explain",), {"json": {**WORDS, "page_id": "{page_id}"}}),
    Call("GET", "/v1/facets", ("facets.view",), claim=None),
    Call("GET", "/v1/jobs", ("jobs.list",)),
    Call("GET", "/v1/jobs/{job_id}", ("job.view",)),
    Call("GET", "/v1/jobs/{job_id}/events", ("job.follow",)),
    Call("POST", "/v1/jobs/{job_id}/cancel", ("job.cancel",)),
    Call("POST", "/v1/jobs/{job_id}/retry", ("job.retry",)),
    Call("POST", "/v1/claims/{claim_id}/assets", ("assets.upload",), {"files": [("files", ("b.png", picture(["b"])))]}),
    *(
        Call("GET", route, (), claim=None)
        for route in ("/v1/me", "/v1/schema", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json")
    ),
    Call("DELETE", "/v1/assets/{asset_id}", ("asset.delete",)),
    Call("DELETE", "/v1/claims/{claim_id}", ("claim.delete",)),
    Call("PUT", "/v1/claims/{claim_id}", ("claim.create",), {"json": {}}),
]


async def made(api: Api) -> Made:
    """Two claims with a page each, both found by the word hail."""
    await api.add_page(["hail", "roof"], "C-2")
    hit = await api.add_page(["hail", "window"], "C-1")
    [job] = (await api.client.get("/v1/jobs", params={"claim_id": "C-1"})).json()["items"]
    return Made(hit["page"]["page_id"], hit["page"]["asset_id"], job["job_id"])


async def records(api: Api) -> list[AuditEvent]:
    """All so far, the oldest first."""
    await api.services.journal.move()
    return [record.event for record in await api.services.store.audit.records(TENANT)]


async def test_every_route_leaves_the_records_that_it_is_said_to(api: Api) -> None:
    have = await made(api)
    for number, call in enumerate(CALLS):
        before = len(await records(api))
        path = call.route.format(
            claim_id="C-1", page_id=have.page_id, other_page_id=have.page_id, asset_id=have.asset_id, job_id=have.job_id
        )
        options = dict(call.options)
        if "{page_id}" in str(options.get("json")):
            options["json"] = {**options["json"], "page_id": have.page_id}
        headers = {"X-Request-ID": f"request-{number}", **options.pop("headers", {})}
        reply = await api.client.request(call.method, path, headers=headers, **options)
        assert reply.status_code < 400, (call.name, reply.text)
        left = (await records(api))[before:]
        assert tuple(event.action for event in left) == call.actions, call.name
        assert set(call.actions) <= set(DECISIONS[call.method, call.route].actions), call.name
        for event in left:
            assert (event.actor, event.request_id) == ("local", f"request-{number}")
            assert call.claim is None or concerns(event, call.claim), (call.name, event)
    assert (await check_audit(api.services.store.audit, TENANT)).faults == ()


async def test_every_route_has_a_decision_and_a_call_above(api: Api) -> None:
    assert set(DECISIONS) == routes_of(api)
    called = {(call.method, call.route) for call in CALLS}
    assert set(DECISIONS) == called
    for place, decision in DECISIONS.items():
        assert bool(decision.actions) != bool(decision.why_none), place
    left = {action for call in CALLS for action in call.actions} | {"search.page"}
    assert left == {action for decision in DECISIONS.values() for action in decision.actions}


def test_the_page_has_the_table_of_the_code() -> None:
    rows = re.findall(r"^\| `([A-Z]+) (/[^`]*)` \| (.*) \|$", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    written = {(method, path): told for method, path, told in rows}
    assert written == {
        place: ", ".join(f"`{action}`" for action in decision.actions) or f"none: {decision.why_none}"
        for place, decision in DECISIONS.items()
    }


async def test_nothing_of_a_refused_request_is_recorded_as_seen(api: Api) -> None:
    for path in ("/v1/claims/none", "/v1/pages/none/image", "/v1/assets/none/content"):
        assert (await api.client.get(path)).status_code == 404
    assert await records(api) == []


async def test_the_record_is_durable_before_the_answer_and_no_answer_comes_without_it(
    make_api: MakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = await make_api()
    hit = await api.add_page(["hail"])
    await api.services.journal.move()
    before = len(await records(api))

    async def down(*_: object) -> None:
        raise StoreUnavailable("down")

    with monkeypatch.context() as patch:
        patch.setattr(api.services.store.audit, "append", down)
        assert (await api.client.get("/v1/claims/C-1")).status_code == 200
        journals = list(api.spool.with_name("journal").glob("*.journal"))
        assert any(b'"claim.view"' in journal.read_bytes() for journal in journals)
        patch.setattr("retrieval.journal.os.fdatasync", _full)
        for path in ("/v1/claims/C-1", f"/v1/pages/{hit['page']['page_id']}/image"):
            refused = await api.client.get(path)
            assert (refused.status_code, refused.json()["code"]) == (503, "audit_unavailable")
        asked = await api.client.post("/v1/search", json=WORDS)
        assert (asked.status_code, asked.json()["code"]) == (503, "audit_unavailable")
    assert [event.action for event in (await records(api))[before:]] == ["claim.view"]


def _full(_handle: int) -> None:
    raise OSError(28, "No space left on device")


async def test_changes_and_their_records_are_durable_together(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that cannot be written takes the change with it."""
    await api.put_claim("C-1")
    held = await records(api)

    def broken(*_: object) -> str:
        raise StoreUnavailable("The disk of the store is full.")

    with monkeypatch.context() as patch:
        patch.setattr("retrieval.audit.hash_of", broken)
        for method, path, options in (
            ("PATCH", "/v1/claims/C-1", {"json": {"line": "travel"}}),
            ("PUT", "/v1/claims/C-1/hold", {}),
            ("DELETE", "/v1/claims/C-1", {}),
            ("POST", "/v1/claims", {"json": {"claim_id": "C-2"}}),
            ("POST", "/v1/claims/C-1/assets", {"files": [("files", ("a.png", picture(["a"])))]}),
        ):
            assert (await api.client.request(method, path, **options)).status_code == 503, (method, path)
    claim = await api.services.store.claims.get(TENANT, "C-1")
    assert (claim.version, claim.line, claim.held) == (1, "other", False)
    assert await api.services.store.claims.count(TENANT) == 1
    assert (await api.services.store.jobs.list(TENANT)).items == ()
    assert await records(api) == held


async def test_words_are_hashed_with_a_key_unless_they_are_to_be_kept(make_api: MakeApi) -> None:
    api = await make_api()
    await api.add_page(["hail"], "C-1", policy_id="POL-7")
    body = {"text": "  Smashed WINDSHIELD ", "filter": {"policy_id": "POL-7"}}
    await api.client.post("/v1/search", json=body)
    event = (await records(api))[-1]
    assert (event.action, claims_in(event)) == ("search.words", ("C-1",))
    assert event.details["query"] == MARKS.of_words("smashed windshield")
    assert event.details["query"] != QueryMarks(b"x" * 32).of_words("smashed windshield")
    assert not re.search("smashed|POL-7|windshield", repr(event), re.IGNORECASE)
    kept = await make_api(store=api.services.store, marks=QueryMarks(None))
    await kept.client.post("/v1/search", json=body)
    event = (await records(kept))[-1]
    assert event.details["query"] == "  Smashed WINDSHIELD "
    assert json.loads(str(event.details["filter"])) == {"policy_id": "POL-7"}


def test_the_key_of_the_hashes_is_made_once_and_kept_for_the_owner(tmp_path: Path) -> None:
    path = tmp_path / "data" / "audit.key"
    first = query_marks(path, kept=False)
    assert query_marks(path, kept=False) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["audit.key"]
    assert first.key is not None
    assert str(first.key) not in repr(first)
    path.write_text("not a key")
    with pytest.raises(ClaimsightError) as refused:
        query_marks(path, kept=False)
    assert refused.value.code == "audit_key_unreadable"


async def test_processes_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    made = await asyncio.gather(*(asyncio.to_thread(query_marks, path, kept=False) for _ in range(8)))
    assert len({one.key for one in made}) == 1
