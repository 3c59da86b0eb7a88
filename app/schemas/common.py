"""Kinds of values that many requests share, and what every answer of several records looks like."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Generic, TypeVar

from fastapi import Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

T = TypeVar("T")

ID_LENGTH = 128


class Strict(BaseModel):
    """A request's object: unknown members and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Reply(BaseModel):
    """An answer's object."""

    model_config = ConfigDict(frozen=True)


def check_id(value: str) -> str:
    """Raises ValueError for what cannot be an id; such text must not reach a store, a path or a log."""
    visible = all(unicodedata.category(sign)[0] not in "CZ" for sign in value)
    if not 1 <= len(value) <= ID_LENGTH or not visible or "/" in value or "\\" in value or ".." in value:
        raise ValueError(f"it takes 1 to {ID_LENGTH} visible characters without slashes, spaces and two dots in a row")
    return value


def check_line(value: str) -> str:
    """One line of text that can be stored, shown and compared."""
    if any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in value):
        raise ValueError("it takes text without control characters")
    return value


def check_text(value: str) -> str:
    """Text with line breaks and tabs."""
    if any(unicodedata.category(sign) in ("Cc", "Cs") and sign not in "\n\r\t" for sign in value):
        raise ValueError("it takes text without control characters")
    return value


_ID_SCHEMA = WithJsonSchema({"type": "string", "minLength": 1, "maxLength": ID_LENGTH, "pattern": r"^[^/\\\s]+$"})

RecordId = Annotated[str, AfterValidator(check_id), _ID_SCHEMA]
Line = Annotated[str, Field(max_length=200), AfterValidator(check_line)]

ClaimId = Annotated[RecordId, Path(description="The claim's own number.", examples=["CLM551344"])]
AssetId = Annotated[RecordId, Path(description="sha256 of the file's bytes.")]
PageId = Annotated[RecordId, Path(description="As search gave it.")]
JobId = Annotated[RecordId, Path(description="As the upload gave it.")]


class ListReply(Reply, Generic[T]):
    """next_cursor: send it as `cursor` for what follows; null at the end."""

    items: list[T]
    next_cursor: str | None = None


class FieldProblem(Reply):
    field: str
    detail: str


class Problem(Reply):
    """RFC 9457 problem details. `code` is stable; `detail` is for people and may change."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:claimsight:problem:claim_not_found",
                    "title": "Not Found",
                    "status": 404,
                    "code": "claim_not_found",
                    "detail": "There is no claim 'CLM1'.",
                    "request_id": "0193a1b2-0000-7000-8000-000000000000",
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    code: str
    detail: str
    field: str | None = None
    request_id: str | None = None
    errors: list[FieldProblem] | None = None


class RemovedReply(Reply):
    """How many records went, and how many bytes of files."""

    claims: int
    assets: int
    pages: int
    size_bytes: int
