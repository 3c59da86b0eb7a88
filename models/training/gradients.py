"""Loss and gradients of a batch, on a GPU recorded once for each size of page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from models.local.reading_network import ReadingNetwork
from models.training.batch import Batch
from models.training.losses import LossWeights, reading_loss
from models.training.recording import Call, Packed, Recorder
from models.training.settings import Stage


class Gradients:
    """Leaves the gradient of every parameter that a batch reaches in its `grad`, and no other."""

    def __init__(self, reader: ReadingNetwork, weights: LossWeights, device: torch.device) -> None:
        self.reader, self.weights, self.device = reader, weights, device
        self.parameters = list(reader.parameters())
        # It changes from step to step, and a recorded step reads it where it lies.
        self.taught = torch.zeros((), device=device)
        self.recorder = Recorder(device) if device.type == "cuda" else None
        self.recordings: dict[Stage, tuple[Call, list[Tensor | None]]] = {}

    def __call__(self, packed: Packed, stage: Stage, *, taught: float) -> Tensor:
        """packed: a batch of the stage as `supply.batches` gives it. Returns what METRICS names, until the next
        call for the stage."""
        self.taught.fill_(taught)
        if self.recorder is None or len(packed[-1]) != stage.size.known:
            return self.plain(packed, stage)
        if stage not in self.recordings:
            replay = self.recorder(partial(self.plain, stage=stage), packed)
            self.recordings[stage] = replay, [p.grad for p in self.parameters]
        replay, gradients = self.recordings[stage]
        metrics = replay(packed)
        self.put(gradients)
        return metrics

    def plain(self, packed: Packed, stage: Stage) -> Tensor:
        """The same, launch by launch."""
        self.put([None] * len(self.parameters))
        *pages, edited = packed
        batch = Batch.unpacked(pages, self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            loss, metrics = reading_loss(
                self.reader, batch, edited.to(self.device), stage.size, self.weights, taught=self.taught
            )
        loss.backward()
        return metrics

    def put(self, gradients: Sequence[Tensor | None]) -> None:
        """One for each parameter."""
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
