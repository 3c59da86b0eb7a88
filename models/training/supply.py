"""Batches for the training loop, made ahead by processes of their own.

The composer is bound by the host that launches its many small kernels, and so is a training step: in one process they
would wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from models.training.batch import Batch, filled, join
from models.training.real_pages import RealPages
from models.training.recording import Packed
from models.training.repeatable import repeat_exactly
from models.training.settings import Stage, TrainSettings
from models.training.synthesis import Composer, hard_negatives


@dataclass(frozen=True)
class Source(IterableDataset[tuple[Tensor, ...]]):
    """Endless packed batches in the order of the stages, each with wrong forms of its words.

    seed: every worker adds its own number, so that no two make the same pages.
    """

    settings: TrainSettings
    assets: Path
    real: Path | None
    device: torch.device
    seed: int

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        worker = get_worker_info()
        number, count = (0, 1) if worker is None else (worker.id, worker.num_workers)
        torch.set_num_threads(1)
        if worker is not None:
            # A process of its own, which knows nothing of what the training set.
            repeat_exactly()
            torch.manual_seed(self.seed + number)
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        makers = [Maker(stage, self.settings, self.assets, self.real, self.device, self.seed + number)
                  for stage in self.settings.stages]  # fmt: skip
        # The loader takes from its workers in turn, so worker n makes every count-th batch of the cycle.
        step = number
        while True:
            stage = self.settings.stage_of(step)
            packed = filled(makers[stage]().packed(), self.settings.stages[stage].size.known)
            yield (*packed, hard_negatives(packed[-1].to(self.device)).cpu())
            step += count


class Maker:
    """Batches of one stage: composed pages, and crops of real ones where there are any."""

    def __init__(
        self, stage: Stage, settings: TrainSettings, assets: Path, real: Path | None, device: torch.device, seed: int
    ) -> None:
        self.stage = stage
        sizes = {"height": stage.height, "width": stage.width, "network": settings.network, "device": device}
        self.composer = Composer(assets, **sizes)
        self.real = None if real is None or not stage.real else RealPages(real, **sizes, seed=seed)

    def __call__(self) -> Batch:
        if self.real is None:
            return self.composer(self.stage.pages)
        return join([self.composer(self.stage.pages - self.stage.real), self.real(self.stage.real)])


def batches(source: Source, *, workers: int) -> Iterator[Packed]:
    """Packed batches in memory of the host, in the order of the stages, each followed by a wrong form of each of its
    words (uint8 [n, 24]). workers: processes beside this one; 0 = none."""
    return iter(
        DataLoader(
            source,
            batch_size=None,
            num_workers=workers,
            # CUDA does not survive a fork.
            multiprocessing_context="spawn" if workers else None,
            prefetch_factor=2 if workers else None,
            pin_memory=source.device.type == "cuda",
        )
    )
