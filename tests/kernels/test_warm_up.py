"""What `warm_up` promises: every kernel of a layer has been launched once, gradients too where they are asked for."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("triton")
from kernels.filter import triton as filters
from kernels.maxsim import triton as late
from kernels.norm import triton as norms
from kernels.ssd import triton as scans
from kernels.warm_up import warm_up


@pytest.mark.parametrize("training", [False, True])
def test_every_kernel_of_a_layer_runs_once(training: bool, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    launched: set[str] = set()
    operators = [
        (scans, "scan_forward"), (scans, "scan_backward"), (norms, "norm_forward"), (norms, "norm_backward"),
        (filters, "filter_forward"), (filters, "filter_backward"), (late, "ragged"),
    ]  # fmt: skip

    def watched(module: object, name: str) -> None:
        right = getattr(module, name)

        def call(*args: object) -> object:
            launched.add(name)
            return right(*args)

        monkeypatch.setattr(module, name, call)

    for module, name in operators:
        watched(module, name)
    monkeypatch.setenv("CLAIMSIGHT_KERNELS", "triton")
    warm_up(torch.device(device), dim=32, heads=1, width=16, state=16, words=32, kind=torch.float32, training=training)
    forward = {"scan_forward", "norm_forward", "filter_forward", "ragged"}
    gradients = {"scan_backward", "norm_backward", "filter_backward"}
    assert launched == (forward | gradients if training else forward)
