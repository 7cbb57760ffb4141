"""Fan-out to open pages: sequence numbers, resume, one bounded queue a socket.

A message is `{seq, boot, t: state|patch, body}`. A page that comes back says the last `seq` and `boot`
it saw: it gets what it missed, or the whole state where that is no longer known."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from typing import Any

QUEUE_LIMIT = 64
REMEMBERED = 100


class Listener:
    """One open page."""

    def __init__(self, login: str) -> None:
        self.login = login
        self.queue: asyncio.Queue[str | None] = asyncio.Queue(QUEUE_LIMIT)

    def put(self, text: str | None) -> bool:
        try:
            self.queue.put_nowait(text)
        except asyncio.QueueFull:
            return False
        return True

    def send_away(self) -> None:
        """Close the page's socket; what it has not read by now it gets when it comes back."""
        while not self.queue.empty():
            self.queue.get_nowait()
        self.put(None)


class _Channel:
    def __init__(self) -> None:
        self.seq = 0
        self.recent: deque[tuple[int, str]] = deque(maxlen=REMEMBERED)
        self.listeners: list[Listener] = []
        self.last_body: Any = None

    def missed(self) -> None:
        """Something changed while nobody looked: whoever comes back needs the whole state."""
        self.seq += 1
        self.recent.clear()


class Hub:
    """`state(login)` answers the whole state of that person's page."""

    def __init__(self, boot: str, state: Callable[[str], Any]) -> None:
        self.boot, self._state = boot, state
        self._channels: dict[str, _Channel] = {}
        self._soon: set[str] = set()

    def join(self, login: str, boot: str, seq: int) -> Listener:
        """A page opens or comes back; what it needs to be up to date is queued already."""
        channel = self._channels.setdefault(login, _Channel())
        listener = Listener(login)
        missed = [text for number, text in channel.recent if number > seq]
        known = boot == self.boot and seq <= channel.seq and len(missed) == channel.seq - seq
        if known and len(missed) < QUEUE_LIMIT:
            for text in missed:
                listener.put(text)
            listener.put(json.dumps({"t": "resumed", "seq": channel.seq, "boot": self.boot}))
            channel.listeners.append(listener)
        else:
            channel.listeners.append(listener)
            self.push(login)
        return listener

    def leave(self, listener: Listener) -> None:
        channel = self._channels.get(listener.login)
        if channel is not None and listener in channel.listeners:
            channel.listeners.remove(listener)

    def logins(self) -> list[str]:
        """Who has a page open, or had one."""
        return list(self._channels)

    def watched(self) -> bool:
        return any(channel.listeners for channel in self._channels.values())

    def push_soon(self, login: str) -> None:
        """Once, however often it is asked for before the loop comes round."""
        channel = self._channels.get(login)
        if channel is None or login in self._soon:
            return
        if not channel.listeners:
            channel.missed()
            return
        self._soon.add(login)
        asyncio.get_running_loop().call_soon(self.push, login)

    def push(self, login: str) -> None:
        self._soon.discard(login)
        channel = self._channels.get(login)
        if channel is None:
            return
        if channel.listeners:
            channel.last_body = None
            self._send(channel, "state", self._state(login))
        else:
            channel.missed()

    def push_all(self, body: Any) -> None:
        """The same patch to everybody, where it differs from what they last got."""
        for channel in self._channels.values():
            if channel.last_body == body:
                continue
            channel.last_body = body
            if channel.listeners:
                self._send(channel, "patch", body)
            else:
                channel.missed()

    def send_away(self, login: str) -> None:
        """Every page of this person has to come back, and to show that it still may."""
        channel = self._channels.get(login)
        if channel is not None:
            for listener in channel.listeners:
                listener.send_away()

    def close(self) -> None:
        for channel in self._channels.values():
            for listener in channel.listeners:
                listener.send_away()

    def _send(self, channel: _Channel, kind: str, body: Any) -> None:
        channel.seq += 1
        text = json.dumps(
            {"t": kind, "seq": channel.seq, "boot": self.boot, "body": body}, ensure_ascii=False
        )
        channel.recent.append((channel.seq, text))
        for listener in list(channel.listeners):
            if not listener.put(text):
                channel.listeners.remove(listener)
                listener.send_away()
