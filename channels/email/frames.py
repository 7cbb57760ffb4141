"""How the core speaks with its helpers for mail: maps in msgpack behind their length, over standard input and output.
A helper ends with its input, so it never outlives the core that started it."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import sys
from typing import Any, BinaryIO

import msgpack

LARGEST = 200_000_000
Plain = dict[str, Any]


def write(file: BinaryIO, words: Plain) -> None:
    body = msgpack.packb(words)
    file.write(struct.pack(">I", len(body)) + body)
    file.flush()


def read(file: BinaryIO) -> Plain | None:
    """None at the end."""
    head = file.read(4)
    if len(head) < 4:
        return None
    body = file.read(struct.unpack(">I", head)[0])
    return unpacked(body)


async def read_async(reader: asyncio.StreamReader) -> Plain | None:
    try:
        (length,) = struct.unpack(">I", await reader.readexactly(4))
        return unpacked(await reader.readexactly(length)) if length <= LARGEST else None
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def packed(words: Plain) -> bytes:
    body = msgpack.packb(words)
    return struct.pack(">I", len(body)) + body


def unpacked(body: bytes) -> Plain:
    found: Plain = msgpack.unpackb(body)
    return found


class Child:
    """A helper process, seen from the core."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._process: asyncio.subprocess.Process | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self, first: Plain) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", self._module),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 20,
        )
        await self.send(first)

    async def send(self, words: Plain) -> None:
        """Raises ConnectionError where the helper is gone."""
        if self._process is None or self._process.stdin is None:
            raise ConnectionError(self._module)
        self._process.stdin.write(packed(words))
        await self._process.stdin.drain()

    def say(self, words: Plain) -> None:
        """As `send`, for few words; one that is gone hears nothing."""
        if self.alive and self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(packed(words))

    async def hear(self) -> Plain | None:
        if self._process is None or self._process.stdout is None:
            return None
        return await read_async(self._process.stdout)

    async def stop(self, patience_s: float = 1.0) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), patience_s)
        if process.returncode is None:
            process.kill()
            await process.wait()
        transport: Any = getattr(process, "_transport", None)
        if transport is not None:
            transport.close()
