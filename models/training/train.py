"""Trains the reading half of the local encoder: page tower and text tower.

    python -m models.training.train CONFIG --assets FOLDER --out FOLDER [--real FOLDER] [--steps N] [--resume FOLDER]
    torchrun --nproc-per-node N -m models.training.train CONFIG ...

The schedule counts steps over all calls, so a run may be cut anywhere: `--steps` or `--seconds` ends this call,
`--resume` takes up the run that another call left in its --out. The same calls give the same bits again on the same
kind and number of GPUs. README.md has the whole procedure.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from models.local.reading_network import ReadingNetwork
from models.training import checkpoint
from models.training.checkpoint import Clock
from models.training.gradients import Gradients
from models.training.losses import METRICS
from models.training.repeatable import repeat_exactly
from models.training.settings import TrainSettings
from models.training.supply import Source, batches
from models.training.validate import Validation

REPORT_EVERY = 50
UNTIMED_STEPS = 10
"""Compilation and recording fall into the first steps, by which every stage has come; the clock starts after them."""


class Group:
    """The processes of a run: one, or as many as torchrun started, a GPU each."""

    def __init__(self) -> None:
        self.size, self.rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
        local = int(os.environ.get("LOCAL_RANK", "0"))
        gpu = torch.cuda.is_available()
        self.device = torch.device("cuda", local) if gpu else torch.device("cpu")
        if gpu:
            torch.cuda.set_device(self.device)
        if self.size > 1:
            dist.init_process_group("nccl" if gpu else "gloo", device_id=self.device if gpu else None)

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replaces each tensor by its mean over the processes; one message."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.size
        pieces = flat.split([tensor.numel() for tensor in tensors])
        for tensor, piece in zip(tensors, pieces, strict=True):
            tensor.copy_(piece.view_as(tensor))

    def agreed(self, value: float) -> float:
        """The first process's value, for decisions that all must take alike."""
        if self.size == 1:
            return value
        told = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.broadcast(told, 0)
        return float(told)

    def close(self) -> None:
        if self.size > 1:
            dist.destroy_process_group()


def rate(settings: TrainSettings, *, step: int, share: float) -> float:
    """Learning rate at a step of this call, `share` of the schedule done: warm-up, flat, cosine."""
    warm = min(1.0, (step + 1) / settings.warm_up_steps)
    if share < settings.flat:
        return settings.peak_rate * warm
    fall = 0.5 * (1 + math.cos(math.pi * min(1.0, (share - settings.flat) / (1 - settings.flat))))
    return settings.peak_rate * warm * (settings.final_share + (1 - settings.final_share) * fall)


def optimiser_of(reader: nn.Module, settings: TrainSettings) -> torch.optim.AdamW:
    """Weight decay on matrices only. What sees a page as a whole (topic) is trained apart."""
    own = [p for name, p in reader.named_parameters() if "topic" not in name and p.requires_grad]
    groups = [
        {"params": [p for p in own if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in own if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.peak_rate, betas=(0.9, 0.95), fused=torch.cuda.is_available())


def train(
    settings: TrainSettings,
    *,
    assets: Path,
    out: Path,
    real: Path | None = None,
    seconds: float | None = None,
    most_steps: int | None = None,
    resume: Path | None = None,
    start: Path | None = None,
    report: Callable[[str], None] = print,
) -> ReadingNetwork:
    """One call of a run. seconds, most_steps: when it ends, at the latest. resume: a run to go on with; start: a run or
    released weights to begin a new schedule from, whose last layers the network may lack. Writes checkpoint and log
    below `out`. From then on the whole process keeps to operations that give the same bits every time."""
    repeat_exactly()
    group = Group()
    torch.manual_seed(settings.seed)
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    reader = ReadingNetwork(settings.network).to(group.device)
    optimiser = optimiser_of(reader, settings)
    clock = Clock()
    if resume is not None:
        clock = checkpoint.load(resume, reader, optimiser)
    elif start is not None:
        checkpoint.begin_from(start, reader)
    validation = Validation(real, device=group.device) if real is not None and group.leads else None
    # A resumed run must not see the same pages again, and each process sees its own.
    seed = settings.seed + 7919 * (clock.steps + 1) + 101 * group.rank
    torch.manual_seed(seed)
    supply = batches(Source(settings, assets, real, group.device, seed), workers=settings.workers)
    log = Log(out, group, report, pages=sum(s.pages * s.share for s in settings.stages) * group.size)
    gradients = Gradients(reader, settings.weights, group.device)
    parameters = [p for g in optimiser.param_groups for p in g["params"]]
    left = max(0, settings.steps - clock.steps)
    limit = left if most_steps is None else min(most_steps, left)
    begun, paused, step, elapsed = time.perf_counter(), 0.0, 0, 0.0
    while step < limit:
        if step % 10 == 0 and step > UNTIMED_STEPS:
            elapsed = time.perf_counter() - begun - paused
            # All end by one clock.
            if seconds is not None and group.agreed(elapsed) >= seconds:
                break
        done = clock.steps + step
        share = done / settings.steps
        for part in optimiser.param_groups:
            part["lr"] = rate(settings, step=step, share=share)
        stage = settings.stages[settings.stage_of(step)]
        taught = 1.0 if done < settings.taught_steps else settings.taught * (1 - share)
        metrics = gradients(next(supply), stage, taught=taught)
        group.average([p.grad for p in parameters if p.grad is not None])
        norm = nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        step, done = step + 1, done + 1
        if step == UNTIMED_STEPS:
            _wait(group.device)
            log.line({"event": "ready", "seconds": time.perf_counter() - begun})
            begun = time.perf_counter()
        log.step(done, clock.seconds + elapsed, optimiser.param_groups[0]["lr"], metrics, norm)
        if done % settings.validate_every == 0 and step < limit:
            at = time.perf_counter()
            log.validation(validation, reader, done, clock.seconds + elapsed)
            if group.leads:
                checkpoint.save(out, reader, optimiser, Clock(done, clock.seconds + elapsed))
            paused += time.perf_counter() - at
    spent = time.perf_counter() - begun - paused
    clock = Clock(clock.steps + step, clock.seconds + spent)
    log.validation(validation, reader, clock.steps, clock.seconds)
    log.line({"event": "end", "steps": step, "seconds": spent, "pages_a_second": log.pages * step / max(spent, 1e-9)})
    if group.leads:
        checkpoint.save(out, reader, optimiser, clock)
    group.close()
    return reader


class Log:
    """Lines of JSON in log.jsonl, and on the screen."""

    def __init__(self, out: Path, group: Group, report: Callable[[str], None], *, pages: float) -> None:
        self.leads, self.report, self.pages = group.leads, report, pages
        self.path = out / "log.jsonl"
        self.sums: Tensor | None = None
        self.count = 0
        if self.leads:
            out.mkdir(parents=True, exist_ok=True)

    def line(self, record: dict[str, object]) -> None:
        if self.leads:
            text = json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in record.items()})
            with self.path.open("a", encoding="utf-8") as file:
                file.write(text + "\n")
            self.report(text)

    def step(self, step: int, seconds: float, rate: float, metrics: Tensor, norm: Tensor) -> None:
        """Means of the steps since the last report, every REPORT_EVERY steps; only then the device is waited for."""
        now = torch.cat([metrics, norm.detach().view(1).to(metrics.dtype)])
        self.sums = now if self.sums is None else self.sums + now
        self.count += 1
        if step % REPORT_EVERY == 0:
            values = (self.sums / self.count).tolist()
            self.sums, self.count = None, 0
            named = dict(zip((*METRICS, "gradient"), values, strict=True))
            self.line({"event": "step", "step": step, "seconds": seconds, "rate": rate, **named})

    def validation(self, validation: Validation | None, reader: ReadingNetwork, step: int, seconds: float) -> None:
        if validation is not None:
            found = validation(reader)
            self.line({"event": "validation", "step": step, "seconds": seconds, "ndcg5": found.ndcg5,
                       "recall1": found.recall1, "tokens": found.tokens})  # fmt: skip


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--assets", type=Path, required=True, help="what models.training.synthesis.build wrote")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint and log of this call")
    parser.add_argument("--real", type=Path, help="real pages with known words, as data/docs/train")
    parser.add_argument("--seconds", type=float, help="end this call after so much training")
    parser.add_argument("--steps", type=int, help="end this call after so many steps; default: with the schedule")
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--resume", type=Path, help="go on with the run whose --out this was")
    begin.add_argument(
        "--weights",
        type=Path,
        help="begin a new schedule from the weights of this run, or of this folder of released weights",
    )
    given = parser.parse_args()
    train(
        TrainSettings.from_json(given.config),
        assets=given.assets,
        out=given.out,
        real=given.real,
        seconds=given.seconds,
        most_steps=given.steps,
        resume=given.resume,
        start=given.weights,
    )


if __name__ == "__main__":
    main()
