"""The host: who has a browser phone, whose page is away, and what the core asks. Frames pass it by.

A phone stays while its page reloads: for `AWAY_S` the far end hears music and the call waits for the page. A call
from the web is a phone that dials and lives no longer than its page."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from callcenter.kernel import logging
from channels.voice.browser.lines import SipLines
from channels.voice.browser.peer import NotUsable, Peer

AWAY_S = 15.0
SILENT_S, _LOOK_S = 2.0, 0.5
"""a page that sends nothing at all for so long is gone, whatever its connection says: ICE needs half a minute"""
_VISITOR = "web-"
log = logging.get("browser")
Message = dict[str, Any]


class Refused(Exception):
    """Said back to the core as `error`."""


@dataclass(eq=False)
class Phone:
    user: str
    peer: Peer | None = None
    state: str = "idle"
    """of its call: idle, ringing, talking"""
    away: asyncio.TimerHandle | None = None

    @property
    def here(self) -> bool:
        return self.peer is not None and self.peer.connected and self.peer.silent_s < SILENT_S


class Host:
    """`tell` sends an event to the core."""

    def __init__(self, lines: SipLines, ice_servers: list[Message], hotline: str) -> None:
        self._lines, self._ice_servers, self._hotline = lines, ice_servers, hotline
        self.phones: dict[str, Phone] = {}
        self.tell: Callable[[Message], None] = lambda _event: None
        self._loop = asyncio.get_running_loop()
        self._closing: set[asyncio.Task[None]] = set()
        self._look = self._loop.call_later(_LOOK_S, self._look_for_pages)
        lines.is_here = self._is_here
        lines.on_state = lambda user, state: self._post(self._call_changed, user, state)

    async def ask(self, message: Message) -> Message:
        """What the core asks for. Raises Refused."""
        op = message.get("op")
        if op == "attach":
            return await self._attach(str(message["user"]), str(message["sdp"]))
        if op == "detach":
            await self._forget(str(message["user"]))
        elif op == "call":
            return await self._visitor(
                str(message["sdp"]), str(message["number"]), str(message.get("visit", ""))
            )
        elif op == "keys":
            self._lines.press(str(message["user"]), str(message["keys"]))
        elif op == "hangup":
            self._lines.hang_up(str(message["user"]))
        elif op != "status":
            raise Refused("unknown_op")
        return self.describe()

    def describe(self) -> Message:
        return {
            "capacity": self._lines.capacity,
            "phones": {
                phone.user: {"connected": phone.here, "call": phone.state} for phone in self.phones.values()
            },
        }

    async def close(self) -> None:
        self._look.cancel()
        for user in list(self.phones):
            await self._forget(user)

    # --- pages -----------------------------------------------------------------------------------

    async def _attach(self, user: str, sdp: str) -> Message:
        """A page opens its phone, or comes back to it."""
        peer = Peer(self._ice_servers, self._peer_changed)
        answer = await self._answered(peer, sdp)
        phone = self.phones.setdefault(user, Phone(user))
        old, phone.peer = phone.peer, peer
        self._back(phone)
        if old is not None:
            old.line = None
            await old.close()
        return {"sdp": answer}

    async def _visitor(self, sdp: str, number: str, visit: str) -> Message:
        if not self._lines.free():
            raise Refused("all_lines_busy")
        peer = Peer(self._ice_servers, self._peer_changed)
        answer = await self._answered(peer, sdp)
        user = _VISITOR + secrets.token_hex(16)
        phone = self.phones[user] = Phone(user, peer)
        line = self._lines.dial(user, f"sip:{number}@{self._hotline}", visit)
        if line is None:
            await self._forget(user)
            raise Refused("all_lines_busy")
        phone.state, peer.line = "ringing", line
        return {"user": user, "sdp": answer}

    async def _answered(self, peer: Peer, sdp: str) -> str:
        try:
            return await peer.answer(sdp)
        except NotUsable as error:
            log.info("description_refused", reason=str(error))
            raise Refused("bad_description") from error

    def _back(self, phone: Phone) -> None:
        if phone.away is not None:
            phone.away.cancel()
            phone.away = None
        line = self._lines.line_of(phone.user)
        if line is not None and phone.peer is not None:
            line.away, phone.peer.line = False, line

    def _peer_changed(self, peer: Peer, state: str) -> None:
        phone = next((phone for phone in self.phones.values() if phone.peer is peer), None)
        if phone is None:
            return
        if state == "gone":
            self._gone(phone)
        else:
            self._back(phone)
            self._say(phone)

    def _look_for_pages(self) -> None:
        self._look = self._loop.call_later(_LOOK_S, self._look_for_pages)
        for phone in self.phones.values():
            if phone.away is None and phone.peer is not None and phone.peer.silent_s >= SILENT_S:
                self._gone(phone)
            elif phone.away is not None and phone.here:
                self._back(phone)
                self._say(phone)

    def _gone(self, phone: Phone) -> None:
        """The far end hears music, and the page has a while to come back."""
        if phone.away is not None:
            return
        line = self._lines.line_of(phone.user)
        if line is not None:
            line.away = True
        phone.away = self._loop.call_later(AWAY_S, self._not_back, phone)
        self._say(phone)

    def _not_back(self, phone: Phone) -> None:
        phone.away = None
        self._lines.hang_up(phone.user, lost=not phone.user.startswith(_VISITOR))
        task = self._loop.create_task(self._forget(phone.user))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _forget(self, user: str) -> None:
        phone = self.phones.pop(user, None)
        if phone is None:
            return
        if phone.away is not None:
            phone.away.cancel()
        self._lines.hang_up(user)
        if phone.peer is not None:
            phone.peer.line = None
            await phone.peer.close()
        self.tell({"event": "phone", "user": user, "connected": False, "call": "idle"})

    # --- calls -----------------------------------------------------------------------------------

    def _is_here(self, user: str) -> bool:
        """On the library's thread; reads only."""
        phone = self.phones.get(user)
        return phone is not None and phone.here

    def _call_changed(self, user: str, state: str) -> None:
        phone = self.phones.get(user)
        if phone is None:
            return
        phone.state = "idle" if state == "ended" else state
        if phone.peer is not None:
            phone.peer.line = None if state == "ended" else self._lines.line_of(user)
        self._say(phone)
        if state == "ended" and user.startswith(_VISITOR):
            self._not_back(phone)

    def _say(self, phone: Phone) -> None:
        self.tell({"event": "phone", "user": phone.user, "connected": phone.here, "call": phone.state})

    def _post(self, action: Callable[..., None], *words: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
            self._loop.call_soon_threadsafe(action, *words)
