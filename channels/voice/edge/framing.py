"""Whole SIP messages out of a byte stream (RFC 3261 §18.3): lengths count bytes, not characters."""

from __future__ import annotations

import re

_LENGTH = re.compile(rb"\r\n(?:content-length|l)[ \t]*:((?:[^\r]|\r\n[ \t])*)(?=\r\n)", re.I)
_DIGITS = re.compile(rb"\d{1,9}\Z")
PING, PONG = b"\r\n\r\n", b"\r\n"
MAX_HEAD = 16_384


class StreamBroken(ValueError):
    """Where the next message begins can no longer be told: the connection has to be closed."""


class StreamFraming:
    """`feed` answers whole messages; `PING` stands for a keep-alive that wants an answer (RFC 5626 §4.4.1)."""

    def __init__(self, max_message: int) -> None:
        self._max = max_message
        self._bytes = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Raises StreamBroken for a head that does not end, a message without Content-Length, or one too
        large. Messages before it in the same chunk are in `done`."""
        self._bytes += chunk
        self.done: list[bytes] = []
        while self._bytes:
            if self._bytes[:4] == PING:
                del self._bytes[:4]
                self.done.append(PING)
                continue
            if self._bytes[:2] == PONG and len(self._bytes) > 2:
                if self._bytes[2:4] == b"\r":
                    break  # half a ping
                del self._bytes[:2]
                continue
            if self._bytes in (b"\r", b"\r\n"):
                break
            message = self._next()
            if message is None:
                break
            self.done.append(message)
        return self.done

    def _next(self) -> bytes | None:
        end = self._bytes.find(b"\r\n\r\n")
        if end < 0:
            if len(self._bytes) > MAX_HEAD:
                raise StreamBroken("headers without an end")
            return None
        if end > MAX_HEAD:
            raise StreamBroken("headers too long")
        lengths = {value.strip() for value in _LENGTH.findall(bytes(self._bytes[: end + 2]))}
        if len(lengths) != 1:
            raise StreamBroken("no Content-Length" if not lengths else "two Content-Lengths")
        length = lengths.pop()
        if not _DIGITS.match(length):
            raise StreamBroken("Content-Length")
        whole = end + 4 + int(length)
        if whole > self._max:
            raise StreamBroken("message too large")
        if len(self._bytes) < whole:
            return None
        message = bytes(self._bytes[:whole])
        del self._bytes[:whole]
        return message
