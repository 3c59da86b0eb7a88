"""What the study measures of a trained variant: what it learned, and what it costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median

import torch
from torch import Tensor

from models.local.reading_network import ReadingNetwork
from models.training.study import measure
from models.training.study.measure import Words
from models.training.study.settings import StudySettings
from models.training.study.trainer import Trainer
from models.training.validate import Validation

TALL = 3
"""Held-out pages below each other make the page that is timed."""
TIMED = 5

Row = dict[str, float | int | str]


def learned(trainer: Trainer, images: Tensor, words: Words, validation: Validation) -> Row:
    """The row of a trained variant, without its steps. images, words: of the held-out pages."""
    reader, settings = trainer.reader.eval(), trainer.settings
    pages = measure.encoded(reader, images)
    row: Row = {
        "parameters": sum(p.numel() for name, p in reader.named_parameters() if "topic" not in name),
        **measure.word_recall(reader, pages, words),
    }
    for length in settings.needle:
        row |= measure.needle_recall(reader, images, pages, words, length=length, candidates=settings.candidates)
    real = validation(reader)
    return {**row, "real_ndcg5": real.ndcg5, "real_recall1": real.recall1, "real_tokens": real.tokens}


def cost(trainer: Trainer, images: Tensor) -> Row:
    """What a variant costs, alone on the device: training pages a second (of the first stage), pages of TALL of the
    held-out `images` read a second by the GPU and the memory for it, and processor seconds of such a page by one
    thread. Changes the weights."""
    reader, pool = trainer.reader.eval(), trainer.pool
    tall = images[: len(images) // TALL * TALL]
    tall = tall.view(-1, 1, TALL * tall.shape[2], tall.shape[3])[: measure.AT_ONCE]
    row: Row = {}
    with torch.no_grad():
        read_s, row["encode_gib"] = timed(lambda: measure.encoded(reader, tall), pool.device)
        row["encode_pages_s"] = len(tall) / read_s
    first = next(step for step, number in enumerate(trainer.order) if trainer.settings.run.stage_of(number) == 0)
    step_s, _ = timed(lambda: trainer.step(first, len(trainer.order)), pool.device)
    row["train_pages_s"] = len(pool.training[trainer.order[first]][0]) / step_s
    with torch.no_grad():
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
    return ("parameters", "steps", "loss", "words", "numbers", "exact", "tokens", *needles,
            "real_ndcg5", "real_recall1", "real_tokens")  # fmt: skip
