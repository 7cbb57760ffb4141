"""Structured logs: one JSON event a line, interaction id on each that has one, no personal data.

Only keys in `ALLOWED` pass; anything else is replaced by `?`, so a forgotten caller number in a
log call cannot reach the disk.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO

import structlog

ALLOWED = frozenset(
    [
        "event",
        "level",
        "timestamp",
        "process",
        "interaction",
        "contact",
        "outcome",
        "by",
        "offer",
        "agent",
        "queue",
        "leg",
        "worker",
        "slot",
        "boot",
        "epoch",
        "seq",
        "pid",
        "port",
        "address",
        "path",
        "reason",
        "cause",
        "code",
        "state",
        "count",
        "ms",
        "seconds",
        "error",
        "expected",
        "key",
        "node",
        "flow",
        "facts",
        "rows",
        "library",
        "legs",
        "free",
        "name",
        "version",
        "exc_info",
        "exception",
        "attempt",
        "signal",
        "exit_code",
        "file",
        "role",
        "kind",
        "purpose",
        "action",
        "subject",
    ]
)


_IDS = frozenset({"event", "interaction", "contact", "offer", "leg", "boot", "key"})
_LONG_NUMBER = re.compile(r"\+?\d(?:[ -]?\d){6,}")


def _drop_unknown(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in event:
        if key not in ALLOWED:
            event[key] = "?"
    return event


def _no_numbers(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A telephone or policy number inside a reason, a path or a traceback is blotted out."""
    for key, value in event.items():
        if isinstance(value, str) and key not in _IDS:
            event[key] = _LONG_NUMBER.sub("?", value)
    return event


_ENCODE = json.JSONEncoder(ensure_ascii=False).encode
_QUOTE = json.encoder.encode_basestring
_stream: TextIO = sys.stderr


def configure(process: str, stream: TextIO | None = None, level: str = "info") -> None:
    """Logs of this process go to `stream` (stderr by default) from now on."""
    global _stream
    _stream = stream or sys.stderr
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _drop_unknown,
            structlog.processors.format_exc_info,
            _no_numbers,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.WriteLoggerFactory(_stream),
    )
    structlog.contextvars.bind_contextvars(process=process)


class Lines:
    """Log lines by the thousand: the same form as all others, but only for ids and codes of ours, which need
    no looking through. They leave together, at the latest with `flush`."""

    def __init__(self, level: str = "info", most: int = 100) -> None:
        self._level, self._most = level, most
        self._waiting: list[str] = []
        self._bound: dict[str, Any] = {}
        self._end = ""
        self._second, self._moment = 0, ""

    def write(self, event: str, **ids: str) -> None:
        """Keys have to be among `ALLOWED`; values are ids or codes, never what a peer said."""
        bound = structlog.contextvars.get_contextvars()
        if bound != self._bound or not self._end:
            self._bound, self._end = bound, _ENCODE({**bound, "level": self._level})[1:-1]
        second, rest_ns = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            self._second = second
            self._moment = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        words = "".join(f'"{key}": {_QUOTE(value)}, ' for key, value in ids.items())
        moment = f"{self._moment}.{rest_ns // 1000:06d}Z"
        self._waiting.append(f'{{{words}"event": "{event}", {self._end}, "timestamp": "{moment}"}}\n')
        if len(self._waiting) >= self._most:
            self.flush()

    def flush(self) -> None:
        """To be called a few times a second, and at the end."""
        if self._waiting:
            _stream.write("".join(self._waiting))
            _stream.flush()
            self._waiting.clear()


def get(name: str) -> Any:
    return structlog.get_logger(name)


def bind(**fields: Any) -> None:
    """Fields that stand on every later event of this process."""
    structlog.contextvars.bind_contextvars(**fields)
