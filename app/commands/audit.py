"""Commands on the audit: follow its chain, print it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from app.commands import console
from app.commands.session import session
from app.settings import Settings
from retrieval.audit import AuditCheck, check_audit, concerns
from retrieval.documents import AuditEvent, AuditHead
from retrieval.errors import InvalidInput

_HEAD = re.compile(r"([1-9][0-9]{0,15}):([0-9a-f]{64})")


async def verify(settings: Settings, *, noted: str | None, as_json: bool) -> int:
    """Of every tenant; 1 when something was changed or taken away. noted: of the configured tenant."""
    expected = _head(noted)
    checks: dict[str, AuditCheck] = {}
    async with session(settings) as services:
        tenants = set(await services.store.tenants()) | ({services.tenant} if expected else set[str]())
        with console.bars(quiet=as_json) as bars:
            for tenant in sorted(tenants):
                checks[tenant] = await check_audit(
                    services.store.audit,
                    tenant,
                    noted=expected if tenant == services.tenant else None,
                    progress=lambda done, total, tenant=tenant: bars.show(f"audit of {tenant}", done, total),
                )
    if as_json:
        console.say_json({tenant: asdict(check) for tenant, check in checks.items()})
    else:
        for tenant, check in checks.items():
            for fault in check.faults:
                console.say(f"{tenant}  {fault.code}  {fault.number}: {fault.detail}")
            console.say(
                f"{tenant}: {check.records} records, {len(check.faults)} faults, ends with {_shown(check.head)}"
            )
    return 1 if any(check.faults for check in checks.values()) else 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records: at from `since` to before `until`, and where given of this claim, actor and action. action: as
    a whole, or its first word."""

    since: datetime
    until: datetime
    claim: str | None
    actor: str | None
    action: str | None

    def covers(self, event: AuditEvent) -> bool:
        return (
            self.since <= event.at < self.until
            and (self.claim is None or concerns(event, self.claim))
            and self.actor in (None, event.actor)
            and self.action in (None, event.action, event.action.partition(".")[0])
        )


def wanted(*, since: str | None, until: str | None, claim: str | None, actor: str | None, action: str | None) -> Wanted:
    """Raises InvalidInput bad_moment."""
    return Wanted(
        _moment("--since", since, datetime.min), _moment("--until", until, datetime.max), claim, actor, action
    )


async def export(settings: Settings, wanted: Wanted, *, words: str | None) -> int:
    """The configured tenant's records that are wanted, the oldest first, one JSON object a line. words: only searches
    for them."""
    after = 0
    async with session(settings) as services:
        marks: set[str] = set() if words is None else {services.marks.of_words(words), words}
        while records := await services.store.audit.records(services.tenant, after=after):
            for record in records:
                asked = str(record.event.details.get("query"))
                if not wanted.covers(record.event) or (words is not None and asked not in marks):
                    continue
                event = asdict(record.event) | {"at": record.event.at.isoformat(timespec="microseconds")}
                line = {"number": record.number, **event, "previous": record.previous, "hash": record.hash}
                console.say(json.dumps(line, ensure_ascii=False))
            after = records[-1].number
    return 0


def _moment(option: str, text: str | None, otherwise: datetime) -> datetime:
    """Without an offset: UTC."""
    try:
        moment = otherwise if text is None else datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            f"{option} takes a moment like 2026-11-01 or 2026-11-01T08:00:00+01:00.", code="bad_moment", field=option
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _shown(head: AuditHead) -> str:
    return f"{head.number}:{head.hash}"


def _head(text: str | None) -> AuditHead | None:
    if text is None:
        return None
    found = _HEAD.fullmatch(text.strip())
    if found is None:
        raise InvalidInput("--noted takes NUMBER:HASH as an earlier `audit verify` printed it.", code="bad_head")
    return AuditHead(int(found[1]), found[2])
