"""Evaluation sets on disk: pages with questions, or photos with labels.

Pages:  pages/* pictures, named by page id; queries.jsonl, one object a line:
        {"qid": "q1", "query": "words" or "image": "file", "kind": "phrase", "page_ids": ["p7", ...]}
Photos: labels.jsonl, one object a line: {"photo_id": "x1", "file": "x1.jpg", "label_fine": "car_door_dent", ...}, the
        files beside it. Every photo whose label has at least 4 photos is a query; the others of its label are relevant.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from retrieval.errors import InvalidInput

MIN_LABEL_PHOTOS = 4


@dataclass(frozen=True, slots=True)
class LabelledQuery:
    """Exactly one of text, image (a file) and page (a picture of the set: "more like this").

    leave_out: the picture that is the query itself, never an answer.
    """

    qid: str
    kind: str
    relevant: frozenset[str]
    text: str | None = None
    image: Path | None = None
    page: str | None = None
    leave_out: str | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """pictures: by id, in order of ids. kind: decides which figures are reported."""

    folder: Path
    kind: Literal["pages", "photos"]
    pictures: Mapping[str, Path]
    queries: tuple[LabelledQuery, ...]


def load_dataset(folder: Path) -> Dataset:
    """Raises InvalidInput bad_dataset that names the file and line."""
    if (folder / "queries.jsonl").is_file():
        return _load_pages(folder)
    if (folder / "labels.jsonl").is_file():
        return _load_photos(folder)
    raise _bad(f"{folder.name} holds neither queries.jsonl nor labels.jsonl.")


def _load_pages(folder: Path) -> Dataset:
    files = sorted(path for path in (folder / "pages").glob("*") if path.is_file() and not path.name.startswith("."))
    pictures: dict[str, Path] = {}
    for path in files:
        if path.stem in pictures:
            raise _bad(f"pages/{path.name} and pages/{pictures[path.stem].name} have the same id.")
        pictures[path.stem] = path
    if not pictures:
        raise _bad(f"{folder.name}/pages holds no pictures.")
    queries = tuple(_page_query(folder, pictures, line, where) for line, where in _lines(folder / "queries.jsonl"))
    return Dataset(folder, "pages", pictures, _not_empty(queries, folder))


def _page_query(folder: Path, pictures: Mapping[str, Path], line: Mapping[str, object], where: str) -> LabelledQuery:
    text, image = line.get("query"), line.get("image")
    if isinstance(text, str) == isinstance(image, str):
        raise _bad(f"{where} needs either query or image.")
    page_ids = line.get("page_ids")
    if not isinstance(page_ids, list) or not page_ids:
        raise _bad(f"{where} needs page_ids, a list of ids.")
    relevant = frozenset(str(page_id) for page_id in cast("list[object]", page_ids))
    if unknown := relevant - pictures.keys():
        raise _bad(f"{where} names page {min(unknown)!r}, which is not in pages/.")
    path = _inside(folder, image, where) if isinstance(image, str) else None
    return LabelledQuery(
        qid=_text(line, "qid", where),
        kind=str(line.get("kind", "all")),
        relevant=relevant,
        text=text if isinstance(text, str) else None,
        image=path,
        leave_out=next((page_id for page_id, picture in pictures.items() if picture.resolve() == path), None),
    )


def _load_photos(folder: Path) -> Dataset:
    pictures: dict[str, Path] = {}
    labels: dict[str, str] = {}
    for line, where in _lines(folder / "labels.jsonl"):
        photo_id = _text(line, "photo_id", where)
        if photo_id in pictures:
            raise _bad(f"{where} repeats photo_id {photo_id!r}.")
        pictures[photo_id] = _inside(folder, _text(line, "file", where), where)
        labels[photo_id] = _text(line, "label_fine", where)
    sizes = Counter(labels.values())
    queries = tuple(
        LabelledQuery(
            qid=photo_id,
            kind=label,
            relevant=frozenset(other for other in labels if labels[other] == label and other != photo_id),
            page=photo_id,
            leave_out=photo_id,
        )
        for photo_id, label in labels.items()
        if sizes[label] >= MIN_LABEL_PHOTOS
    )
    return Dataset(folder, "photos", dict(sorted(pictures.items())), _not_empty(queries, folder))


def _not_empty(queries: tuple[LabelledQuery, ...], folder: Path) -> tuple[LabelledQuery, ...]:
    if not queries:
        raise _bad(f"{folder.name} holds no queries.")
    return queries


def _lines(path: Path) -> Iterator[tuple[Mapping[str, object], str]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where = f"{path.name}, line {number},"
            try:
                value: object = json.loads(line)
            except json.JSONDecodeError:
                raise _bad(f"{where} is not JSON.") from None
            if not isinstance(value, dict):
                raise _bad(f"{where} is not an object.")
            yield cast("dict[str, object]", value), where


def _text(line: Mapping[str, object], name: str, where: str) -> str:
    value = line.get(name)
    if not isinstance(value, str) or not value:
        raise _bad(f"{where} needs {name}.")
    return value


def _inside(folder: Path, name: str, where: str) -> Path:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise _bad(f"{where} names {name!r}, which is not a file of the set.")
    return path


def _bad(detail: str) -> InvalidInput:
    return InvalidInput(detail, code="bad_dataset", field="dataset")
