"""Fetches the mails of an existing mailbox by IMAP: with a password, or with a token (XOAUTH2) that another program
keeps fresh in a file. A mail is marked as seen once it is safe here; one that is read twice is known as the same."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError

from callcenter.kernel import logging
from config.sections import split_address
from config.written import MailboxSettings

log = logging.get("mailbox")
_BATCH = 20
_PATIENCE_S = 30.0
_AGAIN_S = (1.0, 5.0, 15.0, 60.0)


class Mailbox:
    def __init__(self, settings: MailboxSettings, fetched: Callable[[bytes], Awaitable[None]]) -> None:
        """`fetched` returns when a mail is safe."""
        self._settings, self._fetched = settings, fetched
        self._thread = ThreadPoolExecutor(1, "imap")
        self.trouble = ""
        """why nothing is fetched: login, unreachable, folder"""
        self.count = 0

    async def run(self) -> None:
        """Until cancelled."""
        attempt = 0
        client: IMAPClient | None = None
        try:
            while True:
                try:
                    if client is None:
                        client = await self._in_thread(self._connect)
                    while await self._round(client):
                        pass
                    self.trouble, attempt = "", 0
                    await asyncio.sleep(self._settings.every_s)
                except (IMAPClientError, OSError, ssl.SSLError, ValueError) as error:
                    self._say(error)
                    if client is not None:
                        await self._in_thread(_close, client)
                    client = None
                    await asyncio.sleep(_AGAIN_S[min(attempt, len(_AGAIN_S) - 1)])
                    attempt += 1
        finally:
            if client is not None:
                # the thread may be in the middle of a wait: its socket is closed under it
                with contextlib.suppress(OSError, IMAPClientError):
                    client.shutdown()
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, work: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    async def _round(self, client: IMAPClient) -> int:
        """Some of what is new; answers how many there were."""
        mails: dict[int, bytes] = await self._in_thread(self._new, client)
        for number, raw in mails.items():
            await self._fetched(raw)
            await self._in_thread(self._done, client, number)
            self.count += 1
        return len(mails)

    def _connect(self) -> IMAPClient:
        settings = self._settings
        host, port = split_address(settings.address)
        context = ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
        client = IMAPClient(
            host,
            port,
            ssl=settings.tls == "implicit",
            ssl_context=context if settings.tls != "none" else None,
            timeout=_PATIENCE_S,
            use_uid=True,
        )
        try:
            if settings.tls == "starttls":
                client.starttls(context)
            secret = settings.secret_file.read_text(encoding="utf-8").strip()
            if settings.login == "xoauth2":
                client.oauth2_login(settings.user, secret)
            else:
                client.login(settings.user, secret)
            client.select_folder(settings.folder)
        except BaseException:
            _close(client)
            raise
        return client

    def _new(self, client: IMAPClient) -> dict[int, bytes]:
        client.noop()
        # where mails are put away, whatever is still there has to be: also what was seen when a core died over it
        wanted = ["UNDELETED"] if self._settings.done_folder else ["UNSEEN", "UNDELETED"]
        numbers = sorted(client.search(wanted))[:_BATCH]
        found: dict[int, bytes] = {}
        for number in numbers:
            answer = client.fetch([number], ["BODY.PEEK[]"]).get(number, {})
            raw = answer.get(b"BODY[]")
            if isinstance(raw, bytes):
                found[number] = raw
        return found

    def _done(self, client: IMAPClient, number: int) -> None:
        client.add_flags([number], [rb"\Seen"])
        if self._settings.done_folder:
            if not client.folder_exists(self._settings.done_folder):
                client.create_folder(self._settings.done_folder)
            client.move([number], self._settings.done_folder)

    def _say(self, error: Exception) -> None:
        refused = isinstance(error, IMAPClientError) and "login" in type(error).__name__.lower()
        trouble = (
            "login" if refused else "unreachable" if isinstance(error, OSError) else type(error).__name__
        )
        if trouble != self.trouble:
            log.error("mailbox_not_read", name=self._settings.user.partition("@")[0][:2], reason=trouble)
        self.trouble = trouble


def _close(client: IMAPClient) -> None:
    with contextlib.suppress(OSError, IMAPClientError, ValueError):
        client.shutdown()
