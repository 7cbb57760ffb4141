"""Debian's PostgreSQL for one session of tests: a server of its own, in a folder of its own, that keeps nothing."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
import pytest
from psycopg import sql

from tests.peers.phones import HOST, ends_with_tests, free_port, until

BIN = Path("/usr/lib/postgresql/15/bin")
_ROLE, _ADMIN = "callcenter", "postgres"
"""who owns the databases and may nothing beyond, as in production; and who makes them"""
_ACCOUNT = "postgres"
"""who runs it where the tests are root's: it refuses to be"""
_READY_WITHIN_S = 30.0
_STOPS_WITHIN_S = 10.0
_MEMORY, _ROOM_BYTES = Path("/dev/shm"), 1 << 30
"""a database is three hundred files: made and dropped in memory, a test pays 20 ms for it; on a disk up to 300"""
_SETTINGS = {
    "listen_addresses": HOST,
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "16MB",
    "min_wal_size": "32MB",
    "max_wal_size": "64MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "dynamic_shared_memory_type": "mmap",  # in its folder, and gone with it
}


class Postgres:
    """Names of databases are plain words. A test that shares the server makes databases of its own and drops them."""

    def __init__(self, under: Path | None = None) -> None:
        """`under`: where its folder shall be; else in memory where there is room, or in /tmp. Raises RuntimeError with
        its log where it does not start."""
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir=under or _roomy()))
        self.port = free_port()
        self._log = self.folder / "log.txt"
        self._server: subprocess.Popen[bytes] | None = None
        try:
            if os.geteuid() == 0:
                shutil.chown(self.folder, _ACCOUNT)
            self._make()
            self.start()
            self._say(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(_ROLE)))
        except BaseException:
            self.close()
            raise

    def url(self, database: str) -> str:
        """For `database.url` and `crm_core.db.open_engine`."""
        return f"postgresql+psycopg://{_ROLE}@{HOST}:{self.port}/{database}"

    def create(self, database: str, template: str = "template1") -> str:
        """A copy of another database, to which nobody may be connected meanwhile; answers its URL."""
        words = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY file_copy")
        self._say(words.format(*map(sql.Identifier, (database, _ROLE, template))))
        return self.url(database)

    def drop(self, database: str) -> None:
        """Whoever is still connected to it is cut off."""
        self._say(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))

    def connections(self, database: str) -> int:
        """How many are open to it."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        with self._connect() as connection:
            row = connection.execute(query, (database,)).fetchone()
        return int(row[0]) if row is not None else 0

    def start(self) -> None:
        """Again after `stop`, at the same address and with the same databases."""
        settings = {**_SETTINGS, "port": str(self.port), "unix_socket_directories": str(self.folder)}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._server = self._spawn("postgres", "-D", str(self.folder / "data"), *words)
        until(self._ready, _READY_WITHIN_S, "PostgreSQL", 0.02)

    def stop(self) -> None:
        """At once: whoever is connected is cut off."""
        server, self._server = self._server, None
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if server is None or server.poll() is not None:
                return
            server.send_signal(number)
            try:
                server.wait(_STOPS_WITHIN_S)
            except subprocess.TimeoutExpired:
                continue

    def close(self) -> None:
        """Neither the server nor its files remain."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _make(self) -> None:
        made = self._spawn(
            *("initdb", "-D", str(self.folder / "data"), "-U", _ADMIN, "--auth=trust", "--no-sync"),
            *("--encoding=UTF8", "--locale=C.UTF-8"),
        )
        if made.wait():
            raise RuntimeError(f"initdb: {self._told()}")

    def _spawn(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        account = pwd.getpwnam(_ACCOUNT) if os.geteuid() == 0 else None
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [str(BIN / program), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
                preexec_fn=ends_with_tests(signal.SIGINT),
            )

    def _ready(self) -> bool:
        if self._server is None or self._server.poll() is not None:
            raise RuntimeError(f"PostgreSQL does not start: {self._told()}")
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _told(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def _say(self, statement: sql.Composed) -> None:
        with self._connect() as connection:
            connection.execute(statement)

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(host=HOST, port=self.port, user=_ADMIN, dbname="postgres", autocommit=True)


def _roomy() -> Path:
    try:
        room = shutil.disk_usage(_MEMORY).free >= _ROOM_BYTES
    except OSError:
        room = False
    return _MEMORY if room else Path("/tmp")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server of this session. A fixture that asks for it by name in the middle of a test comes too late: what a
    test starts has to end with it."""
    if not BIN.is_dir():
        reason = "missing PostgreSQL 15: apt-get install postgresql"
        if os.environ.get("CI", "").lower() in ("true", "1"):
            pytest.fail(f"{reason}; everything must be tested here", pytrace=False)
        pytest.skip(reason)
    with Postgres() as server:
        yield server
