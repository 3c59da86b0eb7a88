"""Every route, asked with the ids of another tenant: nothing is shown, changed, or told by a status or a word.

The requests are made from the routes that there are, so a new one is tried without being named here; a new kind of id
fails the test until IDS knows it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.access import NEEDS, OPEN, operations_of
from retrieval.documents import Sort
from retrieval.filters import EVERYTHING
from retrieval.keys import Role
from retrieval.stores import open_store
from tests.app.conftest import Api, MakeApi, picture
from tests.app.test_door import add_key, bearer
from tests.fakes.mongo import *  # noqa: F403  # its fixtures

OWNER, NEIGHBOUR = "owner", "neighbour"
MARK = "Zq7unmistakable"
_RIGHTS = {401, 403}


@dataclass(frozen=True)
class Ids:
    """One record of each kind, by the name of its id."""

    claim_id: str
    asset_id: str
    page_id: str
    job_id: str

    def of(self, name: str) -> str:
        known = {
            "like_page_id": "page_id",
            "other_page_id": "page_id",
            "page_ids": "page_id",
            "exclude_claim_ids": "claim_id",
        }
        assert known.get(name, name) in self.__dataclass_fields__, f"teach this test what {name} is the id of"
        return str(getattr(self, known.get(name, name)))

    def hidden(self, text: str) -> str:
        for name in self.__dataclass_fields__:
            text = text.replace(self.of(name), f"<{name}>")
        return text


NOWHERE = Ids("N-1", "e" * 64, f"{'e' * 32}-1", "0193a1b2-0000-7000-8000-000000000000")


@dataclass(frozen=True)
class Slot:
    """A place of a request that takes an id. where: path, query or body."""

    where: str
    name: str
    many: bool = False


@dataclass(frozen=True)
class Operation:
    """body: None where there is none; files: it takes a form."""

    method: str
    path: str
    slots: tuple[Slot, ...]
    body: Mapping[str, Any] | None = None
    media_type: str = "application/json"
    files: bool = False
    cursor: bool = False

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def chosen(self) -> tuple[Slot, ...]:
        """Those that may be left out, and those of the body."""
        return tuple(slot for slot in self.slots if slot.where != "path")

    def request(
        self, ids: Ids, *, focus: Slot | None = None, focus_ids: Ids | None = None, alone: bool = False
    ) -> dict[str, Any]:
        """With `ids` wherever an id must be, and the id of `focus_ids` at `focus`. alone: without the other members of
        the example body."""
        path, query, body = self.path, dict[str, str](), dict(self.body or {})
        if alone:
            body = {slot.name: body[slot.name] for slot in self.slots if slot.where == "body" and slot.name in body}
        for slot in self.slots:
            found = (focus_ids if slot == focus and focus_ids else ids).of(slot.name)
            if slot.where == "path":
                path = path.replace("{" + slot.name + "}", found)
            elif slot == focus and slot.where == "query":
                query[slot.name] = found
            elif slot.where == "body" and (slot == focus or slot.name in body):
                body[slot.name] = [found] if slot.many else found
        request: dict[str, Any] = {"method": self.method, "url": path, "params": query}
        if self.files:
            request["files"] = [("files", ("a.png", picture(["hail"])))]
        elif self.body is not None:
            request["content"] = json.dumps(body)
            request["headers"] = {"content-type": self.media_type}
        return request


def operations(api: Api) -> list[Operation]:
    document = api.app.openapi()
    found: list[Operation] = []
    for name in operations_of(api.app):
        method, _, path = name.partition(" ")
        listed = document["paths"].get(path, {}).get(method.lower(), {})
        parameters = listed.get("parameters", [])
        slots = [Slot("path", part[1:-1]) for part in path.split("/") if part.startswith("{")]
        names = [given["name"] for given in parameters if given["in"] == "query"]
        slots += [Slot("query", given) for given in names if given.endswith("_id")]
        contents = listed.get("requestBody", {}).get("content", {})
        operation = Operation(method, path, tuple(slots), files=list(contents) == ["multipart/form-data"])
        for media_type, content in contents.items():
            if media_type.endswith("json"):
                operation = with_body(operation, media_type, content, document)
        found.append(replace(operation, cursor="cursor" in names))
    return found


def with_body(operation: Operation, media_type: str, content: dict[str, Any], document: dict[str, Any]) -> Operation:
    schema = content.get("schema", {})
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    named = [example["value"] for example in content.get("examples", {}).values()]
    example = next(iter([*filter(None, [content.get("example")]), *named, *schema.get("examples", [])]), {})
    slots = [
        Slot("body", name, name.endswith("s"))
        for name in schema.get("properties", {})
        if name.endswith(("_id", "_ids")) and name != "policy_id"
    ]
    # An id in the address says the same as one in the body.
    taken = {slot.name for slot in operation.slots}
    free = tuple(slot for slot in slots if slot.name not in taken)
    body = {name: value for name, value in example.items() if name not in taken}
    return replace(operation, slots=(*operation.slots, *free), body=body, media_type=media_type)


@dataclass
class House:
    """An API with tenants: the owner, whose ids are known to all; a neighbour with records of its own; and as many
    strangers without any as there are requests."""

    api: Api
    owner: Ids
    neighbour: Ids
    keys: dict[str, str] = field(default_factory=dict[str, str])

    async def ask(self, tenant: str, request: Mapping[str, Any]) -> httpx2.Response:
        if tenant not in self.keys:
            self.keys[tenant] = await add_key(self.api, tenant)
        headers = {**request.get("headers", {}), **bearer(self.keys[tenant])}
        return await self.api.client.request(**{**request, "headers": headers})

    async def state(self) -> object:
        """All that the owner has."""
        store, claim_id = self.api.services.store, self.owner.claim_id
        return (
            await store.claims.list(OWNER, EVERYTHING, sort=Sort()),
            await store.assets.list(OWNER, claim_id),
            await store.pages.list(OWNER, claim_id=claim_id),
            [await store.pages.picture(OWNER, self.owner.page_id)],
            await store.jobs.list(OWNER),
            await store.audit.head(OWNER),
            await store.keys.list(OWNER),
        )


@pytest.fixture(params=["sqlite", "mongodb"])
async def house(request: pytest.FixtureRequest, make_api: MakeApi, tmp_path: Path) -> House:
    address = f"sqlite:{tmp_path / 'data'}"
    if request.param == "mongodb":
        database = request.getfixturevalue("mongo_database")
        address = request.getfixturevalue("mongo_uri").replace("/?", f"/{database}?")
    api = await make_api(store=await open_store(address))
    await api.services.engine()
    house = House(api, NOWHERE, NOWHERE)
    house.owner, house.neighbour = await settle(house, OWNER), await settle(house, NEIGHBOUR)
    return house


async def settle(house: House, tenant: str) -> Ids:
    """Two claims with a page each, and an upload that waits."""
    claim_ids = [f"{tenant}-1", f"{tenant}-2"]
    for claim_id in claim_ids:
        facts = {"description": f"{MARK} {tenant}", "policy_id": f"{MARK}-policy", "line": "auto"}
        await house.ask(tenant, {"method": "PUT", "url": f"/v1/claims/{claim_id}", "json": facts})
        form = [("files", (f"{MARK}.png", picture([tenant, claim_id, "hail"])))]
        await house.ask(tenant, {"method": "POST", "url": f"/v1/claims/{claim_id}/assets", "files": form})
    await house.api.work()
    form = [("files", (f"{MARK}-2.png", picture([tenant, "waits"])))]
    made = await house.ask(tenant, {"method": "POST", "url": f"/v1/claims/{claim_ids[0]}/assets", "files": form})
    store = house.api.services.store
    [page] = (await store.pages.list(tenant, claim_id=claim_ids[0])).items
    return Ids(claim_ids[0], page.asset_id, page.page_id, made.json()["job_id"])


def told(reply: httpx2.Response, *ids: Ids) -> tuple[int, str, dict[str, str]]:
    """Status, body and headers, without the ids themselves and what differs from request to request."""
    text = reply.text
    for one in ids:
        text = one.hidden(text)
    if reply.headers.get("content-type", "").endswith("json"):
        body: Any = json.loads(text)
        if isinstance(body, dict):
            moving = ("request_id", "took_ms", "stages_ms", "created_at", "updated_at", "next_cursor")
            text = json.dumps({name: value for name, value in body.items() if name not in moving}, sort_keys=True)
    kept = {name: value for name, value in reply.headers.items() if name not in ("x-request-id", "content-length")}
    for one in ids:
        kept = {name: one.hidden(value) for name, value in kept.items()}
    return reply.status_code, text, kept


def attempts(house: House, operation: Operation) -> Iterator[tuple[str, Callable[[Ids], dict[str, Any]]]]:
    """(who asks, from whose ids to the request): a stranger with all ids foreign, and the neighbour with its own ids
    and a foreign one beside them."""
    if operation.slots:
        yield "stranger", operation.request
    for slot in operation.chosen:
        for alone in (False, True):

            def beside(ids: Ids, slot: Slot = slot, alone: bool = alone) -> dict[str, Any]:
                return operation.request(house.neighbour, focus=slot, focus_ids=ids, alone=alone)

            yield NEIGHBOUR, beside


@pytest.mark.timeout(600)
async def test_no_route_shows_changes_or_tells_anything_of_another_tenant(house: House) -> None:
    before = await house.state()
    asked = 0
    for operation in operations(house.api):
        for number, (who, request) in enumerate(attempts(house, operation)):
            # A stranger of its own for each: it may create a claim of the same number for itself.
            tenants = [f"s{asked}-{number}-{side}" if who == "stranger" else who for side in ("a", "b")]
            foreign = await house.ask(tenants[0], request(house.owner))
            nowhere = await house.ask(tenants[1], request(NOWHERE))
            shown = [told(reply, house.owner, NOWHERE) for reply in (foreign, nowhere)]
            assert shown[0] == shown[1], (operation.name, request(house.owner))
            if who == "stranger":
                assert MARK not in foreign.text, operation.name
            assert f"{MARK} {OWNER}" not in foreign.text, operation.name
            asked += 1
        if not operation.slots:
            reply = await house.ask(f"empty-{asked}", operation.request(NOWHERE))
            assert MARK not in reply.text, operation.name
            assert OWNER not in reply.text, operation.name
    assert await house.state() == before
    assert asked > 40


@pytest.mark.timeout(600)
async def test_the_same_requests_serve_the_owner(house: House) -> None:
    """Else the test above would prove nothing."""
    served: dict[str, set[int]] = {}
    for operation in sorted(operations(house.api), key=lambda one: (one.method == "DELETE", -len(one.path))):
        for who, request in attempts(house, operation):
            tenant = OWNER if who == "stranger" else who
            reply = await house.ask(tenant, request(house.owner if who == "stranger" else house.neighbour))
            served.setdefault(operation.name, set()).add(reply.status_code)
    refused = {name for name, statuses in served.items() if not statuses & {200, 201, 202, 204}}
    assert refused == {"POST /v1/claims"}, "that number is taken"
    assert all(statuses & {200, 201, 202, 204, 404, 409} for statuses in served.values())


async def test_cursors_keys_and_equal_numbers_of_another_tenant_lead_nowhere(house: House) -> None:
    await a_cursor_is_refused(house)
    await an_idempotency_key_finds_no_job(house)
    await the_same_number_and_file_are_searched_apart(house)


async def a_cursor_is_refused(house: House) -> None:
    tried = 0
    for operation in operations(house.api):
        if operation.cursor:
            request = operation.request(house.owner)
            first = await house.ask(OWNER, {**request, "params": {"limit": "1"}})
            cursor = first.json()["next_cursor"]
            if cursor is None:
                continue
            mine = {**operation.request(house.neighbour), "params": {"limit": "1", "cursor": cursor}}
            reply = await house.ask(NEIGHBOUR, mine)
            assert (reply.status_code, reply.json()["code"]) == (422, "bad_cursor"), operation.name
            tried += 1
    assert tried >= 2


async def an_idempotency_key_finds_no_job(house: House) -> None:
    def upload(ids: Ids) -> dict[str, Any]:
        form = [("files", ("a.png", picture(["same", "bytes"])))]
        headers = {"Idempotency-Key": "order-1"}
        return {"method": "POST", "url": f"/v1/claims/{ids.claim_id}/assets", "files": form, "headers": headers}

    theirs = await house.ask(OWNER, upload(house.owner))
    mine = await house.ask(NEIGHBOUR, upload(house.neighbour))
    assert (theirs.status_code, mine.status_code) == (202, 202)
    assert mine.json()["job_id"] != theirs.json()["job_id"]
    assert mine.json()["entries"][0]["state"] == "queued", "the same bytes in another tenant are no duplicate"


async def the_same_number_and_file_are_searched_apart(house: House) -> None:
    """Then even the page's id is the same."""
    hits: list[dict[str, Any]] = []
    for tenant, line in ((OWNER, "auto"), (NEIGHBOUR, "travel")):
        await house.ask(tenant, {"method": "PUT", "url": "/v1/claims/SAME", "json": {"line": line}})
        form = [("files", (f"{tenant}.png", picture(["same", "page"])))]
        await house.ask(tenant, {"method": "POST", "url": "/v1/claims/SAME/assets", "files": form})
    await house.api.work()
    question = {"text": "same page", "filter": {"claim_id": "SAME"}, "limit": 5}
    for tenant in (OWNER, NEIGHBOUR, OWNER):
        reply = await house.ask(tenant, {"method": "POST", "url": "/v1/search", "json": question})
        [hit] = reply.json()["hits"]
        hits.append(hit)
    assert hits[0]["page"]["page_id"] == hits[1]["page"]["page_id"]
    assert [hit["claim"]["line"] for hit in hits] == ["auto", "travel", "auto"]
    assert [hit["page"]["filename"] for hit in hits] == ["owner.png", "neighbour.png", "owner.png"]
    await house.ask(OWNER, {"method": "DELETE", "url": "/v1/claims/SAME"})
    left = await house.ask(NEIGHBOUR, {"method": "GET", "url": f"/v1/pages/{hits[1]['page']['page_id']}/image"})
    assert left.status_code == 200


async def test_every_route_asks_for_its_role(api: Api) -> None:
    keys: dict[Role | None, str] = {role: await add_key(api, role=role) for role in Role}
    for operation in operations(api):
        need = NEEDS[operation.name]
        request = operation.request(NOWHERE)
        for role in (None, *Role):
            headers = {**request.get("headers", {}), **(bearer(keys[role]) if role else {})}
            reply = await api.client.request(**{**request, "headers": headers})
            answered = (operation.name, role, reply.status_code)
            if need is OPEN:
                assert reply.status_code not in _RIGHTS, answered
            elif role is None:
                assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer"), answered
            elif need.role is not None and not role.covers(need.role):
                assert reply.status_code == 403, answered
                if operation.method != "HEAD":
                    assert reply.json()["code"] == "role_required", answered
                assert "insufficient_scope" in reply.headers["www-authenticate"], answered
            else:
                assert reply.status_code not in _RIGHTS, answered


async def test_a_role_that_is_too_low_is_refused_before_the_body_is_read(api: Api) -> None:
    viewer = await add_key(api, role=Role.viewer)
    never = asyncio.Event()
    took = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal took
        took += 1
        yield b"--x\r\n"
        await never.wait()

    headers = {**bearer(viewer), "content-type": "multipart/form-data; boundary=x", "expect": "100-continue"}
    reply = await api.client.post("/v1/claims/C-1/assets", content=endless(), headers=headers)
    assert (reply.status_code, took) == (403, 0)
