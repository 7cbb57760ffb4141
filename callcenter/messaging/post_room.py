"""Where mail waits for its turn: hands what came to the readers, what goes out to the relay. Knows asyncio; decides
nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from callcenter.kernel import logging
from callcenter.live.host import Host
from callcenter.messaging.letters import Letter
from callcenter.messaging.mail_desk import Known, MailDesk
from callcenter.messaging.outbox import Outbox
from channels.base import MailCarrier
from channels.email.mail import Mail
from channels.email.relay import LATER, REFUSED, Result

log = logging.get("post")
_SENDERS = 4
_SOON_S, _AGAIN_S = 0.05, 60.0
_YIELD_S = 0.01
"""while very much mail comes in, what is safe already waits: taking in goes before reading"""
Lookup = Callable[[str], Awaitable[Known | None]]
"""the customer of an address"""


class PostRoom:
    def __init__(
        self, host: Host, desk: MailDesk, outbox: Outbox, carrier: MailCarrier, lookup: Lookup, readers: int
    ) -> None:
        self._host, self._desk, self._outbox = host, desk, outbox
        self._carrier, self._lookup, self._readers = carrier, lookup, readers
        self._reading: set[str] = set()
        self._mail, self._letters = asyncio.Event(), asyncio.Event()
        self._sending = asyncio.Semaphore(_SENDERS)
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._desk.arrived, self._outbox.changed = self._mail.set, self._letters.set
        self._mail.set()
        self._letters.set()
        for _ in range(self._readers):
            self._begin(self._read_on())
        self._begin(self._send_on())

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read_on(self) -> None:
        while True:
            name = next((one for one in self._host.book.letters.unread if one not in self._reading), "")
            if not name:
                self._mail.clear()
                await self._mail.wait()
                continue
            if self._desk.busy():
                await asyncio.sleep(_YIELD_S)
            self._reading.add(name)
            try:
                await self._read(name)
            except Exception:
                # it stays unread, and the others go on
                log.exception("mail_not_settled", mail=name)
                asyncio.get_running_loop().call_later(_AGAIN_S, self._over, name)
            else:
                self._reading.discard(name)

    def _over(self, name: str) -> None:
        self._reading.discard(name)
        self._mail.set()

    async def _read(self, name: str) -> None:
        raw, envelope = self._desk.raw(name)
        mail: Mail | None = None
        for attempt in (1, 2):
            if not raw:
                break
            try:
                mail = await self._carrier.read(raw, envelope)
                break
            except ValueError as error:
                log.warning("mail_unreadable", mail=name, attempt=attempt, reason=str(error))
        known = await self._lookup(mail.sender) if mail is not None and mail.sender else None
        self._desk.settle(name, mail, known)

    async def _send_on(self) -> None:
        while True:
            self._letters.clear()
            for letter in self._outbox.due():
                await self._sending.acquire()
                self._begin(self._send(letter))
            due_ms = self._outbox.next_ms()
            wait_s = max(_SOON_S, (due_ms - self._host.clock.now_ms()) / 1000) if due_ms is not None else None
            try:
                await asyncio.wait_for(self._letters.wait(), wait_s)
            except TimeoutError:
                continue

    async def _send(self, letter: Letter) -> None:
        try:
            mail = self._outbox.mail(letter)
            result = await self._carrier.send(mail) if mail is not None else Result(REFUSED, "erased")
        except Exception as error:
            log.exception("letter_failed", message=letter.message)
            result = Result(LATER, type(error).__name__)
        finally:
            self._sending.release()
        self._outbox.tried(letter, result)
        self._letters.set()

    def _begin(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
