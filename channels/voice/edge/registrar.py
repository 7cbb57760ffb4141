"""Where telephones are (RFC 3261 §10.3), behind digest authentication. Pure but for its store."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

from channels.voice.edge.flow import Flow
from channels.voice.edge.message import SipMessage, Uri, address_of, params_of, parse_uri
from channels.voice.edge.replies import DEFAULT_PORT
from channels.voice.edge.store import Binding, EdgeStore

MIN_EXPIRES_S, MAX_EXPIRES_S, DEFAULT_EXPIRES_S = 60, 3600, 600
MAX_CONTACTS = 10
_Q = re.compile(rb"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\Z")
_MAX_CONTACT = 512
_ANGLED = re.compile(rb"<[^>]*>\s*(?:;.*)?\Z", re.S)


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, reason, and headers of the reply to a REGISTER."""

    code: int
    reason: str
    headers: tuple[tuple[str, bytes], ...] = ()


class Registrar:
    def __init__(self, store: EdgeStore, now_ms: Callable[[], int]) -> None:
        self._store, self._now_ms = store, now_ms

    def find(self, user: str) -> list[Binding]:
        """Where this telephone is: highest q first, then the newest registration."""
        return self._store.bindings(self._now_ms(), user)

    def register(self, user: str, message: SipMessage, flow: Flow, nat: bool) -> Answer:
        """The REGISTER of an authenticated user. All of its contacts, or none."""
        now_ms = self._now_ms()
        held = {_same(binding.contact): binding for binding in self.find(user)}
        contacts = message.values(b"contact")
        call_id, (cseq, _method) = message.value(b"call-id"), message.cseq()
        default = message.value(b"expires")
        if default and not default.isdigit():
            return Answer(400, "Bad Expires")
        if b"*" in contacts:
            if len(contacts) != 1 or default != b"0":
                return Answer(400, "Bad Contact")
            if any(not _newer(binding, call_id, cseq) for binding in held.values()):
                return Answer(500, "Out of Order")
            contacts, held = [], {}
            self._store.save_bindings(user, [], now_ms)
        for value in contacts:
            uri, after = address_of(value)
            params, place = params_of(after), parse_uri(uri)
            bare_with_headers = b"?" in uri and not _ANGLED.search(value)  # RFC 3261 §20.10
            if place is None or bare_with_headers or len(uri) > _MAX_CONTACT:
                return Answer(400, "Bad Contact")
            wanted = params.get(b"expires", default) or str(DEFAULT_EXPIRES_S).encode()
            q = params.get(b"q", b"1")
            if not wanted.isdigit() or not _Q.match(q):
                return Answer(400, "Bad Contact")
            old = held.get(_same(uri))
            if old is not None and not _newer(old, call_id, cseq):
                return Answer(500, "Out of Order")
            seconds = int(wanted[:9])
            if seconds == 0:
                held.pop(_same(uri), None)
                continue
            if seconds < MIN_EXPIRES_S:
                return Answer(423, "Interval Too Brief", (("Min-Expires", b"%d" % MIN_EXPIRES_S),))
            expires_ms = now_ms + min(seconds, MAX_EXPIRES_S) * 1000
            thousandths = round(float(q) * 1000)
            agent = message.value(b"user-agent")[:100]
            behind = nat or _elsewhere(place, flow)
            held[_same(uri)] = Binding(
                user, uri, flow, behind, thousandths, call_id, cseq, expires_ms, now_ms, agent
            )
        if len(held) > MAX_CONTACTS:
            return Answer(403, "Too Many Contacts")
        if contacts:
            self._store.save_bindings(user, list(held.values()), now_ms)
        return Answer(200, "OK", tuple(_contact(binding, now_ms) for binding in self.find(user)))


def _same(uri: bytes) -> bytes:
    """Equal for contacts that are equal but for the case of scheme and host (RFC 3261 §19.1.4)."""
    scheme, colon, rest = uri.partition(b":")
    user, at, place = rest.rpartition(b"@")
    host, mark, more = place.partition(b";")
    return scheme.lower() + colon + user + at + host.lower() + mark + more


def _elsewhere(place: Uri, flow: Flow) -> bool:
    """The telephone names an address that its message did not come from: something translates."""
    host = place.host.decode().strip("[]")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return (host, place.port or DEFAULT_PORT) != (flow.host, flow.port)


def _newer(binding: Binding, call_id: bytes, cseq: int) -> bool:
    return binding.call_id != call_id or cseq > binding.cseq


def _contact(binding: Binding, now_ms: int) -> tuple[str, bytes]:
    left_s = max(1, (binding.expires_ms - now_ms) // 1000)
    q = b"1" if binding.q >= 1000 else b"0.%03d" % binding.q
    return "Contact", b"<" + binding.contact + b">;expires=%d;q=" % left_s + q
