"""Files at rest: AES-256-GCM in chunks, so that any part of a long recording opens without the rest.

Layout: magic, length of the header (4 bytes, big endian), header (JSON), chunks. A chunk's nonce is the file's random
prefix and the chunk's number; its additional data are the header and whether it is the last one, so chunks can be
neither swapped, dropped nor moved to another file (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár,
2015). The header names the key (`person`, `mark`) and carries `about`, sealed under it, and the plain size.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from callcenter.kernel.envelope import seal, unseal

MAGIC = b"CCSEAL1\n"
CHUNK = 65_536
_TAG = 16
_PREFIX = 8
_MOST_HEADER = 1 << 20
_ABOUT = b"about"


@dataclass(frozen=True, slots=True)
class Sealed:
    """What was written: digest (SHA-256, hex) and length of the file as it lies on the disk."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class KeyName:
    """Which key opens a file: the person it belongs to, and a mark of the key itself."""

    person: str
    mark: str


class DigestWriter:
    """Writes to a file and keeps the digest of what went through."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest, self.size = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def seal_file(source: Path, target: Path, key: bytes, name: KeyName, about: dict[str, Any]) -> Sealed:
    """Seal `source` into `target`, which appears whole, and on the disk, or not at all. Raises OSError."""
    prefix = secrets.token_bytes(_PREFIX)
    header = json.dumps(
        {
            "person": name.person,
            "mark": name.mark,
            "nonce": prefix.hex(),
            "chunk": CHUNK,
            "size": source.stat().st_size,
            "about": base64.b64encode(seal(key, json.dumps(about).encode(), _ABOUT + prefix)).decode(),
        },
        sort_keys=True,
    ).encode()
    unfinished = target.with_suffix(target.suffix + ".part")
    aead = AESGCM(key)
    try:
        with source.open("rb") as plain, unfinished.open("wb") as file:
            out = DigestWriter(file)
            out.write(MAGIC + struct.pack(">I", len(header)) + header)
            number, chunk = 0, plain.read(CHUNK)
            while True:
                following = plain.read(CHUNK)
                out.write(aead.encrypt(_nonce(prefix, number), chunk, _context(header, not following)))
                if not following:
                    break
                number, chunk = number + 1, following
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return Sealed(out.hexdigest(), out.size)


class SealedFile:
    """Reads one. Raises OSError where there is none, ValueError where it is none or was changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            magic, length = file.read(len(MAGIC)), file.read(4)
            if magic != MAGIC or len(length) != 4 or struct.unpack(">I", length)[0] > _MOST_HEADER:
                raise ValueError("not a sealed file")
            self._header = file.read(struct.unpack(">I", length)[0])
        try:
            fields = json.loads(self._header)
            self.key_name = KeyName(str(fields["person"]), str(fields["mark"]))
            self.size = int(fields["size"])
            self._chunk, self._prefix = int(fields["chunk"]), bytes.fromhex(fields["nonce"])
            self._about = base64.b64decode(fields["about"], validate=True)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError("header of a sealed file is damaged") from error
        if self._chunk < 1 or self.size < 0:
            raise ValueError("header of a sealed file is damaged")
        self._start = len(MAGIC) + 4 + len(self._header)
        self._last = max(0, self.size - 1) // self._chunk

    def about(self, key: bytes) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(unseal(key, self._about, _ABOUT + self._prefix))
        return found

    def read(self, key: bytes, start: int = 0, length: int | None = None) -> bytes:
        """Plain bytes from `start`; fewer than `length` only at the end."""
        stop = self.size if length is None else min(self.size, start + length)
        if start >= stop:
            return b""
        first, last = start // self._chunk, (stop - 1) // self._chunk
        aead, parts = AESGCM(key), []
        with self.path.open("rb") as file:
            file.seek(self._start + first * (self._chunk + _TAG))
            for number in range(first, last + 1):
                parts.append(self._open(aead, number, file.read(self._chunk + _TAG)))
        plain = b"".join(parts)
        return plain[start - first * self._chunk : stop - first * self._chunk]

    def _open(self, aead: AESGCM, number: int, sealed: bytes) -> bytes:
        context = _context(self._header, number == self._last)
        try:
            return aead.decrypt(_nonce(self._prefix, number), sealed, context)
        except InvalidTag as error:
            raise ValueError(f"chunk {number} does not open: damaged, or another key") from error


def digest_of(path: Path) -> str:
    """SHA-256 of a file as it lies on the disk, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _nonce(prefix: bytes, number: int) -> bytes:
    return prefix + struct.pack(">I", number)


def _context(header: bytes, last: bool) -> bytes:
    return header + (b"\1" if last else b"\0")
