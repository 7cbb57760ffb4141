"""Databases of records for tests: made once with what many tests begin with, then copied for each."""

from __future__ import annotations

import itertools
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, inspect, text

from tests.postgres import Postgres

NOTHING = ""


class Databases(ABC):
    """A database is named by its URL."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._migrated = NOTHING

    @abstractmethod
    def copy(self, of: str = NOTHING) -> str:
        """Another one: with what this one holds, to which nobody is connected, or without any table."""

    @abstractmethod
    def drop(self, url: str) -> None: ...

    def prepared(self, fill: Callable[[Engine], None]) -> str:
        """A migrated one, filled, that nobody is connected to."""
        from crm_core.db import open_engine

        url = self.copy(self.migrated)
        engine = open_engine(url)
        try:
            fill(engine)
        finally:
            engine.dispose()
        return url

    @property
    def migrated(self) -> str:
        """All tables and no rows; migrating takes longer than most tests."""
        from crm_core.db import migrate, open_engine

        if not self._migrated:
            self._migrated = self.copy()
            engine = open_engine(self._migrated)
            migrate(engine)
            engine.dispose()
        return self._migrated

    @contextmanager
    def opened(self, of: str) -> Iterator[Engine]:
        """A copy of this one, for as long as it is needed."""
        from crm_core.db import open_engine

        url = self.copy(of)
        engine = open_engine(url)
        try:
            yield engine
        finally:
            engine.dispose()
            self.drop(url)


class Files(Databases):
    """SQLite."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def copy(self, of: str = NOTHING) -> str:
        path = self._folder / f"{next(self._numbers)}" / "records.db"
        path.parent.mkdir()
        if of:
            shutil.copyfile(of.removeprefix("sqlite:///"), path)
        return f"sqlite:///{path}"

    def drop(self, url: str) -> None:
        shutil.rmtree(Path(url.removeprefix("sqlite:///")).parent)


class Served(Databases):
    """PostgreSQL."""

    def __init__(self, server: Postgres) -> None:
        super().__init__()
        self._server = server

    def copy(self, of: str = NOTHING) -> str:
        template = of.rpartition("/")[2] or "template1"
        return self._server.create(f"records_{next(self._numbers)}", template)

    def drop(self, url: str) -> None:
        self._server.drop(url.rpartition("/")[2])


def content_of(engine: Engine) -> bytes:
    """Everything that lies in it: of SQLite also what its files still hold of what was deleted."""
    if engine.dialect.name == "sqlite":
        folder = Path(engine.url.database or "").parent
        return b"".join(path.read_bytes() for path in folder.glob("records.db*"))
    with engine.connect() as connection:
        rows = [
            tuple(row)
            for table in inspect(connection).get_table_names()
            for row in connection.execute(text(f"SELECT * FROM {table}"))
        ]
    return b"\n".join(part if isinstance(part, bytes) else str(part).encode() for row in rows for part in row)
