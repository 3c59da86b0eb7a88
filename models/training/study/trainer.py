"""Steps of training of one variant, on a GPU as CUDA graphs. Variants are trained beside each other, each in a stream
of its own, so that none waits for another where the GPU has room."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn

from models.training.batch import Batch
from models.training.losses import reading_loss
from models.training.recording import Call, Packed, Recorder
from models.training.settings import Stage
from models.training.study import measure
from models.training.study.layers import PieceTower
from models.training.study.pool import Pool
from models.training.study.settings import StudySettings
from models.training.study.variants import Variant
from models.training.synthesis import hard_negatives
from models.training.train import optimiser_of, rate

RATIO_WEIGHT = 0.1
"""Of the loss that keeps the pieces of words to their length."""


class Trainer:
    """Steps of one variant. seed: draws the first weights and the order of the batches."""

    def __init__(self, variant: Variant, settings: StudySettings, pool: Pool, seed: int) -> None:
        self.variant, self.settings, self.pool, self.seed = variant, settings, pool, seed
        self.order = pool.order(settings.steps, seed)
        torch.manual_seed(seed)
        self.reader = variant.network(settings.run.network).to(pool.device)
        self.optimiser = optimiser_of(self.reader, settings.run)
        self.parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        # Both change from step to step, and a recorded step reads them where they lie.
        self.rate, self.taught = (torch.zeros((), device=pool.device) for _ in range(2))
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate
        self.recorder = Recorder(pool.device) if pool.device.type == "cuda" else None
        self.updates: list[Call] = []
        for number, stage in enumerate(settings.run.stages):
            plain: Call = partial(self.update, stage=stage)
            first = next(n for n in range(len(pool.training)) if settings.run.stage_of(n) == number)
            self.updates.append(
                plain if self.recorder is None else self.recorded(self.recorder, plain, pool.training[first])
            )

    def step(self, step: int, steps: int) -> Tensor:
        """Step `step` of `steps`; the loss. On a GPU it is there after the next synchronisation: no other stream waits
        for it."""
        run, number, share = self.settings.run, self.order[step], step / steps
        taught = 0.0 if not self.variant.learned else 1.0 if step < run.taught_steps else run.taught * (1 - share)
        with self.beside():
            self.rate.fill_(rate(run, step=step, share=share))
            self.taught.fill_(taught)
            return self.updates[run.stage_of(number)](self.pool.training[number])

    def beside(self) -> AbstractContextManager[object]:
        """What is called inside runs beside what other trainers do."""
        return nullcontext() if self.recorder is None else torch.cuda.stream(self.recorder.stream)

    def update(self, packed: Packed, stage: Stage) -> Tensor:
        """Changes the weights by one batch; the loss. Nothing in it waits for the device."""
        batch = Batch.unpacked(packed, self.pool.device)
        size = self.variant.size(stage.size)
        with measure.half(self.pool.device):
            edited = hard_negatives(batch.word_bytes)
            loss, _ = reading_loss(self.reader, batch, edited, size, self.settings.run.weights, taught=self.taught)
            if isinstance(self.reader.text, PieceTower):
                loss = loss + RATIO_WEIGHT * self.reader.text.ratio
        loss.backward()
        nn.utils.clip_grad_norm_([p for p in self.parameters if p.grad is not None], 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return loss.detach()

    def recorded(self, recorder: Recorder, update: Call, packed: Packed) -> Call:
        """The same update, recorded. Leaves weights and optimiser as they were."""
        for group in self.optimiser.param_groups:
            group["capturable"] = True
        self.rate.zero_()
        replay = recorder(update, packed)
        for state in self.optimiser.state.values():
            for tensor in state.values():
                tensor.zero_()
        return lambda batch: replay(batch).clone()
