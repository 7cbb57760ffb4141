"""The edge's own small file: accounts of telephones, where they are, the workers it last knew, its key.

The edge and the commands that make accounts are separate processes; SQLite in WAL mode lets both write.
Mode 0600: the digests of passwords in it are as good as passwords within this realm."""

from __future__ import annotations

import os
import secrets
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from channels.voice.edge.digest import Secret
from channels.voice.edge.flow import Flow

_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS accounts (
    user TEXT PRIMARY KEY, md5 TEXT NOT NULL, sha256 TEXT NOT NULL, made_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS bindings (
    user TEXT NOT NULL, contact BLOB NOT NULL, transport TEXT NOT NULL, host TEXT NOT NULL,
    port INTEGER NOT NULL, nat INTEGER NOT NULL, q INTEGER NOT NULL, call_id BLOB NOT NULL,
    cseq INTEGER NOT NULL, expires_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, agent BLOB NOT NULL,
    PRIMARY KEY (user, contact));
CREATE TABLE IF NOT EXISTS workers (host TEXT, port INTEGER, slot INTEGER, PRIMARY KEY (host, port));
"""


@dataclass(frozen=True, slots=True)
class Binding:
    """One place where a telephone can be reached."""

    user: str
    contact: bytes
    """the Contact URI as the telephone wrote it"""
    flow: Flow
    nat: bool
    q: int
    """thousandths"""
    call_id: bytes
    cseq: int
    expires_ms: int
    updated_ms: int
    agent: bytes
    """its User-Agent"""


class EdgeStore:
    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._db = sqlite3.connect(path, isolation_level=None, timeout=5)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def key(self) -> bytes:
        """The key that seals flows; made at the first start."""
        self._db.execute("INSERT OR IGNORE INTO keys VALUES ('flow', ?)", (secrets.token_bytes(32),))
        row = self._db.execute("SELECT value FROM keys WHERE name = 'flow'").fetchone()
        return bytes(row[0])

    # --- accounts --------------------------------------------------------------------------------

    def put_account(self, user: str, secret: Secret, now_ms: int) -> None:
        """A new account, or a new password for an old one."""
        self._db.execute(
            "INSERT INTO accounts VALUES (?, ?, ?, ?) ON CONFLICT (user) DO UPDATE SET "
            "md5 = excluded.md5, sha256 = excluded.sha256",
            (user, secret.md5, secret.sha256, now_ms),
        )

    def drop_account(self, user: str) -> bool:
        """Account and locations; False where there was none."""
        with self._db:
            self._db.execute("DELETE FROM bindings WHERE user = ?", (user,))
            return bool(self._db.execute("DELETE FROM accounts WHERE user = ?", (user,)).rowcount)

    def account(self, user: str) -> Secret | None:
        row = self._db.execute("SELECT md5, sha256 FROM accounts WHERE user = ?", (user,)).fetchone()
        return Secret(*row) if row else None

    def accounts(self) -> list[str]:
        return [user for (user,) in self._db.execute("SELECT user FROM accounts ORDER BY user")]

    # --- locations -------------------------------------------------------------------------------

    def bindings(self, now_ms: int, user: str | None = None) -> list[Binding]:
        """Those that have not expired: highest q first, then the newest."""
        rows = self._db.execute(
            "SELECT user, contact, transport, host, port, nat, q, call_id, cseq, expires_ms, updated_ms, agent "
            "FROM bindings WHERE expires_ms > ? AND user = coalesce(?, user) "
            "ORDER BY user, q DESC, updated_ms DESC",
            (now_ms, user),
        )
        return [
            Binding(row[0], bytes(row[1]), Flow(row[2], row[3], row[4]), bool(row[5]), *row[6:])
            for row in rows
        ]

    def save_bindings(self, user: str, keep: list[Binding], now_ms: int) -> None:
        """These are all of this user's locations now."""
        rows = [
            (
                b.user,
                b.contact,
                *b.flow,
                int(b.nat),
                b.q,
                b.call_id,
                b.cseq,
                b.expires_ms,
                b.updated_ms,
                b.agent,
            )
            for b in keep
        ]
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.execute("DELETE FROM bindings WHERE user = ? OR expires_ms <= ?", (user, now_ms))
            self._db.executemany("INSERT INTO bindings VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", rows)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # --- workers ---------------------------------------------------------------------------------

    def workers(self) -> list[tuple[str, int, int]]:
        """(host, port, slot) of the workers known before a restart."""
        return list(self._db.execute("SELECT host, port, slot FROM workers ORDER BY slot"))

    def save_workers(self, workers: list[tuple[str, int, int]]) -> None:
        with self._db:
            self._db.execute("DELETE FROM workers")
            self._db.executemany("INSERT INTO workers VALUES (?, ?, ?)", workers)
