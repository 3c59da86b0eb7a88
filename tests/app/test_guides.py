"""What README and docs tell a reader to type works, and what they point at is there."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
import typer

from app.cli import app
from app.settings import FOREIGN, PREFIX, Settings
from tests.app.conftest import Api, picture

ROOT = Path(__file__).parents[2]
GUIDES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").rglob("*.md"))]


def _lines_of_code(guide: Path, start: str) -> list[str]:
    blocks = re.findall(r"^```\w*\n(.*?)^```", guide.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith(start)]


@dataclass
class Curl:
    """The few options of curl that the guides use."""

    method: str = ""
    path: str = ""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    content: str | None = None
    data: dict[str, str] = field(default_factory=dict[str, str])
    files: list[tuple[str, tuple[str, bytes]]] = field(default_factory=list[tuple[str, tuple[str, bytes]]])

    @classmethod
    def read(cls, line: str) -> Curl:
        call, words = cls(), iter(shlex.split(line)[1:])
        for word in words:
            match word:
                case "-X":
                    call.method = next(words)
                case "-N":
                    pass
                case "-H":
                    name, _, value = next(words).partition(": ")
                    call.headers[name] = value
                case "-d":
                    call.content = next(words)
                case "-F":
                    name, _, value = next(words).partition("=")
                    if value.startswith("@"):
                        call.files.append((name, (value[1:], picture([value[1:].split(".")[0]]))))
                    else:
                        call.data[name] = value
                case _:
                    call.path = word.removeprefix("localhost:8000")
        call.method = call.method or ("POST" if call.content or call.files else "GET")
        return call

    async def send(self, api: Api) -> httpx2.Response:
        options: dict[str, Any] = {"files": self.files, "data": self.data} if self.files else {"content": self.content}
        return await api.client.request(self.method, self.path, headers=self.headers, **options)


@pytest.mark.parametrize("guide", [ROOT / "README.md", ROOT / "docs" / "api.md"], ids=lambda guide: guide.name)
async def test_the_five_lines_work_one_after_another(api: Api, guide: Path) -> None:
    lines = _lines_of_code(guide, "curl ")
    assert len(lines) == 5
    job_id = ""
    for line in lines:
        call = Curl.read(line.replace("JOB_ID", job_id))
        reply = await call.send(api)
        assert reply.is_success, (line, reply.text)
        if call.path.endswith("/assets"):
            job_id = reply.json()["job_id"]
            await api.work()
        elif call.path.endswith("/events"):
            assert '"state":"succeeded"' in reply.text
        elif call.path.endswith("/search"):
            assert "hits" in reply.json()


def test_every_command_is_one_with_these_options() -> None:
    lines = [(guide.name, line) for guide in GUIDES for line in _lines_of_code(guide, "claimsight ")]
    assert lines
    for name, line in lines:
        words = shlex.split(line, comments=True)[1:]
        command: Any = typer.main.get_command(app)
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        assert not hasattr(command, "commands"), (name, line)
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {word for word in words if word.startswith("--")} <= known, (name, line)


def test_every_make_target_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {
        (guide.name, target)
        for guide in GUIDES
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", guide.read_text(encoding="utf-8"), flags=re.MULTILINE)
    }
    assert [(name, target) for name, target in sorted(named) if target not in targets] == []


def test_every_variable_is_a_setting() -> None:
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields} | set(FOREIGN)
    named = {
        (guide.name, variable)
        for guide in GUIDES
        for variable in re.findall(rf"{PREFIX}[A-Z_]+", guide.read_text(encoding="utf-8"))
    }
    assert [(name, variable) for name, variable in sorted(named) if variable not in known] == []


def test_everything_that_a_guide_points_at_is_there() -> None:
    missing: list[tuple[str, str]] = []
    for guide in GUIDES:
        text = guide.read_text(encoding="utf-8")
        linked = [guide.parent / target for target in re.findall(r"\]\(([^)#:]+)\)", text)]
        named = re.findall(r"`((?:app|docs|kernels|models|retrieval|scripts|tests|ui)/[\w./-]+)`", text)
        for path in [*linked, *(ROOT / name for name in named)]:
            if not path.exists():
                missing.append((guide.name, str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)))
    assert missing == []


async def test_the_problem_in_the_guide_is_the_problem_that_is_sent(api: Api) -> None:
    [text] = re.findall(r"```json\n(\{\"type\".*?\})\n```", (ROOT / "docs" / "api.md").read_text("utf-8"), re.DOTALL)
    example = json.loads(text)
    reply = await api.client.post("/v1/search", json={"text": "hail", "filter": {"color": "red"}})
    assert reply.json() | {"request_id": ""} == example | {"request_id": ""}
