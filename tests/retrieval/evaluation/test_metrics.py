"""Figures of a ranking: by hand on small cases, and equal to the scripts beside the development sets."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from retrieval.evaluation.metrics import mean_figures, page_figures, photo_figures

DATA = Path(__file__).parents[4] / "shared" / "data"


def scorer(name: str) -> ModuleType:
    path = DATA / name / "score.py"
    if not path.is_file():
        pytest.skip(f"the scoring script ../shared/data/{name}/score.py is not here")
    spec = importlib.util.spec_from_file_location(f"{name}_score", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("relevant", "ranked", "expected"),
    [
        ({"a"}, ["a", "b"], {"ndcg@5": 1, "recall@1": 1, "recall@5": 1, "mrr": 1}),
        ({"a"}, ["b", "a"], {"ndcg@5": 0.6309298, "recall@1": 0, "recall@5": 1, "mrr": 0.5}),
        ({"a"}, list("bcdefga"), {"ndcg@5": 0, "recall@1": 0, "recall@5": 0, "mrr": 1 / 7}),
        ({"a"}, [], {"ndcg@5": 0, "recall@1": 0, "recall@5": 0, "mrr": 0}),
        ({"a", "b"}, ["a", "c"], {"ndcg@5": 0.6131472, "recall@1": 1, "recall@5": 0.5, "mrr": 1}),
        (set("abcdefg"), list("abcdefg"), {"ndcg@5": 1, "recall@1": 1, "recall@5": 1, "mrr": 1}),
        ({"a"}, [f"x{place}" for place in range(100)] + ["a"], {"ndcg@5": 0, "recall@1": 0, "recall@5": 0, "mrr": 0}),
    ],
)
def test_page_figures(relevant: set[str], ranked: list[str], expected: dict[str, float]) -> None:
    assert page_figures(relevant, ranked) == pytest.approx(expected)


def test_page_figures_equal_those_of_the_script() -> None:
    script = scorer("docs")
    rng = np.random.default_rng(3)
    ids = [f"p{place}" for place in range(150)]
    queries, run, ours = [], {}, []
    for number in range(200):
        relevant = rng.choice(ids, rng.integers(1, 9), replace=False).tolist()
        ranked = rng.permutation(ids)[: rng.integers(0, 151)].tolist()
        queries.append({"qid": f"q{number}", "kind": f"k{number % 3}", "page_ids": relevant})
        run[f"q{number}"] = ranked
        ours.append((f"k{number % 3}", page_figures(relevant, ranked)))
    for group, (count, theirs) in script.score(queries, run).items():
        mine = [figures for kind, figures in ours if group in ("all", kind)]
        assert len(mine) == count
        assert list(mean_figures(mine).values()) == pytest.approx(theirs, abs=1e-12)


def test_photo_figures_equal_those_of_the_script() -> None:
    script = scorer("photos")
    rng = np.random.default_rng(4)
    labels = [f"l{number}" for number in rng.integers(0, 9, 60)] + ["rare"] * 3
    count = len(labels)
    # Few distinct values, so that ties are frequent.
    similar = rng.integers(0, 12, (count, count)).astype(float)
    asked, ap, ndcg, precision = script.per_query(similar, labels)
    for place, query in enumerate(asked):
        gallery = [str(other) for other in range(count) if other != query]
        relevant = {other for other in gallery if labels[int(other)] == labels[query]}
        scores = {other: float(similar[query, int(other)]) for other in gallery}
        assert photo_figures(relevant, scores, gallery) == pytest.approx(
            {"map": ap[place], "ndcg@10": ndcg[place], "p@5": precision[place]}, abs=1e-12
        )


def test_photos_that_were_not_found_come_last() -> None:
    found = photo_figures({"a", "b"}, {"a": 0.1, "x": 0.05}, ["a", "b", "x"])
    assert found["map"] == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.parametrize("figures", [lambda: page_figures([], ["a"]), lambda: photo_figures([], {"a": 1.0}, ["a"])])
def test_a_query_without_relevant_pages_has_no_figures(figures: object) -> None:
    with pytest.raises(ValueError, match="relevant"):
        figures()  # type: ignore[operator]
