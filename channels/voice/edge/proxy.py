"""Forwarding, purely: a message and where it came from in; messages and where they go out.

Theory of operation. The edge has an outside (carriers, telephones) and an inside (workers, loopback). Each
message crosses from one to the other. What a dialog's path needs travels in the message: Record-Route carries
the sealed flow of the outside party, the Via branch is a keyed digest of the Via below it, so a reply is
forwarded only where a request came from. What is remembered (`Paths`) only helps retransmissions, CANCEL, and
parties that lose their Route set; it may be lost at any time.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from channels.voice.edge.digest import Digest
from channels.voice.edge.flow import TCP, TLS, UDP, Flow, Seal, bracketed
from channels.voice.edge.limits import IGNORE, PASS, Bucket, SourceLimits, is_scanner
from channels.voice.edge.message import (
    Malformed,
    SipMessage,
    Uri,
    Via,
    address_of,
    first_value,
    parse,
    parse_uri,
    parse_via,
)
from channels.voice.edge.registrar import Registrar
from channels.voice.edge.replies import ALLOW, DEFAULT_PORT, has_tag, reply, reply_flow
from channels.voice.edge.spread import Spread
from channels.voice.edge.trunks import OUR_BRANCH, Trunk, TrunkConfig, Trunks

MAX_MESSAGE = 65_535
_BRANCH = b"z9hG4bKcc"
_GROWTH = 600
"""bytes that our Via and Record-Route may add"""
_MAX_PATHS = 100_000
_RETRANSMISSIONS_TO_GIVE_UP = 3
_ASKING_S = 2.0
"""so long after a start a call is left to be repeated rather than refused for want of a worker's word"""
_DIALOG = frozenset({b"ACK", b"BYE", b"CANCEL", b"PRACK", b"UPDATE", b"INFO", b"REFER", b"NOTIFY"})
OUTSIDE, INSIDE = "outside", "inside"


@dataclass(frozen=True, slots=True)
class Send:
    side: str
    flow: Flow
    data: bytes


@dataclass(frozen=True)
class EdgeConfig:
    public: tuple[str, int]
    """host and port that the outside is told"""
    inside: tuple[str, int]
    domain: str
    """realm of the telephones' accounts and host of their addresses"""
    tls_port: int = 0
    """where the outside finds us over TLS; 0 for nowhere"""
    accept: str = "anyone"
    """whose calls are taken: anyone | known (trunks and registered telephones)"""
    retry_after_s: int = 10
    source_rate: float = 20.0
    """new requests a second of one address that is no trunk's"""
    calls_per_s: float = 0.0
    """new calls a second in all; 0 is no limit"""


@dataclass(slots=True)
class Path:
    """Where one call's requests went."""

    cseq: int
    inside: Flow
    outside: Flow
    origin: str = ""
    """who brought this call: trunk:<name>, phone:<user> or stranger"""
    uri: bytes = b""
    """Request-URI that replaced the one of a call of ours"""
    trunk: str = ""
    untried: list[Trunk] = field(default_factory=list)
    request: bytes = b""
    """the INVITE as it came, kept while another trunk could take it"""
    attempt: int = 0
    unanswered: int = 0


class Paths:
    """By Call-ID; the oldest go first when there are too many."""

    def __init__(self) -> None:
        self._paths: OrderedDict[bytes, Path] = OrderedDict()

    def get(self, call_id: bytes) -> Path | None:
        return self._paths.get(call_id)

    def put(self, call_id: bytes, path: Path) -> None:
        self._paths[call_id] = path
        self._paths.move_to_end(call_id)
        if len(self._paths) > _MAX_PATHS:
            self._paths.popitem(last=False)

    def __len__(self) -> int:
        return len(self._paths)


class Proxy:
    def __init__(
        self,
        config: EdgeConfig,
        seal: Seal,
        digest: Digest,
        registrar: Registrar,
        spread: Spread,
        trunks: Trunks,
        now_s: Callable[[], float],
    ) -> None:
        self.config, self.spread, self.trunks = config, spread, trunks
        self._seal, self._digest, self._registrar, self._now_s = seal, digest, registrar, now_s
        self._started_s = now_s()
        self.counts: Counter[str] = Counter()
        self.paths = Paths()
        self._limits = SourceLimits(config.source_rate)
        self._admitted = Bucket(config.calls_per_s, max(2.0, config.calls_per_s / 10))
        self._trunk_rates = {
            name: Bucket(trunk.config.calls_per_s, max(5.0, trunk.config.calls_per_s / 2))
            for name, trunk in trunks.trunks.items()
        }
        self._public = (config.public[0].encode(), config.public[1])
        self._inside = (config.inside[0].encode(), config.inside[1])
        host = bracketed(config.public[0])
        plain, tls = f"{host}:{config.public[1]}".encode(), f"{host}:{config.tls_port}".encode()
        self._public_texts = {UDP: plain, TCP: plain, TLS: tls if config.tls_port else plain}
        self._own = {self._public, self._inside}
        self._outer = {self._public}
        if config.tls_port:
            self._own.add((self._public[0], config.tls_port))
            self._outer.add((self._public[0], config.tls_port))
        self._inside_text = f"{bracketed(config.inside[0])}:{config.inside[1]}".encode()

    # --- from carriers and telephones ------------------------------------------------------------

    def from_outside(self, data: bytes, flow: Flow) -> list[Send]:
        """One message from the network; never raises for what it holds."""
        message: SipMessage | None = None
        try:
            message = parse(data)
            if not message.is_request:
                return self._reply_from_outside(message, flow)
            return self._request_from_outside(message, data, flow)
        except Malformed as error:
            return self._malformed(error.reason, error.message or message, data, flow)

    def _request_from_outside(self, message: SipMessage, data: bytes, flow: Flow) -> list[Send]:
        """Raises Malformed for what is found broken on the way."""
        via = self._receive(message, flow)
        method = message.method
        if method == b"CANCEL":
            return self._cancel(message, via, flow)
        if method == b"ACK" or self._in_dialog(message):
            return self._dialog_from_outside(message, via, flow)
        if is_scanner(data):
            return self._scanned()
        if method == b"INVITE":
            return self._new_call(message, via, flow)
        refusal = self._limited(message, via, flow)
        if refusal is not None:
            return refusal
        if method == b"REGISTER":
            return self._register(message, via, flow)
        if method == b"OPTIONS":
            return self._options(message, via, flow)
        code = 489 if method in (b"SUBSCRIBE", b"PUBLISH") else 405
        return self._refuse(message, via, flow, code, "method", [("Allow", ALLOW)])

    def _receive(self, message: SipMessage, flow: Flow) -> Via:
        """Note the source in the topmost Via (RFC 3261 §18.2.1, RFC 3581 §4). Raises Malformed."""
        value = first_value(message, b"via")
        via = parse_via(value)
        differs = via.host.strip(b"[]") != flow.host.encode()
        rport = b"rport" in via.params
        if b"received" in via.params or (rport and via.params[b"rport"]):
            value = _without(value, (b"received", b"rport"))
            rport = True
        elif rport:
            value = _without(value, (b"rport",))
        if rport:
            value += b";rport=%d" % flow.port
        if differs or rport:
            value += b";received=" + flow.host.encode()
            message.replace_first_value(b"via", value)
            via = parse_via(value)
        return via

    def _scanned(self) -> list[Send]:
        self.counts["scanner"] += 1
        return []

    def _malformed(self, reason: str, message: SipMessage | None, data: bytes, flow: Flow) -> list[Send]:
        if is_scanner(data):
            return self._scanned()
        self.counts["malformed"] += 1
        if message is None or not message.is_request or message.method == b"ACK":
            return []
        if self._limits.judge(flow.host, self._now_s()) != PASS:
            return []
        try:
            via = parse_via(first_value(message, b"via"))
        except Malformed:
            return []
        text = "Bad Request: " + reason
        return [Send(OUTSIDE, reply_flow(via, flow), reply(message, self._seal, 400, text))]

    def _limited(self, message: SipMessage, via: Via, flow: Flow) -> list[Send] | None:
        """A refusal (or silence) for a source that asks too often; None where it may go on."""
        if self.trunks.identify(flow.host) is not None:
            return None
        verdict = self._limits.judge(flow.host, self._now_s())
        if verdict == PASS:
            return None
        self.counts[f"source_{verdict}d"] += 1
        if verdict == IGNORE:
            return []
        return self._refuse(message, via, flow, 503, "", self._retry_after())

    def _options(self, message: SipMessage, via: Via, flow: Flow) -> list[Send]:
        self.counts["options"] += 1
        if not self.spread.workers:
            return self._refuse(message, via, flow, 503, "no_worker", self._retry_after())
        headers = [("Allow", ALLOW), ("Accept", b"application/sdp")]
        return [Send(OUTSIDE, reply_flow(via, flow), reply(message, self._seal, 200, headers=headers))]

    def _register(self, message: SipMessage, via: Via, flow: Flow) -> list[Send]:
        user = self._authenticated(message, flow, b"authorization")
        if not user:
            return self._challenge(message, via, flow, 401, "WWW-Authenticate", b"to", user is None)
        to = parse_uri(address_of(message.value(b"to"))[0])
        if to is None or to.user.decode("utf-8", "replace") != user:
            return self._refuse(message, via, flow, 403, "register_other")
        needed = message.values(b"require")
        if needed:
            return self._refuse(message, via, flow, 420, "extension", [("Unsupported", b", ".join(needed))])
        nat = via.host.strip(b"[]") != flow.host.encode() or (via.port or DEFAULT_PORT) != flow.port
        answer = self._registrar.register(user, message, flow, nat)
        self.counts["registered" if answer.code == 200 else "register_refused"] += 1
        text = reply(message, self._seal, answer.code, answer.reason, answer.headers)
        return [Send(OUTSIDE, reply_flow(via, flow), text)]

    def _challenge(
        self, message: SipMessage, via: Via, flow: Flow, code: int, header: str, whose: bytes, stale: bool
    ) -> list[Send]:
        uri = parse_uri(address_of(message.value(whose))[0])
        user = uri.user.decode("utf-8", "replace") if uri is not None else ""
        values = [(header, value.encode()) for value in self._digest.challenges(flow.host, user, stale)]
        return self._refuse(message, via, flow, code, "", values)

    def _authenticated(self, message: SipMessage, flow: Flow, header: bytes) -> str | None:
        """The user that this request proves to be; "" where it proves nothing, None for an old nonce."""
        given = [
            _header_value(line)
            for name, line in zip(message.names, message.lines, strict=True)
            if name == header
        ]
        if not given:
            return ""
        uri = message.uri.decode("utf-8", "replace")
        verdict = self._digest.verify(given, message.method.decode(), uri, flow.host)
        if verdict.user:
            return verdict.user
        self.counts[f"digest_{verdict.reason}"] += 1
        return None if verdict.stale else ""

    def _new_call(self, message: SipMessage, via: Via, flow: Flow) -> list[Send]:
        call_id, cseq = message.value(b"call-id"), message.cseq()[0]
        path = self.paths.get(call_id)
        if path is not None and path.cseq == cseq and path.outside == flow:
            self.counts["retransmitted"] += 1
            return self._into(message, via, path)
        trunk = self.trunks.identify(flow.host)
        refusal = self._refusal(message, via, flow, trunk)
        if refusal is not None:
            return refusal
        origin = f"trunk:{trunk.name}" if trunk else "stranger"
        if trunk is None:
            caller = parse_uri(address_of(message.value(b"from"))[0])
            ours = caller is not None and caller.host == self.config.domain.encode().lower()
            if ours or self.config.accept == "known":
                user = self._authenticated(message, flow, b"proxy-authorization")
                if not user:
                    return self._challenge(
                        message, via, flow, 407, "Proxy-Authenticate", b"from", user is None
                    )
                if caller is None or caller.user.decode("utf-8", "replace") != user:
                    return self._refuse(message, via, flow, 403, "caller_other")
                origin = f"phone:{user}"
        rate = self._trunk_rates.get(trunk.name) if trunk else None
        if rate is not None and not rate.take(self._now_s()):
            return self._refuse(message, via, flow, 503, "trunk_rate", self._retry_after())
        if not self._admitted.take(self._now_s()):
            return self._refuse(message, via, flow, 503, "rate", self._retry_after())
        worker = self.spread.choose()
        if worker is None and flow.transport == UDP and self._just_started():
            self.counts["asked_to_repeat"] += 1
            return []  # a moment later it comes again, and the workers will have said how they are
        if worker is None:
            return self._refuse(message, via, flow, 503, "full", self._retry_after())
        self.counts["calls_in"] += 1
        path = Path(cseq, Flow(UDP, worker.host, worker.port), flow, origin=origin)
        self.paths.put(call_id, path)
        return self._into(message, via, path)

    def _just_started(self) -> bool:
        return self.spread.unasked and self._now_s() - self._started_s < _ASKING_S

    def _refusal(
        self, message: SipMessage, via: Via, flow: Flow, trunk: TrunkConfig | None
    ) -> list[Send] | None:
        if trunk is None:
            limited = self._limited(message, via, flow)
            if limited is not None:
                return limited
        if self._is_looped(message):
            return self._refuse(message, via, flow, 482, "loop")
        needed = message.values(b"proxy-require")
        if needed:
            return self._refuse(message, via, flow, 420, "extension", [("Unsupported", b", ".join(needed))])
        if len(message.to_bytes()) > self.spread.max_message - _GROWTH:
            return self._refuse(message, via, flow, 513, "too_large")
        return None

    def _into(self, message: SipMessage, via: Via, path: Path) -> list[Send]:
        """A call's first request, to its worker."""
        self._take_routes(message)
        hops = self._one_hop_less(message)
        if hops is not None:
            return self._refuse(message, via, path.outside, hops, "hops")
        token = self._seal.token(path.outside)
        end = b"" if path.outside.transport == UDP else b";transport=" + path.outside.transport.encode()
        nearest = b"<sip:%s;lr;cc-from=%s>" % (self._inside_text, path.origin.encode())
        ours = self._public_texts[path.outside.transport]
        self._record(message, nearest, b"<sip:%s@%s%s;lr>" % (token, ours, end))
        self._push_via(message, via, INSIDE, path.outside)
        return [Send(INSIDE, path.inside, message.to_bytes())]

    def _cancel(self, message: SipMessage, via: Via, flow: Flow) -> list[Send]:
        path = self.paths.get(message.value(b"call-id"))
        if path is None or path.cseq != message.cseq()[0] or path.outside != flow:
            return self._limited(message, via, flow) or self._refuse(
                message, via, flow, 481, "unknown_cancel"
            )
        return self._pass_in(message, via, flow, path.inside)

    def _dialog_from_outside(self, message: SipMessage, via: Via, flow: Flow) -> list[Send]:
        ours = self._take_routes(message)
        target = parse_uri(message.uri)
        path = self.paths.get(message.value(b"call-id"))
        inside: Flow | None = None
        if ours and target is not None and self.spread.is_worker(_text(target.host), target.port):
            inside = Flow(UDP, _text(target.host), target.port)
        elif path is not None and path.outside.host == flow.host:
            self.counts["route_lost"] += 1
            inside = path.inside
        if inside is None or first_value(message, b"route"):
            self.counts["no_dialog"] += 1
            if message.method == b"ACK":
                return []
            return self._limited(message, via, flow) or self._refuse(message, via, flow, 481, "")
        return self._pass_in(message, via, flow, inside)

    def _pass_in(self, message: SipMessage, via: Via, flow: Flow, inside: Flow) -> list[Send]:
        if len(message.lines) and len(message.body) + 1500 > self.spread.max_message:
            if message.method == b"ACK":
                return []
            return self._refuse(message, via, flow, 513, "too_large")
        hops = self._one_hop_less(message)
        if hops is not None:
            return [] if message.method == b"ACK" else self._refuse(message, via, flow, hops, "hops")
        self._push_via(message, via, INSIDE, flow)
        return [Send(INSIDE, inside, message.to_bytes())]

    def _reply_from_outside(self, message: SipMessage, flow: Flow) -> list[Send]:
        own = parse_via(first_value(message, b"via"))
        if own.branch.startswith(OUR_BRANCH):
            sends = self.trunks.answered(message, own.branch, self._now_s())
            return [Send(OUTSIDE, to, data) for to, data in sends]
        if (own.host, own.port) not in self._outer:
            self.counts["reply_not_ours"] += 1
            return []
        message.remove_first_value(b"via")
        number, method = message.cseq()
        call_id = message.value(b"call-id")
        via = parse_via(first_value(message, b"via"))
        attempt = self._attempt(own.branch, via, call_id, number)
        worker = Flow(UDP, _text(via.host), via.port or DEFAULT_PORT)
        if attempt is None or not self.spread.is_worker(worker.host, worker.port):
            self.counts["reply_not_ours"] += 1
            return []
        path = self.paths.get(call_id)
        if path is not None and path.trunk and method == b"INVITE" and path.cseq == number:
            if attempt != path.attempt:
                return []  # a trunk that was given up meanwhile
            path.unanswered = 0
            if message.status in (500, 502, 503, 504) and path.untried:
                ack = self._ack(message, path, own)
                return [Send(OUTSIDE, path.outside, ack), *self._next_trunk(call_id, path)]
            if message.status >= 200:
                path.untried, path.request = [], b""
        return [Send(INSIDE, worker, message.to_bytes())]

    # --- from workers ----------------------------------------------------------------------------

    def from_inside(self, data: bytes, flow: Flow) -> list[Send]:
        """One message from loopback; only workers are heard."""
        if not self.spread.is_worker(flow.host, flow.port):
            self.counts["inside_stranger"] += 1
            return []
        try:
            message = parse(data)
            if message.is_request:
                return self._request_from_inside(message, flow)
            return self._reply_from_inside(message)
        except Malformed:
            self.counts["inside_malformed"] += 1
            return []

    def _reply_from_inside(self, message: SipMessage) -> list[Send]:
        own = parse_via(first_value(message, b"via"))
        if (own.host, own.port) != self._inside:
            self.counts["reply_not_ours"] += 1
            return []
        message.remove_first_value(b"via")
        via = parse_via(first_value(message, b"via"))
        if self._attempt(own.branch, via, message.value(b"call-id"), message.cseq()[0]) is None:
            self.counts["reply_not_ours"] += 1
            return []
        token = own.params.get(b"f")
        flow = self._seal.flow(token) if token else None
        if flow is None:
            host = _text(via.params.get(b"received") or via.host.strip(b"[]"))
            flow = Flow(UDP, host, int(via.params.get(b"rport") or via.port or DEFAULT_PORT))
        return [Send(OUTSIDE, flow, message.to_bytes())]

    def _request_from_inside(self, message: SipMessage, flow: Flow) -> list[Send]:
        via = self._receive(message, flow)
        token = self._take_routes(message)
        call_id, (cseq, _method) = message.value(b"call-id"), message.cseq()
        known = self.paths.get(call_id)
        if token:
            outside = self._seal.flow(token)
            if outside is None:
                return self._no_way(message, via, flow)
            return self._pass_out(message, via, flow, outside, 0)
        if known is not None and known.inside == flow and (known.cseq == cseq or self._in_dialog(message)):
            target = parse_uri(message.uri)
            if known.uri and target is not None and _text(target.host) == self.config.domain.lower():
                message.set_uri(known.uri)  # CANCEL, and the ACK of a refusal, go where their INVITE went
            if message.method == b"INVITE" and known.cseq == cseq and known.trunk:
                known.unanswered += 1
                if known.unanswered >= _RETRANSMISSIONS_TO_GIVE_UP and known.untried:
                    return self._next_trunk(call_id, known)
            if message.method == b"INVITE" and not self._in_dialog(message):
                self._record_outside(message, known.outside)
            return self._pass_out(message, via, flow, known.outside, known.attempt)
        if message.method == b"INVITE" and not self._in_dialog(message):
            return self._call_out(message, via, flow, call_id, cseq)
        target = parse_uri(message.uri)
        if target is None or message.method == b"CANCEL":
            return self._no_way(message, via, flow)
        return self._pass_out(message, via, flow, _flow_of(target), 0)

    def _call_out(self, message: SipMessage, via: Via, flow: Flow, call_id: bytes, cseq: int) -> list[Send]:
        """An INVITE of a worker: to a telephone of ours, by way of a trunk, or to a literal address."""
        target = parse_uri(message.uri)
        if target is None:
            return self._no_way(message, via, flow)
        self.counts["calls_out"] += 1
        original = message.to_bytes()
        if _text(target.host) != self.config.domain.lower():
            path = Path(cseq, flow, _flow_of(target))
            self.paths.put(call_id, path)
            self._record_outside(message, path.outside)
            return self._pass_out(message, via, flow, path.outside, 0)
        user = target.user.decode("utf-8", "replace")
        bindings = self._registrar.find(user)
        if bindings:
            path = Path(cseq, flow, bindings[0].flow, uri=bindings[0].contact)
            self.paths.put(call_id, path)
            message.set_uri(path.uri)
            self._record_outside(message, path.outside)
            return self._pass_out(message, via, flow, path.outside, 0)
        wanted = _text(target.params.get(b"trunk", b""))
        trunks = self.trunks.choices(self._now_s(), wanted) if _is_number(user) else []
        if not trunks:
            return self._no_way(message, via, flow)
        path = Path(cseq, flow, trunks[0].flow, untried=trunks, request=original, attempt=-1)
        self.paths.put(call_id, path)
        return self._next_trunk(call_id, path)

    def _next_trunk(self, call_id: bytes, path: Path) -> list[Send]:
        """The call of ours to the next trunk that may take it."""
        if path.trunk:
            self.trunks.refused(path.trunk, self._now_s())
            self.counts["trunk_failed_over"] += 1
        trunk = path.untried.pop(0)
        message = parse(path.request)
        target = parse_uri(message.uri)
        assert target is not None, "checked before it was kept"
        config = trunk.config
        end = "" if config.transport == UDP else f";transport={config.transport}"
        path.uri = b"sip:%s@%s:%d%s" % (
            target.user,
            bracketed(config.host).encode(),
            config.port,
            end.encode(),
        )
        path.trunk, path.outside, path.unanswered = config.name, trunk.flow, 0
        path.attempt += 1
        message.set_uri(path.uri)
        self._record_outside(message, path.outside)
        via = parse_via(first_value(message, b"via"))
        return self._pass_out(message, via, path.inside, path.outside, path.attempt)

    def _pass_out(self, message: SipMessage, via: Via, flow: Flow, outside: Flow, attempt: int) -> list[Send]:
        hops = self._one_hop_less(message)
        if hops is not None:
            return [Send(INSIDE, flow, reply(message, self._seal, hops))]
        self._push_via(message, via, OUTSIDE, outside, attempt)
        return [Send(OUTSIDE, outside, message.to_bytes())]

    def _no_way(self, message: SipMessage, via: Via, flow: Flow) -> list[Send]:
        self.counts["no_way"] += 1
        if message.method == b"ACK":
            return []
        return [Send(INSIDE, reply_flow(via, flow), reply(message, self._seal, 480))]

    def _ack(self, message: SipMessage, path: Path, own: Via) -> bytes:
        """For a trunk's refusal that the worker is not to hear of (RFC 3261 §17.1.1.3)."""
        number = message.cseq()[0]
        transport = path.outside.transport.upper().encode()
        return b"\r\n".join(
            [
                b"ACK " + path.uri + b" SIP/2.0",
                b"Via: SIP/2.0/%s %s;rport;branch=%s"
                % (transport, self._public_texts[path.outside.transport], own.branch),
                b"Max-Forwards: 70",
                b"From: " + message.value(b"from"),
                b"To: " + message.value(b"to"),
                b"Call-ID: " + message.value(b"call-id"),
                b"CSeq: %d ACK" % number,
                b"Content-Length: 0",
                b"",
                b"",
            ]
        )

    # --- small things ----------------------------------------------------------------------------

    def _in_dialog(self, message: SipMessage) -> bool:
        return has_tag(message.lines[message.line_of(b"to")])

    def _is_own(self, uri: Uri | None) -> bool:
        return uri is not None and (uri.host, uri.port or DEFAULT_PORT) in self._own

    def _is_looped(self, message: SipMessage) -> bool:
        for value in message.values(b"via"):
            via = parse_via(value)
            if (via.host, via.port) in self._outer and via.branch.startswith(_BRANCH):
                return True
        return False

    def _take_routes(self, message: SipMessage) -> bytes:
        """Remove our own topmost Route values; answers the token in them, b"" where there is none.

        A token that is not ours counts as none."""
        token = b""
        while route := first_value(message, b"route"):
            uri = parse_uri(address_of(route)[0])
            if not self._is_own(uri):
                break
            assert uri is not None
            token = uri.user or token
            message.remove_first_value(b"route")
        return token if token and self._seal.flow(token) is not None else b""

    def _one_hop_less(self, message: SipMessage) -> int | None:
        """Max-Forwards counted down; the status to refuse with where it cannot be."""
        at = message.line_of(b"max-forwards")
        if at < 0:
            message.insert(0, b"max-forwards", b"Max-Forwards: 70")
            return None
        value = message.value(b"max-forwards")
        if not value.isdigit() or int(value[:4]) > 255:
            return 400
        if int(value) == 0:
            return 483
        message.lines[at] = b"Max-Forwards: %d" % (int(value) - 1)
        return None

    def _record_outside(self, message: SipMessage, outside: Flow) -> None:
        token = self._seal.token(outside) if _is_address(outside.host) else b""
        at = token + b"@" if token else b""
        end = b"" if outside.transport == UDP else b";transport=" + outside.transport.encode()
        nearest = b"<sip:%s%s%s;lr>" % (at, self._public_texts[outside.transport], end)
        self._record(message, nearest, b"<sip:%s;lr>" % self._inside_text)

    def _record(self, message: SipMessage, nearest: bytes, farthest: bytes) -> None:
        """Two Record-Routes (RFC 5658), one for each side, above those of others."""
        at = message.line_of(b"record-route")
        if at < 0:
            at = max(index for index, name in enumerate(message.names) if name == b"via") + 1
        for value in (farthest, nearest):
            message.insert(at, b"record-route", b"Record-Route: " + value)

    def _push_via(self, message: SipMessage, via: Via, side: str, outside: Flow, attempt: int = 0) -> None:
        digest = self._branch(via, message.value(b"call-id"), message.cseq()[0])
        branch = _BRANCH + digest + (b".%d" % attempt if attempt else b"")
        if side == OUTSIDE:
            transport = outside.transport.upper().encode()
            ours = self._public_texts[outside.transport]
            line = b"Via: SIP/2.0/%s %s;rport;branch=%s" % (transport, ours, branch)
        else:
            line = b"Via: SIP/2.0/UDP %s;branch=%s" % (self._inside_text, branch)
            if outside.transport != UDP:
                line += b";f=" + self._seal.token(outside)
        message.insert(0, b"via", line)

    def _branch(self, via: Via, call_id: bytes, cseq: int) -> bytes:
        """A digest of the Via below and of the call: the same for an INVITE, its CANCEL and its ACK."""
        params = via.params
        return (
            self._seal.digest(
                b"branch",
                via.transport,
                via.host,
                b"%d" % via.port,
                params.get(b"branch", b""),
                params.get(b"received", b""),
                params.get(b"rport", b""),
                call_id,
                b"%d" % cseq,
            )
            .hex()
            .encode()
        )

    def _attempt(self, branch: bytes, via: Via, call_id: bytes, cseq: int) -> int | None:
        """Which attempt of ours this reply is for; None where the branch is none we made for that Via."""
        head, _, number = branch.partition(b".")
        if head != _BRANCH + self._branch(via, call_id, cseq):
            return None
        return int(number) if number.isdigit() else 0

    def _retry_after(self) -> list[tuple[str, bytes]]:
        return [("Retry-After", b"%d" % self.config.retry_after_s)]

    def _refuse(
        self,
        message: SipMessage,
        via: Via,
        flow: Flow,
        code: int,
        count: str,
        headers: Iterable[tuple[str, bytes]] = (),
    ) -> list[Send]:
        self.counts[f"refused_{count}" if count else f"answered_{code}"] += 1
        if message.method == b"ACK":
            return []
        return [Send(OUTSIDE, reply_flow(via, flow), reply(message, self._seal, code, headers=headers))]


def _without(value: bytes, names: tuple[bytes, ...]) -> bytes:
    """A Via value without these parameters; the others stay as they were written."""
    head, *params = value.split(b";")
    kept = [param for param in params if param.partition(b"=")[0].strip().lower() not in names]
    return b";".join([head, *kept])


def _header_value(line: bytes) -> bytes:
    return line.partition(b":")[2].strip()


def _text(value: bytes) -> str:
    return value.decode("latin-1").strip("[]").lower()


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def _is_number(user: str) -> bool:
    digits = user.removeprefix("+")
    return digits.isdigit() and 2 <= len(digits) <= 20


def _flow_of(uri: Uri) -> Flow:
    wanted = uri.params.get(b"transport", b"").lower()
    transport = TLS if uri.scheme == b"sips" else {b"tcp": TCP, b"tls": TLS}.get(wanted, UDP)
    return Flow(transport, _text(uri.host), uri.port or (5061 if transport == TLS else DEFAULT_PORT))
