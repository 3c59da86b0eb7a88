"""What SQLite itself says of a database file."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

_MOST_PROBLEMS = 100
_NULL = re.compile(r"NULL value in (\w+)\.(\w+)")


def problems_of(connection: sqlite3.Connection) -> Iterator[str]:
    """The sentences of PRAGMA integrity_check, at most 100; none when the file is sound.

    SQLite 3.40.0 to 3.41.0 calls values of tables WITHOUT ROWID null that are not, when the key's columns are not the
    first ones, a line a row. So such a line is believed only when a query finds a null too; and no limit is given to
    SQLite, as those lines would use it up.
    """
    known: dict[tuple[str, str], bool] = {}
    found = 0
    for (text,) in connection.execute("PRAGMA integrity_check(1000000000)"):
        said = _NULL.fullmatch(text)
        if text == "ok" or (said and not _has_null(connection, said[1], said[2], known)):
            continue
        yield str(text).splitlines()[0]
        found += 1
        if found == _MOST_PROBLEMS:
            return


def _has_null(connection: sqlite3.Connection, table: str, column: str, known: dict[tuple[str, str], bool]) -> bool:
    if (table, column) not in known:
        # typeof: SQLite takes IS NULL on a NOT NULL column for false without a look.
        select = f"SELECT 1 FROM {table} WHERE typeof({column}) = 'null' LIMIT 1"
        known[table, column] = connection.execute(select).fetchone() is not None
    return known[table, column]
