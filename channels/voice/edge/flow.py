"""A flow: the way back to a telephone or trunk (RFC 5626): transport, address, port. Its sealed token stands
in Record-Route, so that a dialog needs no memory of ours and survives a restart of the edge."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
from typing import NamedTuple

UDP, TCP, TLS = "udp", "tcp", "tls"
_KINDS = (UDP, TCP, TLS)
_SEAL = 10


class Flow(NamedTuple):
    transport: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.transport}:{bracketed(self.host)}:{self.port}"


class Seal:
    """Keyed digests of the edge; the key lies in its file and outlives a restart."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def digest(self, *parts: bytes, size: int = _SEAL) -> bytes:
        return hashlib.blake2b(b"\x00".join(parts), key=self._key, digest_size=size).digest()

    def token(self, flow: Flow) -> bytes:
        family = socket.AF_INET6 if ":" in flow.host else socket.AF_INET
        plain = bytes([_KINDS.index(flow.transport)]) + flow.port.to_bytes(2, "big")
        plain += socket.inet_pton(family, flow.host)
        return base64.urlsafe_b64encode(plain + self.digest(b"flow", plain)).rstrip(b"=")

    def flow(self, token: bytes) -> Flow | None:
        """The flow behind a token of ours; None for anything else."""
        try:
            raw = base64.urlsafe_b64decode(token + b"=" * (-len(token) % 4))
        except ValueError:
            return None
        plain, seal = raw[:-_SEAL], raw[-_SEAL:]
        if len(plain) not in (7, 19) or not hmac.compare_digest(seal, self.digest(b"flow", plain)):
            return None
        family = socket.AF_INET if len(plain) == 7 else socket.AF_INET6
        return Flow(_KINDS[plain[0]], socket.inet_ntop(family, plain[3:]), int.from_bytes(plain[1:3], "big"))


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
