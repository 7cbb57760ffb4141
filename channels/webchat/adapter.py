"""The socket of the widget, and the files that sites load. A router that the core's web server mounts.

Nothing is queued for a visitor: a socket that is told of a change reads on from the place it has come to. One that does
not read blocks nobody but itself, and is closed after a while; the widget comes back and goes on from its place.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, HTMLResponse
from limits import parse as parse_rate
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from callcenter.kernel import logging
from callcenter.kernel.errors import NotAllowed
from callcenter.kernel.signed_identity import SignedIdentity
from channels.base import WrittenIntake
from channels.webchat import translate as t
from config.settings import Chat

log = logging.get("webchat")
AUDIENCE = "web-chat"
HELLO_S, STUCK_S, SILENT_S = 10.0, 20.0, 75.0
"""to say the first word; to take what is sent; without any word, the widget's beats included"""
MESSAGES_RATE = "20/10second"
MOST_SOCKETS_EACH = 5
"""of one conversation: as many tabs"""
FOREIGN, NONSENSE, OVER, BUSY = 4403, 4400, 4410, 4429
_FOLDER = Path(__file__).parent
_FILES = {"widget.js": "text/javascript", "sample.css": "text/css"}


class WebChat:
    def __init__(
        self, settings: Chat, intake: WrittenIntake, region: str, sign: Callable[[str], str]
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
        self.router.add_api_websocket_route("/socket", self.socket)
        self.router.add_api_route("/sample", self.sample, include_in_schema=False)
        self.router.add_api_route("/{name}", self.file, include_in_schema=False)

    @property
    def sockets(self) -> int:
        return self._open.total()

    async def file(self, name: str) -> Response:
        kind = _FILES.get(name)
        if kind is None:
            return Response(status_code=404)
        headers = {"Cache-Control": "public, max-age=300", "Cross-Origin-Resource-Policy": "cross-origin"}
        return FileResponse(_FOLDER / name, media_type=kind, headers=headers)

    async def sample(self, request: Request) -> HTMLResponse:
        """A page of an insurer that never was, with the widget on it."""
        return HTMLResponse((_FOLDER / "sample.html").read_text(encoding="utf-8"))

    async def socket(self, socket: WebSocket) -> None:
        await socket.accept()
        if not self._welcome(socket):
            self._count("foreign_origin")
            await socket.close(FOREIGN)
            return
        try:
            visit = await self._hello(socket)
        except t.Nonsense:
            self._count("nonsense")
            await self._close(socket, NONSENSE)
            return
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
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
        origin = socket.headers.get("origin", "")
        own = origin.partition("://")[2] == socket.headers.get("host", "")
        return own or origin in self._settings.origins

    async def _hello(self, socket: WebSocket) -> tuple[str, int] | None:
        """(conversation, place the widget has come to); None where the socket was closed over it."""
        said = t.parse(await asyncio.wait_for(socket.receive_text(), HELLO_S))
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
        address = socket.client.host if socket.client else ""
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
        changed, kept = asyncio.Event(), asyncio.Queue[tuple[str, int]](1_000)

        def tell(_interaction: str) -> None:
            changed.set()

        unwatch = self._intake.watch(interaction, tell)
        sending = asyncio.create_task(self._send(socket, interaction, after, changed, kept))
        hearing = asyncio.create_task(self._hear(socket, interaction, changed, kept))
        try:
            await asyncio.wait((sending, hearing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            unwatch()
            for task in (sending, hearing):
                task.cancel()
            results = await asyncio.gather(sending, hearing, return_exceptions=True)
            for result in results:
                if isinstance(result, t.Nonsense):
                    self._count("nonsense")
                    await self._close(socket, NONSENSE)
                elif isinstance(result, Exception) and not isinstance(
                    result, (TimeoutError, WebSocketDisconnect, RuntimeError)
                ):
                    log.error("socket_failed", interaction=interaction, reason=type(result).__name__)
            await self._close(socket, OVER)

    async def _hear(
        self,
        socket: WebSocket,
        interaction: str,
        changed: asyncio.Event,
        kept: asyncio.Queue[tuple[str, int]],
    ) -> None:
        while True:
            said = t.parse(await asyncio.wait_for(socket.receive_text(), SILENT_S))
            if isinstance(said, t.Send):
                await self._receive(socket, interaction, said, changed, kept)
            elif isinstance(said, t.Read):
                self._intake.customer_read(interaction, said.n)
            elif isinstance(said, t.Typing):
                self._intake.typing(interaction)
            elif isinstance(said, t.Leave):
                self._intake.leave(interaction)

    async def _receive(
        self,
        socket: WebSocket,
        interaction: str,
        said: t.Send,
        changed: asyncio.Event,
        kept: asyncio.Queue[tuple[str, int]],
    ) -> None:
        def committed(n: int) -> None:
            with contextlib.suppress(asyncio.QueueFull):  # it asks again
                kept.put_nowait((said.id, n))
            changed.set()

        try:
            if not self._limiter.hit(self._messages, "message", interaction):
                raise NotAllowed("too_often")
            self._intake.receive(interaction, said.id, said.text, committed)
        except NotAllowed as refused:
            self._count(refused.code)
            await self._say(socket, {"refused": refused.code, "id": said.id})

    async def _send(
        self,
        socket: WebSocket,
        interaction: str,
        after: int,
        changed: asyncio.Event,
        kept: asyncio.Queue[tuple[str, int]],
    ) -> None:
        standing: dict[str, Any] = {}
        while True:
            while not kept.empty():
                name, n = kept.get_nowait()
                await self._say(socket, {"kept": name, "n": n})
            messages = self._intake.thread(interaction, after)
            if messages:
                after = messages[-1]["n"]
                await self._say(socket, {"messages": messages})
            now = self._intake.standing(interaction)
            if now != standing:
                standing = now
                await self._say(socket, {"standing": standing})
            if standing["state"] == "over" and kept.empty():
                return
            await changed.wait()
            changed.clear()

    @staticmethod
    async def _say(socket: WebSocket, words: dict[str, Any]) -> None:
        text = json.dumps(words, ensure_ascii=False, separators=(",", ":"))
        await asyncio.wait_for(socket.send_text(text), STUCK_S)

    @staticmethod
    async def _close(socket: WebSocket, code: int) -> None:
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await socket.close(code)

    def _count(self, what: str) -> None:
        self.counts[what] += 1
