"""The edge's view of its workers: an observer on each worker's socket, with or without a core."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.task import LoopingCall
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure

from channels.voice.edge.spread import Upstream
from channels.voice.protocol import MAX_FRAME, PROTOCOL, FrameError, Message, pack, unpack

ASK_EVERY_S = 0.1
LOOK_EVERY_S = 0.5
reactor: Any = _reactor


class _Observer(Int32StringReceiver):
    MAX_LENGTH = MAX_FRAME
    transport: Any

    def __init__(self, watch: WorkerWatch, path: Path) -> None:
        self._watch, self.path = watch, path
        self.boot = ""

    def connectionMade(self) -> None:
        self.send({"t": "hello", "role": "observer", "proto": PROTOCOL})

    def send(self, message: Message) -> None:
        self.transport.write(pack(message))

    def stringReceived(self, string: bytes) -> None:
        try:
            message = unpack(string)
        except FrameError:
            self.transport.loseConnection()
            return
        if message["t"] == "status":
            self.boot = message["boot"]
            self._watch.said(self, message)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._watch.gone(self)


class WorkerWatch:
    """`changed` hears the workers whenever one comes, goes, or says how it is."""

    def __init__(self, run_dir: Path, changed: Callable[[list[Upstream]], None]) -> None:
        self._run_dir, self._changed = run_dir, changed
        self._known: dict[str, Upstream] = {}
        self._observers: dict[Path, _Observer | None] = {}
        self._loops = [LoopingCall(self._look), LoopingCall(self._ask)]

    def start(self, remembered: list[tuple[str, int, int]]) -> None:
        """`remembered`: those of before a restart; dialogs reach them before they were asked."""
        for host, port, slot in remembered:
            self._known[f"?{slot}"] = Upstream(f"?{slot}", slot, host, port, known=False)
        self._changed(list(self._known.values()))
        for loop, every_s in zip(self._loops, (LOOK_EVERY_S, ASK_EVERY_S), strict=True):
            loop.start(every_s)

    def said(self, observer: _Observer, status: Message) -> None:
        host, _, port = str(status["address"]).rpartition(":")
        for boot, other in list(self._known.items()):
            if other.slot == status["slot"] and boot != observer.boot:
                del self._known[boot]  # the slot has a new process
        worker = self._known.get(observer.boot)
        if worker is None:
            worker = Upstream(observer.boot, status["slot"], host.strip("[]"), int(port))
            self._known[observer.boot] = worker
        worker.free, worker.sent = status["free"], 0
        worker.draining, worker.max_message = status["draining"], status["max_message"]
        self._changed(list(self._known.values()))

    def gone(self, observer: _Observer) -> None:
        self._observers.pop(observer.path, None)
        if self._known.pop(observer.boot, None) is not None:
            self._changed(list(self._known.values()))

    def _look(self) -> None:
        for path in self._run_dir.glob("w-*-*.sock"):
            if path in self._observers:
                continue
            self._observers[path] = None
            factory: Any = Factory.forProtocol(functools.partial(self._observer, path))
            factory.noisy = False
            attempt = UNIXClientEndpoint(reactor, str(path), timeout=2).connect(factory)
            attempt.addErrback(self._unreachable, path)

    def _unreachable(self, _failure: Failure, path: Path) -> None:
        self._observers.pop(path, None)

    def _observer(self, path: Path) -> _Observer:
        made = self._observers[path] = _Observer(self, path)
        return made

    def _ask(self) -> None:
        for observer in self._observers.values():
            if observer is not None and observer.boot:
                observer.send({"t": "ask"})
