"""What needs a person now: raised once, shown to supervisors and as a metric, lowered when it is over."""

from __future__ import annotations

from collections.abc import Callable

from callcenter.kernel import logging
from callcenter.kernel.clock import Clock

log = logging.get("alarms")


class Alarms:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.standing: dict[str, tuple[int, str]] = {}
        """by name: since when (UTC ms), and a detail"""
        self.changed: Callable[[], None] = lambda: None

    def raise_(self, name: str, detail: str) -> None:
        before = self.standing.get(name)
        if before is None:
            log.error("alarm_raised", key=name, reason=detail)
        now = (before[0] if before is not None else self._clock.now_ms(), detail)
        self.standing[name] = now
        if now != before:
            self.changed()

    def lower(self, name: str) -> None:
        if self.standing.pop(name, None) is not None:
            log.info("alarm_lowered", key=name)
            self.changed()
