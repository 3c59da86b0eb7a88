"""One process of the study: some of the variants, trained beside each other, then measured and timed.

All processes train at the same time and for the same number of steps: after the first ones each says how many fit into
the seconds that are left, and the least counts for all. They are told apart only by their number.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier, Lock
from pathlib import Path
from threading import BrokenBarrierError

import torch
from torch import Tensor

from models.training.study import measure
from models.training.study.pool import Pool, compose_share
from models.training.study.run import Row, cost, learned
from models.training.study.settings import StudySettings
from models.training.study.trainer import Trainer
from models.training.study.variants import VARIANTS, Variant
from models.training.validate import Validation

FIRST_STEPS, AGREED_AT = 10, 60
"""Steps that are not timed, and the step at which it is agreed how many there will be. No later than the warm-up of the
rate ends, so that no step depends on it before."""
MEASURED_S, BESIDE_S, COST_S = 12.0, 7.0, 4.0
"""Seconds that measuring a variant takes on one H200, how many more for each other process that measures on the same
one, and seconds that timing takes."""
LOOK_EVERY = 50
"""Steps between two looks at whether the losses are numbers; each waits for the device."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What the processes have in common. steps: of all variants. alone: held by who is timed. told: (table, row), or
    ("failed", what) of what each has to tell."""

    barrier: Barrier
    steps: Synchronized[int]
    alone: Lock
    told: Queue[tuple[str, Row | str]]
    deadline: float

    def wait(self) -> None:
        """For all others; where one has died, for nobody."""
        with suppress(BrokenBarrierError):
            self.barrier.wait()

    def agree(self, step: int, seconds: float, after: float) -> int:
        """How many steps there will be. seconds: a step took. after: seconds that measuring will take."""
        fits = step + int((self.deadline - time.time() - after) / seconds)
        with self.steps.get_lock():
            self.steps.value = max(step, min(self.steps.value, fits))
        self.wait()
        return self.steps.value


def run_group(
    rows: Sequence[tuple[str, int]], timed: Sequence[str], settings: StudySettings, number: int, processes: int,
    assets: Path, real: Path, folder: Path, shared: Shared,
) -> None:  # fmt: skip
    """rows: (variant, seed) of this process. timed: variants of them whose cost is asked for."""
    device = "cpu"
    if torch.cuda.is_available():
        device = f"cuda:{number % torch.cuda.device_count()}"
        torch.cuda.set_device(device)
    torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    compose_share(settings, assets, folder, device, number, processes)
    shared.wait()
    pool, validation = Pool(settings, folder, device), Validation(real, device=device, limit=settings.real_pages)
    images, words = measure.laid_open(pool.held_out, pool.device)
    after = seconds_after(len(rows), timed=len(timed), processes=processes, devices=torch.cuda.device_count())
    trained = train(built(rows, settings, pool, shared), settings.steps, shared, after)
    kept: list[Trainer] = []
    while trained:
        trainer, loss = trained.pop(0)
        try:
            row = learned(trainer, images, words, validation)
        except RuntimeError as error:
            failed(shared, trainer.variant, trainer.seed, error)
            continue
        named: Row = {"variant": trainer.variant.name, "seed": trainer.seed, "claim": trainer.variant.claim}
        shared.told.put(("learned", {**named, "steps": shared.steps.value, "loss": loss, **row}))
        if trainer.variant.name in timed and trainer.seed == settings.seeds[0]:
            kept.append(trainer)
    shared.wait()
    for trainer in kept:
        with shared.alone:
            if time.time() < shared.deadline:
                named = {"variant": trainer.variant.name, "claim": trainer.variant.claim}
                shared.told.put(("cost", {**named, **cost(trainer, images)}))


def built(rows: Sequence[tuple[str, int]], settings: StudySettings, pool: Pool, shared: Shared) -> list[Trainer]:
    """Trainers, ready for their first step."""
    trainers: list[Trainer] = []
    for name, seed in rows:
        variant = next(variant for variant in VARIANTS if variant.name == name)
        try:
            trainers.append(Trainer(variant, settings, pool, seed))
        except RuntimeError as error:
            failed(shared, variant, seed, error)
    if pool.device.type == "cuda":
        torch.cuda.empty_cache()  # what the unrecorded calls took, while others record theirs
    return trainers


def seconds_after(variants: int, *, timed: int, processes: int, devices: int) -> float:
    """How long a process measures its variants once they are trained, and waits while `timed` are timed, one after the
    other. devices: of all processes; 0 = a processor, which counts as one."""
    beside = -(-processes // max(1, devices)) - 1
    return (MEASURED_S + BESIDE_S * beside) * variants + COST_S * timed


def train(trainers: Sequence[Trainer], most: int, shared: Shared, after: float) -> list[tuple[Trainer, float]]:
    """All of them, a step of each in turn. Those whose loss is a number to the end, with its mean over the last tenth
    of the steps. most: steps; fewer where the time does not allow as many. after: seconds to keep for measuring."""
    losses: dict[Trainer, list[Tensor]] = {trainer: [] for trainer in trainers}
    shared.wait()
    steps, begun = most, time.time()
    for step in range(most):
        if step == FIRST_STEPS:
            _finish()
            begun = time.time()
        if step == AGREED_AT:
            _finish()
            steps = shared.agree(step, (time.time() - begun) / (AGREED_AT - FIRST_STEPS), after)
        if step >= steps:
            break
        for trainer, made in losses.items():
            made.append(trainer.step(step, steps))
        if step % LOOK_EVERY == 0:
            losses = _numbers_only(losses, shared, step)
    losses = _numbers_only(losses, shared, steps)
    return [(trainer, torch.stack(made[-max(1, steps // 10) :]).mean().item()) for trainer, made in losses.items()]


def _numbers_only(losses: dict[Trainer, list[Tensor]], shared: Shared, step: int) -> dict[Trainer, list[Tensor]]:
    _finish()
    lost = [
        trainer for trainer, made in losses.items() if made and not torch.stack(made[-LOOK_EVERY:]).isfinite().all()
    ]
    for trainer in lost:
        failed(shared, trainer.variant, trainer.seed, FloatingPointError(f"the loss is no number before step {step}"))
    return {trainer: made for trainer, made in losses.items() if trainer not in lost}


def _finish() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def failed(shared: Shared, variant: Variant, seed: int, error: Exception) -> None:
    """Says it; the others go on."""
    shared.told.put(("failed", f"{variant.name}, seed {seed}: {type(error).__name__} {error}"))
