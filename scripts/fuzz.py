"""Coverage-guided fuzzing of what reads hostile bytes in the server itself: type by content, filters, multipart forms.

    python scripts/fuzz.py [--seconds N] [TARGET...]

Each target runs in a process of its own, from the seeds in tests/fuzz/seeds. An input that breaks a promise is left as
crash-* in the present folder, and the exit status is 1: mend the fault and keep the input as a seed. Wants atheris
(`pip install -e '.[attack]'`).
"""

from __future__ import annotations

import argparse
import logging
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

INPUT_BYTES = 8192


def run_target(name: str, seconds: int) -> None:
    """In this process; libFuzzer ends it."""
    import atheris

    logging.disable()  # the form parser warns of each broken form
    with atheris.instrument_imports(include=["app", "retrieval", "puremagic", "python_multipart"]):
        from tests.fuzz.targets import SEEDS, TARGETS
    with tempfile.TemporaryDirectory() as found:
        shutil.copytree(SEEDS / name, found, dirs_exist_ok=True)
        options = [f"-max_total_time={seconds}", f"-max_len={INPUT_BYTES}", "-timeout=30", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], found, *options], TARGETS[name])
        atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600, help="all targets together")
    parser.add_argument("--here", action="store_true", help="the one target, in this process")
    parser.add_argument("targets", nargs="*", metavar="TARGET", default=["sniff", "filters", "multipart"])
    given = parser.parse_args()
    if given.here:
        run_target(given.targets[0], given.seconds)
        return
    failed: list[str] = []
    for name in given.targets:
        share = max(1, given.seconds // len(given.targets))
        print(f"{name}: {share} s", flush=True)
        done = subprocess.run([sys.executable, __file__, "--here", "--seconds", str(share), name], check=False)
        failed += [name] if done.returncode else []
    if failed:
        raise SystemExit(f"a promise was broken: {', '.join(failed)}")


if __name__ == "__main__":
    main()
