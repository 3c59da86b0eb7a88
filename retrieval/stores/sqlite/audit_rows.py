"""The rows of the audit: how one is added to the chain, and how those of before the chain came into it."""

from __future__ import annotations

import json
import sqlite3
from typing import TypeVar

from retrieval.audit import record_after
from retrieval.documents import AuditEvent, AuditHead, AuditRecord
from retrieval.ports import Note
from retrieval.stores.sqlite.rows import event_of, stamp
from retrieval.stores.sqlite.scripts import run_script

T = TypeVar("T")

_INSERT = (
    "INSERT INTO audit (tenant_id, number, at, actor, action, target, request_id, details, previous, hash) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_NOTE_HEAD = (
    "INSERT INTO audit_heads VALUES (?, ?, ?) "
    "ON CONFLICT (tenant_id) DO UPDATE SET number = excluded.number, hash = excluded.hash"
)


def head_of(connection: sqlite3.Connection, tenant: str) -> AuditHead:
    row = connection.execute("SELECT number, hash FROM audit_heads WHERE tenant_id = ?", (tenant,)).fetchone()
    return AuditHead() if row is None else AuditHead(row["number"], row["hash"])


def add_record(connection: sqlite3.Connection, tenant: str, record: AuditRecord) -> None:
    """Inside a write transaction that read the head: one process writes at a time, so the chain never forks."""
    event = record.event
    row = (
        tenant,
        record.number,
        stamp(event.at),
        event.actor,
        event.action,
        event.target,
        event.request_id,
        json.dumps(dict(event.details)),
        record.previous,
        record.hash,
    )
    connection.execute(_INSERT, row)
    connection.execute(_NOTE_HEAD, (tenant, record.number, record.hash))


def add_event(connection: sqlite3.Connection, tenant: str, event: AuditEvent) -> None:
    """As `add_record`: inside a write transaction."""
    add_record(connection, tenant, record_after(head_of(connection, tenant), tenant, event))


def noted(connection: sqlite3.Connection, tenant: str, result: T, note: Note[T] | None) -> T:
    """The result of a change, once its record is written in the same transaction."""
    if note is not None:
        add_event(connection, tenant, note(result))
    return result


def record_of(row: sqlite3.Row) -> AuditRecord:
    return AuditRecord(row["number"], event_of(row), row["previous"], row["hash"])


def chain_audit(connection: sqlite3.Connection) -> None:
    """Tables of version 1 to 2: the audit becomes a chain for each tenant, in the order it was written."""
    run_script(connection, _CHAINED)
    for row in connection.execute("SELECT * FROM audit_before ORDER BY id").fetchall():
        add_event(connection, row["tenant_id"], event_of(row))
    connection.execute("DROP TABLE audit_before")


_CHAINED = """
    DROP INDEX audit_at;
    ALTER TABLE audit RENAME TO audit_before;
    CREATE TABLE audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant_id TEXT NOT NULL,
        number INTEGER NOT NULL,
        at TEXT NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        target TEXT NOT NULL,
        request_id TEXT,
        details TEXT NOT NULL,
        previous TEXT NOT NULL,
        hash TEXT NOT NULL,
        UNIQUE (tenant_id, number)
    ) STRICT;
    CREATE INDEX audit_at ON audit (tenant_id, at, id);

    -- The end of each chain, so that a record taken away from the end is missed too.
    CREATE TABLE audit_heads (
        tenant_id TEXT PRIMARY KEY,
        number INTEGER NOT NULL,
        hash TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TRIGGER audit_never_changes BEFORE UPDATE ON audit BEGIN
        SELECT RAISE(ABORT, 'the audit only grows');
    END;
    CREATE TRIGGER audit_never_shrinks BEFORE DELETE ON audit BEGIN
        SELECT RAISE(ABORT, 'the audit only grows');
    END;
"""
