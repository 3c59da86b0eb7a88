"""docker-compose.yml and Dockerfile: valid, pinned, without secrets, not open to the network. No engine is needed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from app.settings import FOREIGN, PREFIX, Settings

ROOT = Path(__file__).parents[1]
OURS = ("api", "worker", "dashboard")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


def test_compose_file_is_valid(compose: dict[str, Any]) -> None:
    schema = json.loads((ROOT / "tests" / "data" / "compose_spec.json").read_text(encoding="utf-8"))
    # The vendored schema is of 2021 and does not know the later top-level `name`.
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", compose["name"])
    rest = {key: value for key, value in compose.items() if key != "name"}
    jsonschema.Draft201909Validator(schema).validate(rest)


def test_mongodb_is_pinned_keeps_its_name_its_data_and_its_own_health_check(compose: dict[str, Any]) -> None:
    mongodb = compose["services"]["mongodb"]
    assert re.fullmatch(r"mongodb/mongodb-atlas-local:\d+\.\d+\.\d+", mongodb["image"])
    assert mongodb["hostname"] == "mongodb"
    assert "healthcheck" not in mongodb
    assert "command" not in mongodb
    kept = {volume.split(":")[1] for volume in mongodb["volumes"]}
    assert kept == {"/data/db", "/data/configdb", "/data/mongot"}
    assert {volume.split(":")[0] for volume in mongodb["volumes"]} <= set(compose["volumes"])


def test_whatever_needs_the_store_waits_until_it_is_healthy(compose: dict[str, Any]) -> None:
    for name in ("api", "worker"):
        assert compose["services"][name]["depends_on"]["mongodb"] == {"condition": "service_healthy"}
    assert compose["services"]["dashboard"]["depends_on"]["api"] == {"condition": "service_healthy"}
    assert "healthcheck" in compose["services"]["api"]


def test_secrets_come_from_the_environment_and_must_be_set(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|_STORE$", variable) or variable == "CLAIMSIGHT_API_KEY":
                assert re.search(r"\$\{[A-Z_]+:\?[^}]+\}", value), f"{name}: {variable}"


def test_ports_are_open_to_this_machine_only(compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", ())]
    assert len(published) == 2
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_our_containers_have_few_rights(compose: dict[str, Any]) -> None:
    for name in OURS:
        service = compose["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]


def test_every_variable_is_a_setting(compose: dict[str, Any]) -> None:
    """`serve` and `worker` refuse to start with a variable of our prefix that they do not know."""
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields} | set(FOREIGN)
    used = {
        variable
        for name in OURS
        for variable in compose["services"][name]["environment"]
        if variable.startswith(PREFIX)
    }
    used |= set(re.findall(r"CLAIMSIGHT_[A-Z_]+", (ROOT / "Dockerfile").read_text(encoding="utf-8")))
    assert used <= known


def test_image_is_pinned_and_runs_as_its_own_user() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    [base] = [line for line in lines if line.startswith("FROM ")]
    assert re.fullmatch(r"FROM python:3\.\d+\.\d+-slim-\w+", base)
    commands = [line.split()[0] for line in lines if re.match(r"[A-Z]+ ", line)]
    assert commands.index("USER") < commands.index("CMD")
    assert "USER claimsight" in lines


def test_the_image_takes_only_what_it_needs() -> None:
    """Allow-list: no history, no data folder, no local settings in the build context; every COPY is on the list."""
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert rules[0] == "*"
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied: set[str] = set()
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("COPY "):
            copied |= set(line.split()[1:-1])
    assert copied == allowed
