"""`callcenter status`: every process, its pid, and what it carries."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from callcenter.cli.status import ask_part, gather
from channels.voice.worker.link import Link


@pytest.fixture
def run_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cc") as folder:
        yield Path(folder)


class Worker:
    """A worker's link, pumped by a thread."""

    def __init__(self, run_dir: Path) -> None:
        self.link = Link(run_dir, 0)
        self.link.describe = lambda: {
            "slot": 0,
            "pid": os.getpid(),
            "legs": 2,
            "reserved": 1,
            "free": 1,
            "library": "stock",
        }
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.002):
            self.link.pump()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.link.close()
        os.close(self.link._lock)


@pytest.fixture
def worker(run_dir: Path) -> Iterator[Worker]:
    made = Worker(run_dir)
    yield made
    made.close()


def write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))


def test_nothing_runs(run_dir: Path) -> None:
    assert gather(run_dir) == {
        "supervisor": {"pid": 0}, "core": {"pid": 0, "state": "down", "epoch": 0, "http": ""}, "edge": None, "workers": [], "browsers": [], "restarts": {},
    }  # fmt: skip
    assert gather(run_dir / "none")["core"]["pid"] == 0


def test_everything_runs(run_dir: Path, worker: Worker) -> None:
    me = os.getpid()
    write(
        run_dir / "status.json",
        {"supervisor": {"pid": me}, "parts": {"core": {"pid": me, "restarts": 2, "last_exit": 1}}},
    )
    write(run_dir / "core.json", {"pid": me, "epoch": 7, "state": "ready", "http": "127.0.0.1:8080"})
    found = gather(run_dir)
    assert found["supervisor"] == {"pid": me}
    assert found["core"] == {"pid": me, "state": "ready", "epoch": 7, "http": "127.0.0.1:8080"}
    assert found["restarts"] == {"core": 2}
    (one,) = found["workers"]
    assert (one["slot"], one["pid"], one["legs"], one["boot"]) == (0, me, 2, worker.link.boot)


def test_what_the_dead_left_behind_is_not_taken_for_life(run_dir: Path) -> None:
    nobody = 2**22 + 12_345
    write(run_dir / "status.json", {"supervisor": {"pid": nobody}, "parts": {}})
    write(run_dir / "core.json", {"pid": nobody, "epoch": 7, "state": "ready", "http": "127.0.0.1:8080"})
    (run_dir / "w-0-dead0001.sock").touch()
    found = gather(run_dir)
    assert found["supervisor"] == {"pid": 0}
    assert (found["core"]["pid"], found["core"]["state"], found["core"]["http"]) == (0, "down", "")
    assert found["workers"] == []


@pytest.mark.parametrize("content", ["", "{", '{"supervisor": {"pid": 0}}'])
def test_a_file_that_is_half_written_is_no_trouble(run_dir: Path, content: str) -> None:
    for name in ("status.json", "core.json"):
        (run_dir / name).write_text(content)
    assert gather(run_dir)["core"]["state"] == "down"


def test_asking_does_not_disturb(run_dir: Path, worker: Worker) -> None:
    for _ in range(5):
        assert ask_part(worker.link.path) is not None
    assert not worker.link.core_present
    assert ask_part(run_dir / "none.sock") is None


def test_hosts_of_browser_phones_are_named(run_dir: Path) -> None:
    parts = {
        "browser-0": {"pid": os.getpid(), "restarts": 1, "last_exit": 0},
        "core": {"pid": 1, "restarts": 0, "last_exit": 0},
    }
    write(run_dir / "status.json", {"supervisor": {"pid": os.getpid()}, "parts": parts})
    assert gather(run_dir)["browsers"] == [{"name": "browser-0", "pid": os.getpid()}]
