"""A channel in sixty lines: conversations by TCP, a line is a message. docs/channels.md tells what each part is for."""

from __future__ import annotations

import asyncio
import contextlib
import itertools

from callcenter.kernel.errors import NotAllowed
from channels.base import WrittenIntake


class Lines:
    """Every connection is a conversation; it ends with the connection."""

    def __init__(self, intake: WrittenIntake, flow: str) -> None:
        self._intake, self._flow = intake, flow
        self.refused = 0

    async def listen(self, host: str, port: int) -> asyncio.Server:
        return await asyncio.start_server(self._conversation, host, port, limit=8_192)

    async def _conversation(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        interaction = self._intake.begin("chat", "lines", self._flow, "en")
        changed = asyncio.Event()
        unwatch = self._intake.watch(interaction, lambda _changed: changed.set())
        saying = asyncio.create_task(self._say(interaction, writer, changed))
        try:
            for number in itertools.count(1):
                line = await reader.readline()
                if not line:
                    break
                self._take(interaction, f"l{number}", line.decode("utf-8", "replace").strip(), writer)
        except (ConnectionError, ValueError):  # ValueError: a line without end
            self.refused += 1
        finally:
            unwatch()
            self._intake.leave(interaction)
            saying.cancel()
            writer.close()

    def _take(self, interaction: str, client: str, text: str, writer: asyncio.StreamWriter) -> None:
        def kept(n: int) -> None:
            writer.write(f"+{n}\n".encode())

        try:
            self._intake.receive(interaction, client, text, kept)  # the answer follows the commit
        except NotAllowed as refused:
            self.refused += 1
            writer.write(f"-{refused.code}\n".encode())

    async def _say(self, interaction: str, writer: asyncio.StreamWriter, changed: asyncio.Event) -> None:
        after = 0
        with contextlib.suppress(ConnectionError):
            while self._intake.standing(interaction)["state"] != "over":
                for one in self._intake.thread(interaction, after):
                    after = one["n"]
                    if one["by"] != "customer":
                        writer.write(f"{one['text']}\n".encode())
                await writer.drain()  # who does not read waits for themselves
                await changed.wait()
                changed.clear()
