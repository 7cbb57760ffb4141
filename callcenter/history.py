"""The projection on disk: a follower thread behind the live core, the rebuild, and reading back.

Both write through `_save`, so incremental and rebuilt tables are the same to the letter."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, text
from sqlalchemy.exc import SQLAlchemyError

from callcenter.journal.database import Database
from callcenter.journal.store import rows_after
from callcenter.journal.writer import Entry
from callcenter.kernel import logging
from callcenter.messaging.archive import MessageFold
from callcenter.messaging.archive import clear as clear_messages
from callcenter.projection import (
    AUDIT_COLUMNS,
    CONTACT_COLUMNS,
    INTERACTION_COLUMNS,
    RECORDING_COLUMNS,
    SEGMENT_COLUMNS,
    Plain,
    Projection,
    Record,
)
from crm_core.db import reads

NAME = "history"
_REBUILD_BATCH = 20_000
_GATHER_S = 0.25
"""what changes meanwhile is saved once; whoever waits for history says so by `hurry`"""
_RETRY_S = 0.5
log = logging.get("history")


def _upsert(table: str, columns: tuple[str, ...], keys: tuple[str, ...]) -> Any:
    rest = ", ".join(f"{c} = excluded.{c}" for c in columns if c not in keys)
    names, values = ", ".join(columns), ", ".join(f":{c}" for c in columns)
    return text(
        f"INSERT INTO {table} ({names}) VALUES ({values}) ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {rest}"  # noqa: S608 - constants
    )


_SAVE_INTERACTION = _upsert("interactions", INTERACTION_COLUMNS, ("id",))
_SAVE_SEGMENT = _upsert("segments", SEGMENT_COLUMNS, ("interaction_id", "n"))
_SAVE_CONTACT = _upsert("contacts", CONTACT_COLUMNS, ("id",))
_SAVE_RECORDING = _upsert("recordings", RECORDING_COLUMNS, ("id",))
_SAVE_ACTION = _upsert("audit", AUDIT_COLUMNS, ("seq", "n"))
_CONTACT, _RECORDING = itemgetter(*CONTACT_COLUMNS), itemgetter(*RECORDING_COLUMNS)
_ACTION = itemgetter(*AUDIT_COLUMNS)
_INTERACTION, _SEGMENT = itemgetter(*INTERACTION_COLUMNS), itemgetter(*SEGMENT_COLUMNS)
_SAVE_STATE = _upsert("projection_state", ("name", "seq"), ("name",))


def projected_seq(connection: Connection) -> int:
    found = connection.execute(text("SELECT seq FROM projection_state WHERE name = :name"), {"name": NAME})
    return int(found.scalar() or 0)


class HistoryFollower:
    """Folds what the journal committed, in its own thread with its own connection; tries again while
    the database is locked, full or away, and says so in `error`."""

    def __init__(
        self,
        engine: Engine,
        journal: Database,
        on_saved: Callable[[int], None],
        messages: MessageFold | None = None,
    ) -> None:
        """`messages`: with an index, where messages are to be found by their words."""
        self._engine, self._on_saved = engine, on_saved
        self._messages = messages or MessageFold()
        self._queue: queue.SimpleQueue[list[Entry] | None] = queue.SimpleQueue()
        self._stop, self._hurry = threading.Event(), threading.Event()
        self.error = ""
        self._thread: threading.Thread | None = None
        self._projection = Projection(self._load_in_time)
        with reads(engine).connect() as connection:
            self.seq = projected_seq(connection)
            self._projection.resume(_open_records(connection))
        for row in rows_after(journal, self.seq):
            self._projection.apply(row.seq, row.now_ms, row.facts, row.commands)
            self._messages.apply(row.seq, row.facts)
            self.seq = row.seq
        self._save()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._thread.start()

    def put(self, entries: list[Entry]) -> None:
        self._queue.put(entries)

    def hurry(self) -> None:
        """Somebody waits for what was committed so far."""
        self._hurry.set()

    def close(self, timeout_s: float = 2.0) -> None:
        self._queue.put(None)
        self._hurry.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
        self._stop.set()

    def _run(self) -> None:
        try:
            self._follow()
        except SQLAlchemyError:
            return  # closed while it could not read; the next start begins behind what was saved
        except Exception as error:
            self.error = type(error).__name__
            log.exception("history_ended")

    def _follow(self) -> None:
        last = False
        while not last:
            batches = [self._queue.get()]
            if batches[0] is not None:
                self._hurry.wait(_GATHER_S)
            self._hurry.clear()
            while not self._queue.empty():
                batches.append(self._queue.get())
            last = None in batches
            for entry in (entry for batch in batches if batch is not None for entry in batch):
                self._projection.apply(entry.seq, entry.now_ms, entry.facts, entry.commands)
                self._messages.apply(entry.seq, entry.facts)
                self.seq = entry.seq
            while not self._save():
                if last or self._stop.wait(_RETRY_S):
                    return
            self._projection.put_away()
            self._on_saved(self.seq)

    def _save(self) -> bool:
        try:
            with self._engine.begin() as connection:
                _save(connection, self._projection.dirty.values(), self._projection.actions, self.seq)
                self._messages.save(connection)
        except SQLAlchemyError as error:
            self.error = type(error).__name__
            log.error("history_not_saved", reason=self.error)
            return False
        self._messages.saved()
        self.error = ""
        return True

    def _load_in_time(self, interaction: str) -> Record | None:
        """Folding cannot begin an activation again: what it needs is waited for, until somebody closes."""
        while True:
            try:
                return self._load(interaction)
            except SQLAlchemyError as error:
                self.error = type(error).__name__
                log.error("history_not_read", reason=self.error)
                if self._thread is None or self._stop.wait(_RETRY_S):
                    raise

    def _load(self, interaction: str) -> Record | None:
        with reads(self._engine).connect() as connection:
            return next(iter(_read(connection, "id = :id", {"id": interaction})), None)


def rebuild(
    engine: Engine,
    journal: Database,
    progress: Callable[[int], None],
    messages: MessageFold | None = None,
) -> tuple[int, int, float]:
    """All tables anew from the whole journal, in one transaction: readers see the old or the new.

    Answers (facts, rows, seconds)."""
    started, facts, rows = time.perf_counter(), 0, 0
    projection = Projection(lambda _interaction: None)
    messages = messages or MessageFold()
    seq = 0
    with engine.begin() as connection:
        for table in ("audit", "recordings", "contacts", "segments", "interactions"):
            connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - constants
        clear_messages(connection)
        kept: dict[str, Record] = {}
        for row in rows_after(journal, 0):
            projection.apply(row.seq, row.now_ms, row.facts, row.commands)
            messages.apply(row.seq, row.facts)
            seq, facts = row.seq, facts + len(row.facts)
            if len(projection.dirty) >= _REBUILD_BATCH:
                kept.update(projection.dirty)
                projection.dirty.clear()
                messages.save(connection)
                messages.saved()
                progress(facts)
        kept.update(projection.dirty)
        _save(connection, kept.values(), projection.actions, seq)
        messages.save(connection)
        rows = len(kept)
    return facts, rows, time.perf_counter() - started


def _save(connection: Connection, records: Iterable[Record], actions: Iterable[Plain], seq: int) -> None:
    records = list(records)
    if records:
        _many(connection, _SAVE_INTERACTION, [_INTERACTION(record.row) for record in records])
        segments = [_SEGMENT(segment) for record in records for segment in record.segments]
        if segments:
            _many(connection, _SAVE_SEGMENT, segments)
        contacts = [_CONTACT(contact) for record in records for contact in record.contacts]
        if contacts:
            _many(connection, _SAVE_CONTACT, contacts)
        recordings = [_RECORDING(one) for record in records for one in record.recordings]
        if recordings:
            _many(connection, _SAVE_RECORDING, recordings)
    acted = [_ACTION(action) for action in actions]
    if acted:
        _many(connection, _SAVE_ACTION, acted)
    connection.execute(_SAVE_STATE, {"name": NAME, "seq": seq})


def _many(connection: Connection, statement: Any, rows: list[tuple[Any, ...]]) -> None:
    """The driver's own `executemany` where it takes values by position: a tenth of the cost of binding
    every row by name."""
    compiled = statement.compile(dialect=connection.dialect)
    if compiled.positional:
        connection.exec_driver_sql(str(compiled), rows)
    else:
        connection.execute(statement, [dict(zip(compiled.params, row, strict=True)) for row in rows])


def _open_records(connection: Connection) -> list[Record]:
    unfinished = (
        "id IN (SELECT interaction_id FROM segments WHERE ended_at_ms IS NULL) OR ended_at_ms IS NULL"
    )
    return _read(connection, unfinished, {})


def _read(connection: Connection, where: str, values: dict[str, Any]) -> list[Record]:
    found = connection.execute(
        text(f"SELECT {', '.join(INTERACTION_COLUMNS)} FROM interactions WHERE {where} ORDER BY id"),  # noqa: S608 - constants
        values,
    )
    rows = [dict(row._mapping) for row in found]
    if not rows:
        return []
    ids = [row["id"] for row in rows]
    segments = _of(connection, "segments", SEGMENT_COLUMNS, "interaction_id, n", ids)
    contacts = _of(connection, "contacts", CONTACT_COLUMNS, "queued_at_ms, id", ids)
    recordings = _of(connection, "recordings", RECORDING_COLUMNS, "started_at_ms, id", ids)
    return [
        Record(row, *(part.get(row["id"], []) for part in (segments, contacts, recordings))) for row in rows
    ]


def _of(
    connection: Connection, table: str, columns: tuple[str, ...], order: str, ids: list[str]
) -> dict[str, list[dict[str, Any]]]:
    """Rows of this table by their interaction, in this order."""
    query = text(
        f"SELECT {', '.join(columns)} FROM {table} WHERE interaction_id IN :ids ORDER BY {order}"  # noqa: S608 - constants
    ).bindparams(bindparam("ids", expanding=True))
    found: dict[str, list[dict[str, Any]]] = {}
    for row in connection.execute(query, {"ids": ids}):
        found.setdefault(row.interaction_id, []).append(dict(row._mapping))
    return found
