"""What killed processes leave behind goes; what living ones use stays."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from retrieval.ingestion.spool import Spool, finishing

HOLD = """
import sys
from pathlib import Path
from retrieval.ingestion.spool import Spool
spool = Spool(Path(sys.argv[1]))
file, folder = spool.entry("file"), spool.entry("folder")
file.create(); folder.create()
file.append(b"half")
(folder.path / "1.webp").write_bytes(b"x")
print("ready", flush=True)
sys.stdin.read()
"""


def test_sweep_takes_what_a_killed_process_left_and_nothing_in_use(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    mine = spool.entry("file")
    mine.create()
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        assert spool.sweep() == 0
        holder.kill()
    assert len(list(tmp_path.iterdir())) == 3
    assert spool.sweep() == 2
    assert [path.name for path in tmp_path.iterdir()] == [mine.path.name]
    mine.remove()
    assert list(tmp_path.iterdir()) == []


def test_sweep_leaves_foreign_files_and_follows_no_link(tmp_path: Path) -> None:
    spool_dir, outside = tmp_path / "spool", tmp_path / "outside.txt"
    spool_dir.mkdir()
    outside.write_text("keep")
    (spool_dir / "notes.txt").write_text("keep")
    (spool_dir / "link.file").symlink_to(outside)
    assert Spool(spool_dir).sweep() == 0
    assert outside.read_text() == "keep"
    assert (spool_dir / "notes.txt").exists()


def test_sweep_of_a_missing_folder_is_nothing(tmp_path: Path) -> None:
    assert Spool(tmp_path / "none").sweep() == 0


def test_entry_is_private_to_its_user(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    file, folder = spool.entry("file"), spool.entry("folder")
    file.create()
    folder.create()
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert folder.path.stat().st_mode & 0o777 == 0o700
    file.remove()
    folder.remove()
    folder.remove()


async def test_cancelled_work_in_a_thread_is_waited_for() -> None:
    started, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        go_on.wait(10)
        ended.set()

    task = asyncio.create_task(finishing(work))
    await asyncio.to_thread(started.wait, 10)
    task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
