"""`claimsight keys`: made, listed, rotated, revoked; the key is shown once and kept nowhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from app.cli import app
from app.serving import reach_of
from app.settings import Settings, load_settings
from app.wiring import build_services
from retrieval.errors import ClaimsightError, Conflict, InvalidInput, NotFound
from retrieval.keys import ApiKey, read_key
from retrieval.stores.sqlite import SqliteStore

Keys = Callable[..., Result]


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keys:
    """keys("create", "--name", ...): what the command wrote."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLAIMSIGHT_TENANT", "home")
    # A process configures its logs once; here they would go to the runner's closed stream for all tests after this.
    monkeypatch.setattr("app.logs.configure_logs", lambda _level: None)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["keys", *arguments])

    return run


def stored(folder: Path) -> list[ApiKey]:
    async def read() -> list[ApiKey]:
        store = await SqliteStore.open(folder / ".claimsight" / "data")
        try:
            return list(await store.keys.list())
        finally:
            await store.close()

    return asyncio.run(read())


def listed(keys: Keys) -> list[dict[str, Any]]:
    return json.loads(keys("list", "--json").stdout)


def test_a_key_is_shown_once_and_kept_as_a_hash(keys: Keys, tmp_path: Path) -> None:
    done = keys("create", "--name", "Ann", "--role", "adjuster")
    assert done.exit_code == 0, done.output
    text = done.stdout.strip()
    shown = read_key(text)
    [key] = stored(tmp_path)
    assert shown is not None
    assert shown.opens(key)
    assert (key.tenant, key.role, key.name) == ("home", "adjuster", "Ann")
    assert key.expires_at is not None
    assert timedelta(days=364) < key.expires_at - datetime.now(UTC) <= timedelta(days=365)
    assert "not shown again" in done.stderr
    secret = text.split("_", 2)[2]
    assert secret not in done.stderr + keys("list").output
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert "Ann" in keys("list").stdout


def test_keys_of_other_tenants_and_without_an_end(keys: Keys) -> None:
    made = json.loads(
        keys("create", "--name", "b", "--role", "viewer", "--tenant", "acme", "--days", "0", "--json").stdout
    )
    assert (made["tenant"], made["role"], made["expires_at"], made["state"]) == ("acme", "viewer", None, "active")
    assert read_key(made["key"]) is not None
    assert [key["tenant"] for key in listed(keys)] == ["acme"]
    assert json.loads(keys("list", "--tenant", "home", "--json").stdout) == []
    assert "no keys yet" in keys("list", "--tenant", "home").stderr


def test_a_rotation_gives_the_next_key_and_an_end_to_the_old_one(keys: Keys, tmp_path: Path) -> None:
    old = json.loads(keys("create", "--name", "Ann", "--role", "admin", "--days", "90", "--json").stdout)
    done = keys("rotate", old["key_id"], "--grace-hours", "2", "--json")
    new = json.loads(done.stdout)
    assert (new["name"], new["tenant"], new["role"]) == ("Ann", "home", "admin")
    assert new["key_id"] != old["key_id"]
    assert "stays good until" in done.stderr
    first, second = stored(tmp_path)
    assert first.expires_at is not None
    assert second.expires_at is not None
    assert timedelta(hours=1) < first.expires_at - datetime.now(UTC) <= timedelta(hours=2)
    assert second.expires_at - second.created_at == timedelta(days=90)
    shown = read_key(new["key"])
    assert shown is not None
    assert shown.opens(second)


def test_a_revoked_key_stays_in_the_list(keys: Keys) -> None:
    made = json.loads(keys("create", "--name", "Ann", "--role", "admin", "--json").stdout)
    for _ in range(2):
        done = keys("revoke", made["key_id"])
        assert (done.exit_code, "opens nothing" in done.stdout) == (0, True)
    [key] = listed(keys)
    assert key["state"] == "revoked"
    assert isinstance(keys("rotate", made["key_id"]).exception, Conflict)
    assert isinstance(keys("revoke", "0" * 16).exception, NotFound)


def test_what_was_done_with_keys_is_in_the_audit_of_their_tenant(keys: Keys) -> None:
    old = json.loads(keys("create", "--name", "Ann", "--role", "viewer", "--json").stdout)["key_id"]
    new = json.loads(keys("rotate", old, "--json").stdout)["key_id"]
    keys("revoke", new)
    keys("revoke", new)
    keys("create", "--name", "Bob", "--role", "viewer", "--tenant", "acme")
    records = [json.loads(line) for line in CliRunner().invoke(app, ["audit", "export"]).stdout.splitlines()]
    assert [(record["action"], record["target"], record["actor"]) for record in records] == [
        ("key.create", old, "cli"),
        ("key.rotate", new, "cli"),
        ("key.revoke", new, "cli"),
    ]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["--name", "", "--role", "viewer"], "name"),
        (["--name", "x" * 201, "--role", "viewer"], "name"),
        (["--name", "a\nb", "--role", "viewer"], "name"),
        (["--name", "a", "--role", "viewer", "--tenant", "a/b"], "tenant"),
    ],
)
def test_what_cannot_be_a_key_is_refused_and_named(keys: Keys, arguments: list[str], field: str) -> None:
    refused = keys("create", *arguments).exception
    assert isinstance(refused, InvalidInput)
    assert refused.field == field
    assert keys("create", "--name", "a", "--role", "owner").exit_code == 2
    assert listed(keys) == []


async def test_a_server_that_others_reach_wants_a_key_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("app.logs.configure_logs", lambda _level: None)

    async def reach(**given: object) -> str:
        settings: Settings = load_settings(**given)
        services = await build_services(settings)
        try:
            return await reach_of(settings, services)
        except ClaimsightError as error:
            return error.code
        finally:
            await services.close()

    assert await reach() == "this machine only, without a key"
    for host in ("0.0.0.0", "::", "192.0.2.1", "claims.example"):
        assert await reach(host=host) == "insecure_host"
    open_to_all = {"host": "0.0.0.0"}
    assert await reach(**open_to_all, api_key="0123456789abcdef") == "whoever has a key or token"
    issuer = {"oidc_issuer": "https://login.example", "oidc_audience": "claims"}
    assert await reach(**open_to_all, **issuer) == "whoever has a key or token"
    await asyncio.to_thread(CliRunner().invoke, app, ["keys", "create", "--name", "a", "--role", "viewer"])
    assert await reach(**open_to_all) == "whoever has a key or token"
    assert await reach() == "whoever has a key or token"
