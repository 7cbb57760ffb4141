"""The core's side of the worker protocol: finds workers in the run directory, greets each with the
core's epoch, carries commands out and facts in."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.task import LoopingCall
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure

from callcenter.kernel import logging
from channels.base import VoiceEvents
from channels.voice.pace import EventPace
from channels.voice.protocol import MAX_FRAME, PROTOCOL, FrameError, Message, pack, unpack

LOOK_EVERY_S = 0.1
STATUS_EVERY_S = 1.0
BUSY_MESSAGES_S = 500
"""messages a second of one worker from which on its link rests between reads"""
REST_S = 0.008
_RETRIES = 3
_RETRY_S = 0.05
log = logging.get("voice")
reactor: Any = _reactor


class WorkerLink(Int32StringReceiver):
    """One connection to one worker; frames by Twisted, messages by `protocol`."""

    MAX_LENGTH = MAX_FRAME
    transport: Any

    def __init__(self, pool: WorkerPool, path: Path, lost: str, retries: int) -> None:
        self.pool, self.path = pool, path
        self.boot = lost
        """the boot id that is given up when this worker cannot be reached again"""
        self.retries = retries
        self.held: list[Message] = []
        self._corked: list[bytes] | None = None
        self._pace = EventPace(BUSY_MESSAGES_S)

    def connectionMade(self) -> None:
        self.send({"t": "hello", "role": "core", "epoch": self.pool.epoch, "proto": PROTOCOL})

    def send(self, message: Message) -> None:
        if self._corked is None:
            self.transport.write(pack(message))
        else:
            self._corked.append(pack(message))

    def dataReceived(self, data: bytes) -> None:
        """What is said in answer to one chunk leaves in one write. Under load the next chunk is left to
        gather for a moment: a core that wakes for every message spends more on waking than on work."""
        self._corked = []
        try:
            super().dataReceived(data)
        finally:
            answers, self._corked = self._corked, None
            if answers:
                self.transport.write(b"".join(answers))
        if self._pace.rests(time.monotonic()):
            self.transport.pauseProducing()
            reactor.callLater(REST_S, self._go_on)

    def _go_on(self) -> None:
        if self.connected:
            self.transport.resumeProducing()

    def stringReceived(self, string: bytes) -> None:
        self._pace.count += 1
        try:
            message = unpack(string)
        except FrameError as error:
            log.error("worker_frame", reason=str(error), path=self.path.name)
            self.transport.loseConnection()
            return
        try:
            self._take(message)
        except Exception:
            # whatever one message does, here or in the desks behind, the worker stays ours
            log.exception("worker_message_failed", kind=message["t"], boot=self.boot)

    def _take(self, message: Message) -> None:
        kind = message["t"]
        if kind == "held":
            self.held.extend(message["facts"])
        elif kind == "welcome":
            message["facts"], self.held = self.held, []
            self.boot, self.retries = message["boot"], _RETRIES
            self.pool.welcomed(self, message)
        elif self.boot not in self.pool.links and kind != "superseded":
            log.error("worker_frame", reason=f"{kind} before welcome", path=self.path.name)
        elif kind == "fact":
            self.pool.events.worker_fact(self.boot, message)
        elif kind == "status":
            self.pool.welcomes[self.boot].update(message)
        elif kind == "superseded":
            self.pool.events.superseded(message["epoch"])

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.pool.disconnected(self)


class WorkerPool:
    """All workers of this machine, by boot id."""

    def __init__(self, run_dir: Path, epoch: int, events: VoiceEvents) -> None:
        self.run_dir, self.epoch, self.events = run_dir, epoch, events
        self.links: dict[str, WorkerLink] = {}
        self.welcomes: dict[str, Message] = {}
        self._busy: set[Path] = set()
        self._numbers = itertools.count(1)
        self._look = LoopingCall(self._look_for_workers)
        self._ask = LoopingCall(self._ask_status)
        self._stopping = False

    def start(self) -> None:
        self._look.start(LOOK_EVERY_S)
        self._ask.start(STATUS_EVERY_S, now=False)

    def stop(self) -> None:
        """Let go of the workers; their calls go on."""
        self._stopping = True
        for call in (self._look, self._ask):
            if call.running:
                call.stop()
        for link in list(self.links.values()):
            link.transport.loseConnection()

    def command(self, boot: str, op: str, leg: str, **fields: Any) -> None:
        link = self.links.get(boot)
        if link is not None:
            message = {"t": "cmd", "id": [self.epoch, next(self._numbers)], "op": op, "leg": leg, **fields}
            link.send(message)

    def address(self, boot: str) -> str:
        return str(self.welcomes.get(boot, {}).get("address", ""))

    def roomiest(self, legs: int) -> str:
        free = {boot: self.welcomes[boot].get("free", 0) for boot in self.links}
        best = max(free, key=lambda boot: free[boot], default="")
        return best if free.get(best, 0) >= legs else ""

    def acknowledge(self, boot: str, n: int) -> None:
        link = self.links.get(boot)
        if link is not None:
            link.send({"t": "ack", "n": n})

    def statuses(self) -> list[Message]:
        """What each worker last said of its legs."""
        return list(self.welcomes.values())

    def _ask_status(self) -> None:
        for link in self.links.values():
            link.send({"t": "ask"})

    def welcomed(self, link: WorkerLink, welcome: Message) -> None:
        for boot, other in list(self.welcomes.items()):
            if other["slot"] == welcome["slot"] and boot != link.boot:
                self._give_up(boot)  # the slot's lock has a new holder, so the old one is dead
        self.links[link.boot] = link
        self.welcomes[link.boot] = welcome
        log.info(
            "worker_taken",
            boot=link.boot,
            slot=welcome["slot"],
            pid=welcome["pid"],
            legs=len(welcome["inventory"]),
            facts=len(welcome["facts"]),
            library=welcome["library"],
        )
        self.events.worker_taken(link.boot, welcome)

    def disconnected(self, link: WorkerLink) -> None:
        if self._stopping:
            return
        self._unreachable(link.path, link.boot, link.retries)

    def _look_for_workers(self) -> None:
        for path in self.run_dir.glob("w-*-*.sock"):
            if path not in self._busy:
                self._busy.add(path)
                self._connect(path, lost="", retries=0)

    def _connect(self, path: Path, lost: str, retries: int) -> None:
        """`lost`: the boot id to give up when the worker cannot be reached again."""
        factory = Factory.forProtocol(lambda: WorkerLink(self, path, lost, retries))
        factory.noisy = False
        attempt = UNIXClientEndpoint(reactor, str(path), timeout=2).connect(factory)
        attempt.addErrback(lambda _failure: self._unreachable(path, lost, retries))

    def _unreachable(self, path: Path, lost: str, retries: int) -> None:
        """Refused, or closed again. A dying worker may still accept: tries are counted down all the same."""
        if self._stopping:
            return
        if retries > 0 and path.exists():
            reactor.callLater(_RETRY_S, self._connect, path, lost, retries - 1)
            return
        self._busy.discard(path)
        self._give_up(lost)

    def _give_up(self, boot: str) -> None:
        if self.welcomes.pop(boot, None) is None:
            return
        self.links.pop(boot, None)
        log.warning("worker_lost", boot=boot)
        self.events.worker_lost(boot)
