"""Which faces pages are set in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from models.training.synthesis.fonts import GROUPS, PER_FOLDER, choose
from models.training.synthesis.legible import LEAST, SIGNS, Legibility, shapes


@pytest.fixture
def folder(font_file: Path, tmp_path: Path) -> Path:
    """Two cuts of a face of offices, and a folder of many others."""
    office = [f"office/LiberationSans-{cut}" for cut in ("Regular", "BoldItalic")]
    for name in (*office, *(f"many/{n}cut" for n in range(9))):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(font_file, tmp_path / f"{name}.ttf")
    return tmp_path


def test_faces_of_offices_are_all_taken_and_others_are_a_few_of_each_folder(folder: Path) -> None:
    faces = choose(folder, limit=100)
    office = [face.path.stem for face in faces if GROUPS[face.group] == "office"]
    assert sorted(office) == ["LiberationSans-BoldItalic", "LiberationSans-Regular"]
    assert len(faces) == len(office) + PER_FOLDER
    assert [face.group for face in faces] == sorted(face.group for face in faces)


def test_the_limit_is_of_the_others(folder: Path) -> None:
    assert len(choose(folder, limit=3)) == 2 + 3


def test_a_face_is_legible_if_its_signs_look_like_themselves(font_file: Path) -> None:
    legible, drawn = Legibility([font_file]), shapes(font_file)
    assert legible.share(drawn) == 1.0
    small = len(SIGNS[:26])
    capitals = drawn.copy()
    capitals[:small] = drawn[small : 2 * small]
    assert legible.share(capitals) == 1.0
    assert legible.share(drawn[::-1]) < LEAST
