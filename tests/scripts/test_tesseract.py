"""Tesseract is called on every page once, its time is its own, and a missing one is told in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from scripts.bench import tesseract

BURNS_CPU = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "p1.webp"
    Image.new("L", (60, 40), "white").save(path)
    return path


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """A program called tesseract that writes a line into a log each time; the log."""
    log, program = folder / "calls.log", folder / "bin" / "tesseract"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nhead -n 2 "$1" | tr "\\n" " " >> {log}; echo $OMP_THREAD_LIMIT >> {log}\n{script}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return log


def test_text_and_processor_time_come_back(tmp_path: Path, page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = install(tmp_path, monkeypatch, f"{BURNS_CPU}; echo MEGA BIGBOX")
    reading = tesseract.read(tesseract.open_page(page))
    assert reading.text == "MEGA BIGBOX\n"
    assert reading.cpu_s > 0
    assert log.read_text() == "P6 60 40 1\n", "as large as it is, one thread"


def test_an_enlarged_page_has_twice_the_sides(tmp_path: Path, page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = install(tmp_path, monkeypatch, "echo text")
    tesseract.read(tesseract.open_page(page), enlarge=2)
    assert log.read_text().startswith("P6 120 80")


def test_a_failure_is_no_empty_page(tmp_path: Path, page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "exit 3")
    with pytest.raises(RuntimeError, match="ended with 3"):
        tesseract.read(tesseract.open_page(page))


def test_a_page_is_read_once_until_it_changes(tmp_path: Path, page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = install(tmp_path, monkeypatch, "echo text")
    cache = tesseract.Cache(tmp_path / "cache", "5")

    def calls() -> int:
        dict(tesseract.read_all({"p1": page}, cache, enlarge=1, at_once=2))
        return len(log.read_text().splitlines())

    assert [calls(), calls()] == [1, 1]
    Image.new("L", (60, 40), "black").save(page)
    assert calls() == 2


def test_a_missing_tesseract_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="apt-get install tesseract-ocr"):
        tesseract.version()
