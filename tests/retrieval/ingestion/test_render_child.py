"""Whatever a file does, its process ends with all that it started, and only its own page is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest

from retrieval.errors import Refused
from retrieval.ingestion.limits import MIB
from retrieval.ingestion.media import MediaType
from retrieval.ingestion.render import Renderer
from scripts.bench.processes import command_of, descendants, lives
from tests.retrieval.ingestion.conftest import QUICK, children, rendered, resident_mib, sample
from tests.retrieval.ingestion.make_big import pdf_of

ROOT = Path(__file__).parents[3]


async def test_bad_page_does_not_cost_its_neighbours(tmp_path: Path) -> None:
    source = _three_pages_with_a_bomb_in_the_middle(tmp_path)
    rendering = await rendered(source, tmp_path, limits=replace(QUICK, render_cpu_s=1))
    assert [page.number for page in rendering.pages] == [1, 3]
    [failed] = rendering.failed
    assert failed.number == 2
    assert failed.code in ("timeout", "out_of_memory")
    assert sorted(os.listdir(tmp_path)) == ["1.webp", "3.webp", "mixed.pdf"]


async def test_memory_limit_holds_and_says_so(tmp_path: Path) -> None:
    limits = replace(QUICK, tool_bytes=120 * MIB, render_cpu_s=20)
    rendering = await rendered(sample("odd/bomb_path.pdf"), tmp_path, limits=limits)
    assert [failed.code for failed in rendering.failed] == ["out_of_memory"]


async def test_flood_of_warnings_costs_no_memory(tmp_path: Path) -> None:
    before_mib = resident_mib()
    rendering = await rendered(sample("odd/log_flood.pdf"), tmp_path, limits=replace(QUICK, render_cpu_s=20))
    assert [failed.code for failed in rendering.failed] == ["damaged"]
    assert resident_mib() < before_mib + 20


async def test_cancelled_rendering_leaves_no_process(tmp_path: Path) -> None:
    limits = replace(QUICK, render_cpu_s=60)
    task = asyncio.create_task(rendered(sample("odd/bomb_forms.pdf"), tmp_path, limits=limits))
    tools = await _when_running(b"pdftoppm")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() == []
    await _all_gone(tools)


async def test_wall_time_ends_what_uses_no_processor_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("pdfinfo", "pdftoppm"):
        (tools / tool).write_text("#!/bin/sh\nexec sleep 600\n")
        (tools / tool).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(Refused) as caught:
        await rendered(sample("odd/ok.pdf"), tmp_path, limits=replace(QUICK, wall_s=1.0))
    assert caught.value.code == "timeout"
    assert children() == []


PARENT = """
import asyncio, sys
from pathlib import Path
from retrieval.ingestion.limits import Limits
from retrieval.ingestion.render import Renderer
from retrieval.ingestion.media import MediaType
source, folder = map(Path, sys.argv[1:])
asyncio.run(Renderer(Limits(render_cpu_s=60)).render(source, MediaType.pdf, first=1, last=1, folder=folder))
"""


async def test_everything_dies_with_a_killed_worker(tmp_path: Path) -> None:
    arguments = ["-c", PARENT, str(sample("odd/bomb_forms.pdf")), str(tmp_path)]
    worker = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT)
    try:
        tools = await _when_running(b"pdftoppm", below=worker.pid)
        family = {*tools, *descendants(worker.pid)} - {worker.pid}
        assert len(set(family)) >= 2
    finally:
        worker.send_signal(signal.SIGKILL)
        await worker.wait()
    await _all_gone(family)


@pytest.mark.parametrize("output", [b"not json\n", b'{"event": "page", "number": 1}\n', b'"text"\n', b"x" * 200_000])
async def test_child_that_was_taken_over_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: bytes
) -> None:
    impostor = tmp_path / "impostor"
    (tmp_path / "said").write_bytes(output)
    impostor.write_text(f"#!/bin/sh\ncat '{tmp_path / 'said'}'\nexec sleep 600\n")
    impostor.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(impostor))
    with pytest.raises(Refused) as caught:
        await Renderer(QUICK).render(tmp_path / "x.pdf", MediaType.pdf, first=1, last=1, folder=tmp_path)
    assert caught.value.code == "damaged"
    assert children() == []


async def test_child_sees_no_secret_of_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAIMSIGHT_VOYAGE_API_KEY", "secret")
    spy = tmp_path / "spy"
    spy.write_text(f"#!/bin/sh\nenv > '{tmp_path / 'seen'}'\n")
    spy.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(spy))
    with pytest.raises(Refused):
        await Renderer(QUICK).render(tmp_path / "x.pdf", MediaType.pdf, first=1, last=1, folder=tmp_path)
    assert "secret" not in (tmp_path / "seen").read_text()


async def test_type_of_the_request_does_not_open_other_formats(tmp_path: Path) -> None:
    """A PostScript program under the type of a picture is never handed to an interpreter."""
    with pytest.raises(Refused) as caught:
        await Renderer(QUICK).render(sample("odd/eps_named.jpg"), MediaType.jpeg, first=1, last=1, folder=tmp_path)
    assert caught.value.code == "damaged"


def test_child_starts_without_what_it_does_not_need() -> None:
    code = "import retrieval.ingestion.render_child, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True).stdout.split()
    assert not {b"numpy", b"torch", b"pymongo", b"structlog", b"asyncio"} & set(loaded)


def _three_pages_with_a_bomb_in_the_middle(folder: Path) -> Path:
    """Page 2 draws 10^8 lines through forms that draw each other."""
    forms = [
        f"<< /Type /XObject /Subtype /Form /BBox [0 0 100 100] /Length {len(body)} "
        f"/Resources << /XObject << /F {12 + level} 0 R >> >> >>\nstream\n{body}\nendstream"
        for level, body in enumerate(["/F Do " * 10] * 8 + ["0 0 m 9 9 l S "])
    ]
    page = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {} 0 R /Resources << {} >> >>"
    text = "0 0 m 300 300 l S"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Count 3 /Kids [3 0 R 4 0 R 5 0 R] >>",
        page.format(6, ""),
        page.format(7, "/XObject << /F 11 0 R >>"),
        page.format(6, ""),
        f"<< /Length {len(text)} >>\nstream\n{text}\nendstream",
        "<< /Length 5 >>\nstream\n/F Do\nendstream",
        "null",
        "null",
        "null",
        *forms,
    ]
    source = folder / "mixed.pdf"
    source.write_bytes(pdf_of(objects))
    return source


async def _all_gone(pids: Collection[int]) -> None:
    """A killed process is not gone in the same instant, but soon."""
    async with asyncio.timeout(10):
        while any(lives(pid) for pid in pids):  # noqa: ASYNC110  The kernel tells nobody.
            await asyncio.sleep(0.01)


async def _when_running(name: bytes, *, below: int | None = None) -> list[int]:
    """Process ids of the tool, once it runs below this process (or the one given)."""
    async with asyncio.timeout(30):
        while not (found := [pid for pid in descendants(below or os.getpid())[1:] if _runs(name, pid)]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return found


def _runs(name: bytes, pid: int) -> bool:
    return name in command_of(pid).split(b"\0")[0]
