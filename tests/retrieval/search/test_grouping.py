"""Order of answers, ties, and claims by their best pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from retrieval.documents import GroupBy
from retrieval.search.grouping import FURTHER_PAGES, Group, Ranking, Wanted, rank
from retrieval.search.grouping import group as grouped


def ranking(
    scores: Mapping[str, float | Sequence[float]],
    claims: dict[str, int] | None = None,
    *,
    looks: Mapping[str, Sequence[float]] | None = None,
) -> Ranking:
    """scores: of each page, one for each thing asked. looks: unit vectors; without them no two pages are alike."""
    ids = sorted(scores)
    alone = np.eye(len(ids), dtype=np.float32)
    return rank(
        ids,
        np.array([np.atleast_1d(scores[page_id]) for page_id in ids], np.float32).T,
        np.array([(claims or {}).get(page_id, place) for place, page_id in enumerate(ids)], np.int64),
        np.arange(len(ids)),
        np.array([looks[page_id] for page_id in ids], np.float32) if looks else alone,
    )


def group(
    found: Ranking, group_by: GroupBy, *, offset: int, limit: int, min_score: float = 0.0, diversity: float = 0.0
) -> tuple[list[Group], int]:
    return grouped(found, Wanted(group_by, offset, limit, min_score, diversity))


def pages_of(found: Group) -> list[str]:
    return [page_id for page_id, _ in found.pages]


def test_equal_scores_stand_in_the_order_of_their_ids() -> None:
    assert ranking({"d": 0.5, "b": 0.5, "a": 0.1, "c": 0.9, "e": 0.5}).page_ids == ["c", "b", "d", "e", "a"]


def test_pages_below_the_least_score_are_left_out() -> None:
    found, total = group(ranking({"a": 0.5, "b": 0.49, "c": 0.9}), "page", offset=0, limit=5, min_score=0.5)
    assert total == 2
    assert [answer.page_id for answer in found] == ["c", "a"]


def test_claims_below_the_least_score_and_their_weak_pages_are_left_out() -> None:
    scores = {"a": 0.9, "b": 0.4, "c": 0.3, "d": 0.6}
    found, total = group(ranking(scores, {"a": 1, "b": 1, "c": 2, "d": 3}), "claim", offset=0, limit=5, min_score=0.5)
    assert total == 2
    assert [pages_of(answer) for answer in found] == [["a"], ["d"]]


def test_pages_of_the_list_follow_each_other_without_gap_or_repeat() -> None:
    whole = ranking({f"p{place:02}": 0.5 for place in range(23)})
    seen = []
    for offset in range(0, 30, 5):
        groups, total = group(whole, "page", offset=offset, limit=5)
        assert total == 23
        seen += [found.page_id for found in groups]
    assert seen == [f"p{place:02}" for place in range(23)]


def test_a_claim_stands_where_its_best_page_stands() -> None:
    scores = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.95, "e": 0.2}
    groups, total = group(ranking(scores, {"a": 1, "b": 2, "c": 1, "d": 3, "e": 2}), "claim", offset=0, limit=2)
    assert total == 3
    assert [[page_id for page_id, _ in found.pages] for found in groups] == [["d"], ["a", "c"]]
    [last], _ = group(ranking(scores, {"a": 1, "b": 2, "c": 1, "d": 3, "e": 2}), "claim", offset=2, limit=2)
    assert [page_id for page_id, _ in last.pages] == ["b", "e"]


def test_a_claim_lists_few_of_its_many_pages() -> None:
    many = {f"p{place:03}": 1 - place / 1000 for place in range(400)}
    [found], total = group(ranking(many, dict.fromkeys(many, 7)), "claim", offset=0, limit=10)
    assert total == 1
    assert [page_id for page_id, _ in found.pages] == [f"p{place:03}" for place in range(1 + FURTHER_PAGES)]


def test_a_page_that_is_gone_makes_room() -> None:
    left = ranking({"a": 0.9, "b": 0.8, "c": 0.7}).without({"b"})
    assert left.page_ids == ["a", "c"]
    assert left.scores.tolist() == np.array([0.9, 0.7], np.float32).tolist()


def test_what_was_asked_is_paired_one_to_one() -> None:
    # Both photos are most like page a; one of them must take b.
    scores = {"a": (0.9, 0.8), "b": (0.7, 0.2)}
    [found], _ = group(ranking(scores, {"a": 1, "b": 1}), "claim", offset=0, limit=5)
    assert [(pair.probe, pair.page_id) for pair in found.pairs] == [(0, "a"), (1, "b")]
    assert found.score == pytest.approx((0.9 + 0.2) / 2)
    assert pages_of(found) == ["a", "b"]


def test_a_claim_does_not_win_by_the_number_of_its_photos() -> None:
    few = {"a": (0.8, 0.1), "b": (0.1, 0.8)}
    many = {f"m{place}": (0.7, 0.7) for place in range(30)}
    claims = {"a": 1, "b": 1} | dict.fromkeys(many, 2)
    found, _ = group(ranking(few | many, claims), "claim", offset=0, limit=5)
    assert [pages_of(answer)[:2] for answer in found] == [["a", "b"], ["m0", "m1"]]
    assert found[1].score == pytest.approx(0.7)


def test_one_photo_of_two_may_be_enough() -> None:
    scores = {"a": (0.9, 0.1), "b": (0.8, 0.1), "c": (0.1, 0.7)}
    found, _ = group(ranking(scores, {"a": 1, "b": 2, "c": 2}), "claim", offset=0, limit=5)
    assert [answer.page_id for answer in found] == ["a", "b"]
    assert found[0].score == pytest.approx(0.9)


def test_near_copies_of_a_photo_count_once() -> None:
    looks = {"a": (1.0, 0.0), "b": (1.0, 0.0), "c": (0.0, 1.0)}
    scores = {"a": (0.9, 0.9), "b": (0.9, 0.9), "c": (0.3, 0.3)}
    [found], _ = group(ranking(scores, dict.fromkeys(scores, 1), looks=looks), "claim", offset=0, limit=5)
    assert [pair.page_id for pair in found.pairs] == ["a", "c"]


def test_a_diverse_answer_puts_claims_that_repeat_one_another_last() -> None:
    looks = {"a": (1.0, 0.0), "b": (0.99, 0.141), "c": (0.0, 1.0)}
    found = ranking({"a": 0.9, "b": 0.89, "c": 0.6}, looks=looks)
    for diversity, expected in ((0.0, ["a", "b", "c"]), (0.5, ["a", "c", "b"])):
        groups, total = group(found, "claim", offset=0, limit=3, diversity=diversity)
        assert [answer.page_id for answer in groups] == expected
        assert total == 3
    [second], _ = group(found, "claim", offset=1, limit=1, diversity=0.5)
    assert second.page_id == "c"
    assert second.score == pytest.approx(0.6)
