"""The labelled pages that the page benchmarks read, and the figures of a ranking over their queries."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from retrieval.errors import InvalidInput
from retrieval.evaluation.datasets import Dataset, LabelledQuery, load_dataset
from retrieval.evaluation.metrics import Figures, mean_figures, page_figures
from scripts.bench.record import REPOSITORY

DEFAULT_DATASET = REPOSITORY.parent / "shared" / "data" / "docs" / "dev"
CACHE = REPOSITORY / "var"
COLUMNS = {"ndcg5": "ndcg@5", "recall1": "recall@1", "recall5": "recall@5", "mrr": "mrr"}
ALL = "all"


def load(folder: Path) -> Dataset:
    """A set of pages with typed queries. Ends the script with a plain sentence where there is none."""
    if not folder.is_dir():
        raise SystemExit(
            f"There is no folder {folder}. Name a folder of labelled pages, as `claimsight evaluate` reads."
        )
    try:
        dataset = load_dataset(folder)
    except InvalidInput as error:
        raise SystemExit(error.detail) from None
    if dataset.kind != "pages" or any(query.text is None for query in dataset.queries):
        raise SystemExit(f"{folder.name} is no set of pages with typed queries.")
    return dataset


def sample(dataset: Dataset, *, every: int, folder: Path) -> Dataset:
    """Every so-manieth page, and the queries that these pages answer completely, as a data set below `folder`."""
    kept = dict(list(dataset.pictures.items())[::every])
    (folder / "pages").mkdir(parents=True)
    for path in kept.values():
        (folder / "pages" / path.name).symlink_to(path.resolve())
    lines = [
        json.dumps({"qid": query.qid, "query": query.text, "kind": query.kind, "page_ids": sorted(query.relevant)})
        for query in dataset.queries
        if query.relevant <= kept.keys()
    ]
    (folder / "queries.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return load(folder)


def figures(dataset: Dataset, rank: Callable[[str], Sequence[str]]) -> list[tuple[LabelledQuery, Figures]]:
    """rank: typed words to page ids, best first."""
    return [(query, page_figures(query.relevant, rank(query.text or ""))) for query in dataset.queries]


def quality_rows(system: str, found: Iterable[tuple[str, Figures]]) -> list[dict[str, object]]:
    """(kind, figures) of each query to rows: all queries first, then each kind."""
    kinds: Mapping[str, list[Figures]] = defaultdict(list)
    for kind, one in found:
        kinds[ALL].append(one)
        kinds[kind].append(one)
    rows: list[dict[str, object]] = []
    for kind in [ALL, *sorted(kinds.keys() - {ALL})]:
        mean = mean_figures(kinds[kind])
        values = {column: round(mean[name], 4) for column, name in COLUMNS.items()}
        rows.append({"system": system, "kind": kind, "queries": len(kinds[kind]), **values})
    return rows


def spread(values: Sequence[float], *, digits: int) -> dict[str, float]:
    """mean, median, p90 and most."""
    ranked = sorted(values)
    chosen = {
        "mean": sum(ranked) / len(ranked),
        "median": (ranked[(len(ranked) - 1) // 2] + ranked[len(ranked) // 2]) / 2,
        "p90": ranked[int(0.9 * (len(ranked) - 1))],
        "most": ranked[-1],
    }
    return {name: round(value, digits) for name, value in chosen.items()}
