"""The chain of the audit: each record holds the hash of the one before, so none can be changed or taken out unseen.

Whoever can write the database can also write a whole new chain. Against that stands a copy of the head (its number and
hash) kept elsewhere: an export, or the line that `claimsight audit verify` prints.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC
from hashlib import sha256
from typing import Literal, cast

from retrieval.documents import AuditEvent, AuditHead, AuditRecord
from retrieval.errors import Conflict
from retrieval.ports import AuditLog

_RECORDS_A_STEP = 1000

AuditFaultCode = Literal["record_missing", "record_changed", "record_unlinked", "end_missing", "not_as_noted"]


@dataclass(frozen=True, slots=True)
class AuditFault:
    """number: of the first record that is wrong."""

    code: AuditFaultCode
    number: int
    detail: str


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """records: how many were read. head: the last of them."""

    records: int
    head: AuditHead
    faults: tuple[AuditFault, ...]


def hash_of(tenant: str, number: int, event: AuditEvent, previous: str) -> str:
    """sha256 in hex of all that the record says, as JSON in one fixed form; never to be changed."""
    said = [
        previous,
        tenant,
        number,
        event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        event.actor,
        event.action,
        event.target,
        event.request_id,
        dict(event.details),
    ]
    return sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def concerns(event: AuditEvent, claim_id: str) -> bool:
    """Whether the record is of this claim, or of something that showed it."""
    return event.target == claim_id or claim_id in claims_in(event)


def claims_in(event: AuditEvent) -> tuple[str, ...]:
    """The numbers in its detail `claims`, a JSON list, as `claims_text` writes it."""
    try:
        listed: object = json.loads(str(event.details.get("claims", "[]")))
    except (ValueError, RecursionError):
        return ()
    return tuple(str(claim_id) for claim_id in cast("list[object]", listed)) if isinstance(listed, list) else ()


def claims_text(claim_ids: Iterable[str]) -> str:
    """Each once, in the order given."""
    return json.dumps(list(dict.fromkeys(claim_ids)), ensure_ascii=False)


def record_after(head: AuditHead, tenant: str, event: AuditEvent) -> AuditRecord:
    """The event as the record that follows `head`."""
    number = head.number + 1
    return AuditRecord(number, event, head.hash, hash_of(tenant, number, event, head.hash))


def records_after(head: AuditHead, tenant: str, events: Sequence[AuditEvent]) -> list[AuditRecord]:
    """The events as the records that follow `head` and each other."""
    records: list[AuditRecord] = []
    for event in events:
        records.append(record_after(head, tenant, event))
        head = AuditHead(records[-1].number, records[-1].hash)
    return records


def continuing(
    tenant: str, head: AuditHead, mine: Sequence[AuditRecord], given: Sequence[AuditRecord]
) -> tuple[AuditRecord, ...]:
    """Those of `given` that are to be appended after `head`. mine: the stored records with their numbers.

    Raises Conflict audit_conflict when they are of another audit.
    """
    known = {record.number: record.hash for record in mine}
    new: list[AuditRecord] = []
    for record in given:
        if record.number <= head.number:
            fits = known.get(record.number) == record.hash
        else:
            fits = (record.number, record.previous) == (head.number + 1, head.hash)
            fits = fits and record.hash == hash_of(tenant, record.number, record.event, record.previous)
            head = AuditHead(record.number, record.hash)
            new.append(record)
        if not fits:
            raise Conflict("The store has an audit of its own that these records do not follow.", code="audit_conflict")
    return tuple(new)


async def check_audit(
    audit: AuditLog,
    tenant: str,
    *,
    noted: AuditHead | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> AuditCheck:
    """Reads a tenant's whole audit and follows its chain. noted: a head seen earlier, that must still be in it.

    progress: called with (records read, records that there should be).
    """
    end = await audit.head(tenant)
    last = AuditHead()
    count = 0
    faults: list[AuditFault] = []
    passed_end = end.number == 0
    while records := await audit.records(tenant, after=last.number, limit=_RECORDS_A_STEP):
        for record in records:
            faults += _faults_of(record, last, tenant, noted)
            if record.number == end.number:
                passed_end = record.hash == end.hash
            last = AuditHead(record.number, record.hash)
            count += 1
        if progress is not None:
            progress(count, max(count, end.number))
    if not passed_end and last.number >= end.number:
        faults.append(AuditFault("record_changed", end.number, "It is not the one that the end was noted as."))
    elif not passed_end:
        sentence = f"Records up to {end.number} were written, the last one found is {last.number}."
        faults.append(AuditFault("end_missing", last.number + 1, sentence))
    if noted is not None and noted.number > last.number:
        sentence = f"There was a record {noted.number}; the last one found is {last.number}."
        faults.append(AuditFault("not_as_noted", noted.number, sentence))
    return AuditCheck(count, last, tuple(faults))


def _faults_of(record: AuditRecord, last: AuditHead, tenant: str, noted: AuditHead | None) -> list[AuditFault]:
    faults: list[AuditFault] = []
    if record.number != last.number + 1:
        sentence = f"Records {last.number + 1} to {record.number - 1} are missing."
        faults.append(AuditFault("record_missing", last.number + 1, sentence))
    elif record.previous != last.hash:
        faults.append(AuditFault("record_unlinked", record.number, "It does not follow the record before it."))
    if record.hash != hash_of(tenant, record.number, record.event, record.previous):
        faults.append(AuditFault("record_changed", record.number, "It does not say what it said when it was written."))
    if noted is not None and record.number == noted.number and record.hash != noted.hash:
        faults.append(AuditFault("not_as_noted", record.number, "Its hash is not the one that was noted."))
    return faults
