"""Tables of the embedded store, as numbered migrations: entry n takes the file from user_version n to n + 1.

A migration that has shipped is never edited; a change is a new one. Times are ISO text in UTC with microseconds, so
that they sort as text; days are ISO text. AUTOINCREMENT keeps a key from being given again after a deletion.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from retrieval.errors import StoreUnavailable
from retrieval.stores.sqlite.audit_rows import chain_audit
from retrieval.stores.sqlite.scripts import run_script

Migration = str | Callable[[sqlite3.Connection], None]

MIGRATIONS: tuple[Migration, ...] = (
    """
    CREATE TABLE claims (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant_id TEXT NOT NULL,
        claim_id TEXT NOT NULL,
        line TEXT NOT NULL,
        status TEXT NOT NULL,
        policy_id TEXT,
        loss_date TEXT,
        reported_date TEXT,
        loss_amount REAL,
        currency TEXT,
        city TEXT,
        region TEXT,
        country TEXT,
        make TEXT,
        model TEXT,
        year INTEGER,
        description TEXT NOT NULL,
        damage_types TEXT NOT NULL,
        attributes TEXT NOT NULL,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        version INTEGER NOT NULL,
        UNIQUE (tenant_id, claim_id)
    ) STRICT;
    CREATE INDEX claims_created ON claims (tenant_id, created_at, claim_id);
    CREATE INDEX claims_updated ON claims (tenant_id, updated_at, claim_id);
    CREATE INDEX claims_loss_date ON claims (tenant_id, loss_date, claim_id);
    CREATE INDEX claims_loss_amount ON claims (tenant_id, loss_amount, claim_id);
    CREATE INDEX claims_line ON claims (tenant_id, line, status);
    CREATE INDEX claims_vehicle ON claims (tenant_id, make, model);

    -- damage_types and attributes once more, a row each, so that a filter can look them up.
    CREATE TABLE claim_damage (
        claim INTEGER NOT NULL REFERENCES claims (id) ON DELETE CASCADE,
        tenant_id TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (claim, value)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX claim_damage_value ON claim_damage (tenant_id, value, claim);

    -- kind: text, number or bool (0 and 1); values of two kinds never meet in a comparison.
    CREATE TABLE claim_attributes (
        claim INTEGER NOT NULL REFERENCES claims (id) ON DELETE CASCADE,
        tenant_id TEXT NOT NULL,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        value ANY NOT NULL,
        PRIMARY KEY (claim, name)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX claim_attributes_value ON claim_attributes (tenant_id, name, kind, value, claim);

    CREATE TABLE assets (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant_id TEXT NOT NULL,
        claim INTEGER NOT NULL REFERENCES claims (id) ON DELETE CASCADE,
        asset_id TEXT NOT NULL,
        filename TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        media_type TEXT,
        page_count INTEGER,
        warnings TEXT NOT NULL,
        created_at TEXT NOT NULL,
        UNIQUE (claim, asset_id)
    ) STRICT;
    CREATE INDEX assets_file ON assets (asset_id, tenant_id);

    -- revision: of the row, from the sequence below; grows with every change of any page.
    -- picture: sha256 of the stored picture, the name of its file.
    CREATE TABLE pages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant_id TEXT NOT NULL,
        page_id TEXT NOT NULL,
        claim INTEGER NOT NULL REFERENCES claims (id) ON DELETE CASCADE,
        asset INTEGER NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        kind TEXT NOT NULL,
        width INTEGER NOT NULL,
        height INTEGER NOT NULL,
        encoder TEXT NOT NULL,
        usage TEXT NOT NULL,
        picture TEXT NOT NULL,
        created_at TEXT NOT NULL,
        revision INTEGER NOT NULL,
        UNIQUE (tenant_id, page_id)
    ) STRICT;
    CREATE INDEX pages_claim ON pages (claim);
    CREATE INDEX pages_asset ON pages (asset, number);
    CREATE INDEX pages_changed ON pages (encoder, revision);
    CREATE INDEX pages_kind ON pages (tenant_id, encoder, kind, claim);
    CREATE INDEX pages_picture ON pages (picture);

    -- Apart from pages and from each other: the memory index reads summaries alone, in one pass.
    CREATE TABLE summaries (
        page INTEGER PRIMARY KEY REFERENCES pages (id) ON DELETE CASCADE,
        summary BLOB NOT NULL
    ) STRICT;
    CREATE TABLE tokens (
        page INTEGER PRIMARY KEY REFERENCES pages (id) ON DELETE CASCADE,
        token_dims INTEGER NOT NULL,
        scales BLOB NOT NULL,
        cells BLOB NOT NULL,
        tokens BLOB NOT NULL
    ) STRICT;

    -- changes: the last revision given out. removals_from: removals up to this revision were forgotten.
    CREATE TABLE sequence (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        changes INTEGER NOT NULL,
        removals_from INTEGER NOT NULL
    ) STRICT;
    INSERT INTO sequence VALUES (1, 0, 0);
    CREATE TABLE removals (
        revision INTEGER PRIMARY KEY,
        page INTEGER NOT NULL
    ) STRICT;
    CREATE TRIGGER pages_removed AFTER DELETE ON pages BEGIN
        UPDATE sequence SET changes = changes + 1;
        INSERT INTO removals SELECT changes, OLD.id FROM sequence;
    END;

    CREATE TABLE encoders (
        name TEXT PRIMARY KEY,
        dims INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    -- Lengths of vectors that the index was made for; empty until it is.
    CREATE TABLE index_dims (
        dims INTEGER PRIMARY KEY
    ) STRICT;

    CREATE TABLE jobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant_id TEXT NOT NULL,
        job_id TEXT NOT NULL,
        claim INTEGER NOT NULL REFERENCES claims (id) ON DELETE CASCADE,
        idempotency_key TEXT,
        fingerprint TEXT NOT NULL,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        revision INTEGER NOT NULL,
        cancel_requested INTEGER NOT NULL,
        UNIQUE (tenant_id, job_id)
    ) STRICT;
    CREATE INDEX jobs_claim ON jobs (claim);
    CREATE UNIQUE INDEX jobs_key ON jobs (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

    -- due_at: from when on the entry may be leased: its start, the end of a delay, or the end of the lease it is under.
    CREATE TABLE entries (
        job INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        place INTEGER NOT NULL,
        filename TEXT NOT NULL,
        asset_id TEXT,
        state TEXT NOT NULL,
        code TEXT,
        detail TEXT,
        pages_total INTEGER,
        failed_pages TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        token INTEGER NOT NULL,
        worker_id TEXT,
        queued_at TEXT NOT NULL,
        due_at TEXT NOT NULL,
        PRIMARY KEY (job, place)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX entries_open ON entries (job, place) WHERE state IN ('queued', 'running');

    CREATE TABLE audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant_id TEXT NOT NULL,
        at TEXT NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        target TEXT NOT NULL,
        request_id TEXT,
        details TEXT NOT NULL
    ) STRICT;
    CREATE INDEX audit_at ON audit (tenant_id, at, id);

    -- Files whose last record is gone, to be removed after the commit that says so.
    CREATE TABLE leftovers (
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        PRIMARY KEY (kind, name)
    ) STRICT, WITHOUT ROWID;
    """,
    chain_audit,
    """
    -- held: under legal hold, 0 or 1.
    ALTER TABLE claims ADD COLUMN held INTEGER NOT NULL DEFAULT 0;

    -- deletions: since the file was last written anew. Old copies of rows can stay in the slack of its pages.
    CREATE TABLE slack (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        deletions INTEGER NOT NULL
    ) STRICT;
    INSERT INTO slack VALUES (1, 0);
    """,
    """
    -- request_id: of the upload, so that the logs of its workers are found by it.
    ALTER TABLE jobs ADD COLUMN request_id TEXT;
    """,
    """
    -- token_bits: bits of a number of a token vector: 8, 5 or 4.
    ALTER TABLE tokens ADD COLUMN token_bits INTEGER NOT NULL DEFAULT 8;
    """,
    """
    -- digest: sha256 of the secret of the key; the secret itself is nowhere.
    CREATE TABLE keys (
        key_id TEXT PRIMARY KEY,
        tenant_id TEXT NOT NULL,
        role TEXT NOT NULL,
        name TEXT NOT NULL,
        digest TEXT NOT NULL,
        created_at TEXT NOT NULL,
        expires_at TEXT,
        revoked_at TEXT,
        last_used_at TEXT
    ) STRICT, WITHOUT ROWID;

    -- Holds all that the sum of a tenant's bytes needs.
    CREATE INDEX assets_stored ON assets (tenant_id, asset_id, size_bytes);
    """,
    """
    -- Ids of the keys that files are encrypted with; empty where nothing is encrypted.
    CREATE TABLE encryption_keys (
        key_id TEXT PRIMARY KEY
    ) STRICT, WITHOUT ROWID;
    """,
    """
    -- capture: what a picture says of its making, as JSON; NULL where it says nothing.
    ALTER TABLE assets ADD COLUMN capture TEXT;
    """,
    """
    -- The page's own text, normalised; a page that has none has no row.
    CREATE TABLE texts (
        page INTEGER PRIMARY KEY REFERENCES pages (id) ON DELETE CASCADE,
        text TEXT NOT NULL
    ) STRICT;

    -- Its words, by which pages are looked up.
    CREATE TABLE text_words (
        tenant_id TEXT NOT NULL,
        word TEXT NOT NULL,
        page INTEGER NOT NULL REFERENCES texts (page) ON DELETE CASCADE,
        PRIMARY KEY (tenant_id, word, page)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX text_words_page ON text_words (page);
    """,
)


def migrate(connection: sqlite3.Connection) -> None:
    """Brings the file to the newest version in one transaction; safe when several processes start at once.

    Raises StoreUnavailable store_newer when a newer Claimsight made the file.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        for number in range(require_known_version(connection), len(MIGRATIONS)):
            migration = MIGRATIONS[number]
            if isinstance(migration, str):
                run_script(connection, migration)
            else:
                migration(connection)
            connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def require_known_version(connection: sqlite3.Connection) -> int:
    """The version of the tables. Raises StoreUnavailable store_newer when this code does not know it."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise StoreUnavailable(
            f"A newer Claimsight made this data folder (tables of version {version}, this one knows "
            f"{len(MIGRATIONS)}): use that version or a newer one.",
            code="store_newer",
        )
    return version
