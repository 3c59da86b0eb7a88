"""Each fault as one round: upload, do it, take it back, and the seconds until everything accepted is indexed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from scripts.bench.processes import command_of, descendants
from scripts.faults.clocks import log_of, workers_by
from scripts.faults.house import LEASE_S, ROUND_LIMIT_S, House
from tests.e2e.processes import environment

Round = Callable[[House], float | None]
"""Seconds to recover; None when nothing was accepted, so that there is nothing to tell."""


def worker_pids(house: House) -> list[int]:
    return [pid for pid in descendants(house.server.process.pid) if b"app.cli\0worker" in command_of(pid)]


def kill_everything(house: House) -> float | None:
    """kill -9 of server and workers together, at any moment of the ingest."""
    job = house.upload()
    time.sleep(house.chance.uniform(0.0, 1.5))
    house.server.kill_all()
    house.restart()
    return None if job is None else house.wait_done(job)


def kill_workers(house: House) -> float | None:
    """kill -9 of the workers alone; the server starts others."""
    job = house.upload()
    assert job is not None
    house.wait_working(job)
    time.sleep(house.chance.uniform(0.0, 0.5))
    for pid in worker_pids(house):
        os.kill(pid, signal.SIGKILL)
    return house.wait_done(job)


def freeze_worker(house: House) -> float | None:
    """A worker stands still for longer than its lease, another takes its file over, then it goes on."""
    job = house.upload()
    assert job is not None
    house.wait_working(job)
    frozen = worker_pids(house)[:1]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(LEASE_S * 1.5)
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    return house.wait_done(job)


def set_clock_back(house: House) -> float | None:
    """The clock of both workers is set back by an hour in the middle of an ingest, by an NTP server, say."""
    offset = house.folder / "offset"
    offset.write_text("0", encoding="ascii")
    with workers_by(house, offset, offset):
        job = house.upload()
        assert job is not None
        house.wait_working(job)
        time.sleep(house.chance.uniform(0.0, 0.5))
        offset.with_suffix(".new").write_text("-3600", encoding="ascii")
        offset.with_suffix(".new").replace(offset)
        return house.wait_done(job)


def work_twice(house: House) -> float | None:
    """The clock of one worker is an hour ahead: to it no lease of the other holds, so both work on the same files."""
    right, ahead = house.folder / "right", house.folder / "ahead"
    right.write_text("0", encoding="ascii")
    ahead.write_text("3600", encoding="ascii")
    with workers_by(house, right, ahead):
        job = house.upload()
        assert job is not None
        seconds = house.wait_done(job)
    assert '"code": "lease_lost"' in log_of(house).read_text(encoding="utf-8"), "no file was worked on twice"
    return seconds


def stop_politely(house: House) -> float | None:
    """SIGTERM in the middle of an ingest: it ends by itself, exit status 0, and hands its files back."""
    job = house.upload()
    assert job is not None
    house.wait_working(job)
    status = house.server.stop()
    assert status == 0, f"exit status {status}"
    house.restart()
    return house.wait_done(job)


def kill_database(house: House) -> float | None:
    """kill -9 of the database server in the middle of an ingest, started again after a while."""
    assert house.mongo is not None
    job = house.upload()
    assert job is not None
    house.wait_working(job)
    with house.asking():
        house.mongo.kill()
        time.sleep(house.chance.uniform(0.5, 3.0))
        house.mongo.start()
        return house.wait_done(job)


def step_down(house: House) -> float | None:
    """The next writes are answered by a server that is no longer primary, and every connection is cut."""
    assert house.mongo is not None
    job = house.upload()
    assert job is not None
    with house.asking():
        house.mongo.standin.step_down(house.chance.randint(1, 6))
        house.mongo.standin.hang_up()
        return house.wait_done(job)


def cut_connections(house: House) -> float | None:
    """Every connection to the database is cut, again and again while files come in."""
    assert house.mongo is not None
    job = house.upload()
    assert job is not None
    with house.asking():
        for _ in range(5):
            house.mongo.standin.hang_up()
            time.sleep(house.chance.uniform(0.05, 0.3))
        return house.wait_done(job)


def disk_full(house: House) -> float | None:
    """The disk of the store fills up while files come in; later there is room again."""
    data = Path(house.environment["CLAIMSIGHT_STORE"].removeprefix("sqlite:"))
    ballast = data.parent / "ballast"
    job = house.upload()
    assert job is not None
    with house.asking():
        with ballast.open("wb") as file:
            try:
                while True:
                    file.write(b"\0" * 65536)
                    file.flush()
            except OSError:
                pass
        house.upload()  # refused, or accepted and then kept
        time.sleep(house.chance.uniform(0.5, 2.0))
        ballast.unlink()
        waited = [house.wait_done(job) for job in list(house.accepted)]
    return sum(waited)


def damage_page(house: House) -> float | None:
    """A page of the database file is overwritten: the service says so, `verify` finds it, the backup brings it back."""
    job = house.upload()
    assert job is not None
    house.wait_done(job)
    data, backup = house.folder / "data", house.folder / "backup"
    assert _command(house, "backup", str(backup)) == 0
    assert house.server.stop() == 0
    database = data / "claimsight.db"
    size = database.stat().st_size
    with database.open("r+b") as file:
        # Every third page from the second on: some of them are read by any question.
        for place in range(4096, size, 3 * 4096):
            file.seek(place)
            file.write(os.urandom(512))
    assert _command(house, "verify") == 1, "verify did not see the damage"
    began = time.monotonic()
    shutil.rmtree(data)
    assert _command(house, "restore", str(backup)) == 0
    shutil.rmtree(backup)
    house.restart()
    house.server.wait_ready()
    return time.monotonic() - began


def _command(house: House, *words: str) -> int:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *words],
        env=environment(house.folder, house.environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=ROUND_LIMIT_S,
        check=False,
    ).returncode


def embeddings(fault: Callable[[House], None]) -> Round:
    """The embedding service fails while files come in and questions are asked."""

    def one(house: House) -> float | None:
        fault(house)
        job = house.upload()
        assert job is not None
        with house.asking():
            return house.wait_done(job)

    return one


EMBEDDING_FAULTS: dict[str, Callable[[House], None]] = {
    "429 with Retry-After": lambda house: house.voyage.answer_next(429, times=4, headers={"Retry-After": "1"}),
    "500": lambda house: house.voyage.answer_next(500, times=6),
    "no answer": lambda house: house.voyage.stall_next(times=2),
    "connection cut": lambda house: house.voyage.drop_next(times=4),
    "half an answer": lambda house: house.voyage.break_next("half", times=4),
    "not JSON": lambda house: house.voyage.break_next("not_json", times=4),
    "wrong dimension": lambda house: house.voyage.break_next("wrong_dimension", times=4),
    "NaN": lambda house: house.voyage.break_next("nan", times=4),
    "wrong count": lambda house: house.voyage.break_next("wrong_count", times=4),
    "shuffled": lambda house: house.voyage.break_next("shuffled", times=4),
    "an index twice": lambda house: house.voyage.break_next("same_index", times=4),
}
