"""The one writer: a thread with its own connection, group commit, and patience.

Whatever is queued while a commit runs goes into the next one. When the disk is full or the file is
locked the batch is kept and tried again; calls go on, `error` says so, nothing is dropped.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from callcenter.journal import store
from callcenter.journal.database import ERRORS

_BATCH = 2_000
_BUSY_ENTRIES, _BUSY_GATHER_S = 4, 0.02
"""under load, when a commit finds so many entries, the next one waits so long for company"""
_ACK = "INSERT INTO worker_acks VALUES (?, ?) ON CONFLICT (boot) DO UPDATE SET n = excluded.n"
_KEY = "INSERT INTO person_keys VALUES (?, ?) ON CONFLICT (person) DO NOTHING"
_PRIVATE = (
    "INSERT INTO private VALUES (?, ?, ?) "
    "ON CONFLICT (ref) DO UPDATE SET person = excluded.person, sealed = excluded.sealed"
)
_SNAPSHOT = (
    "INSERT INTO snapshots VALUES (?, ?, ?, ?, ?) ON CONFLICT (seq) DO UPDATE SET version = excluded.version, "
    "made_at_ms = excluded.made_at_ms, checksum = excluded.checksum, state = excluded.state"
)
_RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Entry:
    """All that one activation commits, in one transaction with its neighbours."""

    seq: int
    epoch: int
    now_ms: int
    facts: list[dict[str, Any]]
    commands: list[dict[str, Any]]
    acks: tuple[tuple[str, int], ...] = ()
    person_keys: tuple[tuple[str, bytes], ...] = ()
    private: tuple[tuple[str, str, bytes], ...] = ()
    snapshot: dict[str, Any] | None = None
    """the state after this entry, packed here rather than on the core's loop"""
    packed: tuple[bytes, bytes] | None = None
    """facts and commands as they are written, where the host packed them already"""

    def row(self) -> tuple[int, int, int, bytes, bytes]:
        facts, commands = self.packed or (store.pack(self.facts), store.pack(self.commands))
        return self.seq, self.epoch, self.now_ms, facts, commands


@dataclass
class WriterHealth:
    error: str = ""
    commits: int = 0
    commit_s: list[float] = field(default_factory=list)
    """durations since the metrics were last read, at most a few thousand"""


class JournalWriter:
    """`on_committed(entries)` is called on the writer's thread after each commit."""

    def __init__(self, where: Path | str, on_committed: Callable[[list[Entry]], None]) -> None:
        self._on_committed = on_committed
        self._queue: queue.SimpleQueue[Entry | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self.health = WriterHealth()
        self._connection = store.connect(where)
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    def put(self, entry: Entry) -> None:
        self._queue.put(entry)

    @property
    def backlog(self) -> int:
        return self._queue.qsize()

    def close(self, timeout_s: float = 2.0) -> bool:
        """Commit what is queued and stop; False where that did not succeed in time."""
        self._queue.put(None)
        self._thread.join(timeout_s)
        done = not self._thread.is_alive()
        self._stop.set()
        return done

    def _run(self) -> None:
        last, busy = False, False
        while not last:
            batch = [self._queue.get()]
            if busy and batch[0] is not None:
                self._stop.wait(_BUSY_GATHER_S)
            while len(batch) < _BATCH and not self._queue.empty():
                batch.append(self._queue.get())
            last = batch[-1] is None or None in batch
            entries = [entry for entry in batch if entry is not None]
            busy = len(entries) >= _BUSY_ENTRIES
            if entries and self._commit(entries):
                self._on_committed(entries)
        self._connection.close()

    def _commit(self, entries: list[Entry]) -> bool:
        attempt = 0
        while True:
            started = time.perf_counter()
            try:
                self._write(entries)
            except (*ERRORS, TypeError, ValueError, OverflowError) as error:
                # a full or locked disk heals; anything else stays here, said on /readyz, and loses nothing
                self.health.error = f"seq {entries[0].seq}: {error}"
                self._rollback()
                if self._stop.wait(_RETRY_S[min(attempt, len(_RETRY_S) - 1)]):
                    return False
                attempt += 1
                continue
            self.health.error = ""
            self.health.commits += 1
            if len(self.health.commit_s) < 5_000:
                self.health.commit_s.append(time.perf_counter() - started)
            return True

    def _rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _write(self, entries: list[Entry]) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO activations VALUES (?, ?, ?, ?, ?)",
            [entry.row() for entry in entries],
        )
        acks = {boot: n for entry in entries for boot, n in entry.acks}
        if acks:
            connection.executemany(_ACK, list(acks.items()))
        keys = [row for entry in entries for row in entry.person_keys]
        if keys:
            connection.executemany(_KEY, keys)
        private = [row for entry in entries for row in entry.private]
        if private:
            connection.executemany(_PRIVATE, private)
        for entry in entries:
            if entry.snapshot is not None:
                row = store.snapshot_row(entry.seq, entry.now_ms, entry.snapshot)
                connection.execute(_SNAPSHOT, row)
                connection.execute(
                    "DELETE FROM snapshots WHERE seq NOT IN (SELECT seq FROM snapshots ORDER BY seq DESC LIMIT 2)"
                )
        connection.execute("COMMIT")
