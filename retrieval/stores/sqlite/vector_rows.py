"""Vectors of a page as rows: written with their page, read by id."""

from __future__ import annotations

import sqlite3
from dataclasses import fields

from retrieval.documents import PageVectors
from retrieval.errors import EncoderMismatch
from retrieval.stores.codec import VectorBytes, vectors_from_bytes

VECTORS_SELECT = (
    "SELECT p.page_id, p.encoder, s.summary, t.token_dims, t.token_bits, t.tokens, t.scales, t.cells FROM pages p "
    "JOIN summaries s ON s.page = p.id LEFT JOIN tokens t ON t.page = p.id"
)

_WRITE_TOKENS = "INSERT INTO tokens (page, token_dims, token_bits, scales, cells, tokens) VALUES (?, ?, ?, ?, ?, ?)"


def dims_of(connection: sqlite3.Connection, encoder: str) -> int | None:
    """Length of that encoder's summaries; None while it has stored none."""
    row = connection.execute("SELECT dims FROM encoders WHERE name = ?", (encoder,)).fetchone()
    return None if row is None else int(row["dims"])


def fit_dims(connection: sqlite3.Connection, encoder: str, dims: int) -> None:
    """Vectors of one encoder are all of one length, and of one that the index was made for. Raises EncoderMismatch."""
    known = dims_of(connection, encoder)
    if known == dims:
        return
    wanted = [int(row["dims"]) for row in connection.execute("SELECT dims FROM index_dims")]
    if wanted and dims not in wanted:
        raise EncoderMismatch(f"The index is for vectors of length {', '.join(map(str, wanted))}, not {dims}.")
    if known is not None:
        held = connection.execute("SELECT 1 FROM pages WHERE encoder = ? LIMIT 1", (encoder,)).fetchone()
        if held is not None:
            raise EncoderMismatch(f"Stored vectors of {encoder[:80]} have length {known}, these have {dims}.")
    connection.execute("INSERT OR REPLACE INTO encoders VALUES (?, ?)", (encoder, dims))


def write_vectors(connection: sqlite3.Connection, page: int, stored: VectorBytes) -> None:
    connection.execute("INSERT OR REPLACE INTO summaries VALUES (?, ?)", (page, stored.summary))
    connection.execute("DELETE FROM tokens WHERE page = ?", (page,))
    if stored.tokens is not None:
        row = (page, stored.token_dims, stored.token_bits, stored.scales, stored.cells, stored.tokens)
        connection.execute(_WRITE_TOKENS, row)


def vectors_of(row: sqlite3.Row) -> PageVectors:
    """Of a row of VECTORS_SELECT."""
    stored = VectorBytes(**{field.name: row[field.name] for field in fields(VectorBytes)})
    return vectors_from_bytes(stored, encoder=row["encoder"])
