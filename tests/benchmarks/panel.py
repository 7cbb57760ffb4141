"""Panels under load: 200 of them open, one in a real browser. From fact to pixel, from click to INVITE, and what they
cost the core."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import websockets
from playwright.sync_api import Page, sync_playwright

from callcenter.kernel.clock import SystemClock
from crm_core.db import open_engine
from softphone_ui.auth import COOKIE, Sessions
from tests.benchmarks.centre import (
    AGENTS,
    HOST,
    HTTP,
    OTHER_NUMBER,
    PANEL,
    Centre,
    Phones,
    Shape,
    callers,
    percentile,
)

Figures = dict[str, Any]
PANELS, TRIALS, BACKGROUND_PER_S, TALK_MS = 200, 40, 1.0, 4_000
_PHONE = AGENTS + 500
_MEASURED_S = 20.0
_WATCH = """
window.seen = []; window.clicked = [];
addEventListener("DOMContentLoaded", () => {
  const offer = document.getElementById("offer");
  let shown = false;
  new MutationObserver(() => {
    if (offer.hidden) { shown = false; return; }
    if (shown) return;
    shown = true;
    requestAnimationFrame(() => requestAnimationFrame(() => seen.push(performance.timeOrigin + performance.now())));
  }).observe(offer, { attributes: true, childList: true });
  addEventListener("click", (event) => event.target.closest("#answer") && clicked.push(performance.timeOrigin + event.timeStamp), true);
});
"""


class Panels:
    """Open feeds that read what they are sent; on a loop and a thread of their own."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.messages = 0
        self._sockets: list[Any] = []
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(60)

    async def _open(self) -> None:
        for token in self._tokens:
            headers = {"Cookie": f"{COOKIE}={token}", "Origin": f"http://{HOST}:{HTTP}"}
            socket = await websockets.connect(
                f"ws://{HOST}:{HTTP}/ws", additional_headers=headers, max_size=None
            )
            await socket.send('{"boot": "", "seq": 0}')
            self._sockets.append(socket)
            self._loop.create_task(self._read(socket))

    async def _read(self, socket: Any) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            async for _message in socket:
                self.messages += 1

    def close(self) -> None:
        async def end() -> None:
            await asyncio.gather(*(socket.close() for socket in self._sockets))

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


def tokens(centre: Centre, logins: list[str]) -> list[str]:
    engine = open_engine(f"sqlite:///{centre.folder}/var/callcenter.db")
    sessions = Sessions(engine, SystemClock(), 12)

    async def all_of_them() -> list[str]:
        return [(await sessions.open_for(login))[0] for login in logins]

    with ThreadPoolExecutor(1) as thread:  # the browser's own loop runs in this one
        found = thread.submit(lambda: asyncio.run(all_of_them())).result()
    sessions.close()
    engine.dispose()
    return found


@contextlib.contextmanager
def busy() -> Iterator[Centre]:
    """A centre whose other agents are busy with a call a second."""
    with Centre(Shape(PANELS + 1, panel=True)) as centre:
        Phones(centre, "agent", 3_600_000, port=AGENTS, media=AGENTS + 2)
        time.sleep(0.5)
        target = [f"{HOST}:11060", "-s", OTHER_NUMBER, "-m", "100000", "-r", str(BACKGROUND_PER_S)]
        Phones(centre, "caller", TALK_MS, *target, port=12_500, media=14_010)
        time.sleep(3)
        yield centre


def logins() -> list[str]:
    return [str(1000 + n) for n in range(1, PANELS)]


def page_of(browser: Any, token: str) -> Page:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.add_cookies([{"name": COOKIE, "value": token, "url": f"http://{HOST}:{HTTP}"}])
    page: Page = context.new_page()
    page.add_init_script(_WATCH)
    return page


def latency() -> Figures:
    with busy() as centre, sync_playwright() as playwright:
        mine, *others = tokens(centre, [PANEL, *logins()])
        panels = Panels(others)
        phone = Phones(centre, "agent", 3_600_000, "-trace_msg", port=_PHONE, media=_PHONE + 2)
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = page_of(browser, mine)
        page.goto(f"http://{HOST}:{HTTP}/")
        page.wait_for_selector("#state-badge.not_ready, #state-badge.idle")
        page.keyboard.press("r")
        page.wait_for_selector("#state-badge.idle")
        for _ in range(TRIALS):
            caller = callers(centre, 1, 10, 700)
            page.wait_for_selector("#answer", timeout=10_000)
            page.wait_for_timeout(60)
            page.click("#answer")
            caller.wait(20)
            page.wait_for_selector("#state-badge.idle", timeout=10_000)
        seen, clicked = page.evaluate("() => [window.seen, window.clicked]")
        browser.close()
        panels.close()
        time.sleep(1)
        queued = _queued(centre)[-len(seen) :]
        invites = _invites(phone)[-len(clicked) :]
    pixel = sorted(max(0.0, at - fact) for at, fact in zip(seen, queued, strict=True))
    sip = sorted(at - click for at, click in zip(invites, clicked, strict=True))
    return {
        "panels": PANELS,
        "trials": len(pixel),
        "fact_to_pixel_ms": {
            "p50": round(percentile(pixel, 0.5), 1),
            "p95": round(percentile(pixel, 0.95), 1),
        },
        "click_to_sip_ms": {"p50": round(percentile(sip, 0.5), 1), "p95": round(percentile(sip, 0.95), 1)},
    }


def _queued(centre: Centre) -> list[int]:
    """When each call for the panel was queued: the fact's own time."""
    connection = sqlite3.connect(f"{centre.folder}/var/callcenter.db")
    rows = connection.execute(
        "SELECT queued_at_ms FROM interactions WHERE queue = 'service' ORDER BY queued_at_ms"
    )
    found = [int(at_ms) for (at_ms,) in rows]
    connection.close()
    return found


def _invites(phone: Phones) -> list[float]:
    """When the agent's telephone received each INVITE, as SIPp wrote it down."""
    (log,) = phone.folder.glob("*_messages.log")
    pattern = re.compile(
        r"-{10,} (\d{4}-\d\d-\d\d)\s+(\d\d:\d\d:\d\d\.\d+)[^\n]*\n[^\n]*received[^\n]*\n\s*INVITE ",
        re.MULTILINE,
    )
    return [
        datetime.fromisoformat(f"{day}T{clock}").timestamp() * 1000
        for day, clock in pattern.findall(log.read_text())
    ]


def cost() -> Figures:
    """CPU of the core with and without 200 panels and a wallboard, at the same load; somebody waits all the time, so
    every panel is told the queues' figures every second."""
    with busy() as centre, sync_playwright() as playwright:
        callers(centre, 1, 10, 3_600_000)
        core = [centre.status()["core"]["pid"]]
        without = _share(centre, core)
        found = tokens(centre, [*logins(), PANEL, "8001"])
        panels = Panels(found[:-1])
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = page_of(browser, found[-1])
        page.goto(f"http://{HOST}:{HTTP}/wallboard")
        page.wait_for_selector("#wall-queues tr")
        time.sleep(2)
        before = panels.messages
        shared = _share(centre, core)
        told = (panels.messages - before) / _MEASURED_S
        browser.close()
        panels.close()
    return {
        "panels": PANELS,
        "calls_per_s": BACKGROUND_PER_S,
        "messages_per_s": round(told),
        "core_without": round(without, 3),
        "core_with": round(shared, 3),
        "panels_and_wallboard": round(shared - without, 3),
    }


def _share(centre: Centre, pids: list[int]) -> float:
    used, began = centre.cpu_s(pids), time.monotonic()
    time.sleep(_MEASURED_S)
    return (centre.cpu_s(pids) - used) / (time.monotonic() - began)


def run() -> Figures:
    return {"latency": latency(), "cost": cost()}
