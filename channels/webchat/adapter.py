"""The socket of the widget, and the files that sites load. A router that the core's web server mounts.

Nothing is queued for a visitor: a socket that is told of a change reads on from the place it has come to. One that does
not read blocks nobody but itself, and is closed after a while; the widget comes back and goes on from its place.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hmac
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, HTMLResponse
from limits import parse as parse_rate
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.types import ASGIApp, Receive, Scope, Send

from callcenter.kernel import logging
from callcenter.kernel.errors import NotAllowed
from callcenter.kernel.signed_identity import SignedIdentity
from channels.base import WrittenExtras, WrittenIntake
from channels.webchat import translate as t
from channels.webchat.aside import Aside
from config.written import Chat

log = logging.get("webchat")
AUDIENCE = "web-chat"
SOCKET = "/chat/socket"
HELLO_S, STUCK_S, SILENT_S = 10.0, 20.0, 75.0
"""to say the first word; to take what is sent; without any word, the widget's beats included"""
MESSAGES_RATE = "20/10second"
_MOST_KEPT = 200
"""acknowledgements that a socket has not read; for one that is lost the widget asks again"""
MOST_SOCKETS_EACH = 5
"""of one conversation: as many tabs"""
FOREIGN, NONSENSE, OVER, BUSY = 4403, 4400, 4410, 4429
_FOLDER = Path(__file__).parent
_FILES = {"widget.js": "text/javascript", "sample.css": "text/css"}


_GONE = (TimeoutError, WebSocketDisconnect, RuntimeError)


class _Page:
    """One socket, and the place it has come to. There are very many: what it holds is little."""

    __slots__ = ("_asleep", "_fresh", "after", "interaction", "kept", "socket")

    def __init__(self, socket: WebSocket, interaction: str, after: int) -> None:
        self.socket, self.interaction, self.after = socket, interaction, after
        self._asleep: asyncio.Future[None] | None = None
        self._fresh = True
        self.kept: list[tuple[str, int]] = []

    def changed(self, _interaction: str) -> None:
        self._fresh = True
        if self._asleep is not None and not self._asleep.done():
            self._asleep.set_result(None)

    def keep(self, name: str, n: int) -> None:
        if len(self.kept) < _MOST_KEPT:
            self.kept.append((name, n))
        self.changed(self.interaction)

    async def news(self) -> None:
        """Until something has changed since the last time."""
        if not self._fresh:
            self._asleep = asyncio.get_running_loop().create_future()
            try:
                await self._asleep
            finally:
                self._asleep = None
        self._fresh = False


class WebChat:
    def __init__(
        self,
        settings: Chat,
        intake: WrittenIntake,
        region: str,
        sign: Callable[[str], str],
        extras: WrittenExtras | None = None,
    ) -> None:
        """`sign`: a word for a conversation that nobody else can make. Raises ConfigError."""
        self._settings, self._intake, self._sign = settings, intake, sign
        self._identity = SignedIdentity(
            "chat.identity_key_file",
            settings.identity_key_file,
            settings.identity_algorithm,
            AUDIENCE,
            region,
        )
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._starts, self._messages = parse_rate(settings.rate), parse_rate(MESSAGES_RATE)
        self._open: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.router = APIRouter(prefix="/chat", tags=["chat"])
        if extras is not None:
            self.router.include_router(
                Aside(extras, self._visited, self._may_ask, self._count).router, prefix=""
            )
        self.router.add_api_route("/sample", self.sample, include_in_schema=False)
        self.router.add_api_route("/{name}", self.file, include_in_schema=False)

    @property
    def sockets(self) -> int:
        return self._open.total()

    def before(self, app: ASGIApp) -> ASGIApp:
        """The application with the widget's socket in front: what routes and guards pages would else stay in memory
        with every socket, and there are very many."""

        async def first(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "websocket" and scope["path"] == SOCKET:
                socket = WebSocket(scope, receive, send)
                welcome, address = self._welcome(socket), socket.client.host if socket.client else ""
                scope["headers"] = []
                await self._socket(socket, welcome, address)
            else:
                await app(scope, receive, send)

        return first

    async def file(self, name: str) -> Response:
        kind = _FILES.get(name)
        if kind is None:
            return Response(status_code=404)
        headers = {"Cache-Control": "public, max-age=300", "Cross-Origin-Resource-Policy": "cross-origin"}
        return FileResponse(_FOLDER / name, media_type=kind, headers=headers)

    async def sample(self, lang: Literal["zh", "en"] = "zh") -> HTMLResponse:
        """A page of an insurer that never was, with the widget on it."""
        page = (_FOLDER / "sample.html").read_text(encoding="utf-8")
        return HTMLResponse(page.replace('data-lang="zh"', f'data-lang="{lang}"', 1))

    async def _socket(self, socket: WebSocket, welcome: bool, address: str) -> None:
        await socket.accept()
        if not welcome:
            self._count("foreign_origin")
            await socket.close(FOREIGN)
            return
        try:
            visit = await self._hello(socket, address)
        except t.Nonsense:
            self._count("nonsense")
            await self._close(socket, NONSENSE)
            return
        except _GONE:
            await self._close(socket, NONSENSE)
            return
        if visit is None:
            return
        interaction, after = visit
        self._open[interaction] += 1
        try:
            await self._serve(socket, interaction, after)
        finally:
            self._open[interaction] -= 1
            if not self._open[interaction]:
                del self._open[interaction]

    def _welcome(self, socket: WebSocket) -> bool:
        return self._may_ask(socket.headers.get("origin", ""), socket.headers.get("host", ""))

    def _may_ask(self, origin: str, host: str) -> bool:
        return origin.partition("://")[2] == host or origin in self._settings.origins

    async def _hello(self, socket: WebSocket, address: str) -> tuple[str, int] | None:
        """(conversation, place the widget has come to); None where the socket was closed over it."""
        async with asyncio.timeout(HELLO_S):
            frame = await socket.receive_text()
        said = t.parse(frame)
        if isinstance(said, t.Resume):
            interaction = self._visited(said.visit)
            if interaction is None:
                self._count("forged_visit")
                await socket.close(OVER)
                return None
            if self._open[interaction] >= MOST_SOCKETS_EACH:
                self._count("too_many_sockets")
                await socket.close(BUSY)
                return None
            return interaction, said.after
        if not isinstance(said, t.Start):
            raise t.Nonsense("first word")
        try:
            if not self._limiter.hit(self._starts, "start", address):
                raise NotAllowed("too_often")
            party = self._identity.phone(said.identity) if said.identity else ""
        except NotAllowed as refused:
            self._count(refused.code)
            await self._say(socket, {"refused": refused.code})
            await socket.close(BUSY if refused.code == "too_often" else FOREIGN)
            return None
        interaction = self._intake.begin(
            "chat", "chat", self._settings.flow, said.language, party, "signed" if party else ""
        )
        self._count("started")
        await self._say(socket, {"visit": f"{interaction}.{self._sign(interaction)}"})
        return interaction, 0

    def _visited(self, visit: str) -> str | None:
        interaction, _, word = visit.partition(".")
        return interaction if hmac.compare_digest(word.encode(), self._sign(interaction).encode()) else None

    async def _serve(self, socket: WebSocket, interaction: str, after: int) -> None:
        page = _Page(socket, interaction, after)
        unwatch = self._intake.watch(interaction, page.changed)
        sending = asyncio.create_task(self._send(page))
        try:
            await self._hear(page)
        except t.Nonsense:
            self._count("nonsense")
            await self._close(socket, NONSENSE)
        except _GONE:
            await self._close(socket, OVER)
        finally:
            unwatch()
            sending.cancel()
            (result,) = await asyncio.gather(sending, return_exceptions=True)
            if isinstance(result, Exception) and not isinstance(result, _GONE):
                log.error("socket_failed", interaction=interaction, reason=type(result).__name__)

    async def _hear(self, page: _Page) -> None:
        while True:
            async with asyncio.timeout(SILENT_S):
                frame = await page.socket.receive_text()
            said = t.parse(frame)
            if isinstance(said, t.Send):
                await self._receive(page, said)
            elif isinstance(said, t.Read):
                self._intake.customer_read(page.interaction, said.n)
            elif isinstance(said, t.Typing):
                self._intake.typing(page.interaction)
            elif isinstance(said, t.Leave):
                self._intake.leave(page.interaction)

    async def _receive(self, page: _Page, said: t.Send) -> None:
        try:
            if not self._limiter.hit(self._messages, "message", page.interaction):
                raise NotAllowed("too_often")
            self._intake.receive(page.interaction, said.id, said.text, functools.partial(page.keep, said.id))
        except NotAllowed as refused:
            self._count(refused.code)
            await self._say(page.socket, {"refused": refused.code, "id": said.id})

    async def _send(self, page: _Page) -> None:
        """Whatever is new, whenever something is, until the conversation is over."""
        standing: dict[str, Any] = {}
        while True:
            await page.news()
            kept, page.kept = page.kept, []
            for name, n in kept:
                await self._say(page.socket, {"kept": name, "n": n})
            messages = self._intake.thread(page.interaction, page.after)
            if messages:
                page.after = messages[-1]["n"]
                await self._say(page.socket, {"messages": messages})
            now = self._intake.standing(page.interaction)
            if now != standing:
                standing = now
                await self._say(page.socket, {"standing": standing})
            if standing["state"] == "over" and not page.kept:
                await self._close(page.socket, OVER)
                return

    @staticmethod
    async def _say(socket: WebSocket, words: dict[str, Any]) -> None:
        text = json.dumps(words, ensure_ascii=False, separators=(",", ":"))
        async with asyncio.timeout(STUCK_S):
            await socket.send_text(text)

    @staticmethod
    async def _close(socket: WebSocket, code: int) -> None:
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await socket.close(code)

    def _count(self, what: str) -> None:
        self.counts[what] += 1
