"""The socket's own limits and refusals, each in the medium's terms and counted."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest

from channels.webchat.adapter import AUDIENCE, BUSY, FOREIGN, MOST_SOCKETS_EACH, WebChat
from config.written import Chat

SITE = "https://www.example.com"
SECRET = "a secret that both sides know well"


class Intake:
    """The port: takes everything in, says nothing."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, str]] = []
        self.received: list[str] = []

    def begin(self, _m: str, _n: str, _f: str, _l: str, party: str = "", verified: str = "") -> str:
        self.begun.append((party, verified))
        return f"i1-{len(self.begun)}"

    def receive(self, _i: str, _client: str, text: str, committed: Callable[[int], None]) -> None:
        self.received.append(text)
        committed(len(self.received))

    def watch(self, _i: str, _changed: Callable[[str], None]) -> Callable[[], None]:
        return lambda: None

    def thread(self, _i: str, _after: int) -> list[dict[str, Any]]:
        return []

    def standing(self, _i: str) -> dict[str, Any]:
        return {"state": "waiting"}


class Page:
    """One socket, as the web server hands it over."""

    def __init__(self, chat: WebChat, origin: str) -> None:
        self._words: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._words.put_nowait({"type": "websocket.connect"})
        self.said: list[dict[str, Any]] = []
        self.code = 0
        headers = [(b"origin", origin.encode()), (b"host", b"centre")]
        scope = {"type": "websocket", "path": "/chat/socket", "headers": headers, "client": ("10.0.0.1", 1)}
        self.served = asyncio.ensure_future(chat.before(_no_page)(scope, self._words.get, self._send))

    async def _send(self, message: Any) -> None:
        if message["type"] == "websocket.send":
            self.said.append(json.loads(message["text"]))
        elif message["type"] == "websocket.close":
            self.code = message["code"]

    def write(self, words: dict[str, Any]) -> None:
        self._words.put_nowait({"type": "websocket.receive", "text": json.dumps(words)})

    async def leave(self) -> None:
        self._words.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await asyncio.wait_for(self.served, 5)


async def _no_page(_scope: Any, _receive: Any, _send: Any) -> None:
    raise AssertionError("the socket is in front of the pages")


async def rest() -> None:
    for _ in range(200):
        await asyncio.sleep(0)


class Door:
    def __init__(self, **settings: Any) -> None:
        self.intake = Intake()
        chat = Chat(flow="hotline", origins=(SITE,), **{"rate": "100/minute", **settings})
        self.chat = WebChat(chat, self.intake, "CN", lambda interaction: f"signed-{interaction}")  # type: ignore[arg-type]

    async def page(self, first: dict[str, Any], origin: str = SITE) -> Page:
        page = Page(self.chat, origin)
        page.write(first)
        await rest()
        return page


RESUME = {"resume": "i1-1.signed-i1-1", "after": 0}


def test_an_address_that_begins_too_often_is_told_so() -> None:
    async def scene() -> None:
        door = Door(rate="1/minute")
        first, second = await door.page({"start": {}}), await door.page({"start": {}})
        assert first.said[0] == {"visit": "i1-1.signed-i1-1"}
        assert (second.said, second.code) == ([{"refused": "too_often"}], BUSY)
        assert (len(door.intake.begun), door.chat.counts["too_often"]) == (1, 1)
        await first.leave()

    asyncio.run(scene())


def test_a_conversation_has_so_many_sockets_and_no_more() -> None:
    async def scene() -> None:
        door = Door()
        pages = [await door.page(RESUME) for _ in range(MOST_SOCKETS_EACH)]
        one_more = await door.page(RESUME)
        assert (one_more.said, one_more.code) == ([], BUSY)
        assert (door.chat.sockets, door.chat.counts["too_many_sockets"]) == (MOST_SOCKETS_EACH, 1)
        for page in pages:
            await page.leave()
        assert door.chat.sockets == 0

    asyncio.run(scene())


def test_a_flood_is_refused_message_by_message_and_nothing_before_it_is_lost() -> None:
    async def scene() -> None:
        door = Door()
        page = await door.page({"start": {}})
        for n in range(25):
            page.write({"send": f"{n}", "id": f"m{n}"})
        await rest()
        refused = [one["id"] for one in page.said if one.get("refused") == "too_often"]
        assert refused == [f"m{n}" for n in range(20, 25)]
        assert [one["kept"] for one in page.said if "kept" in one] == [f"m{n}" for n in range(20)]
        assert door.intake.received == [f"{n}" for n in range(20)]
        await page.leave()

    asyncio.run(scene())


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ""])
def test_a_foreign_page_gets_nothing(origin: str) -> None:
    async def scene() -> None:
        door = Door()
        page = await door.page({"start": {}}, origin)
        assert (page.said, page.code, door.intake.begun) == ([], FOREIGN, [])
        assert door.chat.counts["foreign_origin"] == 1

    asyncio.run(scene())


def test_a_signed_identity_names_the_customer_and_a_forged_one_nobody(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET)
    claims = {"aud": AUDIENCE, "exp": int(time.time()) + 60, "phone": "138 0013 8000"}
    forged = (jwt.encode(claims, "another secret, which is as long as it", "HS256"), "x.y.z")

    async def scene() -> None:
        door = Door(identity_key_file=tmp_path / "key")
        known = await door.page({"start": {"identity": jwt.encode(claims, SECRET, "HS256")}})
        assert door.intake.begun == [("+8613800138000", "signed")]
        for identity in forged:
            page = await door.page({"start": {"identity": identity}})
            assert (page.said, page.code) == ([{"refused": "bad_identity"}], FOREIGN)
        assert len(door.intake.begun) == 1
        await known.leave()

    asyncio.run(scene())
