"""Known vulnerabilities of the pinned dependencies, asked of PyPI by pip-audit: `make audit`.

    python scripts/audit_dependencies.py [pip-audit]

Exit 0: none known. 1: some are, or a dependency could not be asked about; pip-audit says which. 2: nobody was asked.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
OPTIONS = ("--requirement", "constraints.txt", "--no-deps", "--disable-pip", "--strict")


def main(program: str) -> int:
    asked = subprocess.run([program, *OPTIONS], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True, check=False)
    lines = asked.stderr.strip().splitlines()
    if any(line.startswith("Traceback ") for line in lines):
        print(f"pip-audit gave up: {lines[-1]}", file=sys.stderr)
        print("Nothing was checked. `make audit` asks https://pypi.org and needs a network.", file=sys.stderr)
        return 2
    print(asked.stderr, end="", file=sys.stderr)
    if "not found on PyPI" in asked.stderr:
        print("Is pypi.org a mirror here? Then nothing was checked: many lack what is asked.", file=sys.stderr)
    return asked.returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1] if len(sys.argv) > 1 else str(Path(sys.executable).parent / "pip-audit")))
