"""Timers of the worker's loop: a heap of (due, order, action), cancelled by handle."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable


class Timer:
    __slots__ = ("action", "due_ms")

    def __init__(self, due_ms: int, action: Callable[[], None] | None) -> None:
        self.due_ms = due_ms
        self.action = action

    def cancel(self) -> None:
        self.action = None


class Timers:
    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Timer]] = []
        self._order = itertools.count()

    def at(self, due_ms: int, action: Callable[[], None]) -> Timer:
        timer = Timer(due_ms, action)
        heapq.heappush(self._heap, (due_ms, next(self._order), timer))
        return timer

    def run(self, now_ms: int, carry_out: Callable[[Callable[[], None]], None]) -> None:
        """Hand everything due by `now_ms` to `carry_out`, in order of due time."""
        while self._heap and self._heap[0][0] <= now_ms:
            timer = heapq.heappop(self._heap)[2]
            action, timer.action = timer.action, None
            if action is not None:
                carry_out(action)
