"""The core's ear at the edge: what it says of itself, once a second. Nothing depends on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.task import LoopingCall
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure

from channels.voice.protocol import MAX_FRAME, FrameError, Message, pack, unpack

EVERY_S = 1.0
reactor: Any = _reactor


class EdgeLink:
    def __init__(self, run_dir: Path) -> None:
        self.status: Message = {}
        """as last said; {} where there is no edge"""
        self._path = run_dir / "edge.sock"
        self._peer: _Ear | None = None
        self._connecting = False
        self._loop = LoopingCall(self._ask)

    def start(self) -> None:
        self._loop.start(EVERY_S)

    def stop(self) -> None:
        if self._loop.running:
            self._loop.stop()
        if self._peer is not None:
            self._peer.transport.loseConnection()

    def came(self, peer: _Ear) -> None:
        self._peer, self._connecting = peer, False
        self._ask()

    def gone(self) -> None:
        self._peer, self.status = None, {}

    def _ask(self) -> None:
        if self._peer is not None:
            self._peer.transport.write(pack({"t": "ask"}))
        elif not self._connecting and self._path.exists():
            self._connecting = True
            factory: Any = Factory.forProtocol(lambda: _Ear(self))
            factory.noisy = False
            attempt = UNIXClientEndpoint(reactor, str(self._path), timeout=2).connect(factory)
            attempt.addErrback(self._unreachable)

    def _unreachable(self, _failure: Failure) -> None:
        self._connecting = False


class _Ear(Int32StringReceiver):
    MAX_LENGTH = MAX_FRAME
    transport: Any

    def __init__(self, link: EdgeLink) -> None:
        self._link = link

    def connectionMade(self) -> None:
        self._link.came(self)

    def stringReceived(self, string: bytes) -> None:
        try:
            self._link.status = unpack(string)
        except FrameError:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._link.gone()
