"""A whole evaluation: files through intake and worker, questions through the engine, figures out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.evaluation import evaluate
from tests.fakes.encoder import FakeEncoder, draw_words

WORDS = ["hail", "invoice", "theft", "water"]


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    (folder / "pages").mkdir(parents=True)
    for word in WORDS:
        draw_words([word, "common"]).save(folder / "pages" / f"{word}.png")
    draw_words(["hail"]).save(folder / "photo.png")
    queries = [
        *({"qid": f"q{word}", "query": word, "kind": "word", "page_ids": [word]} for word in WORDS),
        {"qid": "both", "query": "common", "kind": "several", "page_ids": ["hail", "theft"]},
        {"qid": "photo", "image": "photo.png", "kind": "photo", "page_ids": ["hail"]},
        {"qid": "self", "image": "pages/hail.png", "kind": "photo", "page_ids": ["theft"]},
        {"qid": "never", "query": "hail", "kind": "wrong", "page_ids": ["water"]},
    ]
    (folder / "queries.jsonl").write_text("\n".join(json.dumps(query) for query in queries))
    return folder


async def test_words_find_their_pages_and_figures_follow(pages: Path, tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    report = await evaluate(
        pages, FakeEncoder(), store_folder=tmp_path / "work", progress=lambda *step: steps.append(step)
    )
    assert report.kinds["word"] == {"ndcg@5": 1.0, "recall@1": 1.0, "recall@5": 1.0, "mrr": 1.0}
    assert report.kinds["several"]["recall@5"] == 1.0
    assert report.kinds["wrong"]["recall@1"] == 0.0
    assert 0 < report.kinds["wrong"]["mrr"] < 1
    assert (report.pages, len(report.runs), report.failed) == (4, 8, {})
    runs = {run.qid: [name for name, _ in run.ranked] for run in report.runs}
    assert runs["photo"][0] == "hail"
    assert "hail" not in runs["self"]
    assert ("index", 4, 4) in steps
    assert steps[-1] == ("search", 8, 8)


async def test_the_report_has_the_promised_shape(pages: Path, tmp_path: Path) -> None:
    report = await evaluate(pages, FakeEncoder(), store_folder=tmp_path / "work")
    summary = json.loads(json.dumps(report.as_json()))
    assert summary.keys() == {"overall", "kinds", "queries", "pages", "encoder", "seconds"}
    assert summary["overall"].keys() == {"ndcg@5", "recall@1", "recall@5", "mrr"}
    assert summary["kinds"].keys() == {"word", "several", "photo", "wrong"}
    assert (summary["queries"], summary["pages"], summary["encoder"]) == (8, 4, "fake/1")
    assert "all queries" in report.table()
    report.write_run(tmp_path / "run.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    assert lines[0]["summary"] == summary
    assert [line["qid"] for line in lines[1:]] == [run.qid for run in report.runs]
    assert lines[1]["page_ids"][0] == "hail"


async def test_a_second_run_in_the_same_folder_indexes_nothing_again(pages: Path, tmp_path: Path) -> None:
    first = FakeEncoder()
    before = await evaluate(pages, first, store_folder=tmp_path / "work")
    second = FakeEncoder()
    after = await evaluate(pages, second, store_folder=tmp_path / "work")
    assert sum(first.page_batches) == 4
    assert second.page_batches == []
    assert after.overall == before.overall
    assert after.pages == 4


async def test_a_folder_used_with_another_encoder_is_taken_over(pages: Path, tmp_path: Path) -> None:
    await evaluate(pages, FakeEncoder(), store_folder=tmp_path / "work")
    report = await evaluate(pages, FakeEncoder(version="2"), store_folder=tmp_path / "work")
    assert (report.encoder, report.pages) == ("fake/2", 4)
    assert report.kinds["word"]["mrr"] == 1.0


async def test_a_file_that_is_no_picture_is_reported_and_counts_as_missed(pages: Path, tmp_path: Path) -> None:
    (pages / "pages" / "water.png").write_bytes(b"not a picture at all")
    report = await evaluate(pages, FakeEncoder(), store_folder=tmp_path / "work")
    assert report.failed.keys() == {"water"}
    assert report.pages == 3
    by_qid = {run.qid: run.figures for run in report.runs}
    assert by_qid["qwater"]["mrr"] == 0.0
    assert by_qid["qhail"]["mrr"] == 1.0


async def test_photos_are_compared_leaving_each_one_out(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = []
    for label in ("dent", "fire"):
        base = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((160, 120))
        for number in range(4):
            name = f"{label}{number}"
            base.crop((number, 0, 150 + number, 115)).save(folder / f"{name}.jpg", quality=80 - number)
            lines.append({"photo_id": name, "file": f"{name}.jpg", "label_fine": label})
    base.save(folder / "rare.jpg")
    lines.append({"photo_id": "rare", "file": "rare.jpg", "label_fine": "rare"})
    (folder / "labels.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    report = await evaluate(folder, FakeEncoder(), store_folder=tmp_path / "work")
    assert report.as_json()["overall"].keys() == {"map", "ndcg@10", "p@5"}  # type: ignore[attr-defined]
    assert report.kinds["dent"]["map"] == pytest.approx(1.0)
    assert report.kinds["dent"]["p@5"] == pytest.approx(0.6)
    assert (report.pages, len(report.runs)) == (9, 8)
    for run in report.runs:
        assert len(run.ranked) == 8
        assert run.qid not in {name for name, _ in run.ranked}


async def test_a_passing_fault_of_the_encoder_does_not_end_it(pages: Path, tmp_path: Path) -> None:
    encoder = FakeEncoder()
    await evaluate(pages, encoder, store_folder=tmp_path / "work")
    encoder.fail_next(2, retry_after_s=0.001)
    report = await evaluate(pages, encoder, store_folder=tmp_path / "work")
    assert report.kinds["word"]["mrr"] == 1.0
