"""What stands around an edge in these tests: telephones, trunks and workers that follow RFC 3261 and nothing of our
product, and a world that has one edge, no network and a clock of its own."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from channels.voice.edge.digest import Digest, Secret
from channels.voice.edge.flow import TCP, TLS, UDP, Flow, Seal
from channels.voice.edge.proxy import INSIDE, OUTSIDE, EdgeConfig, Proxy, Send
from channels.voice.edge.registrar import Registrar
from channels.voice.edge.spread import Spread, Upstream
from channels.voice.edge.store import EdgeStore
from channels.voice.edge.trunks import TrunkConfig, Trunks

PUBLIC, INNER, DOMAIN = ("198.51.100.1", 5060), ("127.0.0.1", 5080), "centre"
WORKERS = [Flow(UDP, "127.0.0.1", 5081), Flow(UDP, "127.0.0.1", 5082)]
CALLER, OTHER = Flow(UDP, "203.0.113.9", 5062), Flow(UDP, "203.0.113.66", 6666)
ONE, TWO = Flow(UDP, "192.0.2.10", 5060), Flow(UDP, "192.0.2.20", 5060)
NUMBER = "sip:95519@198.51.100.1"
SDP = "v=0\r\ns=您好\r\n".encode() + bytes(range(128, 160))

_COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length"}


class Read:
    """A message as a far end reads it: characters of Latin-1, headers by name, lists taken apart."""

    def __init__(self, data: bytes) -> None:
        head, end, body = data.partition(b"\r\n\r\n")
        assert end, "a message without an end"
        text = re.sub(r"\r\n[ \t]+", " ", head.decode("latin-1"))
        self.start, *lines = text.split("\r\n")
        self.headers: list[tuple[str, str]] = []
        for line in lines:
            name, colon, value = line.partition(":")
            assert colon, line
            key = name.strip().lower()
            self.headers.append((_COMPACT.get(key, key), value.strip()))
        self.body = body
        length = self.one("content-length")
        assert not length or int(length) == len(body), (
            "a datagram may say none (RFC 3261 §18.3), never a wrong one"
        )

    @property
    def method(self) -> str:
        return self.start.partition(" ")[0]

    @property
    def uri(self) -> str:
        return self.start.split(" ")[1]

    @property
    def status(self) -> int:
        """0 for a request."""
        return int(self.start.split(" ")[1]) if self.start.startswith("SIP/2.0 ") else 0

    def one(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    def all(self, name: str) -> list[str]:
        found: list[str] = []
        for key, value in self.headers:
            if key == name:
                runs = re.finditer(r'(?:"(?:\\.|[^"\\])*"|<[^>]*>|[^,"<])+', value)
                found += [run[0].strip() for run in runs if run[0].strip()]
        return found

    @property
    def cseq(self) -> int:
        return int(self.one("cseq").split()[0])

    def tag(self, name: str) -> str:
        found = re.search(r";\s*tag=([^;\s]+)", self.one(name).rpartition(">")[2], re.I)
        return found[1] if found else ""

    def branch(self) -> str:
        """Of the topmost Via."""
        found = re.search(r";\s*branch=([^;,\s]+)", self.all("via")[0], re.I)
        return found[1] if found else ""


def uri_in(value: str) -> str:
    found = re.search(r"<([^>]+)>", value)
    return found[1] if found else value.partition(";")[0]


def address_in(uri: str) -> tuple[str, int]:
    """Host and port of a URI."""
    found = re.match(r"sips?:(?:[^@]*@)?(\[[^\]]+\]|[^:;?]+)(?::(\d+))?", uri)
    assert found is not None, uri
    return found[1].strip("[]"), int(found[2] or 5060)


def build(start: str, headers: list[str], body: bytes = b"") -> bytes:
    head = "\r\n".join([start, *headers, f"Content-Length: {len(body)}", "", ""])
    return head.encode("utf-8", "surrogateescape") + body


@dataclass
class Dialog:
    """RFC 3261 §12.1: what both ends keep."""

    call_id: str
    local: str
    remote: str
    target: str
    routes: list[str]
    cseq: int


@dataclass
class Party:
    """One user agent. `edge` is the address of the edge on its side."""

    user: str
    flow: Flow
    edge: tuple[str, int] = PUBLIC
    contact: str = ""
    sent: int = 0
    options: str = ";rport"
    """parameters of its Vias"""

    def __post_init__(self) -> None:
        end = "" if self.flow.transport == UDP else f";transport={self.flow.transport}"
        self.contact = self.contact or f"sip:{self.user}@{self.flow.host}:{self.flow.port}{end}"

    def via(self) -> str:
        self.sent += 1
        kind = self.flow.transport.upper()
        return f"Via: SIP/2.0/{kind} {self.flow.host}:{self.flow.port}{self.options};branch=z9hG4bK{self.user}-{self.sent}"

    def request(
        self,
        method: str,
        uri: str = NUMBER,
        *more: str,
        call_id: str = "call",
        cseq: int = 1,
        body: bytes = b"",
        **other: str,
    ) -> bytes:
        """Out of a dialog. `more` are headers; `from_`, `to` and `via` replace those."""
        headers = [
            other.get("via") or self.via(),
            f"Max-Forwards: {other.get('hops', '70')}",
            f"From: {other.get('from_') or f'<sip:{self.user}@{self.flow.host}>'};tag=f{self.user}",
            f"To: {other.get('to') or f'<{uri}>'}",
            f"Call-ID: {call_id}",
            f"CSeq: {cseq} {method}",
            f"Contact: <{self.contact}>",
            *more,
        ]
        return build(f"{method} {uri} SIP/2.0", headers, body)

    def follow(self, invite: bytes, method: str, reply: bytes = b"") -> bytes:
        """CANCEL (§9.1), or ACK for a final reply that is no 2xx (§17.1.1.3): Via, target and Route of the INVITE."""
        asked = Read(invite)
        headers = [
            f"Via: {asked.all('via')[0]}",
            "Max-Forwards: 70",
            f"From: {asked.one('from')}",
            f"To: {Read(reply).one('to') if reply else asked.one('to')}",
            f"Call-ID: {asked.one('call-id')}",
            f"CSeq: {asked.cseq} {method}",
            *(f"Route: {route}" for route in asked.all("route")),
        ]
        return build(f"{method} {asked.uri} SIP/2.0", headers)

    def reply(self, request: bytes, code: int, *more: str, body: bytes = b"", tag: str = "") -> bytes:
        """§8.2.6 and §12.1.1: Via, From, To, Call-ID, CSeq and Record-Route as they came."""
        asked = Read(request)
        mark = "" if asked.tag("to") or code == 100 else f";tag={tag or 't' + self.user}"
        headers = [
            *(f"Via: {via}" for via in asked.all("via")),
            *(f"Record-Route: {route}" for route in asked.all("record-route")),
            f"From: {asked.one('from')}",
            f"To: {asked.one('to')}{mark}",
            f"Call-ID: {asked.one('call-id')}",
            f"CSeq: {asked.one('cseq')}",
            f"Contact: <{self.contact}>",
            *more,
        ]
        return build(f"SIP/2.0 {code} Because", headers, body)

    def calling(self, reply: bytes) -> Dialog:
        """§12.1.2: the dialog of who sent the INVITE."""
        told = Read(reply)
        routes = list(reversed(told.all("record-route")))
        return Dialog(
            *(told.one("call-id"), told.one("from"), told.one("to")),
            uri_in(told.one("contact")),
            routes,
            told.cseq,
        )

    def called(self, invite: bytes) -> Dialog:
        """§12.1.1: the dialog of who answered it."""
        asked = Read(invite)
        local = asked.one("to") + ("" if asked.tag("to") else f";tag=t{self.user}")
        target, routes = uri_in(asked.one("contact")), asked.all("record-route")
        return Dialog(asked.one("call-id"), local, asked.one("from"), target, routes, 500)

    def within(
        self, dialog: Dialog, method: str, *more: str, body: bytes = b"", routed: bool = True
    ) -> bytes:
        """§12.2.1.1. The first Route has to name the edge on our side, loosely."""
        if method not in ("ACK", "CANCEL"):
            dialog.cseq += 1
        routes = dialog.routes if routed else []
        for route in routes:
            assert ";lr" in route
        if routes:
            assert address_in(uri_in(routes[0])) == self.edge, routes
        headers = [
            self.via(),
            "Max-Forwards: 70",
            *(f"Route: {route}" for route in routes),
            f"From: {dialog.local}",
            f"To: {dialog.remote}",
            f"Call-ID: {dialog.call_id}",
            f"CSeq: {dialog.cseq} {method}",
            f"Contact: <{self.contact}>",
            *more,
        ]
        return build(f"{method} {dialog.target} SIP/2.0", headers, body)


def worker_party(number: int = 0) -> Party:
    return Party(f"w{number}", WORKERS[number], INNER)


@dataclass
class World:
    """One edge and what it is told. Every message that leaves it is looked at."""

    folder: Path
    trunks_of: tuple[TrunkConfig, ...] = ()
    rules: dict[str, Any] = field(default_factory=dict)
    public: tuple[str, int] = PUBLIC
    free: int = 10
    max_message: int = 8000
    now_s: float = 1_800_000_000.0

    def __post_init__(self) -> None:
        self.workers = [
            Upstream(f"b{n}", n, flow.host, flow.port, free=self.free, max_message=self.max_message)
            for n, flow in enumerate(WORKERS)
        ]
        self.start()

    def start(self) -> None:
        """A new process on the same file, after `kill -9` of the old one."""
        self.store = EdgeStore(self.folder / "edge.db")
        self.trunks = Trunks(list(self.trunks_of), f"{self.public[0]}:{self.public[1]}", DOMAIN)
        self.spread = Spread()
        self.spread.replace(self.workers)
        self.proxy = Proxy(
            EdgeConfig(self.public, INNER, DOMAIN, **self.rules),
            Seal(self.store.key()),
            Digest(DOMAIN, lambda: int(self.now_s), self.store.account),
            Registrar(self.store, lambda: int(self.now_s * 1000)),
            self.spread,
            self.trunks,
            lambda: self.now_s,
        )

    def restart(self) -> None:
        self.store.close()
        self.start()

    def outside(self, data: bytes, flow: Flow = CALLER) -> list[Send]:
        return self._checked(self.proxy.from_outside(data, flow))

    def inside(self, data: bytes, worker: int = 0) -> list[Send]:
        return self._checked(self.proxy.from_inside(data, WORKERS[worker]))

    def one_out(self, data: bytes, flow: Flow = CALLER) -> Send:
        """What comes of a message from outside, where that is one message."""
        (send,) = self.outside(data, flow)
        return send

    def one_in(self, data: bytes, worker: int = 0) -> Send:
        (send,) = self.inside(data, worker)
        return send

    def tick(self, seconds: float) -> list[Send]:
        """Time passes; what the edge sends of itself meanwhile."""
        sends: list[Send] = []
        for _ in range(round(seconds * 4)):
            self.now_s += 0.25
            sends += [Send(OUTSIDE, flow, data) for flow, data in self.trunks.tick(self.now_s)]
        return self._checked(sends)

    def account(self, user: str, password: str = "secret", algorithms: tuple[str, ...] = ("MD5",)) -> None:
        self.store.put_account(user, Secret.of(user, DOMAIN, password, algorithms), 0)

    def authorised(
        self, party: Party, method: str, uri: str, *more: str, password: str = "secret", **rest: Any
    ) -> list[Send]:
        """A request, challenged, and again with credentials."""
        cseq = rest.pop("cseq", 1)
        challenge = self.one_out(party.request(method, uri, *more, cseq=cseq, **rest), party.flow)
        read = Read(challenge.data)
        assert read.status in (401, 407)
        header = "WWW-Authenticate" if read.status == 401 else "Proxy-Authenticate"
        given = "Authorization" if read.status == 401 else "Proxy-Authorization"
        words = credentials(read.one(header.lower()), party.user, password, method, uri)
        return self.outside(
            party.request(method, uri, f"{given}: {words}", *more, cseq=cseq + 1, **rest), party.flow
        )

    def register(self, party: Party, contact: str = "", expires: int = 600, cseq: int = 1) -> None:
        aor = f"<sip:{party.user}@{DOMAIN}>"
        (send,) = self.authorised(
            party,
            *("REGISTER", f"sip:{DOMAIN}", f"Expires: {expires}"),
            cseq=cseq,
            call_id=f"reg-{party.user}",
            from_=aor,
            to=aor,
        )
        assert Read(send.data).status == 200

    def _checked(self, sends: list[Send]) -> list[Send]:
        for send in sends:
            Read(send.data)
            if send.side == INSIDE:
                assert send.flow in WORKERS, "only workers are inside"
                assert len(send.data) <= self.max_message, "more than a worker reads"
            else:
                assert send.flow.transport in (UDP, TCP, TLS)
        return sends


def credentials(challenge: str, user: str, password: str, method: str, uri: str, nc: str = "00000001") -> str:
    """MD5 with qop=auth, RFC 7616 §3.4."""
    realm, nonce = (re.search(rf'{name}="([^"]*)"', challenge) for name in ("realm", "nonce"))
    assert realm is not None
    assert nonce is not None
    ha1, ha2 = (
        hashlib.md5(text.encode()).hexdigest()
        for text in (f"{user}:{realm[1]}:{password}", f"{method}:{uri}")
    )
    response = hashlib.md5(f"{ha1}:{nonce[1]}:{nc}:c:auth:{ha2}".encode()).hexdigest()
    return (
        f'Digest username="{user}", realm="{realm[1]}", nonce="{nonce[1]}", uri="{uri}", response="{response}", '
        f'algorithm=MD5, cnonce="c", nc={nc}, qop=auth'
    )
