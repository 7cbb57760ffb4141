"""A journal again, through the engine as it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from callcenter.journal.store import Row
from callcenter.live.facts import CODEC
from routing import Activation, Command, RoutingEngine
from routing import facts as rf


@dataclass(frozen=True, slots=True)
class Replayed:
    """One activation: as it stands in the journal, its routing facts, the engine after it, what it asked for now."""

    row: Row
    facts: tuple[rf.Fact, ...]
    engine: RoutingEngine
    commands: tuple[Command, ...]

    @property
    def plain(self) -> list[dict[str, Any]]:
        return [command.to_plain() for command in self.commands]


def replay(rows: Iterator[Row]) -> Iterator[Replayed]:
    """Each activation of a journal again, oldest first; the engine is the same object throughout."""
    engine = RoutingEngine()
    for row in rows:
        facts = tuple(rf.from_plain(fact) for fact in row.facts if not CODEC.knows(fact["k"]))
        completion = engine.activate(Activation(row.seq, row.now_ms, facts))
        yield Replayed(row, facts, engine, completion.commands)
