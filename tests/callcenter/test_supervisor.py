"""The supervisor with small programs for parts: it starts, restarts, adopts, stops, and never leaves them alone."""

from __future__ import annotations

import ast
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from callcenter import supervisor

DRIVER = """
import json, sys
from callcenter import supervisor
supervisor.STEADY_S, supervisor.BACK_OFF_S = float(sys.argv[2]), (0.01, 0.02)
try:
    sys.exit(supervisor.Supervisor(json.loads(sys.argv[1])).run())
except supervisor.AlreadyRunning as error:
    sys.exit(supervisor.EXIT_RUNNING)
"""
PART = """
import fcntl, os, pathlib, signal, sys, time
folder, name, script = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
lock = os.open(folder / f"run/{name}.lock", os.O_RDWR | os.O_CREAT)
fcntl.flock(lock, fcntl.LOCK_EX)
os.ftruncate(lock, 0)
os.write(lock, str(os.getpid()).encode())
signal.signal(signal.SIGTERM, lambda *_: (folder.joinpath(f"{name}.stopped").touch(), os._exit(0)))
starts = folder / f"{name}.starts"
n = len(starts.read_text()) if starts.exists() else 0
starts.write_text("x" * (n + 1))
print("part", name, "start", n, flush=True)
exec(script)
time.sleep(60)
"""


class Centre:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, steady_s: float = 15, **scripts: str) -> subprocess.Popen[bytes]:
        """`scripts`: what each part does at its n-th start (`n`) before it waits to be stopped.
        `steady_s`: so long it must have run to count as a good start."""
        parts = [
            {
                "name": name,
                "argv": [sys.executable, "-c", PART, str(self.folder), name, script],
                "lock": f"{name}.lock",
            }
            for name, script in scripts.items()
        ]
        plan = {"run_dir": str(self.folder / "run"), "log_dir": str(self.folder / "log"), "parts": parts}
        command = [sys.executable, "-c", DRIVER, json.dumps(plan), str(steady_s)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)
        self.started.append(self.process)
        return self.process

    def starts(self, name: str) -> int:
        path = self.folder / f"{name}.starts"
        return len(path.read_text()) if path.exists() else 0

    def status(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.folder / "run" / "status.json").read_text())
        except (OSError, ValueError):
            return {"parts": {}}
        return found

    def pid(self, name: str) -> int:
        return int(self.status()["parts"].get(name, {}).get("pid", 0))

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < deadline, f"it never came to that: {self.status()}"
            time.sleep(0.005)

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def clean(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stderr:
                process.stderr.close()
        for lock in (self.folder / "run").glob("*.lock"):
            pid = int(lock.read_text() or 0)
            if pid and supervisor._holder(lock) == pid:
                with_pidfd(pid)


def with_pidfd(pid: int) -> None:
    """Kill a part that outlived its supervisor, and wait until it is gone."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    select.select([descriptor], [], [], 10)
    os.close(descriptor)


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    made = Centre(tmp_path)
    yield made
    made.clean()


def test_it_starts_every_part_says_so_and_stops_them_politely(centre: Centre) -> None:
    centre.start(core="pass", worker="pass")
    centre.until(lambda: centre.starts("core") == centre.starts("worker") == 1)
    centre.until(lambda: bool(centre.pid("core") and centre.pid("worker")))
    status = centre.status()
    assert centre.process is not None
    assert status["supervisor"]["pid"] == centre.process.pid
    assert {name: part["restarts"] for name, part in status["parts"].items()} == {"core": 0, "worker": 0}
    began = time.monotonic()
    assert centre.stop() == 0
    assert time.monotonic() - began < 3
    assert (centre.folder / "core.stopped").exists()
    assert (centre.folder / "worker.stopped").exists()
    assert not (centre.folder / "run" / "status.json").exists()


def test_parts_have_sessions_of_their_own_and_log_to_files(centre: Centre) -> None:
    centre.start(core="pass")
    centre.until(lambda: bool(centre.pid("core")) and centre.starts("core") == 1)
    pid = centre.pid("core")
    assert os.getsid(pid) == pid
    centre.until(lambda: "part core start 0" in (centre.folder / "log" / "core.log").read_text())
    assert centre.stop() == 0


def test_each_part_is_restarted_alone(centre: Centre) -> None:
    centre.start(core="pass", worker="pass")
    centre.until(lambda: centre.starts("core") == centre.starts("worker") == 1)
    core, worker = centre.pid("core"), centre.pid("worker")
    os.kill(core, signal.SIGKILL)
    centre.until(lambda: centre.starts("core") == 2 and centre.pid("core") not in (0, core))
    assert centre.pid("worker") == worker
    assert centre.status()["parts"]["core"]["restarts"] == 1
    assert centre.stop() == 0


@pytest.mark.parametrize("status", [1, 3, 4])
def test_a_part_that_fails_again_and_again_is_started_again_and_again(centre: Centre, status: int) -> None:
    """Also when it cannot start for a while although it could before: a full disk, a port still busy."""
    centre.start(0.01, core=f"if n < 4: sys.exit({status} if n else 1)")
    centre.until(lambda: centre.starts("core") == 5)
    assert centre.process is not None
    assert centre.process.poll() is None
    assert centre.stop() == 0


@pytest.mark.parametrize("status", [2, 4])
def test_a_part_that_cannot_start_at_all_is_said_at_once(centre: Centre, status: int) -> None:
    process = centre.start(
        worker="pass", core=f"print('voice.listen: address in use', flush=True); sys.exit({status})"
    )
    assert process.wait(20) == status
    assert process.stderr is not None
    assert b"address in use" in process.stderr.read()
    assert (centre.folder / "worker.stopped").exists() or centre.starts("worker") == 0, (
        "nobody is left behind"
    )


def test_a_part_that_does_not_stop_is_killed(centre: Centre) -> None:
    centre.start(core="signal.signal(signal.SIGTERM, signal.SIG_IGN); folder.joinpath('deaf').touch()")
    centre.until(lambda: (centre.folder / "deaf").exists())
    pid = centre.pid("core")
    began = time.monotonic()
    assert centre.stop() == 0
    assert time.monotonic() - began < 3
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_parts_outlive_a_killed_supervisor_and_the_next_one_adopts_them(centre: Centre) -> None:
    first = centre.start(core="pass", worker="pass")
    centre.until(lambda: centre.starts("core") == centre.starts("worker") == 1)
    pids = {name: centre.pid(name) for name in ("core", "worker")}
    first.kill()
    first.wait()
    second = centre.start(core="pass", worker="pass")
    centre.until(lambda: centre.status().get("supervisor", {}).get("pid") == second.pid)
    assert {name: centre.pid(name) for name in pids} == pids
    assert (centre.starts("core"), centre.starts("worker")) == (1, 1)
    os.kill(pids["core"], signal.SIGKILL)
    centre.until(lambda: centre.starts("core") == 2)
    assert centre.stop() == 0
    assert (centre.folder / "worker.stopped").exists()


def test_a_second_supervisor_does_not_start(centre: Centre) -> None:
    first = centre.start(core="pass")
    centre.until(lambda: centre.starts("core") == 1)
    assert centre.start(core="pass").wait(20) == supervisor.EXIT_RUNNING
    centre.process = first
    assert centre.starts("core") == 1
    assert centre.stop() == 0


def test_it_imports_nothing_but_the_standard_library() -> None:
    tree = ast.parse(Path(supervisor.__file__).read_text(encoding="utf-8"))
    imported = {
        alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    imported |= {
        str(node.module).partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    }
    assert imported <= set(sys.stdlib_module_names)


def test_a_bad_configuration_ends_in_exit_2(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("[voice]\nworkers = 65\n")
    ended = subprocess.run(
        [sys.executable, "-m", "callcenter", "run", "-c", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "voice.workers" in ended.stderr
    assert not (tmp_path / "var").exists(), "nothing was started or made"


def test_a_bad_master_key_ends_in_exit_2(tmp_path: Path) -> None:
    """A setting like any other: named, with what was expected, and not tried for ever."""
    path = tmp_path / "centre.toml"
    path.write_text("")
    ended = subprocess.run(
        [sys.executable, "-m", "callcenter", "run", "--only", "core", "-c", str(path)],
        capture_output=True, text=True, check=False, env={**os.environ, "CALLCENTER_MASTER_KEY": "nonsense"}, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "32 bytes" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "nonsense" not in ended.stderr
