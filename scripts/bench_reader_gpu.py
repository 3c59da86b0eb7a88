"""Pages a second of the reading network on a CUDA GPU, where the time goes, and the same for a training step.

    python scripts/bench_reader_gpu.py --assets FOLDER [--out FOLDER] [--commit HASH]

Composed pages of 1024 x 1408, those with as much ink as real pages have, read with the released weights in bf16 by
three ways: plain calls, torch.compile, a CUDA graph. Writes reader_gpu.csv and reader_gpu_profile.md.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from models.local.config import LocalConfig
from models.local.reading_network import ReadingNetwork
from models.training import checkpoint
from models.training.losses import LossWeights, StepSize, reading_loss
from models.training.synthesis import Composer, hard_negatives
from scripts.kernel_bench.case import captured

WEIGHTS = Path(__file__).resolve().parents[1] / "models" / "local" / "weights"
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


def training_step(reader: ReadingNetwork, composer: Composer, pages: int, size: StepSize) -> Callable[[], object]:
    optimiser = torch.optim.AdamW(reader.parameters(), lr=1e-5, fused=True)

    def step() -> None:
        batch = composer(pages)
        with torch.autocast("cuda", torch.bfloat16):
            loss, _ = reading_loss(reader, batch, hard_negatives(batch.word_bytes), size, LossWeights(), taught=0.3)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


def reading(reader: ReadingNetwork, composer: Composer) -> tuple[list[Row], list[str]]:
    """Rows of the table and parts of the report for pages that are read."""
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


def training(reader: ReadingNetwork, composer: Composer) -> tuple[list[Row], list[str]]:
    """The same for a step of training."""
    compose = milliseconds(lambda: composer(64))
    step = training_step(reader, composer, 64, StepSize())
    whole = milliseconds(step)
    memory = torch.cuda.max_memory_allocated() / 2**30
    rows = [
        ("compose 64 of 704x768", "plain", compose, 64e3 / compose, ""),
        ("training step of 64", "plain", whole, 64e3 / whole, ""),
    ]
    title = f"## Training step, 64 pages of 704 x 768: {whole:.1f} ms, {memory:.1f} GiB"
    return rows, [title, "", table_of(step, steps=3), ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--commit", default="unknown")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = True
    config = LocalConfig.from_json(WEIGHTS / "config.json").network
    reader = ReadingNetwork(config).cuda()
    checkpoint.load_weights(WEIGHTS, reader)
    rows, report = reading(
        reader.eval(), Composer(given.assets, device="cuda", height=1408, width=1024, network=config)
    )
    more, part = training(reader.train(), Composer(given.assets, device="cuda", height=704, width=768, network=config))
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
