"""`python -m channels.email.door`: the SMTP listener, in a process of its own, so that whatever strangers send takes
the time of nobody who speaks. A mail is accepted (250) once the core says that it is safe; without a core the sender is
told to try again later (451), and this process ends with its core.

In: the settings, then `{"n": …, "kept": id}` or `{"n": …, "refused": text}`. Out: `{"listening": port}`, then
`{"n": …, "raw": …, "envelope": {…}}` for every mail and `{"count": …}` for what was refused here."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import ssl
import struct
import sys
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session
from limits import parse as parse_rate
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from channels.email import frames

_COMMIT_S = 30.0
_MOST_RECIPIENTS = 50
_MAILS_A_SESSION = 10_000
_CALLS = {
    "MAIL": _MAILS_A_SESSION,
    "DATA": _MAILS_A_SESSION,
    "RCPT": 100_000,
    "RSET": 10_000,
    "NOOP": 10,
    "*": 20,
}
"""of each command in one session; a sender of many mails uses few others"""


class Core:
    """The core at the other end of the pipes."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[frames.Plain]] = {}
        self._last = 0

    async def take(self, words: frames.Plain) -> frames.Plain:
        """Raises TimeoutError where the core does not answer."""
        self._last += 1
        n, answer = self._last, asyncio.get_running_loop().create_future()
        self._waiting[n] = answer
        say({**words, "n": n})
        try:
            found: frames.Plain = await asyncio.wait_for(answer, _COMMIT_S)
            return found
        finally:
            del self._waiting[n]

    def answered(self, words: frames.Plain) -> None:
        answer = self._waiting.get(words["n"])
        if answer is not None and not answer.done():
            answer.set_result(words)


def say(words: frames.Plain) -> None:
    frames.write(sys.stdout.buffer, words)


class Handler:
    """The hooks of aiosmtpd. Answers are the medium's own."""

    def __init__(self, settings: frames.Plain, core: Core) -> None:
        self._own = frozenset(settings["own"])
        self._domains = frozenset(address.partition("@")[2] for address in self._own)
        self._bounces = settings["bounces"]
        self._core = core
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._rate = parse_rate(settings["rate"])
        self._wrong_rate = parse_rate("30/minute")

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        del server, envelope
        session.host_name = hostname
        return responses

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str | None, options: list[str]
    ) -> str:
        del server
        if not self._limiter.hit(self._rate, "mail", _peer(session)):
            say({"count": "too_often"})
            return "451 4.7.1 Too many mails from your address, try again later"
        envelope.mail_from = address or "<>"
        envelope.mail_options.extend(options)
        return "250 2.1.0 Sender taken"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, options
        plain = address.lower()
        if not self._known(plain):
            say({"count": "no_such_recipient"})
            if not self._limiter.hit(self._wrong_rate, "rcpt", _peer(session)):
                return "451 4.7.1 Too many unknown recipients, try again later"
            return "550 5.1.1 No such recipient here"
        if len(envelope.rcpt_tos) >= _MOST_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(plain)
        return "250 2.1.5 Recipient taken"

    def _known(self, address: str) -> bool:
        name, _, domain = address.rpartition("@")
        bounce = bool(self._bounces) and domain in self._domains and name.startswith(f"{self._bounces}+")
        return address in self._own or bounce or (name == "postmaster" and domain in self._domains)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        del server
        content = envelope.content
        raw = content if isinstance(content, bytes) else (content or "").encode()
        said = {
            "peer": _peer(session),
            "helo": str(session.host_name or ""),
            "sender": (envelope.mail_from or "").lower().removeprefix("<>"),
            "recipients": envelope.rcpt_tos,
        }
        try:
            answer = await self._core.take({"raw": raw, "envelope": said})
        except TimeoutError:
            return "451 4.3.0 Cannot keep it now, try again later"
        if "kept" in answer:
            return f"250 2.0.0 Kept as {answer['kept']}"
        return str(answer.get("refused", "451 4.3.0 Try again later"))


def _peer(session: Session) -> str:
    return str(session.peer[0]) if isinstance(session.peer, tuple) else ""


class Door(SMTP):
    """aiosmtpd's server; what it refuses by itself is counted too."""

    __ident__ = "mail"
    line_length_limit = 65_536
    """programs write longer lines than the 998 octets that they may: nothing is gained by sending them back"""

    async def push(self, status: Any) -> None:
        text = status if isinstance(status, str) else bytes(status).decode("ascii", "replace")
        if text.startswith("552"):
            say({"count": "too_large"})
        elif text.startswith(("500", "501", "502", "503")):
            say({"count": "nonsense"})
        await super().push(status)


async def _hear(core: Core, done: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    while (words := await frames.read_async(reader)) is not None:
        core.answered(words)
    done.set()


async def serve(settings: frames.Plain) -> None:
    core, done = Core(), asyncio.Event()
    handler = Handler(settings, core)
    tls = None
    if settings["tls_cert"]:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(settings["tls_cert"], settings["tls_key"])
    make = functools.partial(
        Door,
        handler,
        data_size_limit=settings["most_bytes"],
        hostname=settings["hostname"],
        ident="mail",
        tls_context=tls,
        require_starttls=settings["require_tls"],
        timeout=60,
        command_call_limit=_CALLS,
        enable_SMTPUTF8=True,
    )
    try:
        server = await asyncio.get_running_loop().create_server(make, settings["host"], settings["port"])
    except OSError as error:
        say({"failed": f"{settings['host']}:{settings['port']}: {error.strerror or error}"})
        return
    say({"listening": server.sockets[0].getsockname()[1]})
    hearing = asyncio.create_task(_hear(core, done))
    await done.wait()
    hearing.cancel()
    server.close()


def main() -> int:
    with contextlib.suppress(OSError):
        os.nice(5)
    logging.getLogger("mail.log").disabled = True  # it says what strangers wrote; what is refused is counted
    head = os.read(0, 4)
    if len(head) < 4:
        return 0
    body = b""
    (length,) = struct.unpack(">I", head)
    while len(body) < length:
        part = os.read(0, length - len(body))
        if not part:
            return 0
        body += part
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        asyncio.run(serve(frames.unpacked(body)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
