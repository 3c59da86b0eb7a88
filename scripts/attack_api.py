"""Thousands of requests made from the OpenAPI document against the running service; none may end in a server error.

    python scripts/attack_api.py [--examples N] [--engine sqlite|mongodb]

Schemathesis with all its checks but one (`positive_data_acceptance`: the document cannot say that a filter in an
address is JSON, or that a cursor comes from an earlier answer), its examples, boundary values, random requests and
sequences of requests. The service runs as its own processes with a worker; embeddings come from the light fake.
Writes docs/benchmarks/attack-ENGINE.txt; exit 1 where a check failed.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripts.bench import record
from scripts.faults.house import house, say

HOOKS = "tests.app.attack_hooks"
SEED = 20261128
LEFT_OUT = "positive_data_acceptance"
_COUNT = re.compile(r"(\d+) generated")


def attack(url: str, examples: int) -> tuple[int, str]:
    """Exit status and what was printed."""
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json"]
    command += ["--max-examples", str(examples), "--seed", str(SEED), "--checks", "all", "--exclude-checks", LEFT_OUT]
    command += ["--continue-on-failure", "--request-timeout", "60", "--suppress-health-check", "all", "--no-color"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "SCHEMATHESIS_HOOKS": HOOKS, "PYTHONPATH": str(record.REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    return done.returncode, done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=400, help="random requests for each operation")
    parser.add_argument("--engine", choices=("sqlite", "mongodb"), default="sqlite")
    given = parser.parse_args()
    with ExitStack() as stack:
        made = stack.enter_context(house(given.engine, SEED, workers=1))
        job = made.upload()
        assert job is not None
        made.wait_done(job)
        status, told = attack(made.server.url, given.examples)
        still_ready = made.server.process.poll() is None
        errors = made.server.log.read_text(errors="replace").count("request_failed_unexpectedly")
    stamp = record.stamp(["schemathesis", "hypothesis", "fastapi", "uvicorn"])
    lines = [
        f"engine {given.engine}; unexpected errors in the log of the service: {errors}; still running: {still_ready}",
        " · ".join(stamp.values()),
        "",
        told.replace(made.server.url, "http://127.0.0.1:PORT").strip(),
    ]
    target = record.BENCHMARKS / f"attack-{given.engine}.txt"
    target.write_text("\n".join(line.rstrip() for line in "\n".join(lines).splitlines()) + "\n", encoding="utf-8")
    count = _COUNT.search(told)
    say(f"{count[1] if count else 'no'} requests generated; {target.name}")
    if status or errors or not still_ready:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
