"""The host of browser phones: whose page is here, whose is away, and what the core is answered. Lines and peers are
stand-ins for the library's; the real ones are in `tests/peers/test_browser_phone.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from channels.voice.browser import host as module
from channels.voice.browser.host import Host, Refused
from channels.voice.browser.lines import Line
from channels.voice.browser.link import host_of
from channels.voice.browser.peer import NotUsable


class Lines:
    """Two lines, and what was asked of them."""

    def __init__(self) -> None:
        self.lines = [Line(0), Line(1)]
        self.hung_up: list[tuple[str, bool]] = []
        self.dialled: list[str] = []
        self.pressed: list[tuple[str, str]] = []
        self.is_here: Callable[[str], bool] = lambda _user: False
        self.on_state: Callable[[str, str], None] = lambda _user, _state: None

    @property
    def capacity(self) -> int:
        return len(self.lines)

    def free(self) -> bool:
        return any(not line.user for line in self.lines)

    def line_of(self, user: str) -> Line | None:
        return next((line for line in self.lines if line.user == user), None)

    def dial(self, user: str, uri: str, visit: str = "") -> Line | None:
        line = next((line for line in self.lines if not line.user), None)
        if line is not None:
            line.user = user
            self.dialled.append(uri)
        return line

    def hang_up(self, user: str, lost: bool = False) -> None:
        self.hung_up.append((user, lost))

    def press(self, user: str, keys: str) -> None:
        self.pressed.append((user, keys))


class Peer:
    """A page that connects at once and says nothing of itself."""

    made: list[Peer]

    def __init__(self, _ice_servers: Any, on_state: Callable[[Any, str], None]) -> None:
        self.on_state = on_state
        self.line: Line | None = None
        self.connected = self.closed = False
        self.silent_s = 0.0
        Peer.made.append(self)

    async def answer(self, sdp: str) -> str:
        if "nonsense" in sdp:
            raise NotUsable("nonsense")
        self.connected = True
        return "v=0 answer"

    async def close(self) -> None:
        self.closed, self.connected = True, False


def played(scene: Callable[[Host, Lines, list[dict[str, Any]]], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        lines, events = Lines(), []
        host = Host(lines, [], "127.0.0.1:5060")  # type: ignore[arg-type]
        host.tell = events.append
        await scene(host, lines, events)
        await host.close()

    asyncio.run(run())


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    Peer.made = []
    monkeypatch.setattr(module, "Peer", Peer)
    monkeypatch.setattr(module, "AWAY_S", 0.05)
    monkeypatch.setattr(module, "_LOOK_S", 0.01)


def test_a_page_that_reloads_has_its_call_again() -> None:
    async def scene(host: Host, lines: Lines, _events: list[dict[str, Any]]) -> None:
        await host.ask({"op": "attach", "user": "1001", "sdp": "v=0 offer"})
        assert lines.is_here("1001")
        assert not lines.is_here("1002")
        lines.lines[0].user = "1001"
        host._call_changed("1001", "talking")
        assert Peer.made[0].line is lines.lines[0]
        Peer.made[0].on_state(Peer.made[0], "gone")
        assert lines.lines[0].away, "the far end hears music"
        await host.ask({"op": "attach", "user": "1001", "sdp": "v=0 again"})
        assert Peer.made[1].line is lines.lines[0]
        assert not lines.lines[0].away
        assert Peer.made[0].closed
        await asyncio.sleep(0.1)
        assert lines.hung_up == []

    played(scene)


def test_a_page_that_falls_silent_is_away_and_then_lost() -> None:
    async def scene(host: Host, lines: Lines, events: list[dict[str, Any]]) -> None:
        await host.ask({"op": "attach", "user": "1001", "sdp": "v=0 offer"})
        lines.lines[0].user = "1001"
        host._call_changed("1001", "talking")
        Peer.made[0].silent_s = 3.0
        await asyncio.sleep(0.03)
        assert lines.lines[0].away
        assert not lines.is_here("1001")
        assert events[-1] == {"event": "phone", "user": "1001", "connected": False, "call": "talking"}
        Peer.made[0].silent_s = 0.0
        await asyncio.sleep(0.03)
        assert not lines.lines[0].away, "the network was gone for a moment only"
        Peer.made[0].silent_s = 3.0
        await asyncio.sleep(0.12)
        assert ("1001", True) in lines.hung_up
        assert "1001" not in host.phones

    played(scene)


def test_a_visitor_s_call_lives_no_longer_than_the_page() -> None:
    async def scene(host: Host, lines: Lines, _events: list[dict[str, Any]]) -> None:
        made = await host.ask({"op": "call", "sdp": "v=0 offer", "number": "95519"})
        assert lines.dialled == ["sip:95519@127.0.0.1:5060"]
        user = made["user"]
        await host.ask({"op": "keys", "user": user, "keys": "1#"})
        assert lines.pressed == [(user, "1#")]
        lines.lines[0].user = ""
        host._call_changed(user, "ended")
        await asyncio.sleep(0.01)
        assert host.phones == {}
        assert Peer.made[0].closed

    played(scene)


def test_all_lines_busy_is_admitted() -> None:
    async def scene(host: Host, lines: Lines, _events: list[dict[str, Any]]) -> None:
        for line in lines.lines:
            line.user = "somebody"
        with pytest.raises(Refused, match="all_lines_busy"):
            await host.ask({"op": "call", "sdp": "v=0 offer", "number": "95519"})
        assert Peer.made == [], "before anything was opened"

    played(scene)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"op": "attach", "user": "1", "sdp": "nonsense"}, "bad_description"),
        ({"op": "call", "number": "1", "sdp": "nonsense"}, "bad_description"),
        ({"op": "fly"}, "unknown_op"),
        ({}, "unknown_op"),
    ],
)
def test_refusals(message: dict[str, str], reason: str) -> None:
    async def scene(host: Host, _lines: Lines, _events: list[dict[str, Any]]) -> None:
        with pytest.raises(Refused, match=reason):
            await host.ask(message)
        assert host.phones == {}

    played(scene)


def test_everybody_has_one_host_and_always_the_same() -> None:
    users = [f"10{n:02}" for n in range(200)]
    slots = [host_of(user, 5) for user in users]
    assert slots == [host_of(user, 5) for user in users]
    assert set(slots) == set(range(5))
    assert all(slots.count(slot) > 20 for slot in range(5))
