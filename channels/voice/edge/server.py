"""The edge's sockets on Twisted: UDP, TCP and TLS outside, UDP inside, a status socket. Decides nothing;
every message goes through `Proxy`."""

from __future__ import annotations

import functools
import ipaddress
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure

from channels.voice.edge.flow import TCP, TLS, UDP, Flow
from channels.voice.edge.framing import PING, PONG, StreamBroken, StreamFraming
from channels.voice.edge.proxy import INSIDE, MAX_MESSAGE, Proxy, Send
from channels.voice.pace import EventPace
from channels.voice.protocol import MAX_FRAME, FrameError, Message, pack, unpack

MAX_CONNECTIONS = 5_000
IDLE_S = 120.0
"""a connection that never brought a whole message, or none for this long, is closed"""
_MAX_WAITING = 64
_SOCKET_BYTES = 4 * 1024 * 1024
BUSY_DATAGRAMS_S, REST_S = 1000, 0.003
"""datagrams a second of one socket from which on it rests between reads: whoever wakes for each one spends
more on waking than on work"""
reactor: Any = _reactor


class _Datagrams(DatagramProtocol):
    noisy = False
    transport: Any

    def __init__(
        self, heard: Callable[[bytes, Flow], list[Send]], carry: Callable[[list[Send]], None]
    ) -> None:
        self._heard, self._carry = heard, carry
        self._pace, self._resting = EventPace(BUSY_DATAGRAMS_S), False

    def startProtocol(self) -> None:
        import socket

        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.transport.getHandle().setsockopt(socket.SOL_SOCKET, option, _SOCKET_BYTES)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if len(datagram) > 4:  # shorter ones keep a NAT open
            self._carry(self._heard(datagram, Flow(UDP, addr[0], addr[1])))
        self._pace.count += 1
        if not self._resting and self._pace.rests(time.monotonic()):
            self._resting = True
            self.transport.stopReading()  # after what is here already
            reactor.callLater(REST_S, self._go_on)

    def _go_on(self) -> None:
        self._resting = False
        if self.transport is not None and self.transport.connected:
            self.transport.startReading()


class _Stream(Protocol):
    """One TCP or TLS connection, whoever opened it."""

    transport: Any

    def __init__(self, server: EdgeServer, kind: str) -> None:
        self._server, self._kind = server, kind
        self._framing = StreamFraming(MAX_MESSAGE)
        self.flow = Flow(kind, "", 0)
        self._idle = reactor.callLater(IDLE_S, self._close)

    def connectionMade(self) -> None:
        peer = self.transport.getPeer()
        self.flow = Flow(self._kind, peer.host, peer.port)
        self.transport.setTcpNoDelay(True)
        self.transport.setTcpKeepAlive(True)
        if not self._server.connected(self):
            self._close()

    def dataReceived(self, data: bytes) -> None:
        broken = False
        try:
            messages = self._framing.feed(data)
        except StreamBroken:
            broken, messages = True, self._framing.done
        for message in messages:
            self._idle.reset(IDLE_S)
            if message == PING:
                self.transport.write(PONG)
            else:
                self._server.carry(self._server.proxy.from_outside(message, self.flow))
        if broken:
            self._server.counts["stream_broken"] += 1
            self._close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._idle.active():
            self._idle.cancel()
        self._server.disconnected(self)

    def _close(self) -> None:
        self.transport.loseConnection()
        reactor.callLater(1.0, self.transport.abortConnection)


class _Status(Int32StringReceiver):
    """Whoever asks on `edge.sock` is told how things are."""

    MAX_LENGTH = MAX_FRAME
    transport: Any

    def __init__(self, describe: Callable[[], Message]) -> None:
        self._describe = describe

    def stringReceived(self, string: bytes) -> None:
        try:
            unpack(string)
        except FrameError:
            self.transport.loseConnection()
            return
        self.transport.write(pack({"t": "status", **self._describe()}))


class EdgeServer:
    def __init__(self, proxy: Proxy, keep_alive: Callable[[], list[Flow]]) -> None:
        self.proxy = proxy
        self.counts: Counter[str] = Counter()
        self._keep_alive = keep_alive
        self._streams: dict[Flow, _Stream] = {}
        self._waiting: dict[Flow, list[bytes]] = {}
        self._outside = _Datagrams(proxy.from_outside, self.carry)
        self._inside = _Datagrams(proxy.from_inside, self.carry)
        self._loops: list[LoopingCall] = []

    @property
    def connections(self) -> int:
        return len(self._streams)

    def listen(self, listen: tuple[str, int], inside: tuple[str, int]) -> None:
        """UDP and TCP. Raises CannotListenError."""
        reactor.listenUDP(inside[1], self._inside, inside[0], maxPacketSize=MAX_MESSAGE)
        reactor.listenUDP(listen[1], self._outside, listen[0], maxPacketSize=MAX_MESSAGE)
        reactor.listenTCP(listen[1], self._factory(TCP), interface=listen[0], backlog=1024)

    def listen_tls(self, listen: tuple[str, int], certificate: Path, key: Path) -> None:
        from twisted.internet.ssl import PrivateCertificate

        pem = key.read_bytes() + b"\n" + certificate.read_bytes()
        options = PrivateCertificate.loadPEM(pem).options()
        reactor.listenSSL(listen[1], self._factory(TLS), options, interface=listen[0])

    def listen_status(self, path: Path, describe: Callable[[], Message]) -> None:
        path.unlink(missing_ok=True)
        factory = Factory.forProtocol(lambda: _Status(describe))
        factory.noisy = False
        reactor.listenUNIX(str(path), factory, mode=0o600)

    def start(self, now_s: Callable[[], float]) -> None:
        def tick() -> None:
            for flow, data in self.proxy.trunks.tick(now_s()):
                self._send_out(flow, data)

        def keep_alive() -> None:
            for flow in self._keep_alive():
                if flow.transport == UDP:
                    self._outside.transport.write(b"\r\n\r\n", (flow.host, flow.port))

        for action, every_s in ((tick, 0.25), (keep_alive, 25.0), (self._resolve_trunks, 60.0)):
            loop = LoopingCall(action)
            loop.start(every_s)
            self._loops.append(loop)

    def carry(self, sends: list[Send]) -> None:
        for send in sends:
            if send.side == INSIDE:
                self._inside.transport.write(send.data, (send.flow.host, send.flow.port))
            else:
                self._send_out(send.flow, send.data)

    # --- connections -----------------------------------------------------------------------------

    def connected(self, stream: _Stream) -> bool:
        """Note a new connection; False where there are too many."""
        if len(self._streams) >= MAX_CONNECTIONS:
            self.counts["connections_refused"] += 1
            return False
        self._streams[stream.flow] = stream
        for data in self._waiting.pop(stream.flow, ()):
            stream.transport.write(data)
        return True

    def disconnected(self, stream: _Stream) -> None:
        if self._streams.get(stream.flow) is stream:
            del self._streams[stream.flow]

    def _factory(self, kind: str) -> Any:
        factory: Any = Factory.forProtocol(lambda: _Stream(self, kind))
        factory.noisy = False
        return factory

    def _send_out(self, flow: Flow, data: bytes) -> None:
        if not _is_address(flow.host):
            self._resolve(flow, data)
        elif flow.transport == UDP:
            try:
                self._outside.transport.write(data, (flow.host, flow.port))
            except OSError:
                self.counts["unsendable"] += 1
        elif (stream := self._streams.get(flow)) is not None:
            stream.transport.write(data)
        else:
            self._connect(flow, data)

    def _connect(self, flow: Flow, data: bytes) -> None:
        waiting = self._waiting.get(flow)
        if waiting is not None:
            if len(waiting) < _MAX_WAITING:
                waiting.append(data)
            return
        self._waiting[flow] = [data]
        endpoint: Any = HostnameEndpoint(reactor, flow.host, flow.port, timeout=4)
        if flow.transport == TLS:
            from twisted.internet.ssl import optionsForClientTLS

            name = self.proxy.trunks.host_behind(flow.host)
            endpoint = wrapClientTLS(optionsForClientTLS(name), endpoint)

        def failed(_failure: Failure) -> None:
            self._waiting.pop(flow, None)
            self.counts["unreachable"] += 1

        endpoint.connect(self._factory(flow.transport)).addErrback(failed)

    def _resolve(self, flow: Flow, data: bytes) -> None:
        def found(address: str) -> None:
            self._send_out(flow._replace(host=address), data)

        def failed(_failure: Failure) -> None:
            self.counts["unresolved"] += 1

        reactor.resolve(flow.host, timeout=(1, 2)).addCallbacks(found, failed)

    def _resolve_trunks(self) -> None:
        for name, trunk in self.proxy.trunks.trunks.items():
            if not _is_address(trunk.config.host):
                reactor.resolve(trunk.config.host, timeout=(1, 2)).addCallbacks(
                    lambda address, name=name: self.proxy.trunks.resolved(name, address),
                    lambda _failure: None,
                )


@functools.lru_cache(maxsize=4096)
def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
