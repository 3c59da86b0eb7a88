"""docs/operations.md: every command of it is run, in order, on a folder with data."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from retrieval.audit import AuditFault, check_audit
from retrieval.documents import AuditEvent, EntryState
from retrieval.ports import EntryOutcome
from retrieval.stores import Keyring
from retrieval.stores.sqlite import SqliteStore
from tests.app.shell import Shell
from tests.conformance.builders import DIMS, FakeClock, claim, leased, new_page
from tests.fakes.mongo import *  # noqa: F403  # its fixtures
from tests.fakes.mongo import DATABASE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
ADDRESS = "mongodb://127.0.0.1:27017/claims"
TENANT = "default"
RUN = f"""claimsight() {{ "{sys.executable}" -m app.cli "$@"; }}
set -e
"""


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


async def fill(folder: Path) -> None:
    """Claims whose time is over, one of them to be held, and one of today."""
    clock = FakeClock()
    clock.advance(timedelta(days=-4000))
    store = await SqliteStore.open(folder, clock=clock)
    await store.ensure_index(dims=DIMS)
    for number in (551344, 551345, 551346):
        if number == 551346:
            clock.advance(timedelta(days=3999))
        claim_id = f"CLM{number}"
        await store.claims.put(TENANT, claim(claim_id, line="auto", status="closed"))
        lease = await leased(store, TENANT, claim_id, claim_id.encode())
        await store.pages.put(lease, [new_page(lease)])
        await store.jobs.finish(lease, EntryOutcome(EntryState.succeeded))
        await store.audit.append(TENANT, AuditEvent(clock(), "api", "claim.create", claim_id))
    await store.close()


async def state_of(folder: Path, keys: Keyring) -> tuple[int, tuple[AuditFault, ...]]:
    """How many claims, and what is wrong with the audit."""
    store = await SqliteStore.open(folder, keys=keys)
    try:
        return await store.claims.count(TENANT), (await check_audit(store.audit, TENANT)).faults
    finally:
        await store.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_command_of_the_page_works_as_it_says(tmp_path: Path, mongo_uri: str, mongo_database: str) -> None:
    assert mongo_database == DATABASE
    asyncio.run(fill(tmp_path / "data"))
    (tmp_path / "retention.json").write_text(blocks("json")[0])
    script = RUN + "".join(blocks("sh")).replace(ADDRESS, f'"{mongo_uri.replace("/?", f"/{DATABASE}?")}"')
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLAIMSIGHT_")}
    environment = {**kept, "PYTHONPATH": str(ROOT), "CLAIMSIGHT_STORE": "sqlite:data"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=850, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("0 faults") == 7, done.stdout
    assert done.stdout.count("0 differences") == 2
    assert re.search(r"CLM551344 +held +2", done.stdout)
    assert "1 claims, 1 files and 1 pages were deleted." in done.stdout
    exported = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [(record["number"], record["action"]) for record in exported[-4:]] == [
        (4, "claim.hold"),
        (5, "claims.list"),
        (6, "claim.delete"),
        (7, "claim.release"),
    ]
    of_claim = [json.loads(line)["action"] for line in (tmp_path / "claim.jsonl").read_text().splitlines()]
    assert of_claim == ["claim.hold", "claims.list", "claim.release"]
    assert done.stdout.count("3 of 3 files were encrypted anew") == 2
    keys = Keyring.parse((tmp_path / "encryption.key").read_text())
    for folder, claims in (("data", 2), ("restored", 3), ("copied", 3)):
        assert asyncio.run(state_of(tmp_path / folder, keys)) == (claims, ())


def test_no_command_of_the_page_is_left_out() -> None:
    """What the page tells to type stands in blocks that are run."""
    ran = "".join(blocks("sh"))
    for command in ("backup", "restore", "verify", "copy", "retention run", "retention hold", "audit export"):
        assert f"claimsight {command}" in ran
    named = set(re.findall(r"claimsight ((?:index|audit|retention|encoder|encryption) [a-z-]+|[a-z]+)", PAGE))
    from typer.testing import CliRunner

    from app.cli import app

    for command in sorted(named):
        assert CliRunner().invoke(app, [*command.split(), "--help"]).exit_code == 0, command


def test_every_command_of_safe_keeping_explains_itself() -> None:
    from typer.testing import CliRunner

    from app.cli import app

    commands = ["backup", "restore", "verify", "copy", "audit", "audit verify", "audit export", "retention"]
    commands += ["encryption", "encryption new-key", "encryption rotate"]
    commands += ["retention run", "retention hold", "retention release", "retention held"]
    for command in commands:
        done = CliRunner().invoke(app, [*command.split(), "--help"])
        assert (done.exit_code, len(done.output) > 150) == (0, True), command


def run(folder: Path, *arguments: str, store: str = "sqlite:data") -> subprocess.CompletedProcess[str]:
    settings = {"CLAIMSIGHT_STORE": store, "CLAIMSIGHT_RETENTION_RULES": "retention.json"}
    return Shell(folder, settings).run(*arguments)


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["backup", "full"], 1, "not empty"),
        (["restore", "full"], 2, "not a backup"),
        (["copy"], 2, "same store"),
        (["copy", "--to", "postgres://x"], 2, "postgres"),
        (["audit", "verify", "--noted", "5"], 2, "NUMBER:HASH"),
        (["audit", "verify", "--noted", f"9:{'0' * 64}"], 1, ""),
        (["retention", "run"], 2, "rules.0.status.0"),
        (["retention", "hold", "none"], 1, "no claim"),
        (["audit", "export", "--since", "soon"], 2, "--since"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(
    tmp_path: Path, arguments: list[str], status: int, says: str
) -> None:
    asyncio.run(fill(tmp_path / "data"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    (tmp_path / "retention.json").write_text('{"rules": [{"status": "open", "keep_days": 1}]}')
    done = run(tmp_path, *arguments)
    assert (done.returncode, says in done.stderr) == (status, True), done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "full", "retention.json"]


def test_commands_for_the_embedded_store_say_so_with_mongodb(tmp_path: Path) -> None:
    for arguments in (["backup", "b"], ["verify"]):
        done = run(tmp_path, *arguments, store="mongodb://db/claims")
        assert (done.returncode, "mongodump" in done.stderr) == (2, True)


def test_verify_ends_with_1_when_something_is_wrong(tmp_path: Path) -> None:
    asyncio.run(fill(tmp_path / "data"))
    next(path for path in (tmp_path / "data" / "assets").rglob("*") if path.is_file()).unlink()
    done = run(tmp_path, "verify", "--json")
    assert done.returncode == 1
    assert [fault["code"] for fault in json.loads(done.stdout)["faults"]] == ["file_missing"]
