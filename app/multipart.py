"""A multipart form as a stream: its parts one after another, each in chunks, nothing of a file kept in memory."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from retrieval.errors import InvalidInput

# What a browser does to the names of fields and files before it sends them (WHATWG form data).
_PART_HEADER_BYTES = 16 * 1024
_BROWSER_ESCAPES = {"%22": '"', "%0D": "\r", "%0A": "\n"}


@dataclass(slots=True)
class Part:
    """One field of the form. filename: as sent, None for a plain field. chunks: readable once, before the next part."""

    name: str
    filename: str | None
    chunks: AsyncIterator[bytes]

    async def text(self, *, limit_bytes: int) -> str:
        """A plain field as text. Raises InvalidInput malformed_body."""
        content = bytearray()
        async for chunk in self.chunks:
            content += chunk
            if len(content) > limit_bytes:
                raise InvalidInput(
                    f"{self.name} takes at most {limit_bytes} bytes.", code="malformed_body", field=self.name
                )
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise InvalidInput(f"{self.name} is not UTF-8.", code="malformed_body", field=self.name) from None


async def read_form(request: Request, *, max_parts: int) -> AsyncIterator[Part]:
    """The parts in the order sent; what a caller leaves unread of a part is skipped.

    Raises InvalidInput: unsupported_content_type for another kind of body, malformed_body for a broken form.
    """
    form = _Form(request, _boundary(request))
    count = 0
    while (part := await form.next_part()) is not None:
        count += 1
        if count > max_parts:
            raise InvalidInput(f"A form takes at most {max_parts} parts.", code="too_many_files", field="files")
        yield part
        async for _ in part.chunks:
            pass


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        raise InvalidInput("Send this as multipart/form-data.", code="unsupported_content_type", field="content-type")
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 200:
        raise InvalidInput("The form names no boundary.", code="malformed_body", field="content-type")
    return boundary


@dataclass(slots=True)
class _Headers:
    values: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    name: bytes = b""
    value: bytes = b""
    length: int = 0


_Event = tuple[Literal["begin"], Part] | tuple[Literal["data"], bytes] | tuple[Literal["end"], None]


class _Form:
    """Feeds the parser as the body arrives and hands on what it finds."""

    def __init__(self, request: Request, boundary: bytes) -> None:
        self._body = request.stream()
        self._events: deque[_Event] = deque()
        self._headers = _Headers()
        self._begun = False
        self._complete = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )

    async def next_part(self) -> Part | None:
        event = await self._next_event()
        return event[1] if event is not None and event[0] == "begin" else None

    async def _chunks(self) -> AsyncIterator[bytes]:
        while (event := await self._next_event()) is not None and event[0] == "data":
            yield event[1]

    async def _next_event(self) -> _Event | None:
        """None at the end of the form."""
        while not self._events:
            if self._complete:
                return None
            chunk = await anext(self._body, b"")
            if not chunk:
                self._parser.finalize()
                if not self._complete:
                    raise _malformed("The form ends in the middle.")
                continue
            if not self._begun:
                # The parser skips what follows an empty line up to the next hyphen, but only within one chunk: what
                # stands before the first boundary would count by how the network cut it.
                chunk = chunk.lstrip(b"\r\n")
                self._begun = bool(chunk)
            try:
                self._parser.write(chunk)
            except FormParserError:
                raise _malformed("The form cannot be read.") from None
        return self._events.popleft()

    def _on_part_begin(self) -> None:
        self._headers = _Headers()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._headers.name += data[start:end]
        self._count_header(end - start)

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._headers.value += data[start:end]
        self._count_header(end - start)

    def _count_header(self, length: int) -> None:
        """What stands before a part is kept in memory, unlike the part itself."""
        self._headers.length += length
        if self._headers.length > _PART_HEADER_BYTES:
            raise _malformed("The headers of a part of the form are too long.")

    def _on_header_end(self) -> None:
        self._headers.values[self._headers.name.lower()] = self._headers.value
        self._headers.name = self._headers.value = b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.values.get(b"content-disposition", b""))
        if b"name" not in options:
            raise _malformed("A part of the form has no name.")
        filename = options.get(b"filename")
        self._events.append(
            (
                "begin",
                Part(
                    name=_name(options[b"name"]),
                    filename=None if filename is None else _name(filename),
                    chunks=self._chunks(),
                ),
            )
        )

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(("data", data[start:end]))

    def _on_part_end(self) -> None:
        self._events.append(("end", None))

    def _on_end(self) -> None:
        self._complete = True


def _name(raw: bytes) -> str:
    text = raw.decode("utf-8", "replace")
    return re.sub("%22|%0D|%0A", lambda found: _BROWSER_ESCAPES[found[0]], text)


def _malformed(detail: str) -> InvalidInput:
    return InvalidInput(detail, code="malformed_body", field="body")
