"""Debian's PostgreSQL for one session of tests: a cluster of its own in a folder of its own."""

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
_ROLE = "callcenter"
_ACCOUNT = "postgres"
"""who runs it where the tests are root's: it refuses to be"""
_READY_WITHIN_S = 30.0
_STOPS_WITHIN_S = 10.0
_SETTINGS = {
    "listen_addresses": HOST,
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "16MB",
    "dynamic_shared_memory_type": "mmap",  # in the folder, so that nothing stays in /dev/shm
    "max_wal_senders": "0",
    "wal_level": "minimal",
}


class Postgres:
    """A server that keeps nothing. Names of databases are plain words."""

    def __init__(self) -> None:
        """Raises RuntimeError with its log where it does not start."""
        self._folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self._log = self._folder / "log.txt"
        self._server: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        if os.geteuid() == 0:
            shutil.chown(self._folder, _ACCOUNT)
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def url(self, database: str) -> str:
        """For `crm_core.db.open_engine` and `database.url`."""
        return f"postgresql+psycopg://{_ROLE}@{HOST}:{self.port}/{database}"

    def create(self, database: str, template: str = "template1") -> str:
        """A copy of another database, to which nobody may be connected meanwhile; its URL."""
        words = "CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy"
        self._say(sql.SQL(words).format(sql.Identifier(database), sql.Identifier(template)))
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

    def stop(self) -> None:
        """At once, cutting off whoever is connected; started again by `start_again`."""
        server, self._server = self._server, None
        if server is None:
            return
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            server.send_signal(number)
            try:
                server.wait(_STOPS_WITHIN_S)
                return
            except subprocess.TimeoutExpired:
                continue

    def start_again(self) -> None:
        """On the same port, with the same databases."""
        self._serve()

    def close(self) -> None:
        """Neither the server nor its files remain."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        initdb = [BIN / "initdb", "-D", self._folder / "data", "-U", _ROLE, "--auth=trust", "--no-sync"]
        self._spawn([*map(str, initdb), "--encoding=UTF8", "--locale=C.UTF-8"]).wait()
        self._serve()

    def _serve(self) -> None:
        settings = {**_SETTINGS, "port": str(self.port), "unix_socket_directories": str(self._folder)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._server = self._spawn([str(BIN / "postgres"), "-D", str(self._folder / "data"), *options])
        until(self._ready, _READY_WITHIN_S, "PostgreSQL", 0.02)

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        account = pwd.getpwnam(_ACCOUNT) if os.geteuid() == 0 else None
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
                preexec_fn=ends_with_tests(signal.SIGINT),
            )

    def _ready(self) -> bool:
        if self._server is None or self._server.poll() is not None:
            raise RuntimeError(f"PostgreSQL does not start:\n{self._log.read_text(errors='replace')}")
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _say(self, statement: sql.Composed) -> None:
        with self._connect() as connection:
            connection.execute(statement)

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(host=HOST, port=self.port, user=_ROLE, dbname="postgres", autocommit=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests of a session; to be had before a test begins, since what a test starts must end
    with it."""
    if not BIN.is_dir():
        reason = "missing PostgreSQL 15: apt-get install postgresql"
        if os.environ.get("CI", "").lower() in ("true", "1"):
            pytest.fail(f"{reason}, where everything must be tested", pytrace=False)
        pytest.skip(reason)
    with Postgres() as server:
        yield server
