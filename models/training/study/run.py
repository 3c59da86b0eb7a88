"""One variant, trained and measured."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from models.local.reading_network import ReadingNetwork
from models.training.study import measure
from models.training.study.pool import Pool
from models.training.study.settings import StudySettings
from models.training.study.trainer import Trainer
from models.training.study.variants import VARIANTS, Variant
from models.training.validate import Validation

TALL = 3
"""Held-out pages below each other make the page that is timed."""
TIMED = 5
LOOK_EVERY = 50
"""Steps between two looks at whether the loss is a number; each waits for the device."""

Row = dict[str, float | int | str]

_here: dict[str, tuple[Pool, Validation]] = {}
"""Pages of this process; the variants that it trains one after another share them."""


def train_and_measure(
    variant: Variant, seed: int, settings: StudySettings, pool: Pool, validation: Validation, weights: Path
) -> Row:
    """Trains for the steps that all variants have, writes the weights, and returns the row of the table. Raises
    FloatingPointError where the loss is no number any more."""
    begun = time.perf_counter()
    trainer = Trainer(variant, settings, pool, seed)
    losses: list[Tensor] = []
    for step, number in enumerate(pool.order(settings.steps, seed)):
        losses.append(trainer.step(number, step))
        if step % LOOK_EVERY == 0 and not losses[-1].isfinite():
            raise FloatingPointError(f"the loss is no number before step {step}")
    final = torch.stack(losses[-max(1, settings.steps // 10) :]).mean().item()
    if not math.isfinite(final):
        raise FloatingPointError("the loss is no number at the end")
    trained = time.perf_counter() - begun
    reader = trainer.reader.eval()
    torch.save({name: tensor.half() for name, tensor in reader.state_dict().items()}, weights)
    images, words = measure.laid_open(pool.held_out, pool.device)
    pages = measure.encoded(reader, images)
    row: Row = {
        "parameters": sum(p.numel() for name, p in reader.named_parameters() if "topic" not in name),
        "steps": settings.steps,
        "pages": sum(len(pool.training[number][0]) for number in pool.order(settings.steps, seed)),
        "loss": final,
        **measure.word_recall(reader, pages, words),
    }
    for length in settings.needle:
        row |= measure.needle_recall(reader, images, pages, words, length=length, candidates=settings.candidates)
    real = validation(reader)
    row |= {"real_ndcg5": real.ndcg5, "real_recall1": real.recall1, "real_tokens": real.tokens}
    return {**row, "train_s": trained, "all_s": time.perf_counter() - begun}


def cost(variant: Variant, settings: StudySettings, pool: Pool, weights: Path) -> Row:
    """What a trained variant costs, alone on the device: training pages a second (of the first stage) and memory,
    pages of TALL held-out ones read a second by the GPU, and processor seconds of such a page by one thread."""
    trainer = Trainer(variant, settings, pool, 0)
    reader = trainer.reader
    reader.load_state_dict({name: tensor.float() for name, tensor in torch.load(weights, weights_only=True).items()})
    first = next(n for n in range(len(pool.training)) if settings.run.stage_of(n) == 0)
    row: Row = {}
    step_s, row["train_gib"] = timed(lambda: trainer.step(first, settings.steps - 1), pool.device)
    row["train_pages_s"] = len(pool.training[first][0]) / step_s
    reader.load_state_dict({name: tensor.float() for name, tensor in torch.load(weights, weights_only=True).items()})
    reader.eval()
    images, _ = measure.laid_open(pool.held_out, pool.device)
    tall = images[: len(images) // TALL * TALL]
    tall = tall.view(-1, 1, TALL * tall.shape[2], tall.shape[3])[: measure.AT_ONCE]
    with torch.no_grad():
        read_s, row["encode_gib"] = timed(lambda: measure.encoded(reader, tall), pool.device)
        row["encode_pages_s"] = len(tall) / read_s
        reader.to("cpu", torch.float32)
        row["cpu_s_page"] = processor_seconds(reader, tall[:3].cpu())
    return row


def timed(call: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """(median seconds, peak GiB) of a call, after one that is not counted."""
    cuda = device.type == "cuda"
    call()
    if cuda:
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    held = torch.cuda.memory_allocated(device) if cuda else 0
    times: list[float] = []
    for _ in range(TIMED):
        begun = time.perf_counter()
        call()
        if cuda:
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - begun)
    peak = (torch.cuda.max_memory_allocated(device) - held) / 2**30 if cuda else 0.0
    return median(times), peak


def processor_seconds(reader: ReadingNetwork, pages: Tensor) -> float:
    """Of one thread for a page, read alone, in fp32; the first is not counted."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    times: list[float] = []
    for page in pages:
        begun = time.process_time()
        reader.page.read(page[None])
        times.append(time.process_time() - begun)
    torch.set_num_threads(threads)
    return median(times[1:])


def fields(settings: StudySettings) -> Sequence[str]:
    """Columns of a row, in order."""
    needles = [f"{kind}_{length}" for kind in ("needle", "apart", "pooled") for length in settings.needle]
    return ("parameters", "steps", "pages", "loss", "words", "numbers", "exact", "tokens", *needles,
            "real_ndcg5", "real_recall1", "real_tokens", "train_s", "all_s")  # fmt: skip


def weights_of(folder: Path, variant: Variant) -> Path:
    """Where the trained weights of a variant wait to be timed."""
    return folder / f"variant-{VARIANTS.index(variant)}.pt"


def take_device(started: Synchronized[int]) -> None:
    """In a new process: its device is the next of those that there are. started: processes so far."""
    if torch.cuda.is_available():
        with started.get_lock():
            torch.cuda.set_device(started.value % torch.cuda.device_count())
            started.value += 1


def one(name: str, seed: int, settings: StudySettings, folder: Path, real: Path, device: str) -> Row:
    """A variant in a process of its own."""
    torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    variant = next(variant for variant in VARIANTS if variant.name == name)
    if device not in _here:
        _here[device] = (Pool(settings, folder, device), Validation(real, device=device, limit=settings.real_pages))
    row = train_and_measure(variant, seed, settings, *_here[device], weights_of(folder, variant))
    if device == "cuda":
        torch.cuda.empty_cache()
    return row
