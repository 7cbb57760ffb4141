"""Frozen dataclasses to plain maps and back, for journals: the kind under `k`, fields by name."""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter
from typing import Any


class FactCodec:
    """Knows a set of dataclasses by name. A field added later has a default, so old rows still read."""

    def __init__(self, kinds: tuple[type, ...]) -> None:
        self._kinds = {kind.__name__: kind for kind in kinds}
        self._names = {kind: tuple(field.name for field in fields(kind)) for kind in kinds}
        self._keys = {kind: ("k", *names) for kind, names in self._names.items()}
        self._values = {kind: attrgetter("__class__.__name__", *names) for kind, names in self._names.items()}

    def knows(self, kind: str) -> bool:
        return kind in self._kinds

    def to_plain(self, fact: Any) -> dict[str, Any]:
        kind = type(fact)
        return dict(zip(self._keys[kind], self._values[kind](fact), strict=True))

    def from_plain(self, plain: dict[str, Any]) -> Any:
        kind = self._kinds[plain["k"]]
        return kind(**{name: plain[name] for name in self._names[kind] if name in plain})
