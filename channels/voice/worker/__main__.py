"""`python -m channels.voice.worker '<json>'`: one voice worker until TERM or INT."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from pathlib import Path

from callcenter.kernel import logging
from callcenter.kernel.collector import spare_the_collector
from callcenter.kernel.locks import LockTaken
from channels.voice.worker.library import LibraryMissing
from channels.voice.worker.sip import SipConfig
from channels.voice.worker.worker import Worker, WorkerConfig

NICE = -10
"""audio suffers first when the processor is busy; permitted to root only, and good without"""
log = logging.get("worker")


def main(argument: str) -> int:
    raw = json.loads(argument)
    config = WorkerConfig(
        slot=raw["slot"],
        run_dir=Path(raw["run_dir"]),
        sip=SipConfig(**{**raw["sip"], "credentials": tuple(map(tuple, raw["sip"]["credentials"]))}),
        music=raw["music"],
        retry_after_s=raw["retry_after_s"],
        silence_probe_s=raw["silence_probe_s"],
        calls_per_s=raw["calls_per_s"],
    )
    logging.configure(f"worker-{config.slot}")
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    wanted: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda signum, _frame: wanted.append(signum))
    try:
        worker = Worker(config)
    except (LockTaken, LibraryMissing, ValueError) as error:
        sys.stderr.write(f"voice worker {config.slot}: {error}\n")
        return 3
    except Exception as error:
        if type(error).__name__ != "Error":
            raise
        reason = getattr(error, "reason", "") or "?"
        sys.stderr.write(
            f"voice worker {config.slot}: cannot listen on {config.sip.host}:{config.sip.port}: {reason}\n"
        )
        return 4
    status = worker.describe()
    log.info("worker_ready", **{name: status[name] for name in ("slot", "pid", "address", "library", "free")})
    spare_the_collector()
    while not wanted:
        worker.step()
    worker.stop()
    log.info("worker_stopped", slot=config.slot, signal=wanted[0])
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
