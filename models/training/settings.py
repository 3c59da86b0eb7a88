"""One training run, as its JSON file describes it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.local.config import NetworkConfig, known
from models.training.losses import LossWeights, StepSize


@dataclass(frozen=True, slots=True)
class Stage:
    """Pages of one size. share: of the steps that use it."""

    height: int = 704
    width: int = 768
    pages: int = 64
    real: int = 8
    share: float = 1.0
    size: StepSize = field(default_factory=StepSize)


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """steps: of the whole schedule, over all calls. peak_rate: held from the end of the warm-up to `flat` of the
    schedule, then a cosine down to final_share of it. taught_steps: steps with true word starts for every page;
    afterwards `taught` of the pages, falling to 0. validate_every: steps between looks at pages that are not trained
    on. workers: processes a GPU that compose pages. Steps alternate between the stages."""

    name: str
    steps: int
    seed: int = 0
    peak_rate: float = 3e-3
    final_share: float = 0.03
    flat: float = 0.25
    warm_up_steps: int = 150
    weight_decay: float = 0.05
    taught_steps: int = 300
    taught: float = 0.3
    validate_every: int = 750
    workers: int = 4
    network: NetworkConfig = field(default_factory=NetworkConfig)
    weights: LossWeights = field(default_factory=LossWeights)
    stages: tuple[Stage, ...] = (Stage(),)

    def stage_of(self, step: int) -> int:
        """Which stage a step uses: by their shares, spread evenly over ten steps."""
        total, owed, chosen = sum(stage.share for stage in self.stages), [0.0] * len(self.stages), 0
        for _ in range(step % 10 + 1):
            owed = [have + stage.share / total for have, stage in zip(owed, self.stages, strict=True)]
            chosen = max(range(len(owed)), key=lambda i: owed[i])
            owed[chosen] -= 1
        return chosen

    @classmethod
    def from_json(cls, path: Path) -> TrainSettings:
        """Raises ValueError for a field that does not exist."""
        return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> TrainSettings:
        """As `from_json`, of its content."""
        return cls(
            **{
                **known(cls, raw),
                "network": NetworkConfig(**known(NetworkConfig, raw.get("network", {}))),
                "weights": LossWeights(**known(LossWeights, raw.get("weights", {}))),
                "stages": tuple(_stage(stage) for stage in raw.get("stages", [{}])),
            }
        )


def _stage(raw: dict[str, Any]) -> Stage:
    size = StepSize(**known(StepSize, raw.get("size", {})))
    return Stage(**{**known(Stage, raw), "size": size})
