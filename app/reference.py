"""/docs: the OpenAPI document as one plain page, without scripts and without anything from another server."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from typing import Any

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c2733; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #d5dce3; text-transform: capitalize; }
code, pre { font: 0.85rem/1.45 ui-monospace, monospace; background: #f2f5f8; border-radius: 4px; }
pre { padding: 0.75rem; overflow-x: auto; } code { padding: 0.1rem 0.3rem; }
summary { cursor: pointer; padding: 0.3rem 0; } .method { display: inline-block; width: 4.5rem; font-weight: 600; }
table { border-collapse: collapse; } td { padding: 0.15rem 1rem 0.15rem 0; vertical-align: top; }
"""


def render_reference(document: Mapping[str, Any]) -> tuple[str, str]:
    """The page, and the Content-Security-Policy under which it shows."""
    digest = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'"
    info = document["info"]
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width'>",
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style>",
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
        *(f"<p>{_prose(text)}</p>" for text in info["description"].split("\n\n")),
        "<p>The same as <a href='/openapi.json'>OpenAPI</a>, for tools.</p>",
    ]
    for tag in document.get("tags", []):
        parts.append(f"<h2>{escape(tag['name'])}</h2><p>{escape(tag['description'])}</p>")
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if operation.get("tags", [""])[-1] == tag["name"]:
                    parts.append(_operation(path, method, operation, document))
    return "\n".join(parts), policy


def _operation(path: str, method: str, operation: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    rows = [
        (
            parameter["name"],
            f"{parameter['in']}{', required' if parameter.get('required') else ''}",
            parameter.get("description", ""),
        )
        for parameter in operation.get("parameters", [])
    ]
    parts = [
        f"<details><summary><span class='method'>{method.upper()}</span><code>{escape(path)}</code> ",
        f"{escape(operation.get('summary', ''))}</summary><p>{_prose(operation.get('description', ''))}</p>",
    ]
    if rows:
        cells = "".join(
            f"<tr><td><code>{escape(name)}</code></td><td>{escape(kind)}</td><td>{_prose(text)}</td></tr>"
            for name, kind, text in rows
        )
        parts.append(f"<table>{cells}</table>")
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<p>Body: <code>{escape(media_type)}</code></p>{_example(content, document)}")
    for status, answer in operation.get("responses", {}).items():
        parts.append(f"<p><code>{escape(status)}</code> {escape(answer.get('description', ''))}</p>")
        if status.startswith("2"):
            parts += [_example(content, document) for content in answer.get("content", {}).values()]
    return "".join([*parts, "</details>"])


def _example(content: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    schema: Any = content.get("schema", {})
    if "$ref" in schema:
        schema = document["components"]["schemas"].get(schema["$ref"].rpartition("/")[2], {})
    named: list[Any] = [example["value"] for example in content.get("examples", {}).values()]
    examples: list[Any] = [content.get("example"), *named, *schema.get("examples", [])]
    shown: list[Any] = [example for example in examples if example is not None]
    return f"<pre>{escape(json.dumps(shown[0], indent=2))}</pre>" if shown else ""


def _prose(text: str) -> str:
    """Escaped, with `words` as code."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if place % 2 else piece for place, piece in enumerate(pieces))
