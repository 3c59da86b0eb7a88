"""The study as its JSON file describes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.local.config import known
from models.training.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class StudySettings:
    """run: network of the base, sizes of the pages, rates; its steps are not used. steps: of every variant, at most.
    pool: batches that all variants train on, each in an order that its seed draws. held_out: further batches of the
    first stage, to measure on. needle: lengths of the needle pages, in held-out pages laid below each other;
    candidates: pages among which a needle is looked for. real_pages: how many validate. processes: a GPU; they share
    the variants, and each trains its own beside each other."""

    run: TrainSettings
    steps: int
    seeds: tuple[int, ...]
    processes: int
    pool: int
    held_out: int
    needle: tuple[int, ...]
    candidates: int
    real_pages: int

    @classmethod
    def from_json(cls, path: Path) -> StudySettings:
        """Raises ValueError for a field that does not exist."""
        raw: dict[str, Any] = known(cls, json.loads(path.read_text(encoding="utf-8")))
        return cls(
            **{
                **raw,
                "run": TrainSettings.from_dict(raw["run"]),
                "seeds": tuple(raw["seeds"]),
                "needle": tuple(raw["needle"]),
            }
        )
