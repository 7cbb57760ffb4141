"""Mail in and out: the listener and the readers as helper processes that are started anew when they end, mailboxes
that are fetched, and the relay."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from callcenter.kernel import logging
from channels.base import MailIntake
from channels.email import frames
from channels.email.compose import Letter, compose
from channels.email.fetch import Mailbox
from channels.email.mail import Envelope, Mail
from channels.email.relay import LATER, REFUSED, Relay, Result
from config.sections import split_address
from config.written import Email

log = logging.get("email")
_AGAIN_S = (0.2, 1.0, 5.0, 15.0)
READ_S = 60.0
"""longer than this no mail is read; it is kept as it came"""


class Unreadable(ValueError):
    """The reader did not survive this mail, or did not come to an end."""


class Refused(Unreadable):
    """The reader says so itself, and is fit for the next one."""


class EmailChannel:
    def __init__(self, settings: Email, intake: MailIntake, hostname: str) -> None:
        self._settings, self._intake, self._hostname = settings, intake, hostname
        self._door = frames.Child("channels.email.door")
        self._tasks: set[asyncio.Task[None]] = set()
        self._readers: asyncio.Queue[frames.Child] = asyncio.Queue()
        self._all_readers: list[frames.Child] = []
        self._stopping = False
        self.port = 0
        """where the listener is; 0 while it is not"""
        self.trouble = ""
        """why nothing is listening, for /readyz and the log"""
        self.counts: Counter[str] = Counter()
        relay = settings.relay
        self._relay = (
            Relay(*split_address(relay.address), relay.tls, relay.user, relay.password_file, relay.ca_file)
            if relay.address
            else None
        )
        self.mailboxes = [Mailbox(one, self._fetched) for one in settings.mailboxes]

    def start(self) -> None:
        for _ in range(self._settings.readers):
            child = frames.Child("channels.email.reader")
            self._all_readers.append(child)
            self._readers.put_nowait(child)
        if self._settings.listen:
            self._begin(self._keep_door_open())
        for mailbox in self.mailboxes:
            self._begin(mailbox.run())

    async def stop(self) -> None:
        self._stopping = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(self._door.stop(), *(child.stop() for child in self._all_readers))

    async def read(self, raw: bytes, envelope: Envelope) -> Mail:
        """In a process apart. Raises Unreadable."""
        child = await self._readers.get()
        try:
            if not child.alive:
                await child.start(self._reading())
            said = {"raw": raw, "envelope": envelope.to_plain()}
            async with asyncio.timeout(READ_S):
                await child.send(said)
                answer = await child.hear()
            if answer is None:
                raise Unreadable("reader_ended")
            if "error" in answer:
                raise Refused(str(answer["error"]))
            return Mail.of(answer["mail"])
        except BaseException as error:
            # whatever it has still to say belongs to this mail: no other may hear it
            if not isinstance(error, Refused):
                await child.stop(0)
            if isinstance(error, TimeoutError | ConnectionError | OSError):
                raise Unreadable(type(error).__name__) from error
            raise
        finally:
            self._readers.put_nowait(child)

    async def send(self, letter: Letter) -> Result:
        """To the relay, once. An address that is none is refused for good."""
        if self._relay is None:
            return Result(LATER, "no_relay")
        try:
            raw = compose(letter)
        except ValueError:
            return Result(REFUSED, "bad_address")
        return await self._relay.send(letter.bounces_to or letter.sender, [*letter.to, *letter.cc], raw)

    # --- inside ------------------------------------------------------------------------------------

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep_door_open(self) -> None:
        attempt = 0
        while not self._stopping:
            try:
                await self._door.start(self._listening())
                while (words := await self._door.hear()) is not None:
                    attempt = 0 if self._heard(words) else attempt
            except OSError as error:
                self.trouble = type(error).__name__
            self.port = 0
            await self._door.stop(0)
            log.warning("mail_door_closed", reason=self.trouble)
            await asyncio.sleep(_AGAIN_S[min(attempt, len(_AGAIN_S) - 1)])
            attempt += 1

    def _heard(self, words: frames.Plain) -> bool:
        """True where it is open."""
        if "raw" in words:
            self._take(words)
        elif "listening" in words:
            self.port, self.trouble = int(words["listening"]), ""
            log.info("mail_door_open", address=f"{self._settings.listen.rpartition(':')[0]}:{self.port}")
        elif "count" in words:
            self.counts[str(words["count"])] += 1
        elif "failed" in words:
            self.trouble = str(words["failed"])
            log.error("mail_door_failed", reason=self.trouble)
            return False
        return True

    def _take(self, words: frames.Plain) -> None:
        n = words["n"]

        def kept(name: str) -> None:
            self._door.say({"n": n, "kept": name})

        self._intake.take(words["raw"], Envelope.of(words["envelope"]), kept)

    async def _fetched(self, raw: bytes) -> None:
        """Returns when a mail of a mailbox is safe."""
        safe: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def kept(name: str) -> None:
            if not safe.done():
                safe.set_result(name)

        self._intake.take(raw, Envelope(), kept)
        await safe

    def _listening(self) -> frames.Plain:
        settings = self._settings
        host, port = split_address(settings.listen)
        return {
            "host": host,
            "port": port,
            "own": sorted(settings.own),
            "bounces": settings.bounces,
            "hostname": self._hostname,
            "rate": settings.rate,
            "most_bytes": settings.most_mb * 1_000_000,
            "tls_cert": str(settings.tls_cert or ""),
            "tls_key": str(settings.tls_key or ""),
            "require_tls": settings.require_tls,
        }

    def _reading(self) -> frames.Plain:
        settings = self._settings
        return {
            "own": sorted(settings.own),
            "mark": self._hostname,
            "file_bytes": settings.most_file_mb * 1_000_000,
            "trusted_servers": list(settings.trusted_servers),
            "clamd": settings.clamd,
            "dns": list(settings.dns),
            "prove": settings.prove,
        }
