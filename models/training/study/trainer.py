"""Steps of training of one variant, on a GPU as CUDA graphs.

A step of so small a network makes thousands of launches, for which the processor takes several times as long as the GPU
for the work; recorded once for each size of page, it is one. Variants are trained beside each other, each in a stream
of its own, so that none waits for another where the GPU has room.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn

from models.training.batch import Batch
from models.training.losses import reading_loss
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
UNRECORDED = 3
"""Calls before a recording: what is compiled, chosen or reserved at first use is no part of a step."""

Packed = tuple[Tensor, ...]
Update = Callable[[Packed], Tensor]


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
        cuda = pool.device.type == "cuda"
        self.stream = torch.cuda.Stream(pool.device) if cuda else None
        self.memory = torch.cuda.graph_pool_handle() if cuda else None
        self.updates: list[Update] = []
        for number, stage in enumerate(settings.run.stages):
            plain: Update = partial(self.update, stage=stage)
            first = next(n for n in range(len(pool.training)) if settings.run.stage_of(n) == number)
            self.updates.append(self.recorded(plain, pool.training[first]) if cuda else plain)

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
        return nullcontext() if self.stream is None else torch.cuda.stream(self.stream)

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

    def recorded(self, update: Update, packed: Packed) -> Update:
        """The same update as a CUDA graph, for batches of the same sizes. Leaves weights and optimiser as they were."""
        held = tuple(tensor.clone() for tensor in packed)
        for group in self.optimiser.param_groups:
            group["capturable"] = True
        self.rate.zero_()
        torch.cuda.synchronize(self.pool.device)
        # In this trainer's stream: what is recorded keeps the scratch memory of the stream it was recorded in, and
        # trainers that run beside each other must not share it.
        with self.beside():
            for _ in range(UNRECORDED):
                update(held)
        torch.cuda.synchronize(self.pool.device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.memory, stream=self.stream):
            loss = update(held)
        for state in self.optimiser.state.values():
            for tensor in state.values():
                tensor.zero_()

        def replay(packed: Packed) -> Tensor:
            for mine, given in zip(held, packed, strict=True):
                mine.copy_(given)
            graph.replay()
            return loss.clone()

        return replay
