"""Pages a second of the reading network on a CUDA GPU, where the time goes, and the same for a training step.

    python scripts/bench_reader_gpu.py --assets FOLDER [--out FOLDER] [--commit HASH]

Composed pages of 1024 x 1408, those with as much ink as real pages have, read with the released weights in bf16 by
three ways: plain calls, torch.compile, a CUDA graph; a step of training launch by launch and recorded. Writes
reader_gpu.csv and reader_gpu_profile.md.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from models.local.config import LocalConfig
from models.local.reading_network import ReadingNetwork
from models.training import checkpoint
from models.training.gradients import Gradients
from models.training.repeatable import repeat_exactly
from models.training.settings import TrainSettings
from models.training.supply import Source, batches
from models.training.synthesis import Composer
from models.training.train import optimiser_of
from scripts.kernel_bench.case import captured

MODELS = Path(__file__).resolve().parents[1] / "models"
WEIGHTS = MODELS / "local" / "weights"
NETWORK = LocalConfig.from_json(WEIGHTS / "config.json").network
CONFIG = MODELS / "training" / "configs" / "reader-long.json"
PAGES, DRAWN = 32, 128
TYPICAL = 3600
"""Cells with ink of a page of this size, of 11,264: the mean of 80 real pages to train on, brought to it."""
STEP = 64
"""Room for cells and words goes in such steps."""
Row = tuple[str, str, float, float, str]
"""What, which way, milliseconds, pages a second, share of the peak of matrix products."""
MATMUL_TFLOPS = 804.0
"""bf16 matrix product of 8192^3 measured on one H200."""


def milliseconds(call: Callable[[], object], repeats: int = 20) -> float:
    """Median by device events, after three calls."""
    for _ in range(3):
        call()
    times = []
    for _ in range(repeats):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        call()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times)


def operations(call: Callable[[], object]) -> float:
    """Floating-point operations of the matrix products and convolutions of one call."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        call()
    return float(counter.get_total_flops())


def table_of(call: Callable[[], object], *, steps: int = 5, rows: int = 28) -> str:
    """Device time of the kernels by name, of `steps` calls, as a markdown table."""
    for _ in range(3):
        call()
    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as recorded:
        for _ in range(steps):
            call()
        torch.cuda.synchronize()
    events = [e for e in recorded.key_averages() if e.self_device_time_total > 0 and e.device_type.name == "CUDA"]
    events.sort(key=lambda e: -e.self_device_time_total)
    total = sum(e.self_device_time_total for e in events)
    lines = ["| kernel | calls | ms | share |", "| --- | --- | --- | --- |"]
    for event in events[:rows]:
        name = event.key.replace("|", "/")[:110]
        own = event.self_device_time_total
        lines.append(f"| {name} | {event.count / steps:.0f} | {own / steps / 1000:.3f} | {own / total:.1%} |")
    lines.append(f"| all | | {total / steps / 1000:.3f} | |")
    return "\n".join(lines)


def typical_pages(reader: ReadingNetwork, composer: Composer) -> tuple[Tensor, float, int]:
    """Of DRAWN composed pages the PAGES whose ink is nearest to TYPICAL: pictures, cells kept of one on average, and
    room for those of the fullest."""
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
        parts = [composer(PAGES).image for _ in range(DRAWN // PAGES)]
        counts = torch.cat([reader.page.cells(part).mask.sum(1) for part in parts])
    chosen = (counts - TYPICAL).abs().argsort()[:PAGES]
    return torch.cat(parts)[chosen], float(counts[chosen].float().mean()), -(-int(counts[chosen].max()) // STEP) * STEP


def training_steps(reader: ReadingNetwork, settings: TrainSettings, assets: Path) -> dict[str, Callable[[], object]]:
    """A step of the first stage as `train` takes it, again and again on one batch: other processes compose."""
    device = torch.device("cuda", 0)
    gradients = Gradients(reader, settings.weights, device)
    optimiser = optimiser_of(reader, settings)
    batch = next(batches(Source(settings, assets, None, device, settings.seed), workers=0))
    stage = settings.stages[settings.stage_of(0)]

    def step(metrics: Callable[[], Tensor]) -> None:
        metrics()
        torch.nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimiser.step()

    return {
        "plain": lambda: step(lambda: gradients.plain(batch, stage)),
        "recorded": lambda: step(lambda: gradients(batch, stage, taught=settings.taught)),
    }


def released() -> ReadingNetwork:
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = True
    reader = ReadingNetwork(NETWORK).cuda()
    checkpoint.load_weights(WEIGHTS, reader)
    return reader


def reading(assets: Path) -> tuple[list[Row], list[str]]:
    """Rows of the table and parts of the report for pages that are read."""
    reader = released().eval()
    composer = Composer(assets, device="cuda", height=1408, width=1024, network=NETWORK)
    images, kept, room = typical_pages(reader, composer)
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
        words = int(reader.page.read(images)[1].mask.sum(1).max())
    limits = {"cell_limit": room, "chunk_limit": -(-words // STEP) * STEP}

    @torch.no_grad()
    def read() -> Tensor:
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
            return reader.page.read(images, **limits)[0]

    flop = operations(read)
    ways: dict[str, Callable[[], Callable[[], object]]] = {
        "plain": lambda: read,
        "cuda graph": lambda: captured(read),
        "torch.compile": lambda: torch.compile(read, dynamic=False),
        "torch.compile in a cuda graph": lambda: captured(torch.compile(read, dynamic=False)),
    }
    rows: list[Row] = []
    for name, prepare in ways.items():
        try:
            ms = milliseconds(prepare())
        except Exception as error:  # noqa: BLE001 - one way that does not run must not hide the others
            print(f"{name}: {type(error).__name__}: {str(error)[:300]}")
            continue
        share = flop / (ms * 1e-3) / 1e12 / MATMUL_TFLOPS
        rows.append((f"read {PAGES} of 1024x1408, {kept:.0f} cells kept", name, ms, PAGES * 1e3 / ms, f"{share:.3f}"))
    return rows, [f"## Reading {PAGES} pages of 1024 x 1408, {kept:.0f} cells kept a page", "", table_of(read), ""]


def training(assets: Path) -> tuple[list[Row], list[str]]:
    """The same for a step of training. From then on the process keeps to operations that give the same bits."""
    repeat_exactly()
    reader, settings = released().train(), TrainSettings.from_json(CONFIG)
    stage = settings.stages[settings.stage_of(0)]
    size = f"{stage.pages} of {stage.width}x{stage.height}"
    composer = Composer(assets, device="cuda", height=stage.height, width=stage.width, network=settings.network)
    steps = training_steps(reader, settings, assets)
    named = [(f"compose {size}", "plain", lambda: composer(stage.pages))]
    named += [(f"training step of {size}", way, step) for way, step in steps.items()]
    rows: list[Row] = []
    for what, way, call in named:
        ms = milliseconds(call)
        rows.append((what, way, ms, stage.pages * 1e3 / ms, ""))
    memory = torch.cuda.max_memory_allocated() / 2**30
    title = f"## Training step, {size} pixels, launch by launch; {memory:.1f} GiB with what is recorded"
    return rows, [title, "", table_of(steps["plain"], steps=3), ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--commit", default="unknown")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    rows, report = reading(given.assets)
    # Both are measured in the mode of torch in which they run.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        more, part = process.submit(training, given.assets).result()
    with (given.out / "reader_gpu.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["what", "way", "ms", "pages_a_second", "share_of_matmul_peak", "device", "torch", "commit",
                         "date"])  # fmt: skip
        for what, way, ms, speed, share in rows + more:
            record = [what, way, f"{ms:.3f}", f"{speed:.0f}", share, torch.cuda.get_device_name(), torch.__version__,
                      given.commit, datetime.now(UTC).date().isoformat()]  # fmt: skip
            writer.writerow(record)
            print(" | ".join(record))
    (given.out / "reader_gpu_profile.md").write_text("\n".join(report + part), encoding="utf-8")
    print("\n".join(report + part))


if __name__ == "__main__":
    main()
