"""What the visual tower learns from: photos of damage with fine labels, and pages with their type."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.training.real_pages import listed

STORED_SIDE = 320
"""Pictures wait squashed to this side: crops are cut from it."""
SEVERITY_ONLY = ("car_mixed_minor", "car_mixed_moderate")
"""Labels that tell how bad a damage is, and neither its place nor its kind."""
PERMISSIVE = (
    "VadimsRomanovskis/vehicle-damage-severity-assessment",
    "yatharthbhatia/car-damage-analysis",
    "jvk1chaitanya/fire-image-detection",
    "sujithmannarkkad/Mask_RCNN_Car_Damage",
)
"""Sources whose repository states CC BY 4.0, MIT or Apache-2.0."""
HELD_OUT = (
    "car_windscreen_broken",
    "car_door_scratch",
    "car_headlamp_broken",
    "flood_street",
    "pavement_crack",
    "phone_screen_cracked",
)
"""Labels of the leave-labels-out check: fixed before any result was seen."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture's labels; an empty string = not known. source: the repository that it came from."""

    path: Path
    fine: str
    subject: str
    part: str
    kind: str
    severity: str
    source: str

    @property
    def is_page(self) -> bool:
        return self.fine.startswith("page_")


@dataclass(frozen=True, slots=True)
class Pictures:
    """images: uint8 [n, 3, STORED_SIDE, STORED_SIDE], squashed. aspect: float32 [n], ln(width / height)."""

    entries: tuple[Entry, ...]
    images: Tensor
    aspect: Tensor


def photo_entries(folder: Path) -> list[Entry]:
    """Photos of a folder with labels.jsonl, as data/photos/train."""
    entries: list[Entry] = []
    for line in (folder / "labels.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        known = row["label_fine"] not in SEVERITY_ONLY
        entries.append(
            Entry(
                path=folder / row["file"],
                fine=row["label_fine"],
                subject=row["subject"],
                part=row["part"] if known else "",
                kind=row["kind_of_damage"] if known else "",
                severity=row["severity"] or "",
                source=row["source"].partition("@")[0],
            )
        )
    return entries


def page_entries(folder: Path) -> list[Entry]:
    """Pages of a folder as data/docs/train, without those whose licence forbids training."""
    return [
        Entry(
            path=path,
            fine=f"page_{row['type']}",
            subject="page",
            part="",
            kind="",
            severity="",
            source=row["repo"],
        )
        for row, path in listed(folder, research_only=False)
    ]


def training_entries(photos: Path, pages: Path, *, permissive: bool, held_out: bool = False) -> list[Entry]:
    """Photos, then pages. permissive: photos of PERMISSIVE sources alone. held_out: without photos of those labels."""
    chosen = [
        entry
        for entry in photo_entries(photos)
        if (not permissive or entry.source in PERMISSIVE) and not (held_out and entry.fine in HELD_OUT)
    ]
    return [*chosen, *page_entries(pages)]


def load(entries: Sequence[Entry]) -> Pictures:
    """Decode and squash; on the CPU, one picture a thread."""
    images = np.empty((len(entries), STORED_SIDE, STORED_SIDE, 3), np.uint8)

    def put(row: int) -> float:
        with Image.open(entries[row].path) as picture:
            small = picture.convert("RGB").resize((STORED_SIDE, STORED_SIDE), Image.Resampling.BICUBIC)
            images[row] = np.asarray(small)
            return math.log(picture.width / picture.height)

    with ThreadPoolExecutor() as pool:
        aspect = torch.tensor(list(pool.map(put, range(len(entries)))))
    return Pictures(tuple(entries), torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), aspect)
