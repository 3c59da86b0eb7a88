"""The own text of pages as rows, and the pages that hold exact strings. Plain tables in place of SQLite's full-text
index: what is deleted from them is overwritten (secure_delete), which that index does from SQLite 3.42 on only."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from retrieval.exact import MOST_READ, holds, lookup_words, words_of
from retrieval.stores.sqlite.filter_sql import Sql

_ROWS_A_STEP = 200
_HAS_WORD = "EXISTS (SELECT 1 FROM text_words o WHERE o.tenant_id = ? AND o.word = ? AND o.page = w.page)"


def write_text(connection: sqlite3.Connection, tenant: str, page: int, text: str) -> None:
    """In the place of what was kept of that page; nothing is kept of an empty text."""
    connection.execute("DELETE FROM texts WHERE page = ?", (page,))  # its words go with it
    if text:
        connection.execute("INSERT INTO texts VALUES (?, ?)", (page, text))
        rows = [(tenant, word, page) for word in words_of(text)]
        connection.executemany("INSERT INTO text_words VALUES (?, ?, ?)", rows)


def pages_holding(
    connection: sqlite3.Connection, tenant: str, strings: Sequence[str], where: Sql, *, encoder: str, limit: int
) -> frozenset[str]:
    """As PageIndex.containing; where: the filter. Pages are looked up by the most telling word."""
    words = lookup_words(strings)
    if not words:
        return frozenset()
    # CROSS leaves SQLite one order: the word's pages, then what is asked of them, their text last.
    select = (
        "SELECT p.page_id, t.text FROM text_words w CROSS JOIN pages p ON p.id = w.page "
        "CROSS JOIN claims c ON c.id = p.claim CROSS JOIN texts t ON t.page = w.page WHERE "
        + " AND ".join(["w.tenant_id = ? AND w.word = ?", *[_HAS_WORD] * (len(words) - 1)])
        + f" AND +p.encoder = ? AND {where.text} LIMIT ?"
    )
    asked = [value for word in words for value in (tenant, word)]
    rows = connection.execute(select, (*asked, encoder, *where.values, MOST_READ))
    found: set[str] = set()
    while len(found) < limit and (some := rows.fetchmany(_ROWS_A_STEP)):
        found.update(row["page_id"] for row in some if all(holds(row["text"], string) for string in strings))
    return frozenset(sorted(found)[:limit])


def drop_texts(connection: sqlite3.Connection) -> int:
    """Of all pages; how many had one."""
    return connection.execute("DELETE FROM texts").rowcount
