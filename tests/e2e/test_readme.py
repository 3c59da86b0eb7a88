"""The commands of the README and of docs/api.md, typed as they stand there, against a server that runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image, ImageDraw

from tests.e2e.processes import ROOT, embedding_service, environment, serving, with_embedding_service

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

COMMAND_LIMIT_S = 120


@pytest.fixture(scope="module")
def embeddings() -> Iterator[dict[str, str]]:
    with embedding_service() as url:
        yield with_embedding_service(url)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with the files that the guides name, and labelled pages."""
    pillow_heif.register_heif_opener()
    folder = tmp_path / "desk"
    (folder / "set" / "pages").mkdir(parents=True)
    names = ("estimate.pdf", "report.pdf", "windscreen.heic", "windshield.jpg", "smashed.jpg", "photo.jpg", "other.jpg")
    for name in (*names, "set/pages/p1.png", "set/pages/p2.png"):
        picture = Image.new("RGB", (400, 300), "white")
        ImageDraw.Draw(picture).text((20, 20), name, fill="black", font_size=40)
        picture.save(folder / name)
    queries = [{"qid": page, "query": f"page {page}", "kind": "phrase", "page_ids": [page]} for page in ("p1", "p2")]
    (folder / "set" / "queries.jsonl").write_text("".join(json.dumps(query) + "\n" for query in queries))
    return folder


def block_with(guide: Path, start: str) -> list[str]:
    """The lines of the first code block that has one beginning so."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", guide.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return next(lines for block in blocks if (lines := block.splitlines()) and lines[0].startswith(start))


def type_in(line: str, desk: Path, variables: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=desk,
        env=variables,
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
@pytest.mark.parametrize("guide", ["README.md", "docs/api.md"])
def test_the_five_lines_find_what_they_uploaded(
    guide: str, desk: Path, tmp_path: Path, embeddings: dict[str, str]
) -> None:
    (desk / ".curlrc").write_text("silent\nshow-error\nfail-with-body\n")
    variables = {**os.environ, "CURL_HOME": str(desk)}
    job_id = ""
    answers: list[str] = []
    with serving(tmp_path, extra=embeddings) as server:
        for line in block_with(ROOT / guide, "curl"):
            address = server.url.removeprefix("http://")
            answers.append(type_in(line.replace("localhost:8000", address).replace("JOB_ID", job_id), desk, variables))
            if "/assets" in line:
                job_id = json.loads(answers[-1])["job_id"]
    created, _, events, by_words, by_photo = answers
    claim_id = json.loads(created)["claim_id"]
    last = json.loads(re.findall(r"^data: ?(.*)$", events, flags=re.MULTILINE)[-1])
    assert [entry["state"] for entry in last["entries"]] == ["succeeded", "succeeded"]
    for found in (by_words, by_photo):
        assert {hit["claim"]["claim_id"] for hit in json.loads(found)["hits"]} == {claim_id}


def test_the_command_line_does_what_the_readme_says(desk: Path, tmp_path: Path, embeddings: dict[str, str]) -> None:
    variables = environment(tmp_path, embeddings)
    variables["PATH"] = f"{Path(sys.executable).parent}:{variables['PATH']}"
    ingested, found, measured, healthy = (
        type_in(line.replace("DATASET_FOLDER", "set"), desk, variables)
        for line in block_with(ROOT / "README.md", "claimsight")
    )
    assert "photo.jpg: succeeded" in ingested
    assert "report.pdf: succeeded" in ingested
    assert "C-2" in found
    assert "all queries" in measured
    assert "voyage" in healthy
