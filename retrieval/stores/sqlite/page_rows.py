"""A page written as rows, in the place of what was stored under its id."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import datetime

from retrieval.documents import NewPage
from retrieval.stores.codec import VectorBytes
from retrieval.stores.sqlite.page_texts import write_text
from retrieval.stores.sqlite.rows import PAGE_SELECT, leave, next_revision, stamp
from retrieval.stores.sqlite.vector_rows import fit_dims, write_vectors

FIND_PAGE = f"{PAGE_SELECT} WHERE p.tenant_id = ? AND p.page_id = ?"
_COLUMNS = [
    "tenant_id",
    "page_id",
    "claim",
    "asset",
    "number",
    "kind",
    "width",
    "height",
    "encoder",
    "usage",
    "picture",
    "created_at",
    "revision",
]
_CHANGING = [name for name in _COLUMNS if name not in ("tenant_id", "page_id", "created_at")]
_WRITE = (
    f"INSERT INTO pages ({', '.join(_COLUMNS)}) VALUES (?{', ?' * (len(_COLUMNS) - 1)}) "
    f"ON CONFLICT (tenant_id, page_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _CHANGING)} "
    "RETURNING id"
)


@dataclass(frozen=True, slots=True)
class PageRow:
    """claim, asset: their rows. picture: name of its file. keeps_text: whether the page's own text is written too."""

    new: NewPage
    claim: int
    asset: int
    picture: str
    keeps_text: bool


def write_page(
    connection: sqlite3.Connection, tenant: str, row: PageRow, vectors: VectorBytes, *, now: datetime
) -> None:
    """Raises EncoderMismatch where the vectors do not fit those stored."""
    new, page = row.new, row.new.page
    fit_dims(connection, new.vectors.encoder, new.vectors.summary.size)
    old = connection.execute(FIND_PAGE, (tenant, page.page_id)).fetchone()
    if old is not None:
        note_move(connection, old, new.vectors.encoder)
        leave(connection, "pictures", [old["picture"]] if old["picture"] != row.picture else [])
    values = (
        tenant,
        page.page_id,
        row.claim,
        row.asset,
        page.number,
        page.kind,
        page.width,
        page.height,
        new.vectors.encoder,
        json.dumps(dict(page.usage)),
        row.picture,
        stamp(page.created_at or now),
        next_revision(connection),
    )
    key = int(connection.execute(_WRITE, values).fetchone()["id"])
    write_vectors(connection, key, vectors)
    write_text(connection, tenant, key, new.text if row.keeps_text else "")


def note_move(connection: sqlite3.Connection, old: sqlite3.Row, encoder: str) -> None:
    """A page that gets another encoder's vectors is gone for its old one."""
    if old["encoder"] != encoder:
        connection.execute("INSERT INTO removals VALUES (?, ?)", (next_revision(connection), old["id"]))
