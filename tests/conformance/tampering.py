"""Changes behind a store's back, as somebody with the database in hand could make them."""

from __future__ import annotations

import sqlite3
from typing import Any, cast

from retrieval.ports import Store
from retrieval.stores.mongo import MongoStore
from retrieval.stores.sqlite import SqliteStore


async def change_record(store: Store, tenant: str, number: int, **fields: Any) -> None:
    """Of the audit."""
    if isinstance(store, MongoStore):
        done = await store.link.audit.update_one({"tenant_id": tenant, "number": number}, {"$set": fields})
        assert done.modified_count == 1
        return
    names = ", ".join(f"{name} = ?" for name in fields)
    await _execute(
        store, f"UPDATE audit SET {names} WHERE tenant_id = ? AND number = ?", *fields.values(), tenant, number
    )


async def remove_record(store: Store, tenant: str, number: int) -> None:
    """Of the audit."""
    if isinstance(store, MongoStore):
        done = await store.link.audit.delete_one({"tenant_id": tenant, "number": number})
        assert done.deleted_count == 1
        return
    await _execute(store, "DELETE FROM audit WHERE tenant_id = ? AND number = ?", tenant, number)


async def _execute(store: Store, statement: str, *values: object) -> None:
    def work(connection: sqlite3.Connection) -> None:
        for trigger in ("audit_never_changes", "audit_never_shrinks"):
            connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
        assert connection.execute(statement, values).rowcount == 1

    await cast("SqliteStore", store)._core.db.write(work)
