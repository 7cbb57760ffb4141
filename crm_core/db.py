"""The database of records: engine, sessions, migration to the newest schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, inspect, make_url, text
from sqlmodel import Session, create_engine

MIGRATIONS = Path(__file__).parent / "migrations"
_WRITERS = 0x7265636F
"""the lock that writers take on PostgreSQL"""
_PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""with a PostgreSQL that is silent: helper threads are few, and none may wait for it for minutes"""


def open_engine(url: str) -> Engine:
    """An engine; for SQLite in WAL, with foreign keys on; for PostgreSQL by psycopg. On both, one transaction
    writes at a time, and errors hide the values that were to be stored."""
    if not url.startswith("sqlite:///"):
        there = make_url(url).set(drivername="postgresql+psycopg")
        engine = create_engine(there, hide_parameters=True, pool_pre_ping=True, connect_args=_PATIENCE)
        event.listen(engine, "begin", _postgres_begin)
        return engine
    Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, hide_parameters=True)
    event.listen(engine, "connect", _sqlite_settings)
    event.listen(engine, "begin", _sqlite_begin)
    return engine


def reads(engine: Engine) -> Engine:
    """The same engine for transactions that only read: they take no write lock and see one state throughout."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(reads=True)
    return engine.execution_options(reads=True, isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _postgres_begin(connection: Any) -> None:
    """Who may write waits for whoever writes, two seconds as on SQLite: what was read is still so when it is
    written."""
    if not connection.get_execution_options().get("reads", False):
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = 2000; SELECT pg_advisory_xact_lock({_WRITERS})")


def _sqlite_begin(connection: Any) -> None:
    """Who may write takes the lock at once: a transaction that reads first and writes later would fail
    the moment another one commits in between, and no waiting helps it."""
    only_reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")


def _sqlite_settings(connection: Any, _record: Any) -> None:
    """Transactions are begun by SQLAlchemy, not by the driver, so that they cover tables being made: a
    first migration that is cut short leaves nothing behind."""
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA busy_timeout=2000")


def migrate(engine: Engine) -> None:
    """Bring the schema to the newest version; costs nothing when it is there."""
    if _version(reads(engine)) == _newest():
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _newest() -> str:
    """The last revision, by the number its file begins with."""
    return max(path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def _version(engine: Engine) -> str:
    if not inspect(engine).has_table("alembic_version"):
        return ""
    with engine.connect() as connection:
        return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")


def session(engine: Engine) -> Session:
    return Session(engine, expire_on_commit=False)
