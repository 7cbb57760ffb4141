"""The supervisor: starts core and workers, reaps them, restarts each alone, stops all politely.

Standard library only; imports nothing of the rest, so that nothing of the rest can bring it down.
Each part runs in a session of its own with stdio on files, so it outlives the supervisor; a new
supervisor finds living parts by their lock files and watches them instead of starting a second one.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BACK_OFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
STEADY_S = 10.0
STOP_WORKER_S, STOP_CORE_S = 1.3, 1.5
EXIT_CONFIG, EXIT_SLOT, EXIT_LISTEN, EXIT_RUNNING = 2, 3, 4, 5


@dataclass
class Part:
    """One process of the centre."""

    name: str
    argv: list[str]
    log: Path
    lock: Path
    process: subprocess.Popen[bytes] | None = None
    pid: int = 0
    pidfd: int = -1
    started_at: float = 0.0
    restarts: int = 0
    failures: int = 0
    due: float = 0.0
    last_exit: int | None = None

    def start_or_adopt(self) -> None:
        living = _holder(self.lock)
        if living:
            self._watch(living)
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment,
            )
        self._watch(self.process.pid)

    def _watch(self, pid: int) -> None:
        self.pid, self.started_at = pid, time.monotonic()
        self.pidfd = os.pidfd_open(pid)

    @property
    def alive(self) -> bool:
        return self.pidfd >= 0

    @property
    def cannot_start(self) -> bool:
        """It ended at its very first start and said why; later on it is worth trying again."""
        first = not self.restarts and self.failures == 1
        return not self.alive and first and self.last_exit in (EXIT_CONFIG, EXIT_LISTEN)

    def signal(self, number: int) -> None:
        if self.alive:
            try:
                signal.pidfd_send_signal(self.pidfd, number)
            except ProcessLookupError:
                return

    def reap(self) -> None:
        """The process behind `pidfd` has ended: collect it and plan its next start."""
        if self.process is not None:
            self.last_exit = self.process.wait()
        os.close(self.pidfd)
        lived = time.monotonic() - self.started_at
        self.process, self.pid, self.pidfd = None, 0, -1
        self.failures = 0 if lived > STEADY_S else self.failures + 1
        self.due = time.monotonic() + BACK_OFF_S[min(self.failures, len(BACK_OFF_S) - 1)]


class Supervisor:
    def __init__(self, plan: dict[str, Any]) -> None:
        self.run_dir = Path(plan["run_dir"])
        self.run_dir.mkdir(parents=True, exist_ok=True)
        self.run_dir.chmod(0o700)
        log_dir = Path(plan["log_dir"])
        self.parts = [
            Part(part["name"], part["argv"], log_dir / f"{part['name']}.log", self.run_dir / part["lock"])
            for part in plan["parts"]
        ]
        self.stopping = False
        self._lock = _take_lock(self.run_dir / "supervisor.lock")
        self._wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_to_stop)

    def run(self) -> int:
        """Until TERM or INT. Answers the exit status."""
        for part in self.parts:
            part.start_or_adopt()
        self._say()
        while not self.stopping:
            if self._wait(self._next_due()):
                for part in self.parts:
                    if part.cannot_start:
                        return self._give_up(part)
                self._say()
            for part in self.parts:
                if not part.alive and time.monotonic() >= part.due and not self.stopping:
                    part.restarts += 1
                    part.start_or_adopt()
                    self._say()
        self._stop_all()
        return 0

    def _give_up(self, part: Part) -> int:
        """A part that cannot start at all at the beginning is said at once, not tried for ever."""
        tail = part.log.read_text(errors="replace").strip().splitlines()[-3:]
        sys.stderr.write(f"{part.name} cannot start: " + "\n".join(tail) + f"\n(see {part.log})\n")
        self._stop_all()
        return part.last_exit or EXIT_LISTEN

    def _asked_to_stop(self, _number: int, _frame: Any) -> None:
        self.stopping = True

    def _next_due(self) -> float:
        dues = [part.due - time.monotonic() for part in self.parts if not part.alive]
        return max(0.0, min(dues, default=3600.0))

    def _wait(self, timeout_s: float) -> bool:
        """Sleep until a part ends, a signal comes, or time is up; True where a part ended."""
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        for part in self.parts:
            if part.alive:
                poll.register(part.pidfd, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(timeout_s * 1000)}
        if self._wake_read in ready:
            os.read(self._wake_read, 4096)
        ended = [part for part in self.parts if part.alive and part.pidfd in ready]
        for part in ended:
            part.reap()
        return bool(ended)

    def _stop_all(self) -> None:
        """Workers first: they hang up politely by way of the edge, and the core still writes how each call
        ended."""
        workers = [part for part in self.parts if part.name not in ("core", "edge")]
        others = [part for part in self.parts if part.name in ("core", "edge")]
        for group, patience_s in ((workers, STOP_WORKER_S), (others, STOP_CORE_S)):
            for part in group:
                part.signal(signal.SIGTERM)
            self._until_gone(group, patience_s)
            for part in group:
                part.signal(signal.SIGKILL)
            self._until_gone(group, 0.3)
        (self.run_dir / "status.json").unlink(missing_ok=True)

    def _until_gone(self, group: list[Part], patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        while any(part.alive for part in group) and time.monotonic() < deadline:
            self._wait(deadline - time.monotonic())

    def _say(self) -> None:
        content = {
            "supervisor": {"pid": os.getpid()},
            "parts": {
                part.name: {"pid": part.pid, "restarts": part.restarts, "last_exit": part.last_exit}
                for part in self.parts
            },
        }
        part_file = self.run_dir / "status.part"
        part_file.write_text(json.dumps(content))
        part_file.replace(self.run_dir / "status.json")


class AlreadyRunning(RuntimeError):
    """Another supervisor holds this run directory."""


def _take_lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise AlreadyRunning(str(path.parent)) from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor


def _holder(lock: Path) -> int:
    """The pid written in a lock file whose lock is held by a living process; 0 where nobody holds it."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return int(os.read(descriptor, 32) or b"0")
    finally:
        os.close(descriptor)
    return 0


def main(config: str) -> int:
    """Check the configuration in a process of its own, then supervise what it plans."""
    planned = subprocess.run(
        [sys.executable, "-m", "callcenter", "plan", "-c", config], stdout=subprocess.PIPE, check=False
    )
    if planned.returncode:
        return planned.returncode
    try:
        supervisor = Supervisor(json.loads(planned.stdout))
    except AlreadyRunning as error:
        sys.stderr.write(f"already running in {error}\n")
        return EXIT_RUNNING
    return supervisor.run()
