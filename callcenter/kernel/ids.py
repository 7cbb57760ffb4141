"""Identifiers are (kind, epoch, sequence): unique over restarts without asking anybody."""

from __future__ import annotations

import re

_FORM = re.compile(r"^([a-z])(\d+)-(\d+)$")


class IdFactory:
    """Makes ids such as `i7-42`: kind `i` (interaction), epoch 7, the 42nd of its kind."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self._last: dict[str, int] = {}

    def next(self, kind: str) -> str:
        seq = self._last.get(kind, 0) + 1
        self._last[kind] = seq
        return f"{kind}{self.epoch}-{seq}"


def parse_id(text: str) -> tuple[str, int, int]:
    """`i7-42` -> ("i", 7, 42). Raises ValueError on any other form."""
    match = _FORM.match(text)
    if not match:
        raise ValueError(f"not an id: {text!r}")
    return match[1], int(match[2]), int(match[3])
