"""`python -m channels.voice.browser '<json>'`: one host of browser phones until TERM or INT.

The core speaks to it over `<run_dir>/b-<slot>.sock`, a JSON object a line: `{id, op, …}` answered by `{id, …}` or
`{id, error}`; events come without an id. Phones and calls outlive the core."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from callcenter.kernel import locks, logging
from callcenter.kernel.collector import spare_the_collector
from channels.voice.browser.host import Host, Refused
from channels.voice.browser.lines import SipLines
from channels.voice.browser.ports import keep_to

NICE = -10
MAX_LINE = 256 * 1024
log = logging.get("browser")


class Service:
    """Whoever connects is a core; the newest hears the events."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._core: asyncio.StreamWriter | None = None
        host.tell = self._tell

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._core = writer
        asking: set[asyncio.Task[None]] = set()
        with contextlib.suppress(OSError, ValueError, asyncio.LimitOverrunError, asyncio.CancelledError):
            while line := await reader.readline():
                task = asyncio.ensure_future(self._ask(json.loads(line), writer))
                asking.add(task)
                task.add_done_callback(asking.discard)
        if self._core is writer:
            self._core = None
        writer.close()

    async def _ask(self, message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._host.ask(message)
        except Refused as error:
            answer = {"error": str(error)}
        except (KeyError, TypeError) as error:
            answer = {"error": f"bad_message_{type(error).__name__}"}
        writer.write(json.dumps({"id": message.get("id"), **answer}).encode() + b"\n")

    def _tell(self, event: dict[str, Any]) -> None:
        if self._core is not None and not self._core.is_closing():
            self._core.write(json.dumps(event).encode() + b"\n")


async def serve(raw: dict[str, Any], lines: SipLines) -> None:
    if raw["udp_ports"]:
        keep_to(asyncio.get_running_loop(), *raw["udp_ports"])
    host = Host(lines, raw["ice_servers"], raw["hotline"])
    service = Service(host)
    path = Path(raw["run_dir"]) / f"b-{raw['slot']}.sock"
    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(service.connected, str(path), limit=MAX_LINE)
    path.chmod(0o600)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    log.info("browser_ready", slot=raw["slot"], free=lines.capacity)
    spare_the_collector()
    await stop.wait()
    server.close()
    await host.close()
    path.unlink(missing_ok=True)


def advertise(addresses: list[str]) -> None:
    """The addresses that pages are told, where they are not simply this machine's own."""
    from aioice import ice

    if addresses:
        ice.get_host_addresses = lambda use_ipv4, use_ipv6: [a for a in addresses if use_ipv6 or ":" not in a]


def main(argument: str) -> int:
    raw = json.loads(argument)
    logging.configure(f"browser-{raw['slot']}")
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    run_dir = Path(raw["run_dir"])
    run_dir.mkdir(parents=True, exist_ok=True)
    try:
        locks.hold(run_dir / f"b-{raw['slot']}.lock")
    except locks.LockTaken as error:
        sys.stderr.write(f"browser phones {raw['slot']}: {error} is held by another one\n")
        return 3
    advertise(raw["advertise"])
    lines = SipLines(raw["host"], raw["port"], (raw["rtp_low"], raw["rtp_high"]), Path(raw["music"]))
    try:
        lines.start()
    except Exception as error:
        sys.stderr.write(
            f"browser phones {raw['slot']}: cannot listen on {raw['host']}:{raw['port']}: {error}\n"
        )
        return 4
    asyncio.run(serve(raw, lines))
    lines.stop()
    log.info("browser_stopped", slot=raw["slot"])
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
