"""`callcenter restart --drain -c FILE`: new code, part by part, without a dropped call."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from callcenter.cli.common import parser, settings_or_exit
from callcenter.cli.status import ask_part, gather

_POLL_S = 0.1
_START_S = 30.0


class Unfinished(RuntimeError):
    """A part did not empty, or did not come back, in the time it was given."""


def main(arguments: list[str]) -> int:
    options_parser = parser("restart", "restart every part in turn; calls go on")
    options_parser.add_argument(
        "--drain", action="store_true", required=True, help="wait until a worker has no calls (needed)"
    )
    options_parser.add_argument(
        "--wait", type=float, default=4 * 3600, metavar="SECONDS", help="for one worker to become empty"
    )
    options = options_parser.parse_args(arguments)
    run_dir = settings_or_exit(options.config).run_dir
    found = gather(run_dir)
    if not found["supervisor"]["pid"]:
        sys.stderr.write("restart: no supervisor runs, so nothing would start again\n")
        return 1
    try:
        for worker in found["workers"]:
            _worker(run_dir, worker, options.wait)
        if found["edge"] is not None:
            _part("edge", found["edge"]["pid"], lambda: (ask_part(run_dir / "edge.sock") or {}).get("pid", 0))
        _part("core", found["core"]["pid"], lambda: _ready_core(run_dir))
    except Unfinished as error:
        sys.stderr.write(f"restart: {error}\n")
        return 1
    return 0


def _worker(run_dir: Path, worker: dict[str, Any], wait_s: float) -> None:
    slot, pid = worker["slot"], worker["pid"]
    path = next(run_dir.glob(f"w-{slot}-{worker['boot']}.sock"))
    _say(f"worker {slot}: takes no new calls")
    ask_part(path, {"t": "drain", "on": True})
    deadline = time.monotonic() + wait_s
    while (status := ask_part(path)) is not None and (left := status["legs"] + status["unacknowledged"]):
        if time.monotonic() > deadline:
            ask_part(path, {"t": "drain", "on": False})
            raise Unfinished(f"worker {slot} still carries {left} legs; it takes calls again")
        time.sleep(_POLL_S)
    _part(f"worker {slot}", pid, lambda: _of_slot(run_dir, slot))


def _part(name: str, pid: int, pid_now: Callable[[], int]) -> None:
    """TERM, and wait for the next process of this name."""
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _START_S
    while (new := pid_now()) in (0, pid):
        if time.monotonic() > deadline:
            raise Unfinished(f"{name} has not come back; see its log")
        time.sleep(_POLL_S)
    _say(f"{name}: {pid} -> {new}")


def _of_slot(run_dir: Path, slot: int) -> int:
    for path in run_dir.glob(f"w-{slot}-*.sock"):
        status = ask_part(path)
        if status is not None:
            return int(status["pid"])
    return 0


def _ready_core(run_dir: Path) -> int:
    core = gather(run_dir)["core"]
    return int(core["pid"]) if core["state"] == "ready" else 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
