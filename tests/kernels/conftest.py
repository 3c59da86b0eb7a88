"""Without a GPU the Triton kernels run in Triton's interpreter, on CPU tensors.

The interpreter is chosen when a kernel is defined, so the variable is set here, before anything imports one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture(autouse=True)
def _interpreter_as_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two corrections of Triton's interpreter.

    3.6 calls int() on arrays of one element, which NumPy 2.4 and later refuse. 3.9 spreads the bool of a comparison
    of two scalars as int32, and then refuses it as a mask.
    """
    if torch.cuda.is_available():
        return
    interpreter = pytest.importorskip("triton.runtime.interpreter")
    spread = interpreter.InterpreterBuilder.create_splat

    def spread_as_it_is(self: Any, kind: Any, value: Any) -> Any:
        result = spread(self, kind, value)
        if value.data.dtype == bool:
            result.data = result.data.astype(bool)
        return result

    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_splat", spread_as_it_is)
    patch = interpreter._patch_lang_tensor

    def patched(tensor: Any, scope: Any) -> None:
        patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    monkeypatch.setattr(interpreter, "_patch_lang_tensor", patched)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First: xdist reads the groups in the same hook, and would find none."""
    for item in items:
        if not item.get_closest_marker("gpu"):
            continue
        if not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
            continue
        # Tests that share compiled kernels go to one worker, which compiles them once.
        chosen = item.callspec.params if hasattr(item, "callspec") else {}
        state = chosen["shape"][-1] if "shape" in chosen else chosen.get("state", 64)
        item.add_marker(pytest.mark.xdist_group(f"{item.path.name} {chosen.get('kind')} {state}"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """On a GPU a run may be cut off before the summary, so a failure is printed when it happens."""
    if report.failed and torch.cuda.is_available() and "PYTEST_XDIST_WORKER" not in os.environ:
        sys.stderr.write(f"\nFAILED {report.nodeid}\n{report.longreprtext[-3000:]}\n")
        sys.stderr.flush()


@pytest.fixture
def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(params=["reference", "triton"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The test runs on both paths."""
    if request.param == "triton":
        pytest.importorskip("triton")
    monkeypatch.setenv("CLAIMSIGHT_KERNELS", request.param)
    return request.param


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """torch.empty gives NaN, so that an element that no kernel writes shows."""

    def nan_filled(allocate: Any) -> Any:
        def allocated(*args: Any, **kwargs: Any) -> torch.Tensor:
            tensor = allocate(*args, **kwargs)
            return tensor.fill_(float("nan")) if tensor.is_floating_point() else tensor.fill_(-(2**30))

        return allocated

    monkeypatch.setattr(torch, "empty", nan_filled(torch.empty))
    monkeypatch.setattr(torch, "empty_like", nan_filled(torch.empty_like))
    return
