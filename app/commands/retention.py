"""Commands on what is kept: run the rules, hold a claim, release it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator

from app.auditing import CLI_ACTOR, audit_event
from app.commands import console
from app.commands.session import session
from app.schemas.claims import ClaimReply, LineOfBusiness
from app.schemas.common import Strict
from app.settings import Settings
from retrieval.comparing import claims_of
from retrieval.errors import InvalidInput
from retrieval.retention import Rule, run_retention


class _RuleOfFile(Strict):
    line: list[LineOfBusiness] = Field(default_factory=list[LineOfBusiness])
    status: Annotated[list[Literal["closed", "denied", "paid"]], Field(min_length=1)]
    keep_days: Annotated[int, Field(ge=1, le=36_525)]

    @field_validator("line", "status", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


class _RulesFile(Strict):
    rules: list[_RuleOfFile]


async def run(settings: Settings, *, dry_run: bool, as_json: bool) -> int:
    """Deletes what the rules say, or lists it. 0 also when there is nothing."""
    rules = await asyncio.to_thread(_rules, settings.retention_rules)
    async with session(settings) as services:
        with console.bars(quiet=as_json) as bars:
            report = await run_retention(
                services.store, services.tenant, rules, now=datetime.now(UTC), dry_run=dry_run, progress=bars.show
            )
    if as_json:
        console.say_json(asdict(report))
        return 0
    rows = [(claim.claim_id, claim.outcome, claim.rule, f"{claim.updated_at:%Y-%m-%d}") for claim in report.claims]
    if rows:
        console.say(console.table(rows, header=("claim", "outcome", "rule", "last change")))
    removed = report.removed
    console.say(f"{removed.claims} claims, {removed.assets} files and {removed.pages} pages were deleted.")
    return 0


async def hold(settings: Settings, claim_id: str, held: bool) -> int:
    event = audit_event(CLI_ACTOR, "claim.hold" if held else "claim.release", claim_id, details={})
    async with session(settings) as services:
        claim = await services.store.claims.set_hold(services.tenant, claim_id, held, note=lambda _: event)
    console.say(f"{claim_id} is {'under legal hold' if claim.held else 'free'}.")
    return 0


async def list_held(settings: Settings, *, as_json: bool) -> int:
    """All claims under legal hold, by number. 0 also when there is none."""
    async with session(settings) as services:
        held = [claim async for claim in claims_of(services.store, services.tenant) if claim.held]
        event = audit_event(
            CLI_ACTOR, "claims.list", "", claims=[claim.claim_id for claim in held], details={"held": True}
        )
        await services.store.audit.append(services.tenant, event)
    if as_json:
        console.say_json([ClaimReply.of(claim).model_dump(mode="json") for claim in held])
        return 0
    rows = [(claim.claim_id, claim.line, claim.status, f"{claim.updated_at:%Y-%m-%d}") for claim in held]
    if rows:
        console.say(console.table(rows, header=("claim", "line", "status", "last change")))
    console.say(f"{len(held)} claims are under legal hold.")
    return 0


def _rules(path: Path | None) -> list[Rule]:
    """Raises InvalidInput bad_rules."""
    if path is None:
        raise InvalidInput("CLAIMSIGHT_RETENTION_RULES names no file, so everything is kept.", code="bad_rules")
    try:
        given = _RulesFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InvalidInput(f"{path}: {place}: {first['msg']}.", code="bad_rules", field=place) from None
    return [Rule(tuple(rule.line), tuple(rule.status), rule.keep_days) for rule in given.rules]
