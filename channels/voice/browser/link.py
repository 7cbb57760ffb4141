"""The core's side of the browser phone hosts: questions with answers, and what the hosts say of phones."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from callcenter.kernel.errors import NotAllowed

_ANSWER_S = 6.0
_AGAIN_S = 0.5
_MAX_LINE = 256 * 1024
Message = dict[str, Any]


def host_of(user: str, hosts: int) -> int:
    """The host that carries this person's phone: always the same one."""
    return zlib.crc32(user.encode()) % hosts


class BrowserPhones:
    """`changed(user)` hears that a phone came, went, or has another state."""

    def __init__(self, run_dir: Path, hosts: int) -> None:
        self._hosts = [_Host(run_dir / f"b-{slot}.sock", self._said) for slot in range(hosts)]
        self.phones: dict[str, Message] = {}
        """user -> {connected, call}, as their hosts last said"""
        self.changed: Callable[[str], None] = lambda _user: None
        self._next = itertools.cycle(range(hosts)) if hosts else iter(())

    def start(self) -> None:
        for host in self._hosts:
            host.start()

    async def stop(self) -> None:
        """Let go of the hosts; phones and calls stay."""
        for host in self._hosts:
            await host.stop()

    async def attach(self, user: str, sdp: str) -> str:
        """The answer to a page's description. Raises NotAllowed: no_browser_phones, bad_description."""
        answer = await self._of(user).ask("attach", user=user, sdp=sdp)
        return str(answer["sdp"])

    async def detach(self, user: str) -> None:
        await self._of(user).ask("detach", user=user)

    async def call(self, sdp: str, number: str, visit: str = "") -> Message:
        """A visitor rings this number: {user, sdp}. `visit` comes back in the call's `X-Visit`. Raises NotAllowed:
        no_browser_phones, all_lines_busy, bad_description."""
        refusal = "no_browser_phones"
        for _ in self._hosts:
            slot = next(self._next)
            try:
                answer = await self._hosts[slot].ask("call", sdp=sdp, number=number, visit=visit)
            except NotAllowed as error:
                refusal = error.code
                continue
            return {**answer, "user": f"{slot}.{answer['user']}"}
        raise NotAllowed(refusal)

    async def visitor(self, user: str, op: str, **words: str) -> None:
        """`keys` or `hangup` of a call that `call` made."""
        slot, _, name = user.partition(".")
        if not slot.isdigit() or int(slot) >= len(self._hosts):
            raise NotAllowed("call_over")
        await self._hosts[int(slot)].ask(op, user=name, **words)

    def state_of(self, visitor: str) -> str:
        """Of a visitor's call: ringing, talking, idle."""
        return str(self.phones.get(visitor.partition(".")[2], {}).get("call", "idle"))

    def _of(self, user: str) -> _Host:
        if not self._hosts:
            raise NotAllowed("no_browser_phones")
        return self._hosts[host_of(user, len(self._hosts))]

    def _said(self, user: str, phone: Message | None) -> None:
        if phone is None:
            self.phones.pop(user, None)
        else:
            self.phones[user] = phone
        self.changed(user)


class _Host:
    def __init__(self, path: Path, said: Callable[[str, Message | None], None]) -> None:
        self._path, self._said = path, said
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._mine: set[str] = set()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def ask(self, op: str, **words: str) -> Message:
        if self._writer is None:
            raise NotAllowed("no_browser_phones")
        number = next(self._numbers)
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        self._writer.write(json.dumps({"id": number, "op": op, **words}).encode() + b"\n")
        try:
            answer = await asyncio.wait_for(future, _ANSWER_S)
        except TimeoutError as error:
            raise NotAllowed("no_browser_phones") from error
        finally:
            self._waiting.pop(number, None)
        if "error" in answer:
            raise NotAllowed(str(answer["error"]))
        return answer

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(OSError, ValueError, asyncio.LimitOverrunError):
                reader, self._writer = await asyncio.open_unix_connection(str(self._path), limit=_MAX_LINE)
                self._writer.write(b'{"id": 0, "op": "status"}\n')
                while line := await reader.readline():
                    self._take(json.loads(line))
            self._lost()
            await asyncio.sleep(_AGAIN_S)

    def _take(self, message: Message) -> None:
        if message.get("event") == "phone":
            self._note(message["user"], {"connected": message["connected"], "call": message["call"]})
            return
        future = self._waiting.pop(message.get("id", -1), None)
        if future is not None and not future.done():
            future.set_result(message)
        for user, phone in message.get("phones", {}).items():
            self._note(user, phone)

    def _note(self, user: str, phone: Message) -> None:
        self._mine.add(user)
        self._said(user, phone)

    def _lost(self) -> None:
        self._writer = None
        for future in self._waiting.values():
            if not future.done():
                future.set_result({"error": "no_browser_phones"})
        mine, self._mine = self._mine, set()
        for user in mine:
            self._said(user, None)
