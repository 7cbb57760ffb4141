"""The one writer: everything that was put is committed, in order, whatever the disk does meanwhile."""

from __future__ import annotations

import queue
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from callcenter.journal import store
from callcenter.journal.writer import Entry, JournalWriter


class Book:
    """A writer with what it said it committed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
        self.writer = JournalWriter(path, lambda entries: self.told.put([entry.seq for entry in entries]))

    def put(self, seq: int, **more: Any) -> None:
        self.writer.put(Entry(seq, 1, seq * 10, [{"k": "AgentReady", "agent": "a"}], [], **more))

    def rows(self, query: str = "SELECT seq FROM activations ORDER BY seq") -> list[Any]:
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not holds():
            assert time.monotonic() < deadline, "the writer never got there"
            time.sleep(0.002)

    def heard(self, count: int) -> list[list[int]]:
        """Commits as they were told, until `count` entries were among them."""
        batches: list[list[int]] = []
        while sum(len(batch) for batch in batches) < count:
            batches.append(self.told.get(timeout=10))
        return batches


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    made = Book(tmp_path / "journal.db")
    yield made
    made.writer.close()


class Lock:
    """Another connection that holds the file."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.connection.execute("BEGIN IMMEDIATE")

    def release(self) -> None:
        self.connection.execute("ROLLBACK")
        self.connection.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's own waiting is cut short, so that a lock is an error at once."""
    opened = store.connect

    def connect(path: Path) -> sqlite3.Connection:
        connection = opened(path)
        connection.execute("PRAGMA busy_timeout=5")
        return connection

    monkeypatch.setattr(store, "connect", connect)


def test_what_was_put_is_committed_in_order_and_told_afterwards(book: Book) -> None:
    for seq in range(1, 101):
        book.put(seq)
    batches = book.heard(100)
    assert [seq for batch in batches for seq in batch] == list(range(1, 101))
    assert book.rows() == [(seq,) for seq in range(1, 101)]


def test_what_is_told_is_on_the_disk_already(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    found: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def committed(entries: list[Entry]) -> None:
        connection = sqlite3.connect(path)
        (count,) = connection.execute(
            "SELECT count(*) FROM activations WHERE seq = ?", (entries[-1].seq,)
        ).fetchone()
        connection.close()
        found.put(count == 1)

    writer = JournalWriter(path, committed)
    for seq in range(1, 30):
        writer.put(Entry(seq, 1, 0, [], []))
    assert writer.close()
    assert not found.empty()
    while not found.empty():
        assert found.get()


def test_many_at_once_share_a_commit(tmp_path: Path, impatient: None) -> None:
    book = Book(tmp_path / "journal.db")
    book.put(1)
    book.heard(1)
    lock = Lock(book.path)
    for seq in range(2, 1_002):
        book.put(seq)
    book.until(lambda: bool(book.writer.health.error))
    lock.release()
    batches = book.heard(1_000)
    assert len(batches) <= 3, "group commit"
    assert book.writer.health.commits <= 4
    assert book.writer.close()


def test_everything_of_an_entry_is_in_one_transaction(book: Book) -> None:
    book.put(
        1,
        acks=(("aaaa", 5), ("bbbb", 1)),
        person_keys=(("p1", b"key"),),
        private=(("i1.party", "p1", b"sealed"),),
        snapshot=store.snapshot_row(1, 5, {"seq": 1}),
    )
    book.put(2, acks=(("aaaa", 9),), person_keys=(("p1", b"other"),), private=(("i1.party", "p1", b"newer"),))
    book.heard(2)
    assert book.rows("SELECT boot, n FROM worker_acks ORDER BY boot") == [("aaaa", 9), ("bbbb", 1)]
    assert book.rows("SELECT wrapped FROM person_keys") == [(b"key",)], "a person's key is never replaced"
    assert book.rows("SELECT sealed FROM private") == [(b"newer",)]
    assert book.rows("SELECT seq FROM snapshots") == [(1,)]


def test_two_snapshots_are_kept(book: Book) -> None:
    for seq in range(1, 6):
        book.put(seq, snapshot=store.snapshot_row(seq, 5, {"seq": seq}))
        book.heard(1)
    assert book.rows("SELECT seq FROM snapshots ORDER BY seq") == [(4,), (5,)]


def test_a_locked_file_is_waited_for_and_said(tmp_path: Path, impatient: None) -> None:
    book = Book(tmp_path / "journal.db")
    lock = Lock(book.path)
    for seq in (1, 2, 3):
        book.put(seq)
    book.until(lambda: "locked" in book.writer.health.error)
    assert book.told.empty()
    assert book.rows() == []
    lock.release()
    assert [seq for batch in book.heard(3) for seq in batch] == [1, 2, 3]
    assert book.rows() == [(1,), (2,), (3,)]
    assert book.writer.health.error == "", "all is well again"
    assert book.writer.close()


def test_nothing_is_dropped_over_several_failures(tmp_path: Path, impatient: None) -> None:
    book = Book(tmp_path / "journal.db")
    seq = 0
    for _ in range(3):
        lock = Lock(book.path)
        for _ in range(10):
            seq += 1
            book.put(seq)
        book.until(lambda: bool(book.writer.health.error))
        lock.release()
        book.until(lambda: not book.writer.health.error)
    book.heard(seq)
    assert book.rows() == [(n,) for n in range(1, seq + 1)]
    assert book.writer.close()


def test_close_commits_what_is_queued(tmp_path: Path) -> None:
    book = Book(tmp_path / "journal.db")
    for seq in range(1, 501):
        book.put(seq)
    assert book.writer.close()
    assert len(book.rows()) == 500
    assert book.writer.backlog == 0


def test_close_does_not_wait_for_ever(tmp_path: Path, impatient: None) -> None:
    book = Book(tmp_path / "journal.db")
    lock = Lock(book.path)
    book.put(1)
    book.until(lambda: bool(book.writer.health.error))
    started = time.monotonic()
    assert not book.writer.close(0.05), "it says that it did not succeed"
    assert time.monotonic() - started < 1
    lock.release()


def test_an_entry_that_cannot_be_written_is_said_and_does_not_end_the_writer(book: Book) -> None:
    """A value that does not fit is our own fault; the calls behind it must still be journalled."""
    book.put(1)
    book.heard(1)
    book.writer.put(Entry(2, 1, 20, [{"k": "Odd", "value": object()}], []))
    book.until(lambda: bool(book.writer.health.error) or not book.writer._thread.is_alive())
    assert book.writer.health.error, "it must be seen in /readyz"
    assert book.writer._thread.is_alive()


def test_durations_are_kept_for_the_metrics(book: Book) -> None:
    book.put(1)
    book.heard(1)
    book.until(lambda: len(book.writer.health.commit_s) == 1)
    assert 0 < book.writer.health.commit_s[0] < 5
