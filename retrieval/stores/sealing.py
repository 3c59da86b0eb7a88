"""Files encrypted at rest: AES-256-GCM in chunks, so that a file of any size is written and read as a stream.

    header   8 bytes "CLMSEAL1" | 8 bytes id of the key | 16 bytes salt of the file
    chunk    at most 1 MiB of the file, encrypted, with a tag of 16 bytes; one after the other

Each file has a key of its own: HKDF-SHA256 of the key and the salt. The nonce of a chunk is its place and whether it is
the last, so a file that was cut, reordered or continued does not open; header and name of the file are authenticated
with every chunk, so neither does a file in the place of another. An empty file has one empty chunk.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from retrieval.errors import InvalidInput, StoreUnavailable

MAGIC = b"CLMSEAL1"
HEADER_BYTES = 32
CHUNK_BYTES = 1 << 20
TAG_BYTES = 16
KEY_BYTES = 32
_ID_BYTES = 8
_SALT_BYTES = 16
_SEALED_BYTES = CHUNK_BYTES + TAG_BYTES


class Keyring:
    """The first key encrypts; the others still open what they encrypted."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """keys: 32 bytes each, at least one."""
        self._keys = {_id_of(key): key for key in keys}
        self.current = _id_of(keys[0])

    @classmethod
    def parse(cls, text: str) -> Keyring:
        """Keys of 64 hex digits or as base64, with commas or white space between.

        Raises InvalidInput bad_encryption_key; the text is not repeated.
        """
        keys = [_key_of(word) for word in re.split(r"[\s,]+", text.strip())]
        if not all(len(key) == KEY_BYTES for key in keys):
            raise InvalidInput(
                "A key of the encryption is 32 bytes, as 64 hex digits or as base64; `claimsight encryption new-key` "
                "makes one.",
                code="bad_encryption_key",
                field="CLAIMSIGHT_ENCRYPTION_KEY",
            )
        return cls(keys)

    @property
    def ids(self) -> frozenset[str]:
        """They are no secret."""
        return frozenset(self._keys)

    def key(self, key_id: str) -> bytes:
        """Raises StoreUnavailable encryption_key_missing."""
        if key_id not in self._keys:
            raise key_missing([key_id])
        return self._keys[key_id]


def require_keys(keys: Keyring | None, used: Iterable[str]) -> None:
    """used: ids of the keys that a store's files are under. Raises StoreUnavailable encryption_key_missing."""
    missing = sorted(set(used) - (keys.ids if keys is not None else frozenset()))
    if missing:
        raise key_missing(missing)


def key_missing(ids: Sequence[str]) -> StoreUnavailable:
    return StoreUnavailable(
        f"Files of this store are encrypted with the key {', '.join(ids)}, which is not given: set "
        "CLAIMSIGHT_ENCRYPTION_KEY or CLAIMSIGHT_ENCRYPTION_KEY_FILE.",
        code="encryption_key_missing",
    )


def sealed_by(header: bytes) -> str | None:
    """The id of the key of a file that begins so; None for one that is not encrypted. Raises StoreUnavailable
    file_damaged for a header that was cut."""
    if not header.startswith(MAGIC):
        return None
    if len(header) < HEADER_BYTES:
        raise _damaged()
    return header[len(MAGIC) : len(MAGIC) + _ID_BYTES].hex()


def plain_size(sealed_size: int) -> int:
    """Of the content of an encrypted file, in bytes."""
    return sealed_size - HEADER_BYTES - TAG_BYTES * _chunks_in(sealed_size)


def seal(keys: Keyring, chunks: Iterable[bytes], *, name: str) -> Iterator[bytes]:
    """The content as an encrypted file, piece by piece. name: must be given again to open it."""
    header = MAGIC + bytes.fromhex(keys.current) + os.urandom(_SALT_BYTES)
    cipher, place = _cipher(keys, header), 0
    yield header
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) > CHUNK_BYTES:
            yield cipher.encrypt(_nonce(place, is_last=False), bytes(held[:CHUNK_BYTES]), header + name.encode())
            del held[:CHUNK_BYTES]
            place += 1
    yield cipher.encrypt(_nonce(place, is_last=True), bytes(held), header + name.encode())


class Opener:
    """Opens one encrypted file, chunk by chunk in order."""

    def __init__(self, keys: Keyring | None, header: bytes, size: int, *, name: str) -> None:
        """size: of the whole encrypted file. Raises StoreUnavailable encryption_key_missing."""
        key_id = sealed_by(header)
        if key_id is None:
            raise _damaged()
        if keys is None:
            raise key_missing([key_id])
        self._cipher = _cipher(keys, header)
        self._bound = header + name.encode()
        self._left = size - HEADER_BYTES
        self._count = _chunks_in(size)
        self._place = 0

    def wanted(self) -> int:
        """How many bytes to read for the next chunk; 0 at the end. Raises StoreUnavailable file_damaged."""
        if self._place == self._count:
            return 0
        if self._left < TAG_BYTES:
            raise _damaged()
        return min(self._left, _SEALED_BYTES)

    def open(self, piece: bytes) -> bytes:
        """Raises StoreUnavailable file_damaged for anything but what was written."""
        try:
            is_last = self._place == self._count - 1
            content = self._cipher.decrypt(_nonce(self._place, is_last=is_last), piece, self._bound)
        except InvalidTag:
            raise _damaged() from None
        self._place += 1
        self._left -= len(piece)
        return content


class SealedReader:
    """A file on disk, encrypted or not, as what it holds. Every method blocks."""

    def __init__(self, keys: Keyring | None, path: Path, *, name: str) -> None:
        """Raises FileNotFoundError, StoreUnavailable encryption_key_missing."""
        self._file: BinaryIO = path.open("rb")
        try:
            header = self._file.read(HEADER_BYTES)
            self.key_id = sealed_by(header)
            size = os.fstat(self._file.fileno()).st_size
            self._opener = Opener(keys, header, size, name=name) if self.key_id is not None else None
            self.size_bytes = size if self._opener is None else plain_size(size)
            if self._opener is None:
                self._file.seek(0)
        except BaseException:
            self._file.close()
            raise

    def read(self) -> bytes:
        """The next chunk, at most 1 MiB; empty at the end. Raises StoreUnavailable file_damaged."""
        if self._opener is None:
            return self._file.read(CHUNK_BYTES)
        # An empty last chunk opens to nothing, which is the end as well.
        return self._opener.open(self._file.read(wanted)) if (wanted := self._opener.wanted()) else b""

    def chunks(self) -> Iterator[bytes]:
        """To the end; closes."""
        try:
            while chunk := self.read():
                yield chunk
        finally:
            self.close()

    def close(self) -> None:
        self._file.close()


def open_sealed(keys: Keyring | None, content: bytes, *, name: str) -> bytes:
    """A small file as a whole, encrypted or not. Raises StoreUnavailable encryption_key_missing, file_damaged."""
    if sealed_by(content[:HEADER_BYTES]) is None:
        return content
    opener, place, opened = Opener(keys, content[:HEADER_BYTES], len(content), name=name), HEADER_BYTES, bytearray()
    while wanted := opener.wanted():
        opened += opener.open(content[place : place + wanted])
        place += wanted
    return bytes(opened)


def _chunks_in(sealed_size: int) -> int:
    return max(1, -(-(sealed_size - HEADER_BYTES) // _SEALED_BYTES))


def _cipher(keys: Keyring, header: bytes) -> AESGCM:
    key_id, salt = sealed_by(header), header[-_SALT_BYTES:]
    key = keys.key(key_id or "")
    return AESGCM(HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=b"claimsight file 1").derive(key))


def _nonce(place: int, *, is_last: bool) -> bytes:
    return place.to_bytes(11, "big") + bytes([is_last])


def _id_of(key: bytes) -> str:
    return sha256(b"claimsight key id\0" + key).digest()[:_ID_BYTES].hex()


def _key_of(word: str) -> bytes:
    try:
        return bytes.fromhex(word) if len(word) == 2 * KEY_BYTES else b64decode(word, validate=True)
    except ValueError:
        return b""


def _damaged() -> StoreUnavailable:
    return StoreUnavailable(
        "An encrypted file is not as it was written: run `claimsight verify` and restore it from a backup.",
        code="file_damaged",
    )
