"""Which assembler the kernels are made with."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

pytest.importorskip("triton")
from kernels import launch


def tools(usual: str, newer: str) -> SimpleNamespace:
    return SimpleNamespace(
        nvidia=SimpleNamespace(
            ptxas=SimpleNamespace(path="usual", version=usual),
            ptxas_blackwell=SimpleNamespace(path="newer", version=newer),
        )
    )


def test_the_newer_assembler_is_taken_unless_one_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_PTXAS_PATH", "chosen")
    monkeypatch.setattr(launch, "knobs", tools("12.8", "12.9"))
    launch._take_the_newer_assembler()
    assert os.environ["TRITON_PTXAS_PATH"] == "chosen"
    monkeypatch.delenv("TRITON_PTXAS_PATH")
    monkeypatch.setattr(launch, "knobs", tools("12.10", "12.9"))
    launch._take_the_newer_assembler()
    assert "TRITON_PTXAS_PATH" not in os.environ
    monkeypatch.setattr(launch, "knobs", tools("12.8", "12.9"))
    launch._take_the_newer_assembler()
    assert os.environ.pop("TRITON_PTXAS_PATH") == "newer"


@pytest.mark.parametrize(("version", "sound"), [("12.8", False), ("12.9", True), ("13.0", True)])
def test_assemblers_up_to_12_8_are_known_to_be_wrong(
    version: str, sound: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "knobs", tools(version, version))
    assert launch.assembler_is_sound.__wrapped__() is sound
