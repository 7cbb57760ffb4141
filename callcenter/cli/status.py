"""`callcenter status -c FILE [--json]`: every process, its pid, and what it carries."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

from callcenter.cli.common import parser, settings_or_exit
from channels.voice.protocol import PROTOCOL, FrameBuffer, FrameError, pack

_TIMEOUT_S = 2.0


def gather(run_dir: Path) -> dict[str, Any]:
    """What the supervisor wrote, what the core says of itself, what each worker answers."""
    written = _read(run_dir / "status.json")
    supervisor = written.get("supervisor", {"pid": 0})
    if not _alive(supervisor["pid"]):
        supervisor = {"pid": 0}
    said = _read(run_dir / "core.json")
    core_alive = _alive(said.get("pid", 0))
    core = {
        "pid": said["pid"] if core_alive else 0,
        "state": said["state"] if core_alive else "down",
        "epoch": said.get("epoch", 0),
        "http": said.get("http", "") if core_alive else "",
    }
    workers = [ask_worker(path) for path in sorted(run_dir.glob("w-*-*.sock"))]
    parts = written.get("parts", {})
    return {
        "supervisor": supervisor,
        "core": core,
        "workers": [worker for worker in workers if worker],
        "restarts": {name: part["restarts"] for name, part in parts.items()},
    }


def ask_worker(path: Path) -> dict[str, Any] | None:
    """A worker's own word, as an observer, with or without a core; None where nobody answers."""
    buffer = FrameBuffer()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(_TIMEOUT_S)
            peer.connect(str(path))
            peer.sendall(pack({"t": "hello", "role": "observer", "proto": PROTOCOL}))
            while chunk := peer.recv(65_536):
                for message in buffer.feed(chunk):
                    return {name: value for name, value in message.items() if name not in ("t", "proto")}
    except (OSError, FrameError):
        return None
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content


def _alive(pid: int) -> bool:
    if not pid:
        return False
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def main(arguments: list[str]) -> int:
    options_parser = parser("status", "every process and what it carries")
    options_parser.add_argument("--json", action="store_true")
    options = options_parser.parse_args(arguments)
    found = gather(settings_or_exit(options.config).run_dir)
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        _show(found)
    return 0 if found["core"]["pid"] else 1


def _show(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("part", "pid", "state", "legs", "reserved", "free", "library")
    table.add_row(
        "supervisor", str(found["supervisor"]["pid"]), "up" if found["supervisor"]["pid"] else "down"
    )
    core = found["core"]
    table.add_row("core", str(core["pid"]), f"{core['state']} {core['http']}")
    for worker in found["workers"]:
        numbers = [str(worker[name]) for name in ("legs", "reserved", "free")]
        table.add_row(
            f"worker {worker['slot']}", str(worker["pid"]), worker["address"], *numbers, worker["library"]
        )
    Console().print(table)
