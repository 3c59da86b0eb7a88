"""Pages kept in memory: what comes off the shelf is what was put on it, in every order and after every move."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.documents import PageVectors
from retrieval.errors import EncoderMismatch
from retrieval.search.selection import Selection, ShelfEntry, joined
from retrieval.search.shelf import Shelf

ENCODER = "fake/1"


def entry(page_id: str, *, revision: int = 1, tokens: int = 3, claim: str = "c", width: int = 4) -> ShelfEntry:
    rng = np.random.default_rng([*page_id.encode(), revision])
    summary = rng.standard_normal(6).astype(np.float32)
    return ShelfEntry(
        page_id,
        claim,
        revision,
        PageVectors(
            summary=summary / np.linalg.norm(summary),
            encoder=ENCODER,
            tokens=rng.integers(-127, 128, (tokens, width), dtype=np.int8) if tokens else None,
            scales=rng.random(tokens).astype(np.float16) if tokens else None,
        ),
    )


def check_selection(found: Selection | None, expected: list[ShelfEntry]) -> None:
    assert found is not None
    assert found.page_ids == [one.page_id for one in expected]
    assert len(found.packed) == len(expected)
    for packed_place, asked_place in enumerate(found.order.tolist()):
        wanted = expected[asked_place].vectors
        rows = slice(found.packed.offsets[packed_place], found.packed.offsets[packed_place + 1])
        np.testing.assert_array_equal(found.packed.summaries[packed_place], wanted.summary)
        if wanted.tokens is None:
            assert rows.start == rows.stop
        else:
            np.testing.assert_array_equal(found.packed.tokens[rows], wanted.tokens)
            np.testing.assert_array_equal(found.packed.scales[rows], wanted.scales)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_pages_in_any_order_come_back_unchanged(data: st.DataObject) -> None:
    shelf = Shelf(ENCODER, full_bytes=1 << 20)
    known: dict[str, ShelfEntry] = {}
    for tick in range(1, data.draw(st.integers(2, 6))):
        names = data.draw(st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=6, unique=True))
        added = [entry(name, revision=tick, tokens=data.draw(st.integers(0, 5))) for name in names]
        shelf.add(added)
        known.update({one.page_id: one for one in added})
        wanted = data.draw(st.lists(st.sampled_from(sorted(known)), min_size=1, unique=True))
        check_selection(shelf.select(wanted, tick=tick), [known[name] for name in wanted])
        if data.draw(st.booleans()):
            shelf.shrink(1 << 20)
            assert shelf.dead == 0
            check_selection(shelf.select(wanted, tick=tick), [known[name] for name in wanted])


def test_many_pages_survive_growth() -> None:
    shelf = Shelf(ENCODER, full_bytes=1 << 20)
    entries = [entry(f"p{number}", tokens=number % 40) for number in range(900)]
    for start in range(0, 900, 100):
        shelf.add(entries[start : start + 100], expect=800 - start)
    check_selection(shelf.select([one.page_id for one in entries], tick=1), entries)


def test_neighbours_are_handed_out_without_a_copy() -> None:
    shelf = Shelf(ENCODER, full_bytes=1 << 20)
    shelf.add([entry(f"p{number}") for number in range(8)])
    whole = shelf.select([f"p{number}" for number in range(8)], tick=1)
    part = shelf.select(["p2", "p3"], tick=2)
    assert whole is not None
    assert part is not None
    assert np.shares_memory(whole.packed.tokens, part.packed.tokens)


def test_what_was_handed_out_does_not_change_with_later_pages() -> None:
    shelf = Shelf(ENCODER, full_bytes=1 << 20)
    first = [entry(f"p{number}") for number in range(4)]
    shelf.add(first)
    found = shelf.select([one.page_id for one in first], tick=1)
    for number in range(40):
        shelf.add([entry(f"q{place}", revision=number, tokens=50) for place in range(100)])
    shelf.shrink(0)
    check_selection(found, first)


def test_pages_with_another_revision_are_missing() -> None:
    shelf = Shelf(ENCODER, full_bytes=1 << 20)
    shelf.add([entry("a", revision=1), entry("b", revision=2)])
    wanted = [("a", 1), ("b", 3), ("c", 1), ("b", -1)]
    assert shelf.missing(wanted) == [("b", 3), ("c", 1)]


def test_pages_of_one_claim_are_marked_alike() -> None:
    shelf = Shelf(ENCODER, full_bytes=1 << 20)
    shelf.add([entry("a", claim="x"), entry("b", claim="y"), entry("c", claim="x")])
    found = shelf.select(["a", "b", "c"], tick=1)
    assert found is not None
    assert found.claims[0] == found.claims[2] != found.claims[1]


def test_shrinking_keeps_what_was_used_last() -> None:
    shelf = Shelf(ENCODER, full_bytes=1 << 20)
    shelf.add([entry(f"p{number}") for number in range(10)])
    shelf.select(["p3", "p7"], tick=5)
    shelf.shrink(shelf.size_bytes // 4)
    assert shelf.missing([("p3", 1), ("p7", 1)]) == []
    assert len(shelf) == 2


def test_what_comes_and_goes_while_a_shelf_is_copied_is_right_afterwards() -> None:
    shelf = Shelf(ENCODER, full_bytes=1 << 20)
    pages = {name: entry(name) for name in "abcdef"}
    shelf.add(list(pages.values()))
    shelf.select(["b", "c", "d", "e"], tick=1)
    move = shelf.begin_shrink(4 * shelf.size_bytes // 6)
    assert move is not None
    pages |= {"c": entry("c", revision=2, tokens=7), "g": entry("g")}
    shelf.add([pages["c"], pages["g"]])
    shelf.drop({"d"})
    other = shelf.begin_shrink(0)
    assert other is not None
    shelf.end_shrink(move)
    shelf.end_shrink(other)  # it was made for what lay there before
    kept = ["b", "c", "e", "g"]
    assert shelf.missing([(name, pages[name].revision) for name in kept]) == []
    assert shelf.missing([(name, -1) for name in "adf"]) == [(name, -1) for name in "adf"]
    check_selection(shelf.select(kept, tick=2), [pages[name] for name in kept])


def test_a_large_block_is_not_copied_when_pages_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.search.shelf._COPIED_BYTES", 1 << 14)
    shelf = Shelf(ENCODER, full_bytes=1 << 20)
    shelf.add([entry(f"a{number}", tokens=20) for number in range(400)])
    shelf.add([entry("more", tokens=2000)])
    first = shelf.select(["a0"], tick=1)
    for number in range(300):
        shelf.add([entry(f"b{number}", tokens=200)])
    later = shelf.select(["a0"], tick=2)
    assert first is not None
    assert later is not None
    assert np.shares_memory(first.packed.tokens, later.packed.tokens)
    assert shelf.size_bytes < 1 << 20


def test_nothing_asked_for_is_here() -> None:
    shelf = Shelf(ENCODER, full_bytes=1 << 20)
    assert shelf.select(["a"], tick=1) is None
    shelf.add([entry("a")])
    assert shelf.select(["b"], tick=1) is None


def test_pages_without_tokens_may_come_first() -> None:
    shelf = Shelf(ENCODER, full_bytes=1 << 20)
    entries = [entry("a", tokens=0), entry("b", tokens=2)]
    for one in entries:
        shelf.add([one])
    check_selection(shelf.select(["a", "b"], tick=1), entries)


@pytest.mark.parametrize(
    "odd",
    [
        ShelfEntry("x", "c", 1, PageVectors(summary=np.ones(6, np.float32), encoder="other/1")),
        ShelfEntry("x", "c", 1, PageVectors(summary=np.ones(5, np.float32), encoder=ENCODER)),
        entry("x", width=5),
    ],
)
def test_vectors_that_do_not_fit_are_refused(odd: ShelfEntry) -> None:
    shelf = Shelf(ENCODER, full_bytes=1 << 20)
    shelf.add([entry("a")])
    with pytest.raises(EncoderMismatch):
        shelf.add([odd])


def test_picked_pages_that_do_not_fit_are_refused() -> None:
    check_selection(joined([entry("a"), entry("b", tokens=0)], ENCODER), [entry("a"), entry("b", tokens=0)])
    for odd in (entry("x", width=5), ShelfEntry("x", "c", 1, PageVectors(np.ones(5, np.float32), ENCODER))):
        with pytest.raises(EncoderMismatch):
            joined([entry("a"), odd], ENCODER)
