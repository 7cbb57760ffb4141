"""Who may ring from the web, how often, and where to."""

from __future__ import annotations

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from callcenter.kernel.errors import NotAllowed


class WebCalls:
    def __init__(self, numbers: tuple[str, ...], rate: str) -> None:
        """`rate` as in `6/minute`, for each address."""
        self._numbers, self._rate = numbers, parse(rate)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    @property
    def enabled(self) -> bool:
        return bool(self._numbers)

    def admit(self, address: str) -> None:
        """Raises NotAllowed: no_browser_phones where the web may not ring, too_often."""
        if not self.enabled:
            raise NotAllowed("no_browser_phones")
        if not self._limiter.hit(self._rate, "web-call", address):
            raise NotAllowed("too_often")

    def number(self, wanted: str) -> str:
        """Raises NotAllowed: unknown_number."""
        if wanted and wanted not in self._numbers:
            raise NotAllowed("unknown_number")
        return wanted or self._numbers[0]
