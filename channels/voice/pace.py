"""When to rest: under load it pays to let work gather, otherwise to answer at once."""

from __future__ import annotations


class EventPace:
    """Whether events come so fast that resting between looks pays."""

    def __init__(self, busy_per_s: float, window_s: float = 0.2) -> None:
        self.count = 0
        self._busy_per_s, self._window_s = busy_per_s, window_s
        self._since_s, self._busy = 0.0, False

    def rests(self, now_s: float) -> bool:
        if now_s - self._since_s >= self._window_s:
            self._busy = self.count > self._busy_per_s * (now_s - self._since_s)
            self._since_s, self.count = now_s, 0
        return self._busy
