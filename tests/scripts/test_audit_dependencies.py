"""`make audit` says in a sentence when nobody could be asked, and passes on what pip-audit says."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.audit_dependencies import main


def stand_in(folder: Path, *, stderr: str, code: int) -> str:
    """A program that answers as pip-audit did, whatever it is asked."""
    program = folder / "pip-audit"
    program.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{stderr}\nEND\nexit {code}\n")
    program.chmod(0o755)
    return str(program)


def test_without_a_network_it_says_so_and_shows_no_traceback(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = (
        "WARNING:pip_audit._cli:--no-deps is supported\nTraceback (most recent call last):\n"
        '  File "connectionpool.py", line 1, in urlopen\n'
        "requests.exceptions.ConnectionError: Failed to resolve 'pypi.org'"
    )
    assert main(stand_in(tmp_path, stderr=said, code=1)) == 2
    shown = capfd.readouterr().err
    assert "needs a network" in shown
    assert "Failed to resolve 'pypi.org'" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    ("stderr", "code"),
    [("No known vulnerabilities found", 0), ("Found 1 known vulnerability in 1 package", 1)],
)
def test_what_it_found_is_passed_on(tmp_path: Path, capfd: pytest.CaptureFixture[str], stderr: str, code: int) -> None:
    assert main(stand_in(tmp_path, stderr=stderr, code=code)) == code
    assert capfd.readouterr().err.strip() == stderr
