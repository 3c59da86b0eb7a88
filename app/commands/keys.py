"""Commands on API keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app.auditing import CLI_ACTOR, audit_event
from app.commands import console
from app.commands.session import session
from app.oidc import TENANT
from app.schemas.common import check_line
from app.settings import Settings
from retrieval.documents import AuditEvent, FactValue
from retrieval.errors import InvalidInput
from retrieval.keys import ApiKey, Role, make_key

_NAME_LENGTH = 200
_KEEP_IT = "Keep it safe: it is not shown again."


async def create(settings: Settings, name: str, role: Role, *, tenant: str | None, days: int, as_json: bool) -> int:
    """days: 0 for a key that does not end by itself."""
    name, tenant = _checked_name(name), _checked_tenant(tenant or settings.tenant)
    now = datetime.now(UTC)
    text, key = make_key(tenant, role, name, created_at=now, expires_at=now + timedelta(days=days) if days else None)
    async with session(settings) as services:
        await services.store.keys.add(key, note=lambda key: _event(key, "key.create", role=role.value))
    _tell_new(text, key, as_json=as_json)
    return 0


async def show(settings: Settings, *, tenant: str | None, as_json: bool) -> int:
    async with session(settings) as services:
        keys = await services.store.keys.list(tenant)
    now = datetime.now(UTC)
    if as_json:
        console.say_json([_record(key, now) for key in keys])
        return 0
    rows = [
        (
            key.key_id,
            key.tenant,
            key.role.value,
            key.state(now),
            _day(key.expires_at),
            _minute(key.last_used_at),
            key.name,
        )
        for key in keys
    ]
    if rows:
        console.say(console.table(rows, header=("id", "tenant", "role", "state", "ends", "last used", "name")))
    else:
        console.note("There are no keys yet: claimsight keys create --name NAME --role admin")
    return 0


async def revoke(settings: Settings, key_id: str) -> int:
    async with session(settings) as services:
        key = await services.store.keys.revoke(key_id, note=lambda key: _event(key, "key.revoke"))
    console.say(f"{key_id} ({key.name}) opens nothing any more.")
    return 0


async def rotate(settings: Settings, key_id: str, *, grace_hours: float, as_json: bool) -> int:
    now = datetime.now(UTC)
    async with session(settings) as services:
        old = await services.store.keys.get(key_id)
        ends = None if old.expires_at is None else now + (old.expires_at - old.created_at)
        text, key = make_key(old.tenant, old.role, old.name, created_at=now, expires_at=ends)
        ended = await services.store.keys.rotate(
            key_id,
            key,
            until=now + timedelta(hours=grace_hours),
            note=lambda old: _event(key, "key.rotate", former=old.key_id),
        )
    console.note(f"{key_id} stays good until {_minute(ended.expires_at)} UTC.")
    _tell_new(text, key, as_json=as_json)
    return 0


def _event(key: ApiKey, action: str, **details: FactValue) -> AuditEvent:
    return audit_event(CLI_ACTOR, action, key.key_id, details=details)


def _tell_new(text: str, key: ApiKey, *, as_json: bool) -> None:
    """The key alone on stdout, so that a script can take it."""
    if as_json:
        console.say_json({"key": text, **_record(key, key.created_at)})
        return
    console.note(f"{key.key_id}: {key.role} of {key.tenant} for {key.name}, ends: {_day(key.expires_at)}. {_KEEP_IT}")
    console.say(text)


def _record(key: ApiKey, now: datetime) -> dict[str, str | None]:
    times = {
        name: None if moment is None else moment.isoformat()
        for name, moment in (
            ("created_at", key.created_at),
            ("expires_at", key.expires_at),
            ("revoked_at", key.revoked_at),
            ("last_used_at", key.last_used_at),
        )
    }
    known = {"key_id": key.key_id, "tenant": key.tenant, "role": key.role.value, "name": key.name}
    return {**known, "state": key.state(now), **times}


def _day(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d}"


def _minute(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def _checked_name(name: str) -> str:
    """Raises InvalidInput bad_name."""
    try:
        line = check_line(name.strip())
    except ValueError as error:
        raise InvalidInput(f"--name: {error}.", code="bad_name", field="name") from None
    if not 1 <= len(line) <= _NAME_LENGTH:
        raise InvalidInput(f"--name takes 1 to {_NAME_LENGTH} characters.", code="bad_name", field="name")
    return line


def _checked_tenant(tenant: str) -> str:
    """Raises InvalidInput bad_tenant."""
    if not TENANT.fullmatch(tenant):
        raise InvalidInput("--tenant takes 1 to 64 of A-Z, a-z, 0-9, _ and -.", code="bad_tenant", field="tenant")
    return tenant
