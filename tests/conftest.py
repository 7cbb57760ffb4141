"""Fixtures of all tests: nothing that a test starts may outlive it, and nothing of the developer's
environment leaks in."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import Engine

from tests.databases import Databases, Files, Served
from tests.postgres import postgres as postgres

settings.register_profile(
    "busy", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("busy")  # machines that also do something else are no reason to fail

_JOIN_S = 2.0
_OUTSIDE = Path(__file__).parent / "peers"
"""there, processes live as long as a session's centre"""


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """A thread, an asyncio task or a child process that is left behind fails the test that left it."""
    if _OUTSIDE in request.node.path.parents:
        yield
        return
    threads, children, tasks = set(threading.enumerate()), _children(), _pending_tasks()
    yield
    left = [thread for thread in threading.enumerate() if thread not in threads]
    for thread in left:
        thread.join(_JOIN_S)
    alive = sorted(thread.name for thread in left if thread.is_alive())
    assert not alive, f"threads left behind: {alive}"
    forgotten = [repr(task) for task in _pending_tasks() - tasks]
    assert not forgotten, f"tasks left behind: {forgotten}"
    assert _children() <= children, "child processes left behind"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of whoever runs the tests do not count."""
    for name in os.environ:
        if name.startswith("CALLCENTER_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """For tests of what does not depend on the database, and of what is SQLite's alone."""
    return Files(tmp_path_factory.mktemp("records"))


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest, files: Files) -> Databases:
    """Where records may lie: what asks for it is tested on both. Of the session, so that the server is there before a
    test begins."""
    return files if request.param == "sqlite" else Served(request.getfixturevalue("postgres"))


@pytest.fixture
def records(databases: Databases) -> Iterator[Engine]:
    """The database of records of one test."""
    with databases.opened(databases.migrated) as engine:
        yield engine


@pytest.fixture
def fresh(databases: Databases) -> Iterator[Callable[[], Engine]]:
    """Makes databases of records, for tests that compare two."""
    with ExitStack() as made:
        yield lambda: made.enter_context(databases.opened(databases.migrated))


def _children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            found.update(int(pid) for pid in task.read_text().split())
        except OSError:
            continue
    return found


def _pending_tasks() -> set[asyncio.Task[object]]:
    """Tasks that never ended, of whatever loop."""
    known = list(asyncio.tasks._all_tasks)
    if any(not task.done() for task in known):
        gc.collect()
    return {task for task in asyncio.tasks._all_tasks if not task.done()}
