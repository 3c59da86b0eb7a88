"""One entry of a table of sizes changed at a time, timed where it is felt. For choosing the tables' entries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from kernels.chunking import triton as chunk_table
from kernels.filter import triton as filter_table
from kernels.maxsim import hopper as many_table
from kernels.maxsim import triton as late_table
from kernels.norm import triton as norm_table
from kernels.ssd import sizes as scan_table
from scripts.kernel_bench import late, rows, scans
from scripts.kernel_bench.case import Case


class Variant(NamedTuple):
    """The entry `key` of `table` is `entry` while `case` is timed."""

    name: str
    table: dict[Any, Any]
    key: Any
    entry: Any
    case: Case


def all_cases() -> list[Case]:
    return [*scans.cases(), *late.cases(), *rows.cases()]


def variants() -> Iterator[Variant]:
    felt = {(c.operator, c.shape, c.dtype): c for c in all_cases() if c.impl == "ours"}
    yield from _scans(felt)
    yield from _late(felt)
    yield from _rows(felt)


def _scans(felt: dict[tuple[str, str, str], Case]) -> Iterator[Variant]:
    table = scan_table.CONFIGS
    shapes = (("64x1024 12x64 N=64", 64), ("64x1024 12x64 N=128", 128), ("32x2368 8x64 N=16 masked", 32))
    for shape, most in shapes:
        key = (True, most)
        forward: list[dict[str, Any]] = [
            {"slots": 0}, {"slots": 2}, {"slots": 3}, {"walk_slots": 0}, {"walk_slots": 2}, {"walk_slots": 3},
            {"states_warps": 8},
        ]  # fmt: skip
        for change in forward:
            yield Variant(f"scan {shape} fwd {change}", table, key, table[key]._replace(**change),
                          felt[scans.FORWARD, shape, "bf16"])  # fmt: skip
        backward: list[dict[str, Any]] = [
            {"backward_group": 6}, {"gradient_slots": 0}, {"gradient_slots": 1}, {"gradient_slots": 3},
        ]  # fmt: skip
        for change in backward:
            yield Variant(f"scan {shape} fwd+bwd {change}", table, key, table[key]._replace(**change),
                          felt[scans.BOTH, shape, "bf16"])  # fmt: skip


def _late(felt: dict[tuple[str, str, str], Case]) -> Iterator[Variant]:
    long = [(128, 8, 4, 2), (128, 8, 4, 4), (128, 8, 8, 3), (64, 16, 4, 3), (64, 16, 4, 5)]
    short = [(64, 1, 1, 3), (64, 2, 1, 2), (64, 2, 1, 4), (64, 3, 1, 3), (64, 4, 1, 3), (64, 2, 2, 3), (128, 2, 2, 3)]
    sizes = {("1000x1024x128", "fp16"): long, ("100000x64x64", "fp16"): short, ("100000x64x64", "int8"): short}
    for (shape, kind), entries in sizes.items():
        table = late_table.CONFIGS[1 if kind == "int8" else 2, "x1024x" in shape]
        for entry in entries:
            yield Variant(f"maxsim 1 query {shape} {kind} {entry}", table, 32,
                          late_table.Config(*entry), felt["maxsim 1 query", shape, kind])  # fmt: skip
    many = felt["maxsim 16 queries", "1000x1024x128", "fp16"]
    for sizes_of_many in ((128, 3), (128, 4), (64, 6), (64, 10)):
        yield Variant(f"maxsim 16 queries {sizes_of_many}", many_table.CONFIGS, 128,
                      many_table.Config(*sizes_of_many), many)  # fmt: skip
    for entry in ((16, 4, 1), (16, 16, 1), (8, 8, 1), (32, 4, 1), (32, 8, 2), (64, 4, 4)):
        yield Variant(f"maxsim binary {entry}", late_table.BITS, 64, late_table.BitsConfig(*entry),
                      felt["maxsim 1 query", "100000x64x64", "binary"])  # fmt: skip


def _rows(felt: dict[tuple[str, str, str], Case]) -> Iterator[Variant]:
    shape = "64x1024x384, 8192 boundaries"
    for entry in (
        (64, 128, 64, 4, 2),
        (64, 128, 64, 4, 3),
        (128, 128, 64, 8, 2),
        (128, 64, 64, 4, 3),
        (64, 64, 64, 4, 3),
    ):
        for step in ("fwd", "fwd+bwd"):
            yield Variant(f"routing {step} {entry}", chunk_table.CONFIGS, True, chunk_table.Config(*entry),
                          felt[f"routing+chunk+dechunk {step}", shape, "bf16"])  # fmt: skip
    for width, most in ((384, 512), (768, 1024)):
        for size, warps, programs in ((1, 1, 1584), (1, 2, 792), (2, 4, 396), (2, 4, 660), (4, 4, 396)):
            key = (most, True)
            entry = norm_table.CONFIGS[key]._replace(backward_rows=size, backward_warps=warps, programs=programs)
            yield Variant(f"gated rmsnorm {width} fwd+bwd {size} {warps} {programs}", norm_table.CONFIGS, key, entry,
                          felt["gated rmsnorm fwd+bwd", f"65536x{width}", "bf16"])  # fmt: skip
    for width, most in ((384, 512), (768, 1024)):
        for size, warps in ((1, 1), (1, 2), (2, 2), (2, 4), (4, 4), (8, 4), (8, 8)):
            for thirds in (False, True):
                key = (most, True)
                entry = norm_table.CONFIGS[key]._replace(rows=size, warps=warps, thirds=thirds)
                yield Variant(f"gated rmsnorm {width} fwd {size} {warps} {thirds}", norm_table.CONFIGS, key, entry,
                              felt["gated rmsnorm fwd", f"65536x{width}", "bf16"])  # fmt: skip
    for change in ({"rows": 16}, {"rows": 64}, {"columns": 128}, {"rows": 8, "columns": 128, "warps": 2}):
        yield Variant(f"short filter fwd {change}", filter_table.CONFIGS, "all",
                      filter_table.CONFIGS["all"]._replace(**change),
                      felt["short filter fwd", "32x2368x544 masked", "bf16"])  # fmt: skip
    for change in ({"backward_rows": 8, "backward_warps": 2}, {"backward_rows": 32}, {"spans": 8}, {"spans": 32},
                   {"backward_rows": 8, "backward_columns": 128}):  # fmt: skip
        yield Variant(f"short filter fwd+bwd {change}", filter_table.CONFIGS, "all",
                      filter_table.CONFIGS["all"]._replace(**change),
                      felt["short filter fwd+bwd", "32x2368x544 masked", "bf16"])  # fmt: skip


__all__ = ["Variant", "all_cases", "rows", "variants"]
