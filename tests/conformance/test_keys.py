"""What ports.KeyStore promises, on both engines: keys are kept without their secrets, end, and have successors."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from retrieval.documents import AuditEvent
from retrieval.errors import ClaimsightError, Conflict, NotFound
from retrieval.keys import ApiKey, Role, ShownKey, make_key, read_key
from retrieval.ports import Note, Store
from tests.conformance.builders import OTHER_TENANT, TENANT, FakeClock
from tests.conformance.conftest import OpenAgain

DAY = timedelta(days=1)


def new(clock: FakeClock, tenant: str = TENANT, *, role: Role = Role.adjuster, days: int | None = 30) -> ApiKey:
    return shown(clock, tenant, role=role, days=days)[1]


def shown(
    clock: FakeClock, tenant: str = TENANT, *, role: Role = Role.adjuster, days: int | None = 30
) -> tuple[ShownKey, ApiKey]:
    """The key as its owner would send it, and its record."""
    ends = None if days is None else clock() + days * DAY
    text, key = make_key(tenant, role, "Ann's laptop", created_at=clock(), expires_at=ends)
    sent = read_key(text)
    assert sent is not None
    return sent, key


@pytest.mark.parametrize("days", [30, None])
async def test_a_key_comes_back_whole_and_opens_with_its_secret_alone(
    store: Store, clock: FakeClock, days: int | None
) -> None:
    sent, key = shown(clock, role=Role.viewer, days=days)
    await store.keys.add(key)
    kept = await store.keys.get(key.key_id)
    assert kept == key
    assert sent.opens(kept)
    assert not shown(clock)[0].opens(kept)
    assert kept.state(clock()) == "active"
    with pytest.raises(NotFound) as missing:
        await store.keys.get("0" * 16)
    assert missing.value.code == "key_not_found"


async def test_an_id_is_given_once(store: Store, clock: FakeClock) -> None:
    key = new(clock)
    await store.keys.add(key)
    with pytest.raises(Conflict) as refused:
        await store.keys.add(replace(new(clock, OTHER_TENANT), key_id=key.key_id))
    assert (refused.value.code, await store.keys.get(key.key_id)) == ("key_exists", key)


async def test_keys_are_listed_oldest_first_of_one_tenant_or_of_all(store: Store, clock: FakeClock) -> None:
    assert not await store.keys.exist()
    assert await store.keys.list() == ()
    keys: list[ApiKey] = []
    for tenant in (TENANT, OTHER_TENANT, TENANT):
        keys.append(new(clock, tenant))
        await store.keys.add(keys[-1])
        clock.advance(DAY)
    assert await store.keys.list() == tuple(keys)
    assert await store.keys.list(TENANT) == (keys[0], keys[2])
    assert await store.keys.exist()


async def test_a_key_ends_at_its_time(store: Store, clock: FakeClock) -> None:
    key = new(clock, days=1)
    await store.keys.add(key)
    clock.advance(DAY - timedelta(microseconds=1))
    assert (await store.keys.get(key.key_id)).state(clock()) == "active"
    clock.advance(timedelta(microseconds=1))
    assert (await store.keys.get(key.key_id)).state(clock()) == "expired"


async def test_a_revoked_key_is_revoked_for_ever_and_for_every_process(
    store: Store, clock: FakeClock, open_again: OpenAgain
) -> None:
    key = new(clock)
    await store.keys.add(key)
    elsewhere = await open_again()
    assert (await elsewhere.keys.get(key.key_id)).state(clock()) == "active"
    revoked = await store.keys.revoke(key.key_id)
    assert (revoked.revoked_at, revoked.state(clock())) == (clock(), "revoked")
    assert await elsewhere.keys.get(key.key_id) == revoked
    clock.advance(DAY)
    assert await elsewhere.keys.revoke(key.key_id) == revoked
    with pytest.raises(NotFound):
        await store.keys.revoke("0" * 16)


async def test_a_rotated_key_stays_good_for_a_while_beside_its_successor(store: Store, clock: FakeClock) -> None:
    old, successor = new(clock), new(clock, days=60)
    await store.keys.add(old)
    ended = await store.keys.rotate(old.key_id, successor, until=clock() + DAY)
    assert ended == replace(old, expires_at=clock() + DAY)
    assert set(await store.keys.list()) == {ended, successor}
    clock.advance(DAY)
    assert (await store.keys.get(old.key_id)).state(clock()) == "expired"
    assert (await store.keys.get(successor.key_id)).state(clock()) == "active"


async def test_a_rotation_lengthens_no_life(store: Store, clock: FakeClock) -> None:
    old = new(clock, days=1)
    await store.keys.add(old)
    assert (await store.keys.rotate(old.key_id, new(clock), until=clock() + 7 * DAY)).expires_at == old.expires_at


@pytest.mark.parametrize("end", ["revoked", "expired"])
async def test_a_key_that_ended_has_no_successor(store: Store, clock: FakeClock, end: str) -> None:
    old, successor = new(clock, days=1), new(clock)
    await store.keys.add(old)
    if end == "revoked":
        await store.keys.revoke(old.key_id)
    else:
        clock.advance(DAY)
    with pytest.raises(Conflict, match=end) as refused:
        await store.keys.rotate(old.key_id, successor, until=clock() + DAY)
    assert refused.value.code == "key_ended"
    assert [key.key_id for key in await store.keys.list()] == [old.key_id]


async def test_a_rotation_that_fails_changes_nothing(store: Store, clock: FakeClock) -> None:
    old, other = new(clock), new(clock)
    for key in (old, other):
        await store.keys.add(key)
    for key_id, successor in ((old.key_id, other), ("0" * 16, new(clock))):
        with pytest.raises(ClaimsightError):
            await store.keys.rotate(key_id, successor, until=clock())
    assert set(await store.keys.list()) == {old, other}


async def test_a_change_of_a_key_and_its_record_are_there_together_or_not_at_all(
    store: Store, clock: FakeClock
) -> None:
    def broken(_: ApiKey) -> AuditEvent:
        raise RuntimeError("no record can be made")

    def noted(action: str) -> Note[ApiKey]:
        return lambda key: AuditEvent(clock(), "cli", action, key.key_id)

    async def records(tenant: str) -> list[tuple[str, str]]:
        return [(event.action, event.target) for event in (await store.audit.list(tenant)).items]

    key, successor, other = new(clock), new(clock), new(clock, OTHER_TENANT)
    await store.keys.add(key)
    for change in (
        store.keys.add(other, note=broken),
        store.keys.rotate(key.key_id, successor, until=clock() + DAY, note=broken),
        store.keys.revoke(key.key_id, note=broken),
    ):
        with pytest.raises(RuntimeError):
            await change
    assert await store.keys.list() == (key,)
    await store.keys.add(other, note=noted("key.create"))
    await store.keys.rotate(key.key_id, successor, until=clock() + DAY, note=noted("key.rotate"))
    for _ in range(2):
        await store.keys.revoke(successor.key_id, note=noted("key.revoke"))
    assert await records(TENANT) == [("key.revoke", successor.key_id), ("key.rotate", key.key_id)]
    assert await records(OTHER_TENANT) == [("key.create", other.key_id)]


async def test_the_last_use_is_noted(store: Store, clock: FakeClock) -> None:
    key = new(clock)
    await store.keys.add(key)
    clock.advance(DAY)
    await store.keys.used(key.key_id)
    assert await store.keys.get(key.key_id) == replace(key, last_used_at=clock())
    await store.keys.used("0" * 16)
    assert len(await store.keys.list()) == 1


async def test_a_key_is_adopted_as_it_was_and_as_often_as_asked(store: Store, clock: FakeClock) -> None:
    key = replace(new(clock), revoked_at=clock() - DAY, last_used_at=clock() - 2 * DAY)
    for _ in range(2):
        await store.keys.adopt(key)
    assert await store.keys.list() == (key,)


async def test_one_of_two_rotations_at_once_may_fail_but_none_is_half_done(store: Store, clock: FakeClock) -> None:
    old = new(clock)
    await store.keys.add(old)
    successors = [new(clock), new(clock)]
    done = await asyncio.gather(
        *(store.keys.rotate(old.key_id, key, until=clock() + DAY) for key in successors), return_exceptions=True
    )
    kept = {key.key_id for key in await store.keys.list()} - {old.key_id}
    assert kept == {key.key_id for key, one in zip(successors, done, strict=True) if isinstance(one, ApiKey)}
    assert kept
