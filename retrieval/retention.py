"""Deletes claims that have been kept long enough, by line and status."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Literal

from retrieval.documents import STATUSES, AuditEvent, Claim, DeletionReport, Sort
from retrieval.errors import Conflict, NotFound
from retrieval.filters import Condition
from retrieval.ports import Note, Store

ENDED = tuple(status for status in STATUSES if status != "open")
"""Open claims are never deleted by a rule."""

_CLAIMS_A_STEP = 100

Outcome = Literal["due", "deleted", "held", "changed"]


@dataclass(frozen=True, slots=True)
class Rule:
    """lines, statuses: for which claims; no lines: all of them. keep_days: since the claim's last change."""

    lines: tuple[str, ...]
    statuses: tuple[str, ...]
    keep_days: int

    def covers(self, claim: Claim) -> bool:
        return claim.status in self.statuses and (not self.lines or claim.line in self.lines)


@dataclass(frozen=True, slots=True)
class DueClaim:
    """rule: place of its rule, from 1. outcome: due (dry run), deleted, held (kept), changed (kept, as somebody changed
    it meanwhile)."""

    claim_id: str
    rule: int
    updated_at: datetime
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class RetentionReport:
    """removed: what went, over all claims."""

    claims: tuple[DueClaim, ...]
    removed: DeletionReport


async def run_retention(
    store: Store,
    tenant: str,
    rules: Sequence[Rule],
    *,
    now: datetime,
    dry_run: bool,
    progress: Callable[[str, int, int], None],
) -> RetentionReport:
    """The first rule that covers a claim counts; a claim that none covers is kept for ever, as an open and a held one.

    Each deletion is a record of the audit. May be stopped at any point and called again. Raises what the store raises.
    """
    due = [(claim, rule) async for claim, rule in _due(store, tenant, rules, now)]
    found: list[DueClaim] = []
    removed = DeletionReport()
    for done, (claim, rule) in enumerate(due, start=1):
        outcome: Outcome = "held" if claim.held else "due"
        if outcome == "due" and not dry_run:
            event = partial(_event, claim, rules[rule - 1], rule, now)
            report = await _delete(store, tenant, claim, event)
            outcome = report if isinstance(report, str) else "deleted"
            if isinstance(report, DeletionReport):
                removed = _sum(removed, report)
        found.append(DueClaim(claim.claim_id, rule, claim.updated_at or now, outcome))
        progress("claims", done, len(due))
    if removed.claims:
        await store.sweep()  # a large database is written anew here, not after each claim
    return RetentionReport(tuple(found), removed)


async def _due(store: Store, tenant: str, rules: Sequence[Rule], now: datetime) -> AsyncIterator[tuple[Claim, int]]:
    """Claims whose time is over with the number of their rule, the longest unchanged first."""
    if not rules:
        return
    shortest = now - timedelta(days=min(rule.keep_days for rule in rules))
    ended, cursor = Condition("status", "in", ENDED), None
    while True:
        part = await store.claims.list(
            tenant, ended, sort=Sort("updated_at", descending=False), cursor=cursor, limit=_CLAIMS_A_STEP
        )
        for claim in part.items:
            if claim.updated_at is None or claim.updated_at > shortest:
                return
            for number, rule in enumerate(rules, start=1):
                if rule.covers(claim):
                    if claim.updated_at <= now - timedelta(days=rule.keep_days):
                        yield claim, number
                    break
        if (cursor := part.next_cursor) is None:
            return


async def _delete(
    store: Store, tenant: str, claim: Claim, note: Note[DeletionReport]
) -> DeletionReport | Literal["held", "changed"]:
    """Only the claim that was seen: one that was reopened since is kept."""
    try:
        return await store.claims.delete(tenant, claim.claim_id, expected_version=claim.version, note=note)
    except NotFound:
        return "changed"
    except Conflict as conflict:
        return "held" if conflict.code == "claim_held" else "changed"


def _event(claim: Claim, rule: Rule, number: int, now: datetime, report: DeletionReport) -> AuditEvent:
    return AuditEvent(
        at=now,
        actor="retention",
        action="claim.delete",
        target=claim.claim_id,
        details={"rule": number, "keep_days": rule.keep_days, "assets": report.assets, "pages": report.pages},
    )


def _sum(one: DeletionReport, other: DeletionReport) -> DeletionReport:
    return DeletionReport(
        claims=one.claims + other.claims,
        assets=one.assets + other.assets,
        pages=one.pages + other.pages,
        size_bytes=one.size_bytes + other.size_bytes,
    )
