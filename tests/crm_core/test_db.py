"""Migrations and models describe the same database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import (
    JSON,
    BigInteger,
    Boolean,
    Date,
    Integer,
    LargeBinary,
    String,
    TypeDecorator,
    TypeEngine,
)
from sqlmodel import SQLModel, select

import crm_core.customers
import crm_core.policies
import crm_core.sales_agents
import crm_core.wrap_up  # noqa: F401 - each registers its tables
from callcenter.projection import INTERACTION_COLUMNS, SEGMENT_COLUMNS
from crm_core.db import MIGRATIONS, migrate, open_engine, reads, session
from crm_core.orgs import Org
from tests.databases import NOTHING, Databases, Files

TABLES = sorted(SQLModel.metadata.tables)
KINDS = (Boolean, BigInteger, Integer, LargeBinary, JSON, Date, String)


def plain_type(column_type: TypeEngine[object]) -> TypeEngine[object]:
    """The type of the database behind a decorated one."""
    return column_type.impl_instance if isinstance(column_type, TypeDecorator) else column_type


def kind(column_type: TypeEngine[object]) -> str:
    for known in KINDS:
        if isinstance(plain_type(column_type), known):
            return known.__name__
    return type(column_type).__name__


@pytest.fixture
def bare(databases: Databases) -> Iterator[Engine]:
    """Without any table."""
    with databases.opened(NOTHING) as engine:
        yield engine


def test_a_fresh_database_is_migrated_and_a_second_time_costs_nothing(bare: Engine) -> None:
    migrate(bare)
    before = _dump(bare)
    migrate(bare)
    assert _dump(bare) == before


def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'deep' / 'records.db'}")
    migrate(engine)
    engine.dispose()


def test_what_is_in_the_database_survives_a_migration(records: Engine) -> None:
    with records.begin() as connection:
        connection.execute(text("INSERT INTO orgs (parent_id, name) VALUES (1, '北京分公司')"))
    migrate(records)
    with records.connect() as connection:
        assert connection.execute(text("SELECT name FROM orgs ORDER BY id")).scalars().all() == [
            "总公司",
            "北京分公司",
        ]


def test_a_migration_that_was_cut_short_can_be_run_again(bare: Engine) -> None:
    engine = bare
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE policies (id INTEGER)"))
    with pytest.raises(Exception, match="policies"):
        migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE policies"))
    migrate(engine)
    assert "policies" in inspect(engine).get_table_names()


def test_who_writes_waits_for_whoever_writes(records: Engine) -> None:
    """What was read is still so when it is written: nobody counts from what another is changing."""

    def rename() -> None:
        for _ in range(20):
            with session(records) as db:
                org = db.exec(select(Org)).one()
                org.name = str(int(org.name) + 1)
                db.add(org)
                db.commit()

    with session(records) as db:
        db.exec(select(Org)).one().name = "0"
        db.commit()
    threads = [threading.Thread(target=rename) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with session(records) as db:
        assert db.exec(select(Org)).one().name == "40"


def test_a_reader_sees_one_state(records: Engine) -> None:
    with reads(records).connect() as reader:
        before = reader.execute(text("SELECT count(*) FROM orgs")).scalar()
        with records.begin() as writer:
            writer.execute(text("INSERT INTO orgs (parent_id, name) VALUES (1, '北京分公司')"))
        assert reader.execute(text("SELECT count(*) FROM orgs")).scalar() == before


def test_errors_hide_what_was_to_be_stored(records: Engine) -> None:
    with pytest.raises(SQLAlchemyError) as caught, records.begin() as connection:
        connection.execute(text("INSERT INTO nothing VALUES (:name)"), {"name": "王芳"})
    assert "王芳" not in str(caught.value)


def test_downgrade_takes_everything_back(bare: Engine) -> None:
    from alembic import command
    from alembic.config import Config

    engine = bare
    migrate(engine)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    migrate(engine)


def test_sqlite_keeps_foreign_keys_and_writes_ahead(files: Files) -> None:
    with files.opened(files.migrated) as engine, engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


@pytest.mark.parametrize("table", TABLES)
def test_columns_of_models_are_columns_of_the_database(records: Engine, table: str) -> None:
    model = SQLModel.metadata.tables[table]
    found = {column["name"]: column for column in inspect(records).get_columns(table)}
    assert set(found) == {column.name for column in model.columns}
    for column in model.columns:
        there = found[column.name]
        assert kind(there["type"]) == kind(column.type), f"{table}.{column.name}"
        assert there["nullable"] == column.nullable, f"{table}.{column.name}: null"
        length = getattr(plain_type(column.type), "length", None)
        if length:
            assert getattr(there["type"], "length", None) == length, f"{table}.{column.name}: length"
    assert set(inspect(records).get_pk_constraint(table)["constrained_columns"]) == {
        column.name for column in model.primary_key
    }


@pytest.mark.parametrize("table", TABLES)
def test_references_and_unique_columns_are_the_same(records: Engine, table: str) -> None:
    model = SQLModel.metadata.tables[table]
    there = inspect(records)
    wanted = {(f.parent.name, f.target_fullname) for column in model.columns for f in column.foreign_keys}
    found = {
        (key["constrained_columns"][0], f"{key['referred_table']}.{key['referred_columns'][0]}")
        for key in there.get_foreign_keys(table)
    }
    assert found == wanted
    unique = {column.name for column in model.columns if column.unique}
    there_unique = {one["column_names"][0] for one in there.get_unique_constraints(table)}
    there_unique |= {str(one["column_names"][0]) for one in there.get_indexes(table) if one["unique"]}
    assert there_unique == unique


@pytest.mark.parametrize("table", TABLES)
def test_what_models_look_up_is_indexed(records: Engine, table: str) -> None:
    model = SQLModel.metadata.tables[table]
    indexed = {one["column_names"][0] for one in inspect(records).get_indexes(table)}
    assert {column.name for column in model.columns if column.index} <= indexed


def test_every_table_belongs_to_an_organisation(records: Engine) -> None:
    """From the first migration on; rows that hang on another row belong where that one does."""
    there = inspect(records)
    hanging = {"alembic_version", "orgs", "customer_name_terms", "login_sessions", "projection_state"}
    index = {table for table in there.get_table_names() if table.startswith("message_words")}
    for table in set(there.get_table_names()) - hanging - index:
        assert "org_id" in {column["name"] for column in there.get_columns(table)}, table


@pytest.mark.parametrize(
    ("table", "columns"), [("interactions", INTERACTION_COLUMNS), ("segments", SEGMENT_COLUMNS)]
)
def test_history_is_written_column_by_column(records: Engine, table: str, columns: tuple[str, ...]) -> None:
    assert {column["name"] for column in inspect(records).get_columns(table)} == set(columns)


def test_there_is_one_root_organisation(records: Engine) -> None:
    with records.connect() as connection:
        rows = connection.execute(text("SELECT id, parent_id FROM orgs")).all()
    assert [tuple(row) for row in rows] == [(1, None)]


def _dump(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        there = inspect(connection)
        return [
            f"{table} {there.get_columns(table)} {there.get_indexes(table)}"
            for table in sorted(there.get_table_names())
        ]
