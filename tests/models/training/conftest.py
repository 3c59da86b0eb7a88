"""A small atlas from the one font that comes with Pillow, and a few words; the mode of a training run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ImageFont

from models.training.repeatable import repeat_exactly
from models.training.synthesis.fonts import GROUPS, Face, build_atlas
from models.training.synthesis.scribbles import build_scribbles
from models.training.synthesis.signs import PRINTED
from models.training.synthesis.strokes import Hand, Letter
from models.training.synthesis.vocabulary import array

TEXT = ["claim", "Müller", "(policy)", "o'brien,", "estimate", "bumper", "hail", "storm", "total:", "paid"]
NUMBERS = [
    "\x01\x01/\x01\x01/\x01\x01\x01\x01",
    "\x02\x02\x02-\x01\x01\x01\x01",
    "RM9.00",
    "\x01,\x01\x01\x01.\x01\x01",
]


@pytest.fixture(scope="session")
def font_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pillow's own font as a file."""
    font = ImageFont.load_default(12)
    assert isinstance(font, ImageFont.FreeTypeFont)
    path = tmp_path_factory.mktemp("font") / "default.ttf"
    path.write_bytes(font.path.getvalue())  # pyright: ignore[reportAttributeAccessIssue]
    return path


@pytest.fixture(scope="session")
def assets_folder(font_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """atlas.npz and pool.npz as `build` writes them, one face in every group, and a hand."""
    folder = tmp_path_factory.mktemp("assets")
    hand = Hand({sign: Letter(0.5, [[(0.1, 0.0), (0.2, 0.7), (0.4, 0.0)]]) for sign in PRINTED}, pen=0.06)
    faces = [Face(font_file, group) for group in range(len(GROUPS))]
    atlas: dict[str, Any] = build_atlas(faces, build_scribbles(), [hand])
    np.savez(folder / "atlas.npz", **atlas)
    np.savez(
        folder / "pool.npz", text=array(TEXT), common=array(TEXT), number=array(NUMBERS), prefix=array(["RM", "No."])
    )
    return folder


@pytest.fixture
def exact() -> Iterator[None]:
    """The mode of a training run, for one test."""
    repeat_exactly()
    yield
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = True
