"""Compiles every Gluon kernel to machine code for Hopper, which needs no GPU. Prints one line a kernel.

A program of its own: in the tests' process Triton is set to its interpreter, which has no such kernels.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import triton
from triton.backends.compiler import GPUTarget
from triton.experimental.gluon import language as gl
from triton.experimental.gluon._runtime import GluonASTSource

from kernels.maxsim import hopper as late
from kernels.ssd.hopper import columns, output, rows, walk

CHUNK, WIDTH = 128, 64


def tiles(name: str, kind: Any, *block: int) -> str:
    """Type of a tensor that the copy engine cuts into blocks."""
    layout = gl.NVMMASharedLayout.get_default_for(list(block), kind)
    return f"tensordesc<{name}[{','.join(map(str, block))}],{layout!r}>"


def signatures(state: int) -> dict[str, tuple[Any, dict[str, str], dict[str, Any]]]:
    """Kernel, types of its arguments and its constants, by name."""
    x, b = tiles("bf16", gl.bfloat16, CHUNK, WIDTH), tiles("bf16", gl.bfloat16, CHUNK, state)
    both = tiles("bf16", gl.bfloat16, 2 * WIDTH, state)
    vectors = tiles("fp32", gl.float32, CHUNK)
    tables = {"chunk_start": "*i32", "chunk_length": "*i32"}
    sizes = {"chunks": "i32", "heads": "i32", "time": "i32"}
    usual = {"Q": CHUNK, "P": WIDTH, "N": state, "SLOTS": 2, "PACKED": True}
    pair = {"x_desc": x, "y_desc": x, "b_desc": b, "c_desc": b}
    floats = dict.fromkeys(("skip", "totals", "work"), "*fp32")
    return {
        "output": (output.output_kernel, {
            "x_desc": x, "b_desc": b, "c_desc": b, "states_desc": both, "vectors_desc": vectors,
            "y_desc": tiles("bf16", gl.bfloat16, CHUNK // 2, WIDTH), "y": "*bf16", "skip": "*fp32", "keep": "*u8",
            "totals": "*fp32", **tables, **sizes,
        }, usual | {"GROUP": 4, "SKIP": True, "MASKED": True}),
        "columns": (columns.columns_kernel, {
            **pair, "adjoint_desc": both, "vectors_desc": vectors, "vectors": "*fp32", **floats, "dx": "*bf16",
            "db": "*bf16", **tables, "rows": "i32", **sizes,
        }, usual | {"GROUP": 4, "SKIP": True}),
        "rows": (rows.rows_kernel, {
            **pair, "states_desc": both, "vectors_desc": vectors, "totals": "*fp32", "dc": "*fp32", "work": "*fp32",
            **tables, "rows": "i32", **sizes,
        }, usual | {"GROUP": 4}),
        "walk": (walk.walk_kernel, {
            "x_desc": x, "b_desc": b, "vectors_desc": vectors, "states_desc": tiles("bf16", gl.bfloat16, WIDTH, state),
            "totals": "*fp32", **tables, "first_chunk": "*i32", **sizes,
        }, usual | {"ADJOINT": 1}),
    }  # fmt: skip


def late_signatures() -> dict[str, tuple[Any, dict[str, str], dict[str, Any]]]:
    """The same for late interaction, an entry of its table each."""
    counts = dict.fromkeys(("share", "longer", "groups", "words"), "i32")
    return {
        f"late {dims}": (late.stream_kernel, {
            "query_desc": tiles("fp16", gl.float16, late.HIGH.value, dims),
            "tokens_desc": tiles("fp16", gl.float16, config.tokens, dims), "maxima": "*fp32", **counts,
        }, {"TOKENS": config.tokens, "DIMS": dims, "EACH": 8, "SLOTS": config.slots})
        for dims, config in late.CONFIGS.items()
    }  # fmt: skip


def main() -> None:
    chosen = late_signatures() if sys.argv[1] == "late" else signatures(int(sys.argv[1]))
    for name, (kernel, types, constants) in chosen.items():
        names = kernel.arg_names
        types = {argument: types.get(argument, "constexpr") for argument in names}
        source = GluonASTSource(kernel, types, constexprs=constants, attrs={})
        compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 4})
        size = len(compiled.asm["cubin"])
        sys.stdout.write(f"{name}: {size} bytes, {compiled.metadata.shared} of shared memory\n")


if __name__ == "__main__":
    main()
