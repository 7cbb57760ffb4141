"""Digest authentication of telephones (RFC 7616 as SIP uses it, RFC 8760): SHA-256 and MD5, qop `auth`,
nonces that expire, each count of a nonce good for one request."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

NONCE_S = 60
_MAX_NONCES = 50_000
_ALGORITHMS: dict[str, Callable[[bytes], hashlib._Hash]] = {
    "SHA-256": hashlib.sha256,
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False),
}
_PARAM = re.compile(rb'([A-Za-z0-9_\-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_COUNT = re.compile(r"[0-9a-fA-F]{8}\Z")


@dataclass(frozen=True, slots=True)
class Secret:
    """What is kept of a password: H(user:realm:password) by algorithm, in hexadecimal; "" for an algorithm
    that this account does not use."""

    md5: str
    sha256: str

    @classmethod
    def of(cls, user: str, realm: str, password: str, algorithms: Sequence[str] = ("MD5",)) -> Secret:
        text = f"{user}:{realm}:{password}".encode()
        made = {name: _ALGORITHMS[name](text).hexdigest() for name in algorithms}
        return cls(made.get("MD5", ""), made.get("SHA-256", ""))

    def for_algorithm(self, name: str) -> str:
        return self.md5 if name == "MD5" else self.sha256


@dataclass(frozen=True, slots=True)
class Verdict:
    user: str = ""
    """authenticated as; "" where not"""
    stale: bool = False
    """right but for its nonce: ask again, do not count it as an attack"""
    reason: str = ""


class Digest:
    """`lookup` answers the secret of a user or None. A restart forgets all nonces: phones are asked anew."""

    def __init__(self, realm: str, now_s: Callable[[], int], lookup: Callable[[str], Secret | None]) -> None:
        self.realm, self._now_s, self._lookup = realm, now_s, lookup
        self._key = secrets.token_bytes(32)
        self._counts: OrderedDict[str, int] = OrderedDict()

    def challenges(self, source: str, user: str, stale: bool = False) -> list[str]:
        """One value for each algorithm of this account, the stronger first (RFC 8760 §2.4). Nobody's account
        is challenged like most: MD5, since many telephones fail at a challenge they do not know."""
        secret = self._lookup(user)
        names = [name for name in _ALGORITHMS if secret and secret.for_algorithm(name)] or ["MD5"]
        nonce = self._nonce(self._now_s(), source)
        more = ", stale=true" if stale else ""
        return [
            f'Digest realm="{self.realm}", nonce="{nonce}", algorithm={name}, qop="auth"{more}'
            for name in names
        ]

    def verify(self, headers: Sequence[bytes], method: str, uri: str, source: str) -> Verdict:
        """Of several credentials the first for our realm counts."""
        for header in headers:
            given = _credentials(header)
            if given.get("realm") == self.realm:
                return self._judge(given, method, uri, source)
        return Verdict(reason="no_credentials")

    def _judge(self, given: dict[str, str], method: str, uri: str, source: str) -> Verdict:
        algorithm = given.get("algorithm", "MD5").upper()
        if algorithm not in _ALGORITHMS:
            return Verdict(reason="algorithm")
        if given.get("qop") != "auth" or not _COUNT.match(given.get("nc", "")) or not given.get("cnonce"):
            return Verdict(reason="qop")
        if given.get("uri") != uri:
            return Verdict(reason="uri")
        nonce = given.get("nonce", "")
        made_s = self._made_at(nonce, source)
        if made_s is None or not 0 <= self._now_s() - made_s <= NONCE_S:
            return Verdict(stale=True, reason="nonce")
        user = given.get("username", "")
        secret = self._lookup(user)
        # an unknown user costs the same work as a known one, and gets the same answer
        ha1 = secret.for_algorithm(algorithm) if secret else ""
        hashed = _ALGORITHMS[algorithm]
        ha2 = hashed(f"{method}:{uri}".encode()).hexdigest()
        text = f"{ha1}:{nonce}:{given['nc']}:{given['cnonce']}:auth:{ha2}"
        response = given.get("response", "").lower().encode()
        right = hmac.compare_digest(hashed(text.encode()).hexdigest().encode(), response)
        if not right or not ha1:
            return Verdict(reason="response")
        count = int(given["nc"], 16)
        if count <= self._counts.get(nonce, 0):
            return Verdict(stale=True, reason="replayed")
        self._remember(nonce, count)
        return Verdict(user=user)

    def _remember(self, nonce: str, count: int) -> None:
        self._counts[nonce] = count
        self._counts.move_to_end(nonce)
        while len(self._counts) > _MAX_NONCES:
            oldest, _count = self._counts.popitem(last=False)
            if self._now_s() - (self._stamp(oldest) or 0) <= NONCE_S:
                # so many at once: whoever was pushed out is asked again under a new key
                self._key = secrets.token_bytes(32)
                self._counts.clear()

    def _nonce(self, at_s: int, source: str) -> str:
        stamp = at_s.to_bytes(6, "big") + secrets.token_bytes(6)
        return base64.urlsafe_b64encode(stamp + self._seal(stamp, source)).decode()

    def _made_at(self, nonce: str, source: str) -> int | None:
        """When we made this nonce for this source; None where we did not."""
        try:
            raw = base64.urlsafe_b64decode(nonce.encode("ascii"))
        except ValueError:
            return None
        stamp, seal = raw[:12], raw[12:]
        if len(stamp) < 12 or not hmac.compare_digest(seal, self._seal(stamp, source)):
            return None
        return int.from_bytes(stamp[:6], "big")

    def _stamp(self, nonce: str) -> int | None:
        return int.from_bytes(base64.urlsafe_b64decode(nonce)[:6], "big")

    def _seal(self, stamp: bytes, source: str) -> bytes:
        return hashlib.blake2b(stamp + source.encode(), key=self._key, digest_size=18).digest()


def answer(user: str, password: str, challenge: bytes, method: str, uri: str) -> str | None:
    """Our own credentials for somebody else's challenge (a trunk's); None for one we cannot answer."""
    if challenge[:7].lower() != b"digest ":
        return None
    given = _credentials(challenge)
    algorithm = given.get("algorithm", "MD5").upper()
    if algorithm not in _ALGORITHMS or "nonce" not in given:
        return None
    hashed = _ALGORITHMS[algorithm]
    realm, nonce = given.get("realm", ""), given["nonce"]
    ha1 = hashed(f"{user}:{realm}:{password}".encode()).hexdigest()
    ha2 = hashed(f"{method}:{uri}".encode()).hexdigest()
    parts = [f"username={_quoted(user)}", f"realm={_quoted(realm)}", f"nonce={_quoted(nonce)}"]
    parts.append(f"uri={_quoted(uri)}")
    offered = [word.strip() for word in given.get("qop", "").lower().split(",") if word.strip()]
    if offered and "auth" not in offered:
        return None
    if offered:
        cnonce = secrets.token_hex(8)
        response = hashed(f"{ha1}:{nonce}:00000001:{cnonce}:auth:{ha2}".encode()).hexdigest()
        parts += [f'cnonce="{cnonce}"', "nc=00000001", "qop=auth"]
    else:
        response = hashed(f"{ha1}:{nonce}:{ha2}".encode()).hexdigest()
    parts += [f'response="{response}"', f"algorithm={algorithm}"]
    if "opaque" in given:
        parts.append(f"opaque={_quoted(given['opaque'])}")
    return "Digest " + ", ".join(parts)


def _quoted(text: str) -> str:
    """A quoted-string (RFC 3261 §25.1)."""
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _credentials(header: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in _PARAM.finditer(header.partition(b" ")[2]):
        value = match[3] if match[2] is None else re.sub(rb"\\(.)", rb"\1", match[2])
        found.setdefault(match[1].decode().lower(), value.decode("utf-8", "replace"))
    return found
