"""Pages composed once for all variants, so that each trains and is measured on the same."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from models.training.batch import Batch, filled
from models.training.study.settings import StudySettings
from models.training.supply import Maker

Packed = list[tuple[Tensor, ...]]
COMPOSED = "pool-{}.pt"
PARTS = 12
"""Of the pool, each with a seed of its own: the pages are the same whatever the number of processes, so that rows which
are made later stand beside earlier ones."""


def as_many_words(batches: Packed, settings: StudySettings) -> Packed:
    """Batches of a stage with the same number of words."""
    most = [max((len(batch[-1]) for n, batch in enumerate(batches) if settings.run.stage_of(n) == stage), default=0)
            for stage in range(len(settings.run.stages))]  # fmt: skip
    return [filled(batch, most[settings.run.stage_of(number)]) for number, batch in enumerate(batches)]


def compose_share(settings: StudySettings, assets: Path, folder: Path, device: str, worker: int, workers: int) -> None:
    """Composes every `workers`-th part of the pool and of what follows it, the held-out batches, each into a file."""
    target = torch.device(device)
    for part in range(worker, PARTS, workers):
        torch.manual_seed(1000 + part)
        makers = [Maker(stage, settings.run, assets, None, target, 1000 + part) for stage in settings.run.stages]
        batches: dict[int, tuple[Tensor, ...]] = {}
        for number in range(part, settings.pool + settings.held_out, PARTS):
            stage = settings.run.stage_of(number) if number < settings.pool else 0
            batches[number] = makers[stage]().packed()
        torch.save(batches, folder / COMPOSED.format(part))
        del makers
    if target.type == "cuda":
        # The same process trains later, beside others.
        torch.cuda.empty_cache()


class Pool:
    """All batches in memory. training: by number; held_out: one batch of pages that nothing trains on."""

    def __init__(self, settings: StudySettings, folder: Path, device: str) -> None:
        found: dict[int, tuple[Tensor, ...]] = {}
        for path in sorted(folder.glob(COMPOSED.format("*"))):
            found |= torch.load(path, weights_only=True)
        every = [tuple(tensor.to(device) for tensor in found[number]) for number in range(len(found))]
        self.device = torch.device(device)
        self.training: Packed = as_many_words(every[: settings.pool], settings)
        self.held_out: Packed = every[settings.pool :]

    def batch(self, number: int) -> Batch:
        """A batch to train on."""
        return Batch.unpacked(self.training[number], self.device)

    def order(self, steps: int, seed: int) -> list[int]:
        """Which batch each step reads: all in random order, then again in another."""
        draw = torch.Generator().manual_seed(seed)
        rounds = -(-steps // len(self.training))
        return torch.cat([torch.randperm(len(self.training), generator=draw) for _ in range(rounds)])[:steps].tolist()
