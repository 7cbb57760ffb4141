"""The one clock. Nobody else asks the operating system for the time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    def now_ms(self) -> int:
        """UTC milliseconds that never decrease within a process."""
        ...

    def raise_to(self, floor_ms: int) -> None:
        """Never answer less than `floor_ms` from now on (the journal's last moment at start)."""
        ...


class SystemClock:
    """Wall clock read once and carried on by the monotonic clock, so that a step of NTP never
    turns the order of two activations round."""

    def __init__(self) -> None:
        self._anchor_ms = time.time_ns() // 1_000_000
        self._anchor_mono_ns = time.monotonic_ns()

    def now_ms(self) -> int:
        elapsed_ms = (time.monotonic_ns() - self._anchor_mono_ns) // 1_000_000
        return self._anchor_ms + elapsed_ms

    def raise_to(self, floor_ms: int) -> None:
        """A wall clock behind the journal is carried forward, not held: time goes on from the floor."""
        self._anchor_ms += max(0, floor_ms - self.now_ms())


class VirtualClock:
    """Time for tests and the simulator; moves only when told."""

    def __init__(self, start_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = start_ms

    def now_ms(self) -> int:
        return self._now_ms

    def raise_to(self, floor_ms: int) -> None:
        self._now_ms = max(self._now_ms, floor_ms)

    def advance(self, ms: int) -> int:
        if ms < 0:
            raise ValueError("time does not run backwards")
        self._now_ms += ms
        return self._now_ms
