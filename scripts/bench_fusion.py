"""Photos found by Voyage, by the local look and by both joined by rank, in one run, with the tests' fake of Voyage.

    python scripts/bench_fusion.py PHOTOS

PHOTOS: a folder with dev/ and labels.jsonl in it. Leave-one-out: every photo asks, right is the same label. The fake
knows colours only, so this shows whether the joint order takes the better of two unlike spaces, not how good it is
with the real service. Writes docs/benchmarks/photos_fused.csv.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from models.fused import FusedEncoder
from models.local.photo_looks import PhotoLooks
from models.voyage import VoyageEncoder
from scripts.bench import photos, record
from tests.fakes.voyage import FakeVoyage

ALONE, LOOKS, BOTH = "voyage (fake)", "local look", "voyage (fake) + local look"


async def measure(folder: Path) -> None:
    torch.set_num_threads(1)
    looks = PhotoLooks.load()
    with FakeVoyage() as fake:
        voyage = VoyageEncoder(api_key=fake.key, base_url=fake.url)
        encoder = FusedEncoder(voyage, looks)
        seen = await photos.gallery(encoder, folder / "dev")
        alone = await photos.likeness(voyage, seen.embeddings, seen.pages)
        both = await photos.likeness(encoder, seen.embeddings, seen.pages)
        await encoder.aclose()
    looked = torch.stack([torch.from_numpy(page.tokens[0]) for page in seen.embeddings if page.tokens is not None])
    found = {ALONE: alone, LOOKS: looked @ looked.T, BOTH: both}
    rows = [row for name, part in found.items() for row in photos.judged(name, part, seen.labels)[:3]]
    stamp = record.stamp(["torch", "voyageai"], others={"weights": looks.version})
    record.write_csv(record.BENCHMARKS / "photos_fused.csv", [{**row, **stamp} for row in rows])
    record.show(rows)


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    asyncio.run(measure(parser.parse_args().photos))


if __name__ == "__main__":
    main()
