"""Callers whom a fault of ours cut off: when they ring again soon, they are put first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from callcenter.journal.private import PrivateStore
from callcenter.kernel.clock import Clock
from callcenter.live import facts as f
from callcenter.live.book import Interaction
from callcenter.live.host import AnyFact
from routing import Command

CREDIT_MS = 24 * 3600 * 1000
"""waiting time granted to them: more than anybody waits"""


class CutOffs:
    """Remembers people, not calls; numbers are kept as the unreadable ids of the private store."""

    def __init__(self, private: PrivateStore, clock: Clock, memory_s: int) -> None:
        self._private, self._clock, self._memory_ms = private, clock, memory_s * 1000
        self._at_ms: dict[str, int] = {}
        self._parties: dict[str, str] = {}

    def remember(self, earlier: Iterable[tuple[str, int]]) -> None:
        """(party reference, when) of those cut off before this core started."""
        for party_ref, at_ms in earlier:
            self._note(party_ref, at_ms)

    def heard(self, facts: Sequence[AnyFact], _commands: Sequence[Command]) -> None:
        for fact in facts:
            if isinstance(fact, f.InteractionStarted):
                self._parties[fact.interaction] = fact.party_ref
            elif isinstance(fact, f.InteractionEnded):
                party_ref = self._parties.pop(fact.interaction, "")
                if fact.outcome == "cut_off":
                    self._note(party_ref, fact.occurred_at_ms)

    def adopt(self, interactions: Iterable[Interaction]) -> None:
        """Interactions that an earlier core started."""
        self._parties.update({i.id: i.party_ref for i in interactions})

    def credit_ms(self, interaction: Interaction) -> int:
        """Waiting time that this caller is granted."""
        if not self._at_ms:
            return 0
        number = self._private.get(interaction.party_ref)
        at_ms = self._at_ms.get(self._private.person_of(number)) if number else None
        recent = at_ms is not None and self._clock.now_ms() - at_ms <= self._memory_ms
        return CREDIT_MS if recent else 0

    def _note(self, party_ref: str, at_ms: int) -> None:
        number = self._private.get(party_ref)
        if not number or not self._memory_ms:
            return
        limit_ms = self._clock.now_ms() - self._memory_ms
        self._at_ms = {person: at for person, at in self._at_ms.items() if at >= limit_ms}
        self._at_ms[self._private.person_of(number)] = at_ms
