"""docs/threat-model.md: every test that it calls a proof is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROOFS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "threat-model.md").read_text())))


@pytest.mark.parametrize(("file", "name"), PROOFS)
def test_proof_is_there(file: str, name: str) -> None:
    assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)


def test_there_are_proofs() -> None:
    assert len(PROOFS) > 30
