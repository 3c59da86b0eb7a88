"""Tesseract on page pictures, one thread, its processor time measured; texts are kept in a cache folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from PIL import Image

MISSING = "Tesseract is not installed, and the page benchmarks compare with it: apt-get install tesseract-ocr"
LANGUAGE = "eng"


@dataclass(frozen=True, slots=True)
class Reading:
    """What Tesseract read on one page. cpu_s: processor seconds, user and system, of its process."""

    text: str
    cpu_s: float


def version() -> str:
    """For example "5.3.0". Ends the script with a plain sentence where Tesseract is missing."""
    if shutil.which("tesseract") is None:
        raise SystemExit(MISSING)
    told = subprocess.run(["tesseract", "--version"], capture_output=True, text=True, check=True)
    return (told.stdout or told.stderr).split()[1]


def read(picture: Image.Image, *, enlarge: int = 1) -> Reading:
    """Reads one picture with default page segmentation. Tesseract gets uncompressed pixels, so that its time is
    reading and not decoding."""
    if enlarge != 1:
        size = (picture.width * enlarge, picture.height * enlarge)
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    with NamedTemporaryFile(suffix=".pnm") as file:
        picture.save(file, "PPM")
        file.flush()
        process = subprocess.Popen(
            ["tesseract", file.name, "-", "-l", LANGUAGE],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
        )
        assert process.stdout is not None
        with process.stdout as output:
            text = output.read().decode("utf-8", "replace")
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"tesseract ended with {process.returncode}")
    return Reading(text, used.ru_utime + used.ru_stime)


@dataclass(frozen=True, slots=True)
class Cache:
    """Readings by the bytes of the picture, the enlargement and Tesseract's version: a changed page is read again."""

    folder: Path
    version: str

    def load(self, path: Path, *, enlarge: int) -> Reading | None:
        kept = self._file(path, enlarge)
        return Reading(**json.loads(kept.read_text(encoding="utf-8"))) if kept.is_file() else None

    def keep(self, path: Path, reading: Reading, *, enlarge: int) -> None:
        kept = self._file(path, enlarge)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(asdict(reading)), encoding="utf-8")

    def _file(self, path: Path, enlarge: int) -> Path:
        name = hashlib.sha256(path.read_bytes()).hexdigest()[:20]
        return self.folder / f"tesseract-{self.version}-x{enlarge}" / f"{name}.json"


def read_all(
    pictures: Mapping[str, Path], cache: Cache, *, enlarge: int, at_once: int
) -> Iterator[tuple[str, Reading]]:
    """(page id, reading) of every page in order, from the cache where it is there; `at_once` pages side by side."""

    def one(path: Path) -> Reading:
        found = cache.load(path, enlarge=enlarge)
        if found is None:
            found = read(open_page(path), enlarge=enlarge)
            cache.keep(path, found, enlarge=enlarge)
        return found

    with ThreadPoolExecutor(at_once) as pool:
        yield from zip(pictures, pool.map(one, pictures.values()), strict=True)


def open_page(path: Path) -> Image.Image:
    """Decoded, as RGB."""
    with Image.open(path) as image:
        return image.convert("RGB")
