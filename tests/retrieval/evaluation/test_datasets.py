"""Evaluation folders: what is read, and what is said about a folder that is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from retrieval.errors import InvalidInput
from retrieval.evaluation.datasets import load_dataset


def write_lines(path: Path, *lines: object) -> None:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 32), "red").save(path)


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    for name in ("p1.webp", "p2.png", "p3.jpg"):
        picture(tmp_path / "pages" / name)
    return tmp_path


def test_pages_and_questions_are_read(pages: Path) -> None:
    picture(pages / "questions" / "crop.png")
    write_lines(
        pages / "queries.jsonl",
        {"qid": "q1", "query": "hail", "kind": "phrase", "page_ids": ["p1", "p3"]},
        "",
        {"qid": "q2", "image": "questions/crop.png", "page_ids": ["p2"]},
        {"qid": "q3", "image": "pages/p1.webp", "page_ids": ["p2"]},
    )
    found = load_dataset(pages)
    assert found.kind == "pages"
    assert list(found.pictures) == ["p1", "p2", "p3"]
    words, crop, page = found.queries
    assert (words.text, words.kind, words.relevant) == ("hail", "phrase", frozenset({"p1", "p3"}))
    assert crop.image is not None
    assert crop.image.name == "crop.png"
    assert crop.leave_out is None
    assert page.leave_out == "p1"


def test_photos_of_labels_with_four_photos_are_queries(tmp_path: Path) -> None:
    labels = ["dent"] * 4 + ["fire"] * 3
    for number in range(7):
        picture(tmp_path / f"x{number}.jpg")
    write_lines(
        tmp_path / "labels.jsonl",
        *({"photo_id": f"x{n}", "file": f"x{n}.jpg", "label_fine": label} for n, label in enumerate(labels)),
    )
    found = load_dataset(tmp_path)
    assert found.kind == "photos"
    assert len(found.pictures) == 7
    assert [query.qid for query in found.queries] == ["x0", "x1", "x2", "x3"]
    assert found.queries[0].relevant == frozenset({"x1", "x2", "x3"})
    assert found.queries[0].kind == "dent"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2, is not JSON"),
        ("[]", "line 2, is not an object"),
        ({"query": "a", "page_ids": ["p1"]}, "line 2, needs qid"),
        ({"qid": "q", "page_ids": ["p1"]}, "either query or image"),
        ({"qid": "q", "query": "a", "image": "pages/p1.webp", "page_ids": ["p1"]}, "either query or image"),
        ({"qid": "q", "query": "a", "page_ids": []}, "page_ids"),
        ({"qid": "q", "query": "a", "page_ids": ["p9"]}, "'p9'"),
        ({"qid": "q", "image": "../secret.png", "page_ids": ["p1"]}, "not a file of the set"),
    ],
)
def test_a_wrong_line_is_named(pages: Path, line: object, said: str) -> None:
    picture(pages.parent / "secret.png")
    write_lines(pages / "queries.jsonl", {"qid": "q0", "query": "a", "page_ids": ["p1"]}, line)
    with pytest.raises(InvalidInput) as caught:
        load_dataset(pages)
    assert caught.value.code == "bad_dataset"
    assert said in caught.value.detail


def test_a_folder_that_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="neither"):
        load_dataset(tmp_path)


def test_two_pictures_with_one_id_are_refused(pages: Path) -> None:
    picture(pages / "pages" / "p1.jpg")
    write_lines(pages / "queries.jsonl", {"qid": "q0", "query": "a", "page_ids": ["p1"]})
    with pytest.raises(InvalidInput, match="same id"):
        load_dataset(pages)
