"""Written channels under load: 10,000 visitors of the chat beside each other, and what they cost the core."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any

import websockets

from tests.benchmarks.centre import HOST, HTTP, Centre, Shape, percentile

Figures = dict[str, Any]
SOCKETS, MESSAGES_PER_S, MEASURED_S = 10_000, 200, 20.0
_OPENING = 60
"""handshakes at the same time"""


class Visitor:
    """Open, in the queue, and reading."""

    def __init__(self, number: int, told: dict[str, float], delays: list[float]) -> None:
        self.number, self._told, self._delays = number, told, delays
        self.socket: Any = None
        self.waits = asyncio.Event()
        self.sent = self.kept = 0

    async def open(self) -> None:
        address = f"ws://{HOST}:{HTTP}/chat/socket"
        self.socket = await websockets.connect(
            address,
            origin=websockets.Origin(f"http://{HOST}:{HTTP}"),
            compression=None,
            ping_interval=None,
            max_queue=4,
        )
        await self.socket.send('{"start":{"lang":"zh"}}')
        self.reading = asyncio.create_task(self._read())
        await asyncio.wait_for(self.waits.wait(), 60)

    async def _read(self) -> None:
        async for frame in self.socket:
            now, said = time.perf_counter(), json.loads(frame)
            for one in said.get("messages", ()):
                if one["by"] == "customer" and one["text"] in self._told:
                    self._delays.append(now - self._told.pop(one["text"]))
                if one["choices"]:
                    await self.socket.send('{"send":"人工服务","id":"first"}')
            self.kept += "kept" in said
            if said.get("standing", {}).get("state") == "waiting":
                self.waits.set()

    async def write(self) -> None:
        self.sent += 1
        text = f"visitor {self.number}, message {self.sent}"
        self._told[text] = time.perf_counter()
        await self.socket.send(json.dumps({"send": text, "id": f"m{self.sent}"}))


async def _visitors(centre: Centre, core: int, sockets: int) -> Figures:
    told: dict[str, float] = {}
    delays: list[float] = []
    before_mb, started = centre.memory_mb([core]), time.perf_counter()
    visitors = [Visitor(number, told, delays) for number in range(sockets)]
    gate = asyncio.Semaphore(_OPENING)

    async def opened(visitor: Visitor) -> None:
        async with gate:
            await visitor.open()

    await asyncio.gather(*map(opened, visitors))
    opening_s = time.perf_counter() - started
    await asyncio.sleep(3)
    memory_mb, cpu_s = centre.memory_mb([core]), centre.cpu_s([core])
    dice, began = random.Random(1), time.perf_counter()
    count = round(MESSAGES_PER_S * MEASURED_S)
    for n in range(count):
        await asyncio.sleep(max(0.0, began + n / MESSAGES_PER_S - time.perf_counter()))
        await dice.choice(visitors).write()
    took_s, used_s = time.perf_counter() - began, centre.cpu_s([core]) - cpu_s
    deadline = time.perf_counter() + 30
    while told and time.perf_counter() < deadline:
        await asyncio.sleep(0.05)
    lag = centre.metrics()
    late = [name for name in lag if name.startswith("callcenter_loop_lag_seconds_sum")]
    for visitor in visitors:
        visitor.reading.cancel()
    await asyncio.gather(*(visitor.socket.close() for visitor in visitors[:10]))
    return {
        "sockets": sockets,
        "opened_per_s": round(sockets / opening_s),
        "memory_mb": round(memory_mb),
        "memory_before_mb": round(before_mb),
        "kb_a_socket": round((memory_mb - before_mb) * 1024 / sockets, 1),
        "messages": count,
        "lost": len(told),
        "rate": round(count / took_s),
        "delivery_p50_ms": round(percentile(sorted(delays), 0.5) * 1000, 1),
        "delivery_p99_ms": round(percentile(sorted(delays), 0.99) * 1000, 1),
        "core_percent": round(100 * used_s / took_s),
        "loop_lag_mean_ms": round(
            1000
            * sum(lag[name] for name in late)
            / max(1.0, lag.get("callcenter_loop_lag_seconds_count", 1.0)),
            2,
        ),
    }


def run(sockets: int = SOCKETS) -> Figures:
    """Chat: sockets in the queue, messages to and fro."""
    with Centre(Shape(1, chat=True)) as centre:
        core = centre.status()["core"]["pid"]
        return {"chat": asyncio.run(_visitors(centre, core, sockets))}
