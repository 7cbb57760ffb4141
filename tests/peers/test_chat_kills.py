"""Five hundred visitors write while the core is killed thirty times: everything acknowledged is there, once."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import websockets

from tests.peers.centre import Centre, agent, queue
from tests.peers.phones import free_port

pytestmark = [pytest.mark.peer(), pytest.mark.timeout(900)]

Start = Callable[..., Centre]
VISITORS, KILLS, WRITES_EVERY_S = 500, 30, 1.0
LOST = (OSError, websockets.WebSocketException, TimeoutError)


class Visitor:
    """What the widget does, without a page: keeps what is not safe, comes back by its place."""

    def __init__(self, number: int, http: str, dice: random.Random) -> None:
        self.number, self._http, self._dice = number, http, dice
        self.visit, self.after, self.sent = "", 0, 0
        self.outbox: dict[str, str] = {}
        self.written: list[str] = []
        self.acknowledged: set[str] = set()
        self.seen: list[tuple[int, str, str]] = []
        self.writing = True

    async def live(self) -> None:
        while self.writing or self.outbox:
            try:
                await self._connected()
            except LOST:
                await asyncio.sleep(0.2 + self._dice.random())

    async def _connected(self) -> None:
        async with self._open() as socket:
            first = {"resume": self.visit, "after": self.after} if self.visit else {"start": {"lang": "zh"}}
            await socket.send(json.dumps(first))
            for name, text in list(self.outbox.items()):
                await socket.send(json.dumps({"send": text, "id": name}))
            writer = asyncio.create_task(self._write(socket))
            try:
                while self.writing or self.outbox:
                    self._heard(json.loads(await asyncio.wait_for(socket.recv(), 30)))
            finally:
                writer.cancel()

    def _open(self) -> Any:
        origin = websockets.Origin(f"http://{self._http}")
        return websockets.connect(
            f"ws://{self._http}/chat/socket",
            origin=origin,
            compression=None,
            open_timeout=10,
            ping_interval=None,
        )

    async def _write(self, socket: Any) -> None:
        while self.writing:
            await asyncio.sleep(WRITES_EVERY_S * (0.5 + self._dice.random()))
            if not self.visit or not self.writing:
                continue
            self.sent += 1
            name, text = f"m{self.sent}", f"{self.number}/{self.sent}"
            if self.sent == 1:
                text = "人工服务"
            self.outbox[name] = text
            self.written.append(text)
            await socket.send(json.dumps({"send": text, "id": name}))

    def _heard(self, said: dict[str, Any]) -> None:
        self.visit = said.get("visit", self.visit)
        if "kept" in said:
            self.acknowledged.add(self.outbox.pop(said["kept"], ""))
        for one in said.get("messages", ()):
            assert one["n"] == self.after + 1, "a gap, or twice"
            self.after = one["n"]
            self.seen.append((one["n"], one["by"], one["text"]))

    async def thread(self) -> list[tuple[int, str, str]]:
        """All of it, read anew."""
        async with self._open() as socket:
            await socket.send(json.dumps({"resume": self.visit, "after": 0}))
            while True:
                said = json.loads(await asyncio.wait_for(socket.recv(), 30))
                if "messages" in said:
                    return [(one["n"], one["by"], one["text"]) for one in said["messages"]]


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """On a thread of its own, while the test kills."""
    running = asyncio.new_event_loop()
    thread = threading.Thread(target=running.run_forever)
    thread.start()
    yield running
    running.call_soon_threadsafe(running.stop)
    thread.join()
    running.close()


def test_nothing_acknowledged_is_lost_or_doubled(
    start_centre: Start, loop: asyncio.AbstractEventLoop
) -> None:
    centre = start_centre(
        numbers=[{"number": "95519", "flow": "hotline"}],
        queues=[queue("service")],
        agents=[agent("1001", free_port(), ready_at_start=False)],
        sections={"chat": {"flow": "hotline", "rate": "10000/second", "gone_s": 3_600}},
    )
    dice = random.Random(30)
    visitors = [Visitor(number, centre.http, random.Random(number)) for number in range(VISITORS)]

    async def everybody() -> None:
        await asyncio.gather(*(visitor.live() for visitor in visitors))

    living = asyncio.run_coroutine_threadsafe(everybody(), loop)
    time.sleep(5)
    for _ in range(KILLS):
        centre.kill_core()
        centre.wait_ready()
        time.sleep(dice.random() * 2)
    time.sleep(5)
    for visitor in visitors:
        visitor.writing = False
    living.result(120)

    async def threads() -> list[list[tuple[int, str, str]]]:
        return await asyncio.gather(*(visitor.thread() for visitor in visitors))

    acknowledged = 0
    for visitor, thread in zip(
        visitors, asyncio.run_coroutine_threadsafe(threads(), loop).result(60), strict=True
    ):
        assert [n for n, _by, _text in thread] == list(range(1, len(thread) + 1))
        theirs = Counter(text for _n, by, text in thread if by == "customer")
        assert visitor.acknowledged <= theirs.keys()
        assert theirs == Counter(visitor.written), "lost or doubled"
        assert thread[: len(visitor.seen)] == visitor.seen, "what was shown is no longer there"
        said = Counter(text for _n, by, text in thread if by == "flow")
        assert max(said.values(), default=0) == 1, "the flow repeated itself"
        acknowledged += len(visitor.acknowledged)
    assert acknowledged > 4 * VISITORS
