"""Who may ring from the web, how often, where to, and who they are."""

from __future__ import annotations

import secrets
from pathlib import Path

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from callcenter.kernel.errors import NotAllowed
from callcenter.kernel.signed_identity import SignedIdentity

AUDIENCE = "web-call"
_MOST_VISITS = 1_000


class WebCalls:
    def __init__(
        self, numbers: tuple[str, ...], rate: str, region: str, key_file: Path | None, algorithm: str
    ) -> None:
        """`rate` as in `6/minute`, for each address. Raises ConfigError where the key cannot be read."""
        self._numbers, self._rate = numbers, parse(rate)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._identity = SignedIdentity("webrtc.identity_key_file", key_file, algorithm, AUDIENCE, region)
        self._visits: dict[str, str] = {}
        """by the word that goes with a call: the visitor's number, until the call arrives"""

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

    def visit(self, identity: str) -> str:
        """A word for the call of a visitor with this signed identity; "" for one without.

        The token (JWT) says `aud` web-call, `exp`, and `phone`, the customer's number. Raises NotAllowed:
        bad_identity."""
        if not identity:
            return ""
        phone = self._identity.phone(identity)
        while len(self._visits) >= _MOST_VISITS:
            self._visits.pop(next(iter(self._visits)))
        word = secrets.token_urlsafe(18)
        self._visits[word] = phone
        return word

    def arrived(self, word: str) -> str:
        """The number of the visitor whose call carries this word, once; "" for a word that is not ours."""
        return self._visits.pop(word, "")
