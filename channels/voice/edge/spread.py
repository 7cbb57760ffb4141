"""Which worker gets a new call: the one with the most free unreserved legs. Pure; told what workers say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

LEGS_PER_CALLER = 2


@dataclass(slots=True)
class Upstream:
    """One worker as the edge sees it."""

    boot: str
    slot: int
    host: str
    port: int
    free: int = 0
    """legs that are neither used nor kept for an agent, as last said"""
    draining: bool = False
    max_message: int = 3500
    """bytes of the largest message its library reads"""
    seen_s: float = 0.0
    sent: int = 0
    """calls sent there since it last said how many legs are free"""
    known: bool = True
    """it answers; False for one remembered from before a restart of the edge"""

    @property
    def room(self) -> int:
        return 0 if self.draining or not self.known else self.free - LEGS_PER_CALLER * self.sent


@dataclass
class Spread:
    workers: dict[tuple[str, int], Upstream] = field(default_factory=dict)

    def replace(self, workers: Iterable[Upstream]) -> None:
        self.workers = {(worker.host, worker.port): worker for worker in workers}

    def is_worker(self, host: str, port: int) -> bool:
        return (host, port) in self.workers

    def choose(self) -> Upstream | None:
        """The worker with most room, the lower slot among equals; None where every one is full."""
        best: Upstream | None = None
        for worker in self.workers.values():
            room = worker.room
            if room < LEGS_PER_CALLER:
                continue
            if best is None or (-room, worker.slot) < (-best.room, best.slot):
                best = worker
        if best is not None:
            best.sent += 1
        return best

    @property
    def unasked(self) -> bool:
        """Workers are remembered, and none of them has said yet how it is."""
        return bool(self.workers) and not any(worker.known for worker in self.workers.values())

    @property
    def max_message(self) -> int:
        return min((worker.max_message for worker in self.workers.values()), default=3500)
