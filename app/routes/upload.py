"""The files of an upload, from the wire to the spool."""

from __future__ import annotations

from fastapi import Request

from app.multipart import read_form
from retrieval.errors import InvalidInput, Refused
from retrieval.ingestion.intake import Intake, Received, RefusedFile


async def receive_upload(request: Request, intake: Intake, *, max_files: int) -> list[Received | RefusedFile]:
    """Streams every part called `files` to the spool; in the order sent, those that were refused among them.

    Raises InvalidInput (malformed_body, unsupported_content_type, bad_upload), and TooLarge request_too_large for the
    upload as a whole. Nothing stays in the spool after an error or when the client goes away.
    """
    taken: list[Received | RefusedFile] = []
    size_bytes = 0
    try:
        async for part in read_form(request, max_parts=max_files):
            if part.name != "files":
                raise InvalidInput(
                    f"There is no field {part.name[:40]!r}: send the files as `files`.",
                    code="bad_upload",
                    field="files",
                )
            filename = part.filename or ""
            try:
                file = await intake.receive(filename, part.chunks, before_bytes=size_bytes)
            except Refused as error:
                if error.code == "request_too_large":
                    raise
                taken.append(RefusedFile.of(filename, error))
            else:
                size_bytes += file.size_bytes
                taken.append(file)
        if not taken:
            raise InvalidInput("The form holds no file: send some as `files`.", code="bad_upload", field="files")
    except BaseException:
        await intake.discard(taken)
        raise
    return taken
