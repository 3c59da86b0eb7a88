"""Memory of an ingest follows the batch, not the file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from retrieval.ingestion.limits import Limits
from tests.retrieval.ingestion.conftest import children, rendered, sample

ROOT = Path(__file__).parents[3]

# Ingests one file and notes the highest resident memory whenever pages were stored.
INGEST = """
import asyncio, json, resource, sys
from pathlib import Path
from retrieval.documents import Claim
from retrieval.ingestion.intake import Intake
from retrieval.ingestion.limits import Limits
from retrieval.ingestion.worker import Worker
from retrieval.stores.sqlite import SqliteStore
from tests.fakes.encoder import FakeEncoder

async def chunks(path):
    with path.open("rb") as file:
        while data := file.read(65536):
            yield data

async def main(source, folder):
    limits = Limits(long_side=1024)
    store, encoder = await SqliteStore.open(folder / "data"), FakeEncoder(batch_size=8)
    await store.ensure_index(dims=encoder.dims)
    await store.claims.put("t", Claim(claim_id="c"))
    peaks, stored, put = {}, 0, store.pages.put
    async def noted(lease, pages):
        nonlocal stored
        await put(lease, pages)
        stored += len(pages)
        peaks[stored] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    store.pages.put = noted
    intake = Intake(store, folder / "spool", limits)
    job, _ = await intake.submit("t", "c", [await intake.receive("a.pdf", chunks(source))])
    await Worker(store, encoder, worker_id="w", work_dir=folder / "spool", limits=limits).run_once()
    [entry] = (await store.jobs.get("t", job.job_id)).entries
    await store.close()
    print(json.dumps({"state": entry.state, "pages": entry.pages_done, "peaks_kib": peaks}))

asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
"""


@pytest.mark.slow
def test_400_pages_take_no_more_memory_than_50(tmp_path: Path) -> None:
    manual = sample("real/manual_400_pages.pdf")
    done = subprocess.run(
        [sys.executable, "-c", INGEST, str(manual), str(tmp_path)], cwd=ROOT, capture_output=True, check=True
    )
    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["state"], said["pages"]) == ("succeeded", 400)
    peaks_mib = {int(stored): kib / 1024 for stored, kib in said["peaks_kib"].items()}
    at_50 = peaks_mib[min(stored for stored in peaks_mib if stored >= 50)]
    assert peaks_mib[400] < at_50 + 40
    assert list((tmp_path / "spool").iterdir()) == []


async def test_photo_of_108_megapixels_is_taken_in_little_memory(tmp_path: Path) -> None:
    source = tmp_path / "phone.jpg"
    Image.effect_mandelbrot((1200, 900), (-2, -1.5, 1, 1.5), 20).convert("RGB").resize((12_000, 9_000)).save(source)
    folder = tmp_path / "out"
    folder.mkdir()
    rendering = await rendered(source, folder, limits=Limits(picture_bytes=400 * 1024 * 1024))
    assert [(page.width, page.height) for page in rendering.pages] == [(2048, 1536)]
    assert children() == []
