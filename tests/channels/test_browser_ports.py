"""UDP ports towards browsers stay in their range."""

from __future__ import annotations

import asyncio
import socket

import pytest

from channels.voice.browser.ports import keep_to


def taken(low: int, high: int, count: int) -> list[int]:
    async def scene() -> list[int]:
        loop = asyncio.get_running_loop()
        keep_to(loop, low, high)
        made: list[asyncio.DatagramTransport] = []
        try:
            for _ in range(count):
                made.append(
                    (
                        await loop.create_datagram_endpoint(
                            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
                        )
                    )[0]
                )
            return [transport.get_extra_info("sockname")[1] for transport in made]
        finally:
            for transport in made:
                transport.close()
            await asyncio.sleep(0)

    return asyncio.run(scene())


def free_range(size: int) -> int:
    """The lowest of so many free ports in a row."""
    for low in range(41_000, 60_000, size):
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(size)]
        try:
            for step, one in enumerate(sockets):
                one.bind(("127.0.0.1", low + step))
            return low
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()
    raise AssertionError("no free ports")


def test_every_port_of_the_range_and_no_other_is_used() -> None:
    low = free_range(8)
    assert sorted(taken(low, low + 7, 8)) == list(range(low, low + 8))


def test_when_all_are_taken_it_is_said() -> None:
    low = free_range(2)
    with pytest.raises(OSError):
        taken(low, low + 1, 3)


def test_a_port_that_is_asked_for_is_given() -> None:
    low = free_range(4)

    async def scene() -> int:
        loop = asyncio.get_running_loop()
        keep_to(loop, low, low + 1)
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", low + 3)
        )
        port = int(transport.get_extra_info("sockname")[1])
        transport.close()
        await asyncio.sleep(0)
        return port

    assert asyncio.run(scene()) == low + 3
