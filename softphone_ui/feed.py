"""The one WebSocket of a page. Same origin, a valid session; `resume` first, then messages come."""

from __future__ import annotations

import asyncio
import contextlib
import json
from urllib.parse import urlsplit

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from softphone_ui.access import who_asks
from softphone_ui.hub import Listener
from softphone_ui.panel import Panel

router = APIRouter()
_NOT_YOURS, _TRY_AGAIN = 4403, 1013
_HELLO_S = 10
BEAT_S = 5.0
"""a page that hears nothing for longer than this twice over knows that its network is gone"""
STUCK_S = 30.0
_BEAT = '{"t": "beat"}'


@router.websocket("/ws")
async def feed(socket: WebSocket) -> None:
    panel: Panel = socket.app.state.panel
    who = await who_asks(socket)
    if who is None or who.must_change or not _same_origin(socket):
        await socket.accept()
        await socket.close(_NOT_YOURS)
        return
    await socket.accept()
    try:
        hello = json.loads(await asyncio.wait_for(socket.receive_text(), _HELLO_S))
        boot, seq = str(hello.get("boot", "")), int(hello.get("seq", 0))
    except (
        TimeoutError,
        ArithmeticError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        WebSocketDisconnect,
    ):
        with contextlib.suppress(RuntimeError):
            await socket.close(_NOT_YOURS)
        return
    panel.arrived(who)
    listener = panel.hub.join(who.login, boot, seq)
    panel.arrived(who)
    sending = asyncio.create_task(_send(socket, listener))
    try:
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass  # a page only listens; whatever it sends is ignored
    except (WebSocketDisconnect, RuntimeError):
        pass
    finally:
        panel.hub.leave(listener)
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending


async def _send(socket: WebSocket, listener: Listener) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
        while True:
            try:
                text = await asyncio.wait_for(listener.queue.get(), BEAT_S)
            except TimeoutError:
                text = _BEAT
            if text is None:
                break
            await asyncio.wait_for(socket.send_text(text), STUCK_S)
        await socket.close(_TRY_AGAIN)


def _same_origin(socket: WebSocket) -> bool:
    origin = socket.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == socket.headers.get("host")
