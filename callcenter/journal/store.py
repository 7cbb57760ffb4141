"""The journal's database (a file, or a schema of PostgreSQL): tables, reading, epochs, snapshots.

Written only by `writer.py` (and by `take_epoch` before it starts). Facts and commands are msgpack
lists of maps; a map's kind stands under `k`. No name, number, keyed digit or text is among them:
those lie in `private` under a data key per person (`person_keys`), so erasing a person destroys a
key and leaves every row of history in its place.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack

from callcenter.journal.database import SCHEMA, Database, PostgresDatabase

SCHEMA_VERSION = 1
SNAPSHOT_VERSION = 1
_MAKING = 0x63616C6C
"""lock of PostgreSQL under which one process at a time makes the tables"""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS epochs (
    epoch INTEGER PRIMARY KEY, started_at_ms INTEGER NOT NULL, pid INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS activations (
    seq INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, now_ms INTEGER NOT NULL,
    facts BLOB NOT NULL, commands BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS snapshots (
    seq INTEGER PRIMARY KEY, version INTEGER NOT NULL, made_at_ms INTEGER NOT NULL,
    checksum TEXT NOT NULL, state BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS worker_acks (boot TEXT PRIMARY KEY, n INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS person_keys (person TEXT PRIMARY KEY, wrapped BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS private (
    ref TEXT PRIMARY KEY, person TEXT NOT NULL, sealed BLOB NOT NULL);
"""


class JournalTooNew(RuntimeError):
    """The file was written by a later version of the product."""


@dataclass(frozen=True, slots=True)
class Row:
    seq: int
    epoch: int
    now_ms: int
    facts: list[dict[str, Any]]
    commands: list[dict[str, Any]]


def connect(where: Path | str) -> Database:
    """A connection with the journal's settings; makes file and schema where there is none. `where`: a file, or a URL
    (`sqlite:///…`, `postgresql://…`)."""
    if isinstance(where, str) and where.startswith("postgresql"):
        return _connect_postgres(where)
    path = Path(str(where).removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=2.0)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > SCHEMA_VERSION:
        raise JournalTooNew(f"{path} has schema {found}, this version reads {SCHEMA_VERSION}")
    if found < SCHEMA_VERSION:
        connection.executescript(_SCHEMA)
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    return connection


def _connect_postgres(url: str) -> Database:
    database = PostgresDatabase(url)
    database.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    there = "SELECT 1 FROM information_schema.tables WHERE table_schema = ? AND table_name = 'schema_version'"
    if database.execute(there, (SCHEMA,)).fetchone() is None:
        with database:
            database.execute("SELECT pg_advisory_xact_lock(?)", (_MAKING,))
            for statement in _SCHEMA.split(";"):
                plain = statement.replace("INTEGER", "BIGINT").replace("BLOB", "BYTEA").strip()
                if plain:
                    database.execute(plain)
            database.execute("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY)")
            database.execute(
                "INSERT INTO schema_version VALUES (?) ON CONFLICT DO NOTHING", (SCHEMA_VERSION,)
            )
    found = database.execute("SELECT max(version) FROM schema_version").fetchone()[0]
    if found > SCHEMA_VERSION:
        raise JournalTooNew(f"the journal has schema {found}, this version reads {SCHEMA_VERSION}")
    return database


def pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value)
    return packed


def unpack(blob: bytes) -> Any:
    return msgpack.unpackb(blob, strict_map_key=False)


def take_epoch(connection: Database, now_ms: int) -> int:
    """The next epoch, committed before this answers."""
    connection.execute("BEGIN IMMEDIATE")
    if isinstance(connection, PostgresDatabase):
        connection.execute("LOCK TABLE epochs IN EXCLUSIVE MODE")
    last = connection.execute("SELECT coalesce(max(epoch), 0) FROM epochs").fetchone()[0]
    connection.execute("INSERT INTO epochs VALUES (?, ?, ?)", (last + 1, now_ms, os.getpid()))
    connection.execute("COMMIT")
    return int(last) + 1


def rows_after(connection: Database, seq: int) -> Iterator[Row]:
    """Activations with a sequence number above `seq`, in order."""
    query = "SELECT seq, epoch, now_ms, facts, commands FROM activations WHERE seq > ? ORDER BY seq"
    for number, epoch, now_ms, facts, commands in connection.execute(query, (seq,)):
        yield Row(number, epoch, now_ms, unpack(facts), unpack(commands))


def last_moment(connection: Database) -> tuple[int, int]:
    """(last seq, its now_ms); (0, 0) for an empty journal."""
    row = connection.execute("SELECT seq, now_ms FROM activations ORDER BY seq DESC LIMIT 1").fetchone()
    return (row[0], row[1]) if row else (0, 0)


def acknowledged(connection: Database, boot: str) -> int:
    """The last fact of this worker boot that was committed."""
    row = connection.execute("SELECT n FROM worker_acks WHERE boot = ?", (boot,)).fetchone()
    return int(row[0]) if row else 0


def snapshot_row(seq: int, made_at_ms: int, state: dict[str, Any]) -> tuple[int, int, int, str, bytes]:
    blob = zlib.compress(pack(state), 1)
    return (seq, SNAPSHOT_VERSION, made_at_ms, hashlib.sha256(blob).hexdigest(), blob)


def snapshots(connection: Database) -> Iterator[dict[str, Any]]:
    """Those that can be read, newest first; an unreadable one is passed over."""
    query = "SELECT version, checksum, state FROM snapshots ORDER BY seq DESC"
    for version, checksum, blob in connection.execute(query):
        if version == SNAPSHOT_VERSION and hashlib.sha256(blob).hexdigest() == checksum:
            state: dict[str, Any] = unpack(zlib.decompress(blob))
            yield state


def newest_snapshot(connection: Database) -> dict[str, Any] | None:
    return next(snapshots(connection), None)
