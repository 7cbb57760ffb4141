"""The UDP ports that browser phones use towards browsers, kept to a range that a firewall can name.

The ICE library asks the loop for any free port; here the loop of a host answers with one of the range."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any


def keep_to(loop: asyncio.AbstractEventLoop, low: int, high: int) -> None:
    """From now on a datagram endpoint of this loop that asks for any port gets a free one in [low, high]. OSError where
    none is free."""
    asked = loop.create_datagram_endpoint

    async def bounded(protocol_factory: Any, local_addr: Any = None, **more: Any) -> Any:
        if local_addr is None or local_addr[1]:
            return await asked(protocol_factory, local_addr=local_addr, **more)
        start = secrets.randbelow(high - low + 1)
        for step in range(high - low + 1):
            port = low + (start + step) % (high - low + 1)
            try:
                return await asked(protocol_factory, local_addr=(local_addr[0], port), **more)
            except OSError:
                if step == high - low:
                    raise
        raise OSError("no port")

    loop.create_datagram_endpoint = bounded  # type: ignore[method-assign,assignment]
