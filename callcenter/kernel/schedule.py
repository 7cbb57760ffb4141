"""Timers behind a port, so that what waits can be tested in virtual time."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Protocol

from callcenter.kernel.clock import VirtualClock


class Handle(Protocol):
    def cancel(self) -> None: ...


class Scheduler(Protocol):
    def after(self, delay_ms: int, action: Callable[[], None]) -> Handle:
        """Call `action` once, `delay_ms` from now, on the loop."""
        ...


class AsyncioScheduler:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def after(self, delay_ms: int, action: Callable[[], None]) -> Handle:
        return self._loop.call_later(max(0, delay_ms) / 1000, action)


class _VirtualHandle:
    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


class VirtualScheduler:
    """Runs what is due while it moves the clock it was given."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._heap: list[tuple[int, int, _VirtualHandle]] = []
        self._order = itertools.count()

    def after(self, delay_ms: int, action: Callable[[], None]) -> Handle:
        handle = _VirtualHandle(action)
        due_ms = self._clock.now_ms() + max(0, delay_ms)
        heapq.heappush(self._heap, (due_ms, next(self._order), handle))
        return handle

    def advance(self, ms: int) -> None:
        until_ms = self._clock.now_ms() + ms
        while self._heap and self._heap[0][0] <= until_ms:
            due_ms, _, handle = heapq.heappop(self._heap)
            self._clock.advance(max(0, due_ms - self._clock.now_ms()))
            action, handle.action = handle.action, None
            if action is not None:
                action()
        self._clock.advance(until_ms - self._clock.now_ms())
