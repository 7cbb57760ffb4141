"""What a visitor does beside writing, by plain HTTP with the word of the visit: files, a rating, a transcript by mail.

Foreign origins are refused as at the socket; an answer names the origin that may read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from limits import parse as parse_rate
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from callcenter.kernel.errors import NotAllowed
from channels.base import WrittenExtras

_UPLOADS, _RATINGS, _TRANSCRIPTS = "20/minute", "6/minute", "3/hour"
_STATUS = {
    "too_often": 429,
    "forged_visit": 404,
    "conversation_over": 404,
    "too_large": 413,
    "no_such_file": 404,
}
_SHOWN = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
Visited = Callable[[str], str | None]


class Aside:
    """`visited`: the conversation of a visit's word, None for a forged one; `welcome`: may this origin ask?"""

    def __init__(
        self,
        extras: WrittenExtras,
        visited: Visited,
        welcome: Callable[[str, str], bool],
        count: Callable[[str], None],
    ) -> None:
        self._extras, self._visited, self._welcome, self._count = extras, visited, welcome, count
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self.router = APIRouter(prefix="/aside", tags=["chat"])
        self.router.add_api_route("/files", self.upload, methods=["POST"])
        self.router.add_api_route("/files/{n}/{number}", self.file)
        self.router.add_api_route("/rating", self.rate, methods=["POST"])
        self.router.add_api_route("/transcript", self.transcript, methods=["POST"])

    async def upload(self, request: Request, visit: str, id: str, name: str = "") -> Response:
        """The body is the file; `id` makes it one message, however often it is sent."""

        async def work(interaction: str) -> dict[str, Any]:
            self._limit(_UPLOADS, "file", interaction)
            data = b""
            async for part in request.stream():
                data += part
                if len(data) > self._extras.most_file_bytes:
                    raise NotAllowed("too_large")
            return {"n": await self._extras.receive_file(interaction, id[:64], name[:250], data)}

        return await self._answer(request, visit, work)

    async def file(self, n: int, number: int, visit: str) -> Response:
        """A file of the `n`th message. Opened by a link, so no origin is asked."""
        interaction = self._visited(visit)
        if interaction is None:
            self._count("forged_visit")
            return Response(status_code=404)
        try:
            kind, _name, data = self._extras.file(interaction, n, number)
        except NotAllowed as refused:
            return Response(status_code=_STATUS.get(refused.code, 409))
        headers = {
            "Content-Security-Policy": "sandbox",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "private",
        }
        if kind not in _SHOWN:
            headers["Content-Disposition"] = "attachment"
            kind = "application/octet-stream"
        return Response(data, media_type=kind, headers=headers)

    async def rate(self, request: Request, visit: str, stars: int) -> Response:
        async def work(interaction: str) -> dict[str, Any]:
            self._limit(_RATINGS, "rating", interaction)
            self._extras.rate(interaction, stars)
            return {}

        return await self._answer(request, visit, work)

    async def transcript(self, request: Request, visit: str, to: str) -> Response:
        async def work(interaction: str) -> dict[str, Any]:
            self._limit(_TRANSCRIPTS, "transcript", interaction)
            await self._extras.transcript(interaction, to)
            return {}

        return await self._answer(request, visit, work)

    async def _answer(self, request: Request, visit: str, work: Callable[[str], Any]) -> Response:
        origin = request.headers.get("origin", "")
        if not self._welcome(origin, request.headers.get("host", "")):
            self._count("foreign_origin")
            return JSONResponse({"error": "foreign_origin"}, 403)
        headers = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
        try:
            interaction = self._visited(visit)
            if interaction is None:
                raise NotAllowed("forged_visit")
            found = await work(interaction)
        except NotAllowed as refused:
            self._count(refused.code)
            return JSONResponse({"error": refused.code}, _STATUS.get(refused.code, 409), headers)
        return JSONResponse(found, headers=headers)

    def _limit(self, rate: str, what: str, interaction: str) -> None:
        if not self._limiter.hit(parse_rate(rate), what, interaction):
            raise NotAllowed("too_often")
