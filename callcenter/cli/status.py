"""`callcenter status -c FILE [--json]`: every process, its pid, and what it carries."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

from callcenter.cli.common import parser, settings_or_exit
from channels.voice.protocol import FrameBuffer, FrameError, Message, pack

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
    workers = [ask_part(path) for path in sorted(run_dir.glob("w-*-*.sock"))]
    parts = written.get("parts", {})
    return {
        "supervisor": supervisor,
        "core": core,
        "edge": ask_part(run_dir / "edge.sock"),
        "workers": [worker for worker in workers if worker],
        "browsers": [
            {"name": name, "pid": part["pid"]} for name, part in parts.items() if name.startswith("browser-")
        ],
        "restarts": {name: part["restarts"] for name, part in parts.items()},
    }


def ask_part(path: Path, message: Message | None = None) -> dict[str, Any] | None:
    """The own word of a worker or of the edge, with or without a core; None where nobody answers.
    `message` is said before the question."""
    buffer = FrameBuffer()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(_TIMEOUT_S)
            peer.connect(str(path))
            peer.sendall((pack(message) if message else b"") + pack({"t": "ask"}))
            while chunk := peer.recv(65_536):
                for answer in buffer.feed(chunk):
                    return {name: value for name, value in answer.items() if name != "t"}
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
    edge = found["edge"]
    if edge is not None:
        table.add_row("edge", str(edge["pid"]), edge["address"])
        for trunk in edge["trunks"]:
            state = "up" if trunk["up"] else "down"
            table.add_row(f"trunk {trunk['name']}", "", f"{state} {trunk['address']}")
    for worker in found["workers"]:
        numbers = [str(worker[name]) for name in ("legs", "reserved", "free")]
        table.add_row(
            f"worker {worker['slot']}", str(worker["pid"]), worker["address"], *numbers, worker["library"]
        )
    for host in found["browsers"]:
        table.add_row(host["name"].replace("-", " "), str(host["pid"]), "up" if host["pid"] else "down")
    Console().print(table)
