"""Who may come in. Pure accounting of call legs and of pace.

Every admitted caller takes two legs: its own, and one reserved for the agent it may be put
through to. Without the reservation a worker full of callers could not dial a single agent.
A dialled agent's leg uses the reservation of its caller.
"""

from __future__ import annotations

from dataclasses import dataclass, field

LEGS_PER_CALLER = 2


@dataclass
class Admission:
    capacity: int
    callers: set[str] = field(default_factory=set)
    dialled: dict[str, str | None] = field(default_factory=dict)
    """outbound leg -> the caller whose reservation it uses, or None"""
    refused: int = 0
    _ringing: dict[str, int] = field(default_factory=dict)
    """admitted caller -> legs dialled for it; its reservation is free while there are none"""

    @property
    def used(self) -> int:
        return len(self.callers) + len(self.dialled)

    @property
    def reserved(self) -> int:
        """Legs held free for agents of admitted callers."""
        return len(self.callers) - len(self._ringing)

    @property
    def free(self) -> int:
        return max(0, self.capacity - self.used - self.reserved)

    def admit_caller(self, leg: str) -> bool:
        if self.free < LEGS_PER_CALLER:
            self.refused += 1
            return False
        self.callers.add(leg)
        return True

    def admit_dial(self, leg: str, for_caller: str | None) -> bool:
        """A leg dialled for a caller that holds a reservation always fits; any other needs a free one."""
        covered = for_caller in self.callers and for_caller not in self._ringing
        if not covered and self.free < 1:
            return False
        self.dialled[leg] = for_caller
        if for_caller is not None and for_caller in self.callers:
            self._ringing[for_caller] = self._ringing.get(for_caller, 0) + 1
        return True

    def release(self, leg: str) -> None:
        self.callers.discard(leg)
        self._ringing.pop(leg, None)
        caller = self.dialled.pop(leg, None)
        if caller is not None and caller in self._ringing:
            self._ringing[caller] -= 1
            if not self._ringing[caller]:
                del self._ringing[caller]


OVERLOAD_MS = 400
"""a core that takes longer to answer a new call has enough to do"""
_BURST_S = 0.1


@dataclass
class Pace:
    """How fast new calls may come: by the setting, and by how long the core takes to answer them. Calls
    beyond are refused at once, so those that were taken are served whole."""

    calls_per_s: float = 0.0
    """0 is no limit of its own"""
    unanswered: dict[str, int] = field(default_factory=dict)
    """calls told to the core that it has said nothing of yet, oldest first, and since when"""
    _level: float = -1.0
    _at_ms: int = 0

    def fits(self, now_ms: int) -> bool:
        oldest_ms = next(iter(self.unanswered.values()), now_ms)
        if now_ms - oldest_ms > OVERLOAD_MS:
            return False
        if not self.calls_per_s:
            return True
        most = max(2.0, self.calls_per_s * _BURST_S)
        saved = (now_ms - self._at_ms) * self.calls_per_s / 1000
        self._level = most if self._level < 0 else min(most, self._level + saved)
        self._at_ms = now_ms
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True

    def told(self, leg: str, now_ms: int) -> None:
        self.unanswered[leg] = now_ms

    def answered(self, leg: str) -> None:
        self.unanswered.pop(leg, None)

    def forget(self) -> None:
        """The core came or went: what it owed is asked of nobody."""
        self.unanswered.clear()
