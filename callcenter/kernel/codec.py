"""Frozen dataclasses to plain maps and back, for journals: the kind under `k`, fields by name."""

from __future__ import annotations

from dataclasses import fields
from typing import Any


class FactCodec:
    """Knows a set of dataclasses by name. A field added later has a default, so old rows still read."""

    def __init__(self, kinds: tuple[type, ...]) -> None:
        self._kinds = {kind.__name__: kind for kind in kinds}
        self._names = {kind: tuple(field.name for field in fields(kind)) for kind in kinds}

    def knows(self, kind: str) -> bool:
        return kind in self._kinds

    def to_plain(self, fact: Any) -> dict[str, Any]:
        kind = type(fact)
        plain: dict[str, Any] = {"k": kind.__name__}
        for name in self._names[kind]:
            plain[name] = getattr(fact, name)
        return plain

    def from_plain(self, plain: dict[str, Any]) -> Any:
        kind = self._kinds[plain["k"]]
        return kind(**{name: plain[name] for name in self._names[kind] if name in plain})
