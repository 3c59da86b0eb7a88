"""Claims over HTTP: created, replaced, patched, listed, deleted; wrong facts refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.schemas.claims import ClaimReply
from retrieval.documents import Claim
from tests.app.conftest import Api

FACTS: dict[str, Any] = {
    "line": "auto",
    "status": "open",
    "policy_id": "P-1",
    "loss_date": "2026-03-31",
    "reported_date": "2026-04-02",
    "loss_amount": 1840.5,
    "currency": "EUR",
    "damage_types": ["windshield"],
    "location": {"city": "Graz", "region": "Styria", "country": "AT"},
    "vehicle": {"make": "Toyota", "model": "Corolla", "year": 2021},
    "description": "Hail.\nTwo dents.",
    "attributes": {"fleet": True, "adjuster": "m.huber", "excess": 300},
}


async def test_put_creates_then_replaces(api: Api) -> None:
    first = await api.client.put("/v1/claims/C-1", json=FACTS)
    assert (first.status_code, first.headers["location"]) == (201, "/v1/claims/C-1")
    stored = first.json()
    assert {name: stored[name] for name in FACTS} == FACTS
    assert (stored["version"], first.headers["etag"]) == (1, '"1"')
    second = await api.client.put("/v1/claims/C-1", json={"line": "travel"})
    assert second.status_code == 200
    assert (second.json()["line"], second.json()["policy_id"], second.json()["version"]) == ("travel", None, 2)
    assert second.json()["created_at"] == stored["created_at"]
    assert (await api.client.get("/v1/claims/C-1")).json() == second.json()


async def test_post_creates_once(api: Api) -> None:
    reply = await api.client.post("/v1/claims", json={"claim_id": "C-1", **FACTS})
    assert (reply.status_code, reply.headers["location"]) == (201, "/v1/claims/C-1")
    again = await api.client.post("/v1/claims", json={"claim_id": "C-1"})
    assert (again.status_code, again.json()["code"]) == (409, "claim_exists")
    assert (await api.client.get("/v1/claims/C-1")).json()["policy_id"] == "P-1"


async def test_patch_merges_and_null_takes_away(api: Api) -> None:
    await api.put_claim("C-1", **FACTS)
    change = {
        "status": "paid",
        "policy_id": None,
        "location": {"city": "Linz"},
        "attributes": {"fleet": None, "excess": 250},
        "damage_types": ["hail"],
        "line": None,
    }
    reply = await api.client.patch(
        "/v1/claims/C-1", content=json.dumps(change), headers={"content-type": "application/merge-patch+json"}
    )
    assert reply.status_code == 200, reply.text
    found = reply.json()
    assert found["status"] == "paid"
    assert found["policy_id"] is None
    assert found["line"] == "other"
    assert found["location"] == {"city": "Linz", "region": "Styria", "country": "AT"}
    assert found["attributes"] == {"adjuster": "m.huber", "excess": 250.0}
    assert found["damage_types"] == ["hail"]
    assert found["loss_date"] == "2026-03-31"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"status": "happy"}, "status"),
        ({"claim_id": "other"}, "claim_id"),
        ({"colour": "red"}, "colour"),
        ({"loss_amount": -1}, "loss_amount"),
        ({"location": "Graz"}, "location"),
        ({"vehicle": {"year": "2021"}}, "vehicle.year"),
        ({"attributes": {"Bad Name": 1}}, "attributes.Bad Name.[key]"),
    ],
)
async def test_a_patch_that_does_not_fit_changes_nothing(api: Api, change: dict[str, Any], field: str) -> None:
    before = await api.put_claim("C-1", **FACTS)
    reply = await api.client.patch("/v1/claims/C-1", json=change)
    assert (reply.status_code, reply.json()["code"], reply.json()["field"]) == (422, "bad_claim", field)
    assert (await api.client.get("/v1/claims/C-1")).json()["version"] == before["version"]


async def test_a_change_of_a_claim_that_moved_on_is_refused(api: Api) -> None:
    await api.put_claim("C-1", line="auto")
    await api.put_claim("C-1", line="travel")
    for method in ("PATCH", "PUT"):
        late = await api.client.request(method, "/v1/claims/C-1", json={"status": "paid"}, headers={"If-Match": '"1"'})
        assert (late.status_code, late.json()["code"]) == (412, "version_conflict")
    good = await api.client.put("/v1/claims/C-1", json={"status": "paid"}, headers={"If-Match": '"2"'})
    assert (good.status_code, good.json()["version"]) == (200, 3)
    bad = await api.client.put("/v1/claims/C-1", json={}, headers={"If-Match": "yesterday"})
    assert (bad.status_code, bad.json()["field"]) == (422, "If-Match")
    missing = await api.client.put("/v1/claims/none", json={}, headers={"If-Match": '"1"'})
    assert missing.status_code == 404


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"line": "boat"}, "line"),
        ({"line": None}, "line"),
        ({"status": 1}, "status"),
        ({"loss_date": "31.03.2026"}, "loss_date"),
        ({"loss_date": "2026-02-30"}, "loss_date"),
        ({"loss_date": 1700000000}, "loss_date"),
        ({"loss_amount": "12"}, "loss_amount"),
        ({"loss_amount": True}, "loss_amount"),
        ({"loss_amount": -0.01}, "loss_amount"),
        ({"loss_amount": 1e300}, "loss_amount"),
        ({"currency": "euro"}, "currency"),
        ({"damage_types": "hail"}, "damage_types"),
        ({"damage_types": ["  "]}, "damage_types.0"),
        ({"damage_types": ["x" * 65]}, "damage_types.0"),
        ({"damage_types": ["a"] * 51}, "damage_types"),
        ({"policy_id": "a\u0000b"}, "policy_id"),
        ({"policy_id": "x" * 129}, "policy_id"),
        ({"description": "a\u0007b"}, "description"),
        ({"description": "x" * 10_001}, "description"),
        ({"location": {"city": "a\nb"}}, "location.city"),
        ({"location": {"planet": "Mars"}}, "location.planet"),
        ({"vehicle": {"year": 20210}}, "vehicle.year"),
        ({"vehicle": {"year": 2021.5}}, "vehicle.year"),
        ({"attributes": {"a": None}}, None),
        ({"attributes": {"a": [1]}}, None),
        ({"attributes": {"a.b": 1}}, None),
        ({"attributes": {f"a{number}": 1 for number in range(51)}}, "attributes"),
        ({"claim_id": "other"}, "claim_id"),
        ({"tenant_id": "other"}, "tenant_id"),
        ({"version": 7}, "version"),
    ],
)
async def test_facts_that_do_not_fit_are_refused_by_name(api: Api, facts: dict[str, Any], field: str | None) -> None:
    reply = await api.client.put("/v1/claims/C-1", json=facts)
    assert reply.status_code == 422, reply.text
    assert reply.json()["field"] == field or (field is None and reply.json()["field"].startswith("attributes"))
    assert (await api.client.get("/v1/claims/C-1")).status_code == 404


@pytest.mark.parametrize("text", ['{"loss_amount": NaN}', '{"loss_amount": Infinity}', '{"loss_amount": 1e999}'])
async def test_amounts_are_finite(api: Api, text: str) -> None:
    reply = await api.client.put("/v1/claims/C-1", content=text, headers={"content-type": "application/json"})
    assert (reply.status_code, reply.json()["field"]) == (422, "loss_amount")


async def test_a_lone_surrogate_is_refused(api: Api) -> None:
    reply = await api.client.put(
        "/v1/claims/C-1", content='{"policy_id": "a\\ud800"}', headers={"content-type": "application/json"}
    )
    assert (reply.status_code, reply.json()["field"]) == (422, "policy_id")


@pytest.mark.parametrize("claim_id", ["", "a b", "a/b", "a\\b", "../x", "a\u0000", "x" * 129, "\u202eb", "a\u2028"])
async def test_numbers_that_could_be_paths_are_refused(api: Api, claim_id: str) -> None:
    reply = await api.client.post("/v1/claims", json={"claim_id": claim_id})
    assert (reply.status_code, reply.json()["field"]) == (422, "claim_id")


@pytest.mark.parametrize("claim_id", ["CLM551344", "2026:17", "Schäden-事故", "a.b", "%2e", "x" * 128, "{$gt}"])
async def test_other_numbers_are_taken_as_they_are(api: Api, claim_id: str) -> None:
    assert (await api.client.post("/v1/claims", json={"claim_id": claim_id})).status_code == 201
    from urllib.parse import quote

    reply = await api.client.get(f"/v1/claims/{quote(claim_id, safe='')}")
    assert (reply.status_code, reply.json()["claim_id"]) == (200, claim_id)


async def test_damage_types_are_kept_in_lower_case_once(api: Api) -> None:
    stored = await api.put_claim("C-1", damage_types=["Hail", "hail ", "Burst  pipe"])
    assert stored["damage_types"] == ["hail", "burst pipe"]


async def test_a_list_is_filtered_sorted_and_paged(api: Api) -> None:
    for number in range(7):
        await api.put_claim(f"C-{number}", line="auto" if number % 2 else "travel", loss_amount=number * 100)
    params: dict[str, Any] = {"filter": '{"loss_amount": {"gte": 100}}', "sort": "-loss_amount", "limit": 4}
    first = (await api.client.get("/v1/claims", params=params)).json()
    assert [claim["claim_id"] for claim in first["items"]] == ["C-6", "C-5", "C-4", "C-3"]
    rest = (await api.client.get("/v1/claims", params={**params, "cursor": first["next_cursor"]})).json()
    assert [claim["claim_id"] for claim in rest["items"]] == ["C-2", "C-1"]
    assert rest["next_cursor"] is None
    other = await api.client.get("/v1/claims", params={"cursor": first["next_cursor"]})
    assert (other.status_code, other.json()["code"]) == (422, "bad_cursor")


async def test_delete_takes_everything_along(api: Api) -> None:
    hit = await api.add_page(["hail", "windshield"], "C-1")
    reply = await api.client.delete("/v1/claims/C-1")
    assert reply.status_code == 200
    assert {name: reply.json()[name] for name in ("claims", "assets", "pages")} == {
        "claims": 1,
        "assets": 1,
        "pages": 1,
    }
    page_id, asset_id = hit["page"]["page_id"], hit["page"]["asset_id"]
    for path in [
        "/v1/claims/C-1",
        f"/v1/pages/{page_id}",
        f"/v1/pages/{page_id}/image",
        f"/v1/assets/{asset_id}",
        f"/v1/assets/{asset_id}/content",
    ]:
        assert (await api.client.get(path)).status_code == 404
    assert (await api.client.get("/v1/jobs")).json()["items"] == []
    assert (await api.client.post("/v1/search", json={"text": "hail"})).json()["hits"] == []


async def test_facets_count_values_among_what_passes(api: Api) -> None:
    for number in range(4):
        await api.put_claim(
            f"C-{number}", line="auto", damage_types=["hail", "dent"][: 1 + number % 2], loss_amount=100 + number
        )
    await api.put_claim("C-9", line="travel", loss_amount=5)
    params = {"fields": "damage_types,loss_amount,line", "filter": '{"line": "auto"}'}
    facets = {facet["field"]: facet for facet in (await api.client.get("/v1/facets", params=params)).json()["facets"]}
    assert list(facets) == ["damage_types", "loss_amount", "line"]
    assert facets["damage_types"]["values"] == [{"value": "hail", "count": 4}, {"value": "dent", "count": 2}]
    assert (facets["loss_amount"]["minimum"], facets["loss_amount"]["maximum"]) == (100, 103)
    assert facets["line"]["values"] == [{"value": "auto", "count": 4}]


async def test_the_schema_lists_what_filters_take(api: Api) -> None:
    schema = (await api.client.get("/v1/schema")).json()
    paths = {field["path"]: field for field in schema["search_fields"]}
    assert paths["line"]["choices"] == ["auto", "property", "travel", "health", "liability", "other"]
    assert paths["damage_types"]["is_list"]
    assert {"kind", "asset_id"} <= set(paths) - {field["path"] for field in schema["claim_fields"]}


async def test_changes_are_in_the_audit_log_without_their_content(api: Api) -> None:
    await api.put_claim("C-1", description="SECRET")
    await api.client.patch("/v1/claims/C-1", json={"status": "paid"}, headers={"X-Request-ID": "req-7"})
    await api.client.delete("/v1/claims/C-1")
    listing = await api.services.store.audit.list(api.services.tenant)
    assert [event.action for event in reversed(listing.items)] == ["claim.create", "claim.change", "claim.delete"]
    assert listing.items[1].request_id == "req-7"
    assert "SECRET" not in repr(listing)


def test_whole_numbers_among_the_attributes_of_a_stored_claim_are_written_without_a_warning() -> None:
    claim = Claim(claim_id="C-1", line="auto", attributes={"deductible": 75, "share": 0.5, "fleet": True})
    written = json.loads(ClaimReply.of(claim).model_dump_json())
    assert written["attributes"] == {"deductible": 75, "share": 0.5, "fleet": True}
