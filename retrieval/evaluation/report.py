"""What an evaluation found: one object for scripts, one table for people, one line a query for later questions."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from retrieval.evaluation.metrics import Figures, mean_figures


@dataclass(frozen=True, slots=True)
class QueryRun:
    """One query as it was answered. ranked: (picture id, score), best first. took_ms: of the first search."""

    qid: str
    kind: str
    figures: Figures
    ranked: tuple[tuple[str, float], ...]
    took_ms: float


@dataclass(frozen=True, slots=True)
class Report:
    """pages: searchable pictures. failed: pictures that could not be indexed, with the reason. seconds: of it all."""

    kind: Literal["pages", "photos"]
    encoder: str
    pages: int
    seconds: float
    runs: tuple[QueryRun, ...]
    failed: Mapping[str, str]

    @property
    def overall(self) -> Figures:
        return mean_figures([run.figures for run in self.runs])

    @property
    def kinds(self) -> dict[str, Figures]:
        by_kind: dict[str, list[Figures]] = defaultdict(list)
        for run in self.runs:
            by_kind[run.kind].append(run.figures)
        return {kind: mean_figures(by_kind[kind]) for kind in sorted(by_kind)}

    def as_json(self) -> dict[str, object]:
        return {
            "overall": self.overall,
            "kinds": self.kinds,
            "queries": len(self.runs),
            "pages": self.pages,
            "encoder": self.encoder,
            "seconds": round(self.seconds, 2),
        }

    def table(self) -> str:
        """Plain text: all queries, the mean over kinds, then a row a kind."""
        kinds = self.kinds
        counts = {kind: sum(run.kind == kind for run in self.runs) for kind in kinds}
        rows = [("all queries", len(self.runs), self.overall)]
        if len(kinds) > 1:
            rows.append(("mean over kinds", len(kinds), mean_figures(list(kinds.values()))))
            rows += [(f"  {kind}", counts[kind], figures) for kind, figures in kinds.items()]
        width = max(len(name) for name, _, _ in rows)
        lines = [f"{'':{width}}  {'n':>5}" + "".join(f"  {name:>8}" for name in self.overall)]
        for name, count, figures in rows:
            lines.append(f"{name:{width}}  {count:5d}" + "".join(f"  {value:8.4f}" for value in figures.values()))
        return "\n".join(lines)

    def write_run(self, path: Path) -> None:
        """JSON lines: the summary first, then one object a query."""
        with path.open("w", encoding="utf-8") as file:
            summary = {"summary": self.as_json(), "failed": dict(self.failed)}
            file.write(json.dumps(summary) + "\n")
            for run in self.runs:
                line = {
                    "qid": run.qid,
                    "kind": run.kind,
                    **run.figures,
                    "page_ids": [page_id for page_id, _ in run.ranked],
                    "scores": [round(score, 6) for _, score in run.ranked],
                    "took_ms": round(run.took_ms, 2),
                }
                file.write(json.dumps(line) + "\n")
