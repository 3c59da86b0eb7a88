"""What is in force and where it comes from, and the page that lists every option."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import SecretStr

from app.settings import FOREIGN, PREFIX, Settings


@dataclass(frozen=True, slots=True)
class Effective:
    """One setting as it is in force. value: as text, secrets hidden. source: "environment", "option" or "default"."""

    name: str
    value: str
    source: Literal["environment", "option", "default"]
    description: str


def effective(settings: Settings, given: Mapping[str, object] | None = None) -> list[Effective]:
    """All settings in the order of the class; given: what came from the command line."""
    environment = {name.upper() for name, value in os.environ.items() if value}
    rows: list[Effective] = []
    for name, field in Settings.model_fields.items():
        variable = f"{PREFIX}{name}".upper()
        source = "environment" if variable in environment else "default"
        if given and given.get(name) is not None:
            source = "option"
        rows.append(Effective(variable, _shown(name, getattr(settings, name)), source, field.description or ""))
    return rows


def settings_markdown() -> str:
    """docs/settings.md: generated, so that it says what the code does."""
    lines = [
        "# Settings",
        "",
        "Every option is an environment variable; there is no settings file. An unknown `CLAIMSIGHT_` variable or a",
        "value that does not fit stops the start and is named. `claimsight config` prints what is in force and where",
        "it comes from.",
        "This page is generated: `claimsight config --markdown > docs/settings.md`.",
        "",
        "| variable | default | what it does |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = _shown(name, field.default)
        lines.append(f"| `{PREFIX}{name.upper()}` | {f'`{default}`' if default else '(none)'} | {field.description} |")
    lines += ["", "Read outside of this list:", ""]
    lines += [f"- `{name}`: {text}" for name, text in FOREIGN.items()]
    return "\n".join(lines) + "\n"


def _shown(name: str, value: object) -> str:
    if name == "store" and isinstance(value, SecretStr):
        return _without_password(value.get_secret_value())
    if isinstance(value, SecretStr):
        return "(set, hidden)" if value.get_secret_value() else ""
    return "" if value is None else str(value)


def _without_password(address: str) -> str:
    scheme, separator, rest = address.partition("://")
    credentials, at, place = rest.rpartition("@")
    if not separator or not at:
        return address
    user = credentials.partition(":")[0]
    return f"{scheme}://{user}:(hidden)@{place}"
