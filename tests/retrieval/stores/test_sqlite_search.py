"""The matrix in memory: exact, and always what the table holds, whoever wrote it."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.documents import EntryState, ScoredPage, job_state_of
from retrieval.errors import EncoderMismatch, InvalidInput
from retrieval.filters import EVERYTHING, parse_filter
from retrieval.stores.sqlite import SqliteStore, memory, store
from retrieval.stores.sqlite.filter_sql import MAX_PARAMETERS, claim_sql
from retrieval.stores.sqlite.job_rows import STATE
from retrieval.stores.sqlite.memory import Matrix
from retrieval.stores.sqlite.schema import migrate
from tests.conformance.builders import (
    DIMS,
    ENCODER,
    OTHER_TENANT,
    TENANT,
    claim,
    leased,
    new_page,
    pointing,
    stored,
    vectors,
)


class Table:
    """Pages written straight into the tables, thousands in no time."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.execute("PRAGMA foreign_keys = ON")
        migrate(self.connection)
        self.connection.execute(
            "INSERT INTO claims (tenant_id, claim_id, line, status, description, damage_types, attributes, created_at, "
            "updated_at, version) VALUES ('acme', 'C', 'auto', 'open', '', '[]', '{}', '', '', 1)"
        )
        self.connection.execute(
            "INSERT INTO assets (tenant_id, claim, asset_id, filename, size_bytes, warnings, created_at) "
            "VALUES ('acme', 1, 'a', 'a', 1, '[]', '')"
        )

    def put(self, page_id: str, summary: NDArray[np.float32], *, tenant: str = TENANT, encoder: str = ENCODER) -> None:
        [revision] = self.connection.execute("UPDATE sequence SET changes = changes + 1 RETURNING changes").fetchone()
        [key] = self.connection.execute(
            "INSERT INTO pages (tenant_id, page_id, claim, asset, number, kind, width, height, encoder, usage, "
            "picture, created_at, revision) VALUES (?, ?, 1, 1, 1, 'page', 1, 1, ?, '{}', '', '', ?) "
            "ON CONFLICT DO UPDATE SET revision = excluded.revision RETURNING id",
            (tenant, page_id, encoder, revision),
        ).fetchone()
        self.connection.execute("INSERT OR REPLACE INTO summaries VALUES (?, ?)", (key, summary.tobytes()))

    def delete(self, page_id: str) -> None:
        self.connection.execute("DELETE FROM pages WHERE page_id = ?", (page_id,))

    def expected(self, query: NDArray[np.float32], limit: int) -> list[tuple[str, float]]:
        rows = self.connection.execute(
            "SELECT p.page_id, s.summary FROM pages p JOIN summaries s ON s.page = p.id WHERE p.tenant_id = 'acme'"
        )
        scored = [
            (page_id, float(np.frombuffer(one, "<f4").astype(float) @ query.astype(float))) for page_id, one in rows
        ]
        return sorted(scored, key=lambda pair: (-round(pair[1], 12), pair[0]))[:limit]


@pytest.fixture
def table() -> Iterator[Table]:
    made = Table()
    yield made
    made.connection.close()


def check(table: Table, matrix: Matrix, *, limit: int = 20) -> None:
    """The matrix answers as the table does."""
    query = vectors(99).summary
    found = matrix.pages_of_tenant(table.connection, TENANT).nearest(query, limit)
    expected = table.expected(query, limit)
    assert [hit.page_id for hit in found] == [page_id for page_id, _ in expected]
    np.testing.assert_allclose([hit.score for hit in found], [score for _, score in expected], atol=1e-9)


def test_nearest_is_exact_over_growth_replacement_and_deletion(table: Table) -> None:
    matrix = Matrix(ENCODER, DIMS)
    check(table, matrix)
    for number in range(3000):
        table.put(f"p{number}", vectors(number).summary)
        if number in (0, 1, 255, 256, 257, 1000, 2999):
            check(table, matrix)
    for number in range(0, 3000, 7):
        table.put(f"p{number}", vectors(number + 10_000).summary)
    check(table, matrix)
    for number in range(0, 3000, 3):
        table.delete(f"p{number}")
    check(table, matrix)
    check(table, matrix, limit=5000)
    check(table, Matrix(ENCODER, DIMS))


def test_dead_rows_are_dropped_and_nothing_is_lost(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MIN_DEAD", 10)
    matrix = Matrix(ENCODER, DIMS)
    for number in range(100):
        table.put(f"p{number}", vectors(number).summary)
    check(table, matrix)
    for number in range(90):
        table.delete(f"p{number}")
    check(table, matrix)
    assert matrix._count == 10
    for number in range(50, 150):
        table.put(f"p{number}", vectors(number + 500).summary)
    table.delete("p95")
    check(table, matrix, limit=200)


def test_a_slice_keeps_answering_while_others_write(table: Table) -> None:
    matrix = Matrix(ENCODER, DIMS)
    for number in range(300):
        table.put(f"p{number}", vectors(number).summary)
    query = vectors(99).summary
    held = matrix.pages_of_tenant(table.connection, TENANT)
    before = held.nearest(query, 10)
    for number in range(2000):
        table.put(f"p{number}", vectors(number + 5000).summary)
    matrix.pages_of_tenant(table.connection, TENANT)
    assert held.nearest(query, 10) == before


def test_equal_vectors_score_the_same_and_go_by_id(table: Table) -> None:
    """Where a row lies must not show in its score, for whole matrices and gathered rows alike."""
    summary = vectors(5, dims=DIMS).summary
    for number in range(500):
        table.put(f"p{number:03}", summary if number % 3 else vectors(number).summary)
    matrix = Matrix(ENCODER, DIMS)
    same = [f"p{number:03}" for number in range(500) if number % 3]
    for limit in (1, 10, len(same)):
        found = matrix.pages_of_tenant(table.connection, TENANT).nearest(summary, limit)
        assert [hit.page_id for hit in found] == same[:limit]
        assert len({hit.score for hit in found}) == 1
    few = matrix.pages_of_keys(table.connection, np.arange(100, 120))
    assert len({hit.score for hit in few.nearest(summary, 10)}) == 1


def test_a_forgotten_log_of_removals_means_reading_anew(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_KEPT_REMOVALS", 5)
    ahead, behind = Matrix(ENCODER, DIMS), Matrix(ENCODER, DIMS)
    for number in range(50):
        table.put(f"p{number}", vectors(number).summary)
    check(table, ahead)
    check(table, behind)
    for number in range(20):
        table.delete(f"p{number}")
    check(table, ahead)
    store._forget_removals(table.connection)
    assert table.connection.execute("SELECT count(*) FROM removals").fetchone() == (5,)
    table.delete("p30")
    check(table, ahead)
    check(table, behind)


def test_tenants_and_encoders_do_not_meet(table: Table) -> None:
    table.put("mine", vectors(1).summary)
    table.put("theirs", vectors(1).summary, tenant=OTHER_TENANT)
    table.put("other", vectors(1).summary, encoder="fake/2")
    matrix = Matrix(ENCODER, DIMS)
    for tenant, expected in ((TENANT, ["mine"]), (OTHER_TENANT, ["theirs"]), ("nobody", [])):
        found = matrix.pages_of_tenant(table.connection, tenant).nearest(vectors(1).summary, 10)
        assert [hit.page_id for hit in found] == expected


async def open_two(folder: Path) -> list[SqliteStore]:
    return [await SqliteStore.open(folder) for _ in range(2)]


async def nearest(searching: SqliteStore, filter: object = None, *, encoder: str = ENCODER) -> list[str]:
    query = pointing([1, 0, 0, 0, 0, 0, 0, 0], encoder=encoder)
    return [hit.page_id for hit in await searching.pages.nearest(TENANT, query, parse_filter(filter), limit=10)]


async def test_a_search_sees_what_another_process_committed(tmp_path: Path) -> None:
    writing, searching = await open_two(tmp_path)
    assert await nearest(searching) == []
    [first] = await stored(writing, claim_id="C-1", given=[pointing([1, 0, 0, 0, 0, 0, 0, 0])])
    assert await nearest(searching) == [first.page_id]
    [second] = await stored(writing, claim_id="C-2", given=[pointing([2, 1, 0, 0, 0, 0, 0, 0])])
    assert await nearest(searching) == [first.page_id, second.page_id]
    await writing.pages.replace_vectors(TENANT, first.page_id, pointing([0, 1, 0, 0, 0, 0, 0, 0]), usage={})
    assert await nearest(searching) == [second.page_id, first.page_id]
    await writing.pages.replace_vectors(
        TENANT, first.page_id, pointing([1, 0, 0, 0, 0, 0, 0, 0], encoder="fake/2"), usage={}
    )
    assert await nearest(searching) == [second.page_id]
    assert await nearest(searching, encoder="fake/2") == [first.page_id]
    await writing.claims.put(TENANT, claim("C-2", line="travel"))
    assert await nearest(searching, {"line": "travel"}) == [second.page_id]
    assert await nearest(searching, {"line": "auto"}) == []
    await writing.claims.delete(TENANT, "C-2")
    assert await nearest(searching) == []
    for opened in (writing, searching):
        await opened.close()


async def test_a_filter_that_passes_few_still_fills_the_answer(tmp_path: Path) -> None:
    """Applied before the cut: the far pages of the one claim that passes are found behind hundreds of near ones."""
    searching = await SqliteStore.open(tmp_path)
    near = pointing([1, 0.01, 0, 0, 0, 0, 0, 0])
    await stored(searching, claim_id="near", given=[near] * 300)
    far = await stored(
        searching,
        claim_id="far",
        content=b"far",
        given=[pointing([-1, 0, 0, 0, 0, 0, 0, number]) for number in range(3)],
    )
    for filter in ({"claim_id": "far"}, {"asset_id": far[0].asset_id}, {"claim_id": "far", "kind": "page"}):
        assert set(await nearest(searching, filter)) == {page.page_id for page in far}
    await searching.close()


async def test_vectors_of_another_length_are_refused(tmp_path: Path) -> None:
    searching = await SqliteStore.open(tmp_path)
    lease = await leased(searching)
    await searching.pages.put(lease, [new_page(lease)])
    with pytest.raises(EncoderMismatch):
        await searching.pages.put(lease, [new_page(lease, 2, vectors(2, dims=9))])
    with pytest.raises(EncoderMismatch):
        await searching.pages.nearest(TENANT, vectors(1, dims=9), EVERYTHING, limit=1)
    await searching.ensure_index(dims=8)
    with pytest.raises(EncoderMismatch):
        await searching.pages.put(lease, [new_page(lease, 2, vectors(2, dims=9, encoder="fake/2"))])
    await searching.ensure_index(dims=9)
    await searching.pages.put(lease, [new_page(lease, 2, vectors(2, dims=9, encoder="fake/2"))])
    assert await searching.pages.counts(TENANT) == {ENCODER: 1, "fake/2": 1}
    await searching.close()


async def test_an_encoder_nobody_used_finds_nothing(tmp_path: Path) -> None:
    searching = await SqliteStore.open(tmp_path)
    assert await searching.pages.nearest(TENANT, vectors(1, encoder="new/1"), EVERYTHING, limit=5) == []
    assert await searching.pages.matching(TENANT, EVERYTHING, encoder="new/1", limit=5) == []
    await searching.close()


async def test_dropping_the_index_loses_nothing(tmp_path: Path) -> None:
    searching = await SqliteStore.open(tmp_path)
    [page] = await stored(searching, given=[pointing([1, 0, 0, 0, 0, 0, 0, 0])])
    before: list[ScoredPage] = await searching.pages.nearest(TENANT, vectors(1), EVERYTHING, limit=5)
    await searching.drop_index()
    assert await searching.pages.nearest(TENANT, vectors(1), EVERYTHING, limit=5) == before
    assert before[0].page_id == page.page_id
    await searching.close()


def test_a_filter_with_more_numbers_than_sqlite_takes_is_refused_clearly() -> None:
    numbers = [float(number) for number in range(1000)]
    source = {"or": [{f"attributes.a{place}": {"in": numbers}} for place in range(40)]}
    assert len(numbers) * 40 > MAX_PARAMETERS
    with pytest.raises(InvalidInput, match="numbers"):
        claim_sql(TENANT, parse_filter(source))


async def test_the_largest_filters_run(tmp_path: Path) -> None:
    searching = await SqliteStore.open(tmp_path)
    [page] = await stored(searching)
    words = [f"word {number}" for number in range(1000)]
    sources = [
        {"or": [{"damage_types": {"in": words}} for _ in range(99)] + [{"line": "other"}]},
        {
            "or": [{"loss_amount": {"in": [float(number) for number in range(1000)]}} for _ in range(30)]
            + [{"line": "other"}]
        },
        {"and": [{"or": [{}] * 100}] * 1500},
        {"not": {"or": [{"not": {}}] * 5000}},
        {"and": [{"attributes.a": {"ne": float(number)}} for number in range(100)]},
    ]
    for source in sources:
        filter = parse_filter(source)
        assert await searching.pages.passing(TENANT, [page.page_id], filter, encoder=ENCODER) == {page.page_id}
        assert await nearest(searching, source) == [page.page_id]
    await searching.close()


def test_job_state_in_sql_is_that_of_the_domain(table: Table) -> None:
    table.connection.execute(
        "INSERT INTO jobs (id, tenant_id, job_id, claim, fingerprint, created_at, updated_at, revision, "
        "cancel_requested) VALUES (1, 'acme', 'j', 1, '', '', '', 0, 0)"
    )
    for count in range(4):
        for states in itertools.product(EntryState, repeat=count):
            table.connection.execute("DELETE FROM entries")
            table.connection.executemany(
                "INSERT INTO entries (job, place, filename, state, failed_pages, attempts, token, queued_at, due_at) "
                "VALUES (1, ?, '', ?, '[]', 0, 0, '', '')",
                [(place, state.value) for place, state in enumerate(states)],
            )
            [found] = table.connection.execute(f"SELECT {STATE} FROM jobs j").fetchone()
            assert found == job_state_of(states).value, states
