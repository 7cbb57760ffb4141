"""The example of docs/channels.md works, and is as short as it says."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.callcenter.messaging.test_desk import Site
from tests.channels import example


def test_a_conversation_by_lines() -> None:
    site = Site()

    async def scene() -> list[str]:
        server = await example.Lines(site.desk, "hotline").listen("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        said = []

        async def read(count: int) -> None:
            for _ in range(count):
                await asyncio.sleep(0.01)
                site.centre.settle()
                said.append((await asyncio.wait_for(reader.readline(), 5)).decode().strip())

        await read(2)
        writer.write(b"\ncomplaints\n")
        await asyncio.sleep(0.05)
        await read(3)
        writer.close()
        for _ in range(100):
            await asyncio.sleep(0.01)
            if not site.centre.host.book.written.open:
                break
        server.close()
        await server.wait_closed()
        return said

    said = asyncio.run(scene())
    assert said[0].startswith("Welcome to our online service")
    assert said[2] == "-empty"
    assert {"+3", "One moment please, an agent will be with you."} <= set(said)
    (ended,) = site.centre.journalled("InteractionEnded")
    assert (ended["outcome"], ended["by"]) == ("abandoned", "caller")


def test_it_is_as_short_as_it_says() -> None:
    lines = Path(example.__file__).read_text(encoding="utf-8").splitlines()
    assert sum(1 for line in lines if line.strip()) <= 60
