"""The photos of a folder with labels.jsonl."""

from __future__ import annotations

import json
from pathlib import Path


def photo_paths(folder: Path) -> list[Path]:
    """In the order of labels.jsonl."""
    lines = (folder / "labels.jsonl").read_text(encoding="utf-8").splitlines()
    return [folder / json.loads(line)["file"] for line in lines]
