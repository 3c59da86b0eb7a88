"""Public kernels on the same inputs. Their packages are on PYTHONPATH or not; a peer that cannot run has no row."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
import triton
from torch import Tensor
from torch.nn import functional as F
from triton.runtime.autotuner import Autotuner, Config

from scripts.kernel_bench.case import Case, Prepared
from scripts.kernel_bench.late import late_inputs
from scripts.kernel_bench.scans import BOTH, FORWARD, scan_floor, scan_inputs

NAMES = ("liger", "flash", "fla", "mamba64", "mamba128", "mamba-norms")


def compile_side_by_side() -> None:
    """Peers search among dozens of sizes a kernel. From now on all that a search will time are compiled at once, in
    threads: one after another they took longer than a run may."""
    prune = Autotuner.prune_configs

    def prune_and_compile(self: Autotuner, kwargs: dict[str, Any]) -> list[Config]:
        configs = prune(self, kwargs)
        with ThreadPoolExecutor() as threads, triton.AsyncCompileMode(threads, ignore_errors=True):
            for config in configs:
                self.fn.run(*(self.nargs or {}).values(), **{**kwargs, **config.all_kwargs(), "warmup": True})
        return configs

    Autotuner.prune_configs = prune_and_compile


def cases(name: str) -> Iterator[Case]:
    """The cases of one peer; every peer runs in its own process, since each may stall in its search for sizes."""
    return {"liger": _liger, "flash": _flash, "fla": _fla, "mamba64": lambda: _mamba(64),
            "mamba128": lambda: _mamba(128), "mamba-norms": _mamba_norms}[name]()  # fmt: skip


def _timed(make: Callable[[], Callable[[], object]]) -> Callable[[], Prepared]:
    """A peer's result is its own affair: nothing is checked but that it runs."""
    return lambda: (make(), lambda: 0.0, 0.0)


def _mamba_package() -> None:
    """The package's own __init__ asks for its CUDA extension; its Triton kernels do not."""
    spec = find_spec("mamba_ssm")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("mamba_ssm")
    bare = ModuleType("mamba_ssm")
    bare.__path__ = list(spec.submodule_search_locations)
    sys.modules["mamba_ssm"] = bare


def _flipped(one_way: Callable[..., Tensor], inputs: list[Tensor]) -> Tensor:
    """Both directions by an operator that knows one: run, flip, run, flip back, add."""
    x, b, c, dt_f, dt_b, a, skip, bias = inputs
    y = one_way(x, b, c, dt_f, a[0], skip, bias[0])
    mirrored = (t.flip(1) for t in (x, b, c, dt_b))
    return y + one_way(*mirrored, a[1], None, bias[1]).flip(1)


def _mamba(state: int) -> Iterator[Case]:
    _mamba_package()
    from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined  # type: ignore[import-not-found]

    def one_way(x: Tensor, b: Tensor, c: Tensor, dt: Tensor, a: Tensor, skip: Any, bias: Tensor) -> Tensor:
        return mamba_chunk_scan_combined(x, dt, a, b[:, :, None], c[:, :, None], 256, D=skip, dt_bias=bias,
                                         dt_softplus=True)  # fmt: skip

    def run(backward: bool, documents: int, time: int) -> Callable[[], Callable[[], object]]:
        def make() -> Callable[[], object]:
            inputs = [t.detach().requires_grad_(backward) for t in scan_inputs(documents, time, 12, state)]
            dy = torch.randn(documents, time, 12, 64, device="cuda", dtype=torch.bfloat16)
            if backward:
                return lambda: torch.autograd.grad(_flipped(one_way, inputs), inputs, dy)
            return lambda: _flipped(one_way, inputs)

        return make

    impl, floor = "mamba_ssm flipped", scan_floor(65536, 12, state)
    yield Case(FORWARD, f"64x1024 12x64 N={state}", "bf16", floor, None, None, _timed(run(False, 64, 1024)), impl)
    yield Case(FORWARD, f"4x16384 12x64 N={state}", "bf16", floor, None, None, _timed(run(False, 4, 16384)), impl)
    yield Case(BOTH, f"64x1024 12x64 N={state}", "bf16", 0.148 if state == 64 else 0.250, None, None,
               _timed(run(True, 64, 1024)), impl)  # fmt: skip


def _mamba_norms() -> Iterator[Case]:
    _mamba_package()
    from mamba_ssm.ops.triton.layernorm_gated import rmsnorm_fn  # type: ignore[import-not-found]

    for width in (384, 768):
        for backward in (False, True):

            def make(width: int = width, backward: bool = backward) -> Callable[[], object]:
                x = torch.randn(65536, width, device="cuda", dtype=torch.bfloat16, requires_grad=backward)
                z = torch.randn_like(x, requires_grad=backward)
                weight = torch.randn(width, device="cuda", requires_grad=backward)
                dy = torch.randn_like(x)

                def call() -> Tensor:
                    return rmsnorm_fn(x, weight, None, z, 1e-5, None, False)

                return (lambda: torch.autograd.grad(call(), (x, weight, z), dy)) if backward else call

            floor = {384: (0.036, 0.095), 768: (0.071, 0.189)}[width][backward]
            yield Case(f"gated rmsnorm fwd{'+bwd' if backward else ''}", f"65536x{width}", "bf16", floor, None, None,
                       _timed(make), "mamba_ssm")  # fmt: skip


def _fla() -> Iterator[Case]:
    from fla.ops.gated_delta_rule import chunk_gated_delta_rule  # type: ignore[import-not-found]
    from fla.ops.simple_gla import chunk_simple_gla  # type: ignore[import-not-found]

    def one_way(x: Tensor, b: Tensor, c: Tensor, dt: Tensor, a: Tensor, skip: Any, bias: Tensor) -> Tensor:
        heads = x.shape[2]
        step = F.softplus(dt.float() + bias)
        v = (x * step[..., None]).to(x.dtype)
        q, k = (t[:, :, None].expand(-1, -1, heads, -1).contiguous() for t in (c, b))
        return chunk_simple_gla(q, k, v, g=step * a, scale=1.0)[0]

    def scan() -> Callable[[], object]:
        inputs = scan_inputs(64, 1024, 12, 64)
        return lambda: _flipped(one_way, inputs)

    def delta() -> Callable[[], object]:
        v = torch.randn(64, 1024, 12, 64, device="cuda", dtype=torch.bfloat16)
        q, k = (F.normalize(torch.randn(64, 1024, 1, 64, device="cuda"), dim=-1).bfloat16() for _ in range(2))
        g = -torch.rand(64, 1024, 12, device="cuda") * 0.2
        beta = torch.rand(64, 1024, 12, device="cuda").bfloat16()
        return lambda: chunk_gated_delta_rule(q, k, v, g=g, beta=beta, scale=1.0)

    floor = scan_floor(65536, 12, 64)
    yield Case(FORWARD, "64x1024 12x64 N=64", "bf16", floor, None, None, _timed(scan), "fla flipped")
    yield Case("gated delta one direction fwd", "64x1024 12x64 N=64", "bf16", floor, None, None, _timed(delta), "fla")


def _flash() -> Iterator[Case]:
    from flash_maxsim import (  # type: ignore[import-not-found]
        flash_maxsim,
        flash_maxsim_batched,
        flash_maxsim_int8x8,
        quantize_query_int8,
    )

    def single(pages: int, length: int, dims: int) -> Callable[[], Callable[[], object]]:
        def make() -> Callable[[], object]:
            query, tokens, _ = late_inputs(1, pages, length, dims, "fp16")
            return lambda: flash_maxsim(query[0], tokens)

        return make

    def batched() -> Callable[[], object]:
        query, tokens, _ = late_inputs(16, 1000, 1024, 128, "fp16")
        return lambda: flash_maxsim_batched(query, tokens)

    def eight() -> Callable[[], object]:
        _, tokens, scales = late_inputs(1, 100_000, 64, 64, "int8")
        query = torch.randn(32, 64, device="cuda", dtype=torch.float16)
        whole, factors = quantize_query_int8(query)
        return lambda: flash_maxsim_int8x8(query, tokens, scales, Q_int8=whole, q_scales=factors)

    impl = "flash-maxsim"
    yield Case("maxsim 1 query", "1000x1024x128", "fp16", 0.060, None, None, _timed(single(1000, 1024, 128)), impl)
    yield Case("maxsim 1 query", "100000x64x64", "fp16", 0.187, None, None, _timed(single(100_000, 64, 64)), impl)
    yield Case("maxsim 1 query", "100000x64x64", "int8", 0.097, None, None, _timed(eight), impl)
    yield Case("maxsim 16 queries", "1000x1024x128", "fp16", 0.174, None, None, _timed(batched), impl)


def _liger() -> Iterator[Case]:
    from liger_kernel.ops.rms_norm import LigerRMSNormFunction  # type: ignore[import-not-found]

    for width in (384, 768):
        for backward in (False, True):

            def make(width: int = width, backward: bool = backward) -> Callable[[], object]:
                x = torch.randn(65536, width, device="cuda", dtype=torch.bfloat16, requires_grad=backward)
                weight = torch.randn(width, device="cuda", requires_grad=backward)
                dy = torch.randn_like(x)

                def call() -> Tensor:
                    return LigerRMSNormFunction.apply(x, weight, 1e-5, 0.0, "llama", False)

                return (lambda: torch.autograd.grad(call(), (x, weight), dy)) if backward else call

            floor = {384: (0.024, 0.059), 768: (0.047, 0.118)}[width][backward]
            yield Case(f"rmsnorm fwd{'+bwd' if backward else ''}", f"65536x{width}", "bf16", floor, None, None,
                       _timed(make), "liger")  # fmt: skip
