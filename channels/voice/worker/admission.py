"""Who may come in. Pure accounting of call legs.

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

    @property
    def used(self) -> int:
        return len(self.callers) + len(self.dialled)

    @property
    def reserved(self) -> int:
        """Legs held free for agents of admitted callers."""
        served = {caller for caller in self.dialled.values() if caller in self.callers}
        return len(self.callers) - len(served)

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
        covered = for_caller in self.callers and for_caller not in self.dialled.values()
        if not covered and self.free < 1:
            return False
        self.dialled[leg] = for_caller
        return True

    def release(self, leg: str) -> None:
        self.callers.discard(leg)
        self.dialled.pop(leg, None)
