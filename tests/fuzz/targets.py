"""What must hold for any bytes: the functions that `make fuzz` feeds, and that the tests feed with the kept seeds."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.types import Message

from app.multipart import read_form
from retrieval.errors import InvalidInput, Refused
from retrieval.filters import Filter, parse_filter
from retrieval.ingestion.filenames import clean_filename
from retrieval.ingestion.media import MediaType
from retrieval.ingestion.sniff import sniff
from retrieval.stores.mongo.filter_mql import attribute_ranges, page_mql, search_mql
from retrieval.stores.sqlite.filter_sql import search_sql

SEEDS = Path(__file__).parent / "seeds"
BOUNDARY = b"x"
_OPERATORS = {"$and", "$or", "$nor"} | {f"${name}" for name in ("eq", "ne", "in", "nin", "gt", "gte", "lt", "lte")}
_ALLOWED = _OPERATORS | {"$exists"}


def check_sniff(data: bytes) -> None:
    """A kind of file that is taken, or a refusal with a code and one line of text."""
    try:
        assert sniff(data) in MediaType
    except Refused as refused:
        _expect(refused.code in ("empty_file", "unsupported_type") and "\n" not in refused.detail, refused.detail)


def check_filter(data: bytes) -> None:
    """A filter that both engines can say without an operator of the user's, or a refusal that names the field."""
    try:
        source: object = json.loads(data)
    except (ValueError, RecursionError):
        return
    try:
        found = parse_filter(source)
    except InvalidInput as refused:
        _expect(refused.code == "bad_filter" and bool(refused.field), refused.detail)
        return
    _compiles(found)


def check_multipart(data: bytes) -> None:
    """Parts no longer than the body, or a refusal; the same for any cutting of the body into pieces."""
    assert _read(data, piece=len(data) or 1) == _read(data, piece=7)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "sniff": check_sniff,
    "filters": check_filter,
    "multipart": check_multipart,
}


def _expect(holds: bool, told: str) -> None:
    assert holds, told


def _compiles(filter: Filter) -> None:
    try:
        sql = search_sql("t", filter)
    except InvalidInput:
        return  # more values than a statement takes
    assert sql.text.count("?") == len(sql.values)
    ranges = {condition: ["C-1"] for condition in attribute_ranges(filter)}
    for query in (page_mql(filter), search_mql(filter, ranges)):
        unknown = set(_keys(query)) - _ALLOWED
        assert all(not key.startswith("$") for key in unknown), unknown


def _keys(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield key
            yield from _keys(value)
    elif isinstance(node, list):
        for value in node:
            yield from _keys(value)


def _read(body: bytes, *, piece: int) -> list[tuple[str, str | None, bytes]] | str:
    pieces = [body[start : start + piece] for start in range(0, len(body), piece)]

    async def receive() -> Message:
        chunk = pieces.pop(0) if pieces else b""
        return {"type": "http.request", "body": chunk, "more_body": bool(pieces)}

    headers = [(b"content-type", b"multipart/form-data; boundary=" + BOUNDARY)]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    try:
        parts = asyncio.run(_parts(request))
    except InvalidInput as refused:
        return refused.code
    assert sum(len(content) for *_, content in parts) <= len(body)
    for _, filename, _ in parts:
        shown = clean_filename(filename or "", otherwise="file")
        assert shown
        assert not shown.startswith(("/", "\\"))
        assert ".." not in re.split(r"[/\\]", shown)
        assert "\n" not in shown
    return parts


async def _parts(request: Request) -> list[tuple[str, str | None, bytes]]:
    return [
        (part.name, part.filename, b"".join([chunk async for chunk in part.chunks]))
        async for part in read_form(request, max_parts=10)
    ]
