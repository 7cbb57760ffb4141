"""The worker's side of the socket: one core at a time, the newest epoch wins, facts kept until
acknowledged. Non-blocking; pumped from the worker's loop."""

from __future__ import annotations

import contextlib
import secrets
import select
import socket
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from callcenter.kernel import locks
from channels.voice.protocol import PROTOCOL, FrameBuffer, FrameError, Message, pack

_CHUNK = 65_536
_MAX_UNSENT = 256 * 1024 * 1024
_HELD_A_FRAME = 200


class _Peer:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.inbox = FrameBuffer()
        self.outbox = bytearray()
        self.role = ""

    def send(self, message: Message) -> None:
        self.outbox += pack(message)

    def flush(self) -> None:
        """Raises OSError when the peer is gone or has stopped reading."""
        while self.outbox:
            try:
                sent = self.sock.send(self.outbox[:_CHUNK])
            except BlockingIOError:
                if len(self.outbox) > _MAX_UNSENT:
                    raise OSError("peer does not read") from None
                return
            del self.outbox[:sent]


class Link:
    """`on_command` is called for each command of the reigning core, `on_core` when it comes or goes."""

    def __init__(self, run_dir: Path, slot: int) -> None:
        run_dir.mkdir(parents=True, exist_ok=True)
        run_dir.chmod(0o700)
        self._lock = locks.hold(run_dir / f"w-{slot}.lock")
        for stale in run_dir.glob(f"w-{slot}-*.sock"):
            stale.unlink(missing_ok=True)
        self.boot = secrets.token_hex(4)
        self.slot = slot
        self.path = run_dir / f"w-{slot}-{self.boot}.sock"
        if len(str(self.path)) > 100:
            raise ValueError(f"socket path too long ({len(str(self.path))} > 100): {self.path}")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._listener.bind(str(self.path))
        self.path.chmod(0o600)
        self._listener.listen(8)
        self._listener.setblocking(False)
        self._peers: list[_Peer] = []
        self._waits = select.epoll()
        self._waits.register(self._listener, select.EPOLLIN)
        self._core: _Peer | None = None
        self.epoch = 0
        self._n = 0
        self._unacked: deque[Message] = deque()
        self.on_command: Callable[[Message], None] = lambda _message: None
        self.on_core: Callable[[bool], None] = lambda _present: None
        self.on_drain: Callable[[bool], None] = lambda _on: None
        self.describe: Callable[[], Message] = dict
        self.inventory: Callable[[], list[Message]] = list

    @property
    def core_present(self) -> bool:
        return self._core is not None

    @property
    def unacknowledged(self) -> int:
        return len(self._unacked)

    def fact(self, at_ms: int, kind: str, leg: str | None, **fields: Any) -> None:
        self._n += 1
        message = {"t": "fact", "n": self._n, "at_ms": at_ms, "kind": kind, "leg": leg, **fields}
        self._unacked.append(message)
        if self._core is not None:
            self._core.send(message)

    def wait_also_for(self, descriptor: int) -> None:
        """`wait` returns when this one is readable, too."""
        self._waits.register(descriptor, select.EPOLLIN)

    def wait(self, timeout_s: float) -> None:
        """Until somebody says something, or time is up."""
        self._waits.poll(timeout_s)

    def pump(self) -> None:
        """Accept, read, act, write; never blocks."""
        for descriptor, _ in self._waits.poll(0):
            if descriptor == self._listener.fileno():
                self._accept()
            else:
                for peer in self._peers:
                    if peer.sock.fileno() == descriptor:
                        self._guarded(peer, self._read)
                        break
        for peer in list(self._peers):
            if peer.outbox:
                self._guarded(peer, _Peer.flush)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                sock, _ = self._listener.accept()
                sock.setblocking(False)
                self._peers.append(_Peer(sock))
                self._waits.register(sock, select.EPOLLIN)

    def _guarded(self, peer: _Peer, action: Callable[[_Peer], None]) -> None:
        try:
            action(peer)
        except (OSError, ValueError, LookupError, TypeError):
            self._drop(peer)  # gone, or speaks no protocol of ours

    def close(self) -> None:
        for peer in list(self._peers):
            with contextlib.suppress(OSError):
                peer.flush()
            peer.sock.close()
        self._listener.close()
        self._waits.close()
        self.path.unlink(missing_ok=True)

    def _read(self, peer: _Peer) -> None:
        while True:
            try:
                chunk = peer.sock.recv(_CHUNK)
            except BlockingIOError:
                return
            if not chunk:
                raise OSError("closed")
            for message in peer.inbox.feed(chunk):
                self._handle(peer, message)
            if len(chunk) < _CHUNK:
                return

    def _handle(self, peer: _Peer, message: Message) -> None:
        kind = message["t"]
        if kind == "hello":
            self._hello(peer, message)
        elif kind == "ask":
            peer.send({"t": "status", "boot": self.boot, **self.describe()})
        elif kind == "drain":
            self.on_drain(bool(message["on"]))
        elif peer is not self._core:
            raise FrameError("hello first")
        elif kind == "ack":
            while self._unacked and self._unacked[0]["n"] <= message["n"]:
                self._unacked.popleft()
        elif kind == "cmd":
            if message["id"][0] < self.epoch:
                peer.send({"t": "superseded", "epoch": self.epoch})
            else:
                self.on_command(message)

    def _hello(self, peer: _Peer, message: Message) -> None:
        if message.get("role") == "observer":
            peer.send({"t": "status", "proto": PROTOCOL, "boot": self.boot, **self.describe()})
            return
        epoch = int(message["epoch"])
        if epoch < self.epoch or (epoch == self.epoch and self._core not in (None, peer)):
            peer.send({"t": "superseded", "epoch": self.epoch})
            return
        if self._core is not None and self._core is not peer:
            old, self._core = self._core, None
            old.send({"t": "superseded", "epoch": epoch})
            with contextlib.suppress(OSError):
                old.flush()
            self._drop(old)
        self.epoch = epoch
        self._core = peer
        held = list(self._unacked)
        for start in range(0, len(held), _HELD_A_FRAME):
            peer.send({"t": "held", "facts": held[start : start + _HELD_A_FRAME]})
        peer.send(
            {
                "t": "welcome",
                "proto": PROTOCOL,
                "boot": self.boot,
                **self.describe(),
                "inventory": self.inventory(),
            }
        )
        self.on_core(True)

    def _drop(self, peer: _Peer) -> None:
        peer.sock.close()
        if peer in self._peers:
            self._peers.remove(peer)
        if peer is self._core:
            self._core = None
            self.on_core(False)
