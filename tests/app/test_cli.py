"""The command line as a process: exit codes, sentences instead of tracebacks, JSON for scripts."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from PIL import Image

from app import cli
from app.commands.data import cost_line
from app.main import VERSION
from retrieval.documents import Losses
from scripts.bench.processes import descendants, lives
from tests.app.conftest import picture
from tests.app.shell import Shell
from tests.e2e.processes import ROOT, embedding_service, free_port, with_embedding_service

COMMANDS = [
    ["serve"], ["worker"], ["demo"], ["ingest"], ["search"], ["evaluate"], ["config"], ["doctor"], ["openapi"],
    ["index"], ["index", "ensure"], ["index", "status"], ["index", "drop"],
    ["encoder"], ["encoder", "info"], ["encoder", "reindex"],
]  # fmt: skip


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture(scope="module")
def embeddings() -> Iterator[str]:
    with embedding_service() as url:
        yield url


@pytest.fixture
def working(tmp_path: Path, embeddings: str) -> Shell:
    return Shell(tmp_path, with_embedding_service(embeddings))


def test_every_command_explains_itself() -> None:
    from typer.testing import CliRunner

    from app.cli import app

    for command in COMMANDS:
        done = CliRunner().invoke(app, [*command, "--help"])
        assert done.exit_code == 0
        assert len(done.output) > 150, command
    overview = CliRunner().invoke(app, ["--help"]).output
    assert all(command[0] in overview for command in COMMANDS)
    groups = [line.split()[0] for line in overview.partition("Commands:")[2].splitlines() if line]
    for group in ("", *groups):
        commands = CliRunner().invoke(app, [*([group] if group else []), "--help"]).output.partition("Commands:")[2]
        assert "..." not in commands, "a summary is cut"


def test_the_version_is_the_one_that_the_api_says(shell: Shell) -> None:
    assert shell.run("--version").stdout == f"{VERSION}\n"


def test_threads_give_their_core_back_soon_and_a_number_that_is_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "app", lambda: None)
    for given, expected in ((None, "10000"), ("77", "77")):
        monkeypatch.setenv("GOMP_SPINCOUNT", given or "")
        if given is None:
            monkeypatch.delenv("GOMP_SPINCOUNT")
        cli.main()
        assert os.environ["GOMP_SPINCOUNT"] == expected


def test_help_does_not_wait_for_the_api() -> None:
    code = (
        "import sys, app.cli; heavy = {'fastapi', 'torch', 'uvicorn', 'PIL'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "more", "says"),
    [
        (["fly"], {}, "fly"),
        (["serve", "--port", "0"], {}, "--port"),
        (["serve", "--host", "0.0.0.0", "--port", str(free_port())], {}, "CLAIMSIGHT_API_KEY"),
        (["serve"], {"CLAIMSIGHT_COLOUR": "red"}, "CLAIMSIGHT_COLOUR"),
        (["config"], {"CLAIMSIGHT_PORT": "x"}, "CLAIMSIGHT_PORT"),
        (["worker"], {"CLAIMSIGHT_STORE": "postgres://x"}, "CLAIMSIGHT_STORE"),
        (["search"], {}, "exactly one"),
        (["search", "a", "--page", "b"], {}, "exactly one"),
        (["search", "a", "--filter", "{"], {}, "--filter takes JSON"),
        (["search", "a", "--filter", '{"color": 1}'], {}, "color"),
        (["ingest", "../x", __file__], {}, "claim number"),
        (["ingest", "C-1", "none.pdf"], {}, "none.pdf"),
        (["evaluate", "nowhere"], {}, "nowhere"),
    ],
)
def test_wrong_usage_is_told_in_words_with_status_2(
    shell: Shell, arguments: list[str], more: dict[str, str], says: str
) -> None:
    done = shell.run(*arguments, more=more)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert says in done.stderr


def test_a_claim_that_is_not_there_is_told_with_status_1(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(["hail"]))
    done = shell.run("ingest", "C-1", "a.png")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "There is no claim 'C-1'. With --create it is made.\n"


def test_a_search_of_an_empty_store_says_how_it_is_filled(working: Shell) -> None:
    done = working.run("search", "hail")
    assert (done.returncode, done.stdout) == (0, "")
    assert "claimsight ingest" in done.stderr
    assert working.json("search", "hail")["hits"] == []


def test_a_store_that_cannot_be_opened_is_told_with_status_1(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    done = shell.run("index", "status", more={"CLAIMSIGHT_STORE": f"sqlite:{tmp_path / 'file'}"})
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_taken_port_is_told_with_status_2(shell: Shell) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = shell.run("serve", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "--port" in done.stderr


def test_config_prints_what_is_in_force_without_secrets(shell: Shell) -> None:
    more = {"CLAIMSIGHT_API_KEY": "secret-word-0123456789", "CLAIMSIGHT_PORT": "9001"}
    done = shell.run("config", more=more)
    assert done.returncode == 0
    assert re.search(r"CLAIMSIGHT_PORT +9001 +environment", done.stdout)
    assert "secret-word" not in done.stdout
    assert {"name", "value", "source", "description"} == set(shell.json("config")[0])


def test_openapi_is_printed_without_a_server(shell: Shell) -> None:
    document = json.loads(shell.run("openapi").stdout)
    assert "/v1/search" in document["paths"]


def test_index_can_be_asked(shell: Shell) -> None:
    assert shell.json("index", "status")["state"] == "ready"
    assert "ready" in shell.run("index", "status").stdout
    assert shell.run("index", "drop", "--yes").returncode == 0
    declined = subprocess.run(
        [sys.executable, "-m", "app.cli", "index", "drop"],
        cwd=shell.folder,
        env=shell.environment,
        input="n\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert declined.returncode == 1


def test_ingest_search_and_upkeep(working: Shell, tmp_path: Path) -> None:
    Image.effect_noise((300, 300), 60).save(tmp_path / "noise.png")
    (tmp_path / "hail.png").write_bytes(picture(["hail"]))
    (tmp_path / "notes.txt").write_text("no picture")
    job = working.json("ingest", "C-1", "noise.png", "hail.png", "notes.txt", "--create", status=1)
    assert [(entry["filename"], entry["state"], entry["code"]) for entry in job["entries"]] == [
        ("noise.png", "succeeded", None),
        ("hail.png", "succeeded", None),
        ("notes.txt", "failed", "unsupported_type"),
    ]
    again = working.run("ingest", "C-1", "hail.png", "--create")
    assert (again.returncode, "duplicate" in again.stdout) == (0, True)
    waiting = working.json("ingest", "C-2", "noise.png", "--create", "--no-wait")
    assert waiting["state"] == "queued"

    found = working.json("search", "--image", "hail.png", "--limit", "1")
    assert found["hits"][0]["page"]["filename"] == "hail.png"
    page_id = found["hits"][0]["page"]["page_id"]
    assert working.json("search", "--page", page_id)["hits"] == []
    assert len(working.json("search", "words", "--filter", '{"claim_id": "C-1"}', "--group-by", "claim")["hits"]) == 1
    table = working.run("search", "--image", "hail.png")
    assert "hail.png, photo 1" in table.stdout or "hail.png, page 1" in table.stdout
    other = working.run("search", "hail", more={"CLAIMSIGHT_ENCODER": "local"})
    assert (other.returncode, other.stdout) == (0, "")
    assert "Nothing was found." in other.stderr
    assert "2 pages are not found by local/" in other.stderr
    assert "reindex" not in table.stderr
    missing = working.run("search", "--page", "none")
    assert (missing.returncode, "no page" in missing.stderr) == (1, True)

    info = working.json("encoder", "info")
    assert info["stored"] == {info["encoder"]: 2}
    assert working.json("encoder", "reindex") == {"done": 0, "failed": [], "finished": True}

    findings = {finding["name"]: finding for finding in working.json("doctor")}
    machine, service = ("python", "poppler", "fonts", "disk"), ("address", "store", "encryption", "index", "encoder")
    assert set(findings) == {*machine, *service, "pages", "queue"}
    assert findings["encoder"]["state"] == "ok"
    assert "test-key-secret" not in working.run("doctor").stdout


def test_one_loss_is_no_median() -> None:
    assert cost_line(Losses("EUR", 1, 9.5, 9.5, 9.5, 9.5, 9.5)) == "Loss of 1 claim in EUR: 9.50"
    several = cost_line(Losses("USD", 3, 1.0, 2.0, 1500.0, 2400.0, 9000.0))
    assert several == "Loss of 3 claims in USD: median 1,500.00, half of them 2.00 to 2,400.00"


def test_doctor_says_what_does_not_work(shell: Shell) -> None:
    broken = {"CLAIMSIGHT_ENCODER": "voyage", "CLAIMSIGHT_HOST": "0.0.0.0"}
    done = shell.run("doctor", more=broken)
    assert done.returncode == 1
    assert "FAIL  encoder" in done.stdout
    assert "FAIL  address" in done.stdout


def test_serve_ends_gently_with_its_workers(working: Shell) -> None:
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "serve", "--port", str(port), "--workers", "1"],
        cwd=working.folder,
        env=working.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        while True:
            assert server.poll() is None
            try:
                reply = httpx2.get(f"{url}/readyz", timeout=5)
            except httpx2.TransportError:
                time.sleep(0.05)
                continue
            if reply.status_code == 200:
                break
            time.sleep(0.05)
        children = descendants(server.pid)[1:]
        assert children
        with httpx2.Client(base_url=url, timeout=60) as client:
            client.put("/v1/claims/C-1", json={}).raise_for_status()
            job = client.post("/v1/claims/C-1/assets", files={"files": ("a.png", picture(["hail"]))}).json()
            with client.stream("GET", f"/v1/jobs/{job['job_id']}/events") as events:
                text = "".join(events.iter_text())
        assert '"state":"succeeded"' in text
    finally:
        server.send_signal(signal.SIGTERM)
        output, log = server.communicate(timeout=60)
    assert (server.returncode, output) == (0, "")
    assert not [pid for pid in children if lives(pid)]
    events_logged = [json.loads(line) for line in log.splitlines()]
    assert {"serving", "worker_started", "request", "worker_stopped"} <= {event["event"] for event in events_logged}
    assert "test-key-secret" not in log
