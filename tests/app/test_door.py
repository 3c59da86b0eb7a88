"""Who may enter: keys are asked for once there is one, each opens its own tenant, and one that ended opens nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from retrieval.keys import Role, make_key
from tests.app.conftest import TENANT, Api, MakeApi

HOUR = timedelta(hours=1)
SHARED = "0123456789abcdef-key"


async def add_key(
    api: Api, tenant: str = TENANT, role: Role = Role.admin, *, ends: timedelta | None = None, revoked: bool = False
) -> str:
    """What its holder sends."""
    now = datetime.now(UTC)
    text, key = make_key(
        tenant, role, f"{role} of {tenant}", created_at=now - HOUR, expires_at=None if ends is None else now + ends
    )
    await api.services.store.keys.add(replace(key, revoked_at=now if revoked else None))
    return text


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def get(api: Api, path: str, key: str = "", **headers: str) -> httpx2.Response:
    return await api.client.get(path, headers={**(bearer(key) if key else {}), **headers})


def refused(reply: httpx2.Response) -> tuple[int, str, str | None]:
    assert reply.headers["content-type"] == "application/problem+json"
    return reply.status_code, reply.json()["code"], reply.headers.get("www-authenticate")


INVALID = 'Bearer error="invalid_token"'


async def test_from_the_first_key_on_every_request_needs_one(api: Api) -> None:
    me = (await get(api, "/v1/me")).json()
    assert (me["tenant"], me["role"], me["actor"]) == (TENANT, "admin", "local")
    key = await add_key(api, role=Role.viewer, ends=HOUR)
    assert refused(await get(api, "/v1/me")) == (401, "unauthorised", "Bearer")
    me = (await get(api, "/v1/me", key)).json()
    assert (me["tenant"], me["role"], me["actor"]) == (TENANT, "viewer", f"key:{key.split('_')[1]}")
    assert me["expires_at"] is not None
    # Once keys are asked for, they are for good: that the last one ended does not open the door to everybody.
    await api.services.store.keys.revoke(key.split("_")[1])
    assert refused(await get(api, "/v1/me")) == (401, "unauthorised", "Bearer")


async def test_a_key_that_ended_says_so_to_its_holder_alone(api: Api) -> None:
    expired, revoked = await add_key(api, ends=-HOUR), await add_key(api, revoked=True)
    assert refused(await get(api, "/v1/claims", expired)) == (401, "key_expired", INVALID)
    assert refused(await get(api, "/v1/claims", revoked)) == (401, "key_revoked", INVALID)
    for key in (expired, revoked):
        wrong = key[:-1] + ("A" if key[-1] != "A" else "B")
        assert refused(await get(api, "/v1/claims", wrong)) == (401, "unauthorised", INVALID)


@pytest.mark.parametrize("change", ["no such id", "other secret", "cut", "longer", "upper case", "twice"])
async def test_what_is_no_key_of_ours_is_refused_alike(api: Api, change: str) -> None:
    key, other = await add_key(api), await add_key(api)
    name, key_id, secret = key.split("_", 2)
    wrong = {
        "no such id": f"{name}_{'0' * 16}_{secret}",
        "other secret": f"{name}_{key_id}_{other.split('_', 2)[2]}",
        "cut": key[:-1],
        "longer": f"{key}A",
        "upper case": key.upper(),
        "twice": f"{key} {key}",
    }[change]
    assert refused(await get(api, "/v1/claims", wrong)) == (401, "unauthorised", INVALID)
    assert (await get(api, "/v1/claims", key)).status_code == 200


async def test_a_key_revoked_by_another_process_is_refused_at_once(api: Api, make_api: MakeApi) -> None:
    elsewhere = await make_api()
    key = await add_key(api)
    assert (await get(api, "/v1/claims", key)).status_code == 200
    await elsewhere.services.store.keys.revoke(key.split("_")[1])
    assert refused(await get(api, "/v1/claims", key)) == (401, "key_revoked", INVALID)


async def test_both_keys_of_a_rotation_are_good_until_the_grace_is_over(api: Api) -> None:
    old = await add_key(api)
    now = datetime.now(UTC)
    text, successor = make_key(TENANT, Role.admin, "next", created_at=now, expires_at=None)
    await api.services.store.keys.rotate(old.split("_")[1], successor, until=now + HOUR)
    for key in (old, text):
        assert (await get(api, "/v1/claims", key)).status_code == 200
    kept = await api.services.store.keys.get(old.split("_")[1])
    await api.services.store.keys.adopt(replace(kept, expires_at=now))
    assert refused(await get(api, "/v1/claims", old)) == (401, "key_expired", INVALID)
    assert (await get(api, "/v1/claims", text)).status_code == 200


async def test_the_last_use_of_a_key_is_noted_beside_the_request(api: Api) -> None:
    key = await add_key(api)
    key_id = key.split("_")[1]
    noted: list[str] = []
    used = api.services.store.keys.used

    async def note(key_id: str) -> None:
        await used(key_id)
        noted.append(key_id)

    api.services.store.keys.used = note  # type: ignore[method-assign]
    for _ in range(3):
        assert (await get(api, "/v1/claims", key)).status_code == 200
    while not noted:
        await get(api, "/healthz")
    assert (await api.services.store.keys.get(key_id)).last_used_at is not None
    assert noted == [key_id], "one write, not one for each request"


async def test_the_key_of_the_settings_is_an_admin_beside_those_of_the_store(make_api: MakeApi) -> None:
    api = await make_api(api_key=SHARED)
    key = await add_key(api, "acme", Role.viewer)
    assert (await get(api, "/v1/me", SHARED)).json()["actor"] == "key:settings"
    assert (await get(api, "/v1/me", key)).json()["tenant"] == "acme"


async def test_whoever_acts_is_in_the_audit_of_their_tenant(api: Api) -> None:
    key = await add_key(api, "acme", Role.adjuster)
    made = await api.client.put("/v1/claims/C-1", json={}, headers=bearer(key))
    assert made.status_code == 201
    [event] = (await api.services.store.audit.list("acme")).items
    assert (event.actor, event.action) == (f"key:{key.split('_')[1]}", "claim.create")
    assert (await api.services.store.audit.list(TENANT)).items == ()


async def test_figures_over_all_tenants_are_for_the_server_s_own_admins(api: Api) -> None:
    await api.services.engine()
    own, other, viewer = await add_key(api), await add_key(api, "acme"), await add_key(api, role=Role.viewer)
    assert (await get(api, "/metrics", own)).status_code == 200
    assert refused(await get(api, "/metrics", other))[:2] == (403, "operator_required")
    assert refused(await get(api, "/metrics", viewer)) == (403, "role_required", 'Bearer error="insufficient_scope"')
    shown: dict[str, Any] = (await get(api, "/readyz", own)).json()
    assert (shown["queue"]["queued"], shown["index"]["pages"], shown["encoder"]["stored"]) == (0, 0, {})
    for key in ("", other, viewer, "wrong"):
        reply = await get(api, "/readyz", key)
        hidden = reply.json()
        assert (reply.status_code, hidden["ready"]) == (200, True)
        assert (hidden["queue"], hidden["index"]["pages"], hidden["encoder"]["stored"]) == (None, None, None)


async def test_a_key_is_in_no_log(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    key = await add_key(api)
    for text in (key, f"{key}x"):
        await get(api, "/v1/claims", text)
        await get(api, f"/v1/claims/{text}", text)
        await get(api, f"/{text}")
    assert key.split("_", 2)[2] not in "".join(capsys.readouterr())


async def test_a_key_that_asks_too_often_waits_and_the_others_do_not(make_api: MakeApi) -> None:
    api = await make_api(rate_per_minute=1, rate_burst=3)
    busy, calm = await add_key(api), await add_key(api)
    replies = [await get(api, "/v1/schema", busy) for _ in range(4)]
    assert [reply.status_code for reply in replies] == [200, 200, 200, 429]
    assert (replies[3].json()["code"], replies[3].headers["content-type"]) == (
        "rate_limited",
        "application/problem+json",
    )
    assert 1 <= int(replies[3].headers["retry-after"]) <= 60
    assert (await get(api, "/v1/schema", calm)).status_code == 200
    assert (await get(api, "/healthz", busy)).status_code == 200


async def test_where_no_keys_are_asked_for_nothing_is_counted(make_api: MakeApi) -> None:
    api = await make_api(rate_per_minute=1, rate_burst=1)
    for _ in range(3):
        assert (await get(api, "/v1/schema")).status_code == 200
