"""What the journal's reading and writing needs of a database, and PostgreSQL behind the same few words.

SQLite's own connection has this shape already. PostgreSQL keeps the journal in a schema of its own; a connection that
was lost is made anew by the next statement outside a transaction."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

import psycopg

ERRORS = (sqlite3.Error, psycopg.Error)
SCHEMA = "journal"
_PLACE = re.compile(r"\?")
_BEGIN_WRITE = "BEGIN IMMEDIATE"
_PATIENCE_S = 5


class Rows(Protocol):
    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


class Database(Protocol):
    """Statements with `?`; nothing is committed but by COMMIT, outside a transaction every statement is one."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Any: ...

    def executemany(self, sql: str, parameters: Any, /) -> Any: ...

    def close(self) -> None: ...

    @property
    def in_transaction(self) -> bool: ...

    def __enter__(self) -> Any: ...

    def __exit__(self, *_error: Any) -> Any: ...


class PostgresDatabase:
    def __init__(self, url: str) -> None:
        """Raises psycopg.Error where there is no server."""
        self._url = re.sub(r"^postgresql\+\w+://", "postgresql://", url)
        self._connection = self._open()

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        if sql == _BEGIN_WRITE:
            sql = "BEGIN"
        statement, inside = _placed(sql), self.in_transaction
        try:
            return self._connection.execute(statement, parameters or None)
        except psycopg.OperationalError:
            if inside or not self._connection.closed:
                raise  # what the transaction did is gone: its owner begins again
            self._connection = self._open()
            return self._connection.execute(statement, parameters or None)

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(_placed(sql), list(parameters))

    @property
    def in_transaction(self) -> bool:
        if self._connection.closed:
            return False
        return self._connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        self.execute("BEGIN")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.execute("ROLLBACK" if kind else "COMMIT")

    def _open(self) -> psycopg.Connection:
        return psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=_PATIENCE_S,
            options=f"-c search_path={SCHEMA} -c lock_timeout=10s",
            application_name="callcenter-journal",
        )


def _placed(sql: str) -> str:
    return _PLACE.sub("%s", sql.replace("%", "%%"))
