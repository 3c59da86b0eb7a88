"""Values and counts of one filterable field among the claims that pass a filter."""

from __future__ import annotations

import sqlite3
from typing import Any

from retrieval.documents import Facet, FacetValue, FactValue
from retrieval.filters import CLAIM_FIELDS, field_spec
from retrieval.stores.sqlite.filter_sql import Sql, column_of

MAX_VALUES = 50


def facet(connection: sqlite3.Connection, tenant: str, where: Sql, path: str) -> Facet:
    """where: over `claims c`. Raises InvalidInput bad_filter for a field that claims do not have."""
    spec = field_spec(path, CLAIM_FIELDS)
    values: tuple[Any, ...] = (tenant, *where.values)
    if spec.is_list:
        source = f"claims c JOIN claim_damage v ON v.claim = c.id WHERE c.tenant_id = ? AND {where.text}"
        value, kind = "v.value", "'text'"
    elif spec.type == "attribute":
        source = (
            f"claims c JOIN claim_attributes v ON v.claim = c.id WHERE c.tenant_id = ? AND {where.text} AND v.name = ?"
        )
        values += (path.partition(".")[2],)
        value, kind = "v.value", "v.kind"
    else:
        value, kind = column_of(path), f"'{spec.type}'"
        source = f"claims c WHERE c.tenant_id = ? AND {where.text} AND {value} IS NOT NULL"
    rows = connection.execute(
        f"SELECT {kind} AS kind, {value} AS value, count(*) AS count FROM {source} "
        f"GROUP BY 1, 2 ORDER BY count DESC, kind, value LIMIT {MAX_VALUES}",
        values,
    ).fetchall()
    low, high = None, None
    if spec.type in ("number", "date", "attribute"):
        low, high = connection.execute(
            f"SELECT min({value}), max({value}) FROM {source} AND {kind} IN ('number', 'date')", values
        ).fetchone()
    counted = tuple(FacetValue(_fact(row["kind"], row["value"]), row["count"]) for row in rows)
    return Facet(path, counted, minimum=low, maximum=high)


def _fact(kind: str, value: FactValue) -> FactValue:
    return bool(value) if kind == "bool" else value
