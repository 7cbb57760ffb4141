"""Carriers: who may speak for a caller, which of them is up, and our registration with them. Pure: told the
time and what came, answers what to send."""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass, field

from channels.voice.edge.digest import answer
from channels.voice.edge.flow import UDP, Flow, bracketed
from channels.voice.edge.message import SipMessage, address_of, params_of

OUR_BRANCH = b"z9hG4bKcctrunk"
TIMEOUT_S, FAILURES_TO_DOWN = 4.0, 2
RESEND_S = (0.5, 1.5, 3.5, TIMEOUT_S)
REGISTER_S = 600
SHUN_S = 10.0
"""so long a trunk that refused a call with 5xx is passed over, until its next OPTIONS says otherwise"""
_LOCAL_TRANSPORT = {"udp": "UDP", "tcp": "TCP", "tls": "TLS"}


@dataclass(frozen=True, slots=True)
class TrunkConfig:
    name: str
    host: str
    port: int
    transport: str = UDP
    sources: tuple[str, ...] = ()
    """addresses and networks whose calls are this trunk's"""
    username: str = ""
    password: str = ""
    register: bool = False
    monitor_s: float = 30.0
    """seconds between two OPTIONS; 0 trusts it blindly"""
    calls_per_s: float = 0.0
    """what it may send; 0 is no limit"""


@dataclass
class _Asked:
    """One request of ours that waits for its answer."""

    method: str
    data: bytes
    sent_s: float
    cseq: int
    resent: int = 0
    authorised: bool = False


@dataclass
class Trunk:
    config: TrunkConfig
    address: str = ""
    """resolved; "" while its name is not"""
    up: bool = True
    failures: int = 0
    shunned_until_s: float = 0.0
    registered_until_s: float = 0.0
    next_options_s: float = 0.0
    next_register_s: float = 0.0
    asked: dict[bytes, _Asked] = field(default_factory=dict)
    cseq: int = 0
    call_id: str = field(default_factory=lambda: secrets.token_hex(12))
    tag: str = field(default_factory=lambda: secrets.token_hex(6))

    @property
    def flow(self) -> Flow:
        return Flow(self.config.transport, self.address, self.config.port)


class Trunks:
    """In the order of the configuration: the first that is up gets the calls we make."""

    def __init__(self, configs: list[TrunkConfig], public: str, domain: str) -> None:
        self.trunks = {config.name: Trunk(config, _literal(config.host)) for config in configs}
        self._public, self._domain = public, domain
        self._networks = [
            (ipaddress.ip_network(source, strict=False), config.name)
            for config in configs
            for source in (*config.sources, *([_literal(config.host)] if _literal(config.host) else []))
        ]
        self._named: dict[str, str] = {}

    def identify(self, host: str) -> TrunkConfig | None:
        """The trunk that this source address belongs to."""
        if not self.trunks:
            return None
        name = self._named.get(host)
        if name is None:
            address = ipaddress.ip_address(host.partition("%")[0])
            name = next((name for network, name in self._networks if address in network), None)
        return self.trunks[name].config if name is not None else None

    def resolved(self, name: str, address: str) -> None:
        """The address behind a trunk's host name; calls from there are the trunk's too."""
        self.trunks[name].address = address
        self._named[address] = name

    def host_behind(self, address: str) -> str:
        """The host that the configuration names for this address; what a certificate has to be of."""
        return next((t.config.host for t in self.trunks.values() if t.address == address), address)

    def choices(self, now_s: float, wanted: str = "") -> list[Trunk]:
        """Trunks for a call of ours, best first: those up, or `wanted` alone."""
        found = [
            trunk
            for trunk in self.trunks.values()
            if trunk.address and (not wanted or trunk.config.name == wanted)
        ]
        good = [trunk for trunk in found if trunk.up and trunk.shunned_until_s <= now_s]
        return good or [trunk for trunk in found if trunk.up]

    def refused(self, name: str, now_s: float) -> None:
        """It answered a call with 5xx, or not at all."""
        trunk = self.trunks[name]
        trunk.shunned_until_s = now_s + SHUN_S
        trunk.next_options_s = min(trunk.next_options_s, now_s)

    def tick(self, now_s: float) -> list[tuple[Flow, bytes]]:
        """OPTIONS and REGISTER that are due, and those to be sent again. About four times a second."""
        out: list[tuple[Flow, bytes]] = []
        for trunk in self.trunks.values():
            if not trunk.address:
                continue
            for branch, asked in list(trunk.asked.items()):
                if now_s - asked.sent_s >= TIMEOUT_S:
                    del trunk.asked[branch]
                    self._unanswered(trunk, asked, now_s)
                elif trunk.config.transport == UDP and now_s - asked.sent_s >= RESEND_S[asked.resent]:
                    asked.resent += 1
                    out.append((trunk.flow, asked.data))
            if trunk.config.monitor_s and now_s >= trunk.next_options_s:
                trunk.next_options_s = now_s + trunk.config.monitor_s
                out.append((trunk.flow, self._ask(trunk, "OPTIONS", now_s)))
            if trunk.config.register and now_s >= trunk.next_register_s:
                trunk.next_register_s = now_s + REGISTER_S / 2
                out.append((trunk.flow, self._ask(trunk, "REGISTER", now_s)))
        return out

    def answered(self, message: SipMessage, branch: bytes, now_s: float) -> list[tuple[Flow, bytes]]:
        """A final or provisional reply to a request of ours."""
        for trunk in self.trunks.values():
            asked = trunk.asked.get(branch)
            if asked is None or message.status < 200:
                continue
            del trunk.asked[branch]
            challenge = message.value(b"www-authenticate") or message.value(b"proxy-authenticate")
            if message.status in (401, 407) and not asked.authorised and trunk.config.username:
                proxy = message.status == 407
                words = answer(
                    trunk.config.username, trunk.config.password, challenge, asked.method, self._uri(trunk)
                )
                if words is not None:
                    return [(trunk.flow, self._ask(trunk, asked.method, now_s, words, proxy))]
            self._judge(trunk, asked, message, now_s)
            break
        return []

    def describe(self, now_s: float) -> list[dict[str, object]]:
        return [
            {
                "name": trunk.config.name,
                "address": f"{bracketed(trunk.address or trunk.config.host)}:{trunk.config.port}",
                "up": trunk.up and bool(trunk.address),
                "registered": trunk.registered_until_s > now_s if trunk.config.register else None,
            }
            for trunk in self.trunks.values()
        ]

    def _judge(self, trunk: Trunk, asked: _Asked, message: SipMessage, now_s: float) -> None:
        if asked.method == "REGISTER":
            if message.status < 300:
                trunk.registered_until_s = now_s + _granted(message)
                trunk.next_register_s = now_s + max(5.0, _granted(message) / 2)
            else:
                trunk.registered_until_s = 0.0
                trunk.next_register_s = now_s + 30.0
        if message.status in (502, 503, 504):
            self._unanswered(trunk, asked, now_s)
        else:
            trunk.up, trunk.failures, trunk.shunned_until_s = True, 0, 0.0

    def _unanswered(self, trunk: Trunk, asked: _Asked, now_s: float) -> None:
        if asked.method == "REGISTER":
            trunk.next_register_s = now_s + 10.0
        trunk.failures += 1
        if trunk.failures >= FAILURES_TO_DOWN:
            trunk.up = False
        else:
            trunk.next_options_s = min(trunk.next_options_s, now_s + 1.0)

    def _uri(self, trunk: Trunk) -> str:
        config = trunk.config
        end = "" if config.transport == UDP else f";transport={config.transport}"
        return f"sip:{bracketed(config.host)}:{config.port}{end}"

    def _ask(
        self, trunk: Trunk, method: str, now_s: float, credentials: str = "", proxy: bool = False
    ) -> bytes:
        config, uri = trunk.config, self._uri(trunk)
        trunk.cseq += 1
        branch = OUR_BRANCH + secrets.token_hex(8).encode()
        user = config.username or "callcenter"
        host = bracketed(config.host) if method == "REGISTER" else self._domain
        own = f"sip:{user}@{host}"
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/{_LOCAL_TRANSPORT[config.transport]} {self._public};rport;branch={branch.decode()}",
            "Max-Forwards: 70",
            f"From: <{own}>;tag={trunk.tag}",
            f"To: <{own if method == 'REGISTER' else uri}>",
            f"Call-ID: {method.lower()}-{trunk.call_id}",
            f"CSeq: {trunk.cseq} {method}",
            f"Contact: <sip:{user}@{self._public}>",
        ]
        if method == "REGISTER":
            lines.append(f"Expires: {REGISTER_S}")
        if credentials:
            lines.append(f"{'Proxy-' if proxy else ''}Authorization: {credentials}")
        lines += ["User-Agent: callcenter", "Content-Length: 0", "", ""]
        data = "\r\n".join(lines).encode()
        trunk.asked[branch] = _Asked(method, data, now_s, trunk.cseq, authorised=bool(credentials))
        return data


def _literal(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return ""


def _granted(message: SipMessage) -> float:
    """Seconds that a registrar gave us."""
    for value in message.values(b"contact"):
        expires = params_of(address_of(value)[1]).get(b"expires", b"")
        if expires.isdigit():
            return float(expires[:6])
    expires = message.value(b"expires")
    return float(expires[:6]) if expires.isdigit() else float(REGISTER_S)
