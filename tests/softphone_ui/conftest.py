from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from callcenter.directory.directory import Directory
from crm_core.db import open_engine
from softphone_ui import auth
from tests.softphone_ui.office import SETTINGS, Office, give_passwords


@pytest.fixture(autouse=True, scope="session")
def light_passwords() -> Iterator[None]:
    """Hashing as ever, with little memory and one pass: what is slow on purpose is not tested here."""
    patch = pytest.MonkeyPatch()
    patch.setattr(auth, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def furnished(light_passwords: None, empty_records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with people and their passwords, to be copied."""
    path = tmp_path_factory.mktemp("furnished") / "records.db"
    shutil.copyfile(empty_records, path)
    engine = open_engine(f"sqlite:///{path}")
    Directory(SETTINGS, engine)
    give_passwords(engine, "1001", "1002", "8001", "9001")
    engine.dispose()
    return path


@pytest.fixture
def office(furnished: Path, tmp_path: Path) -> Iterator[Office]:
    shutil.copyfile(furnished, tmp_path / "records.db")
    engine = open_engine(f"sqlite:///{tmp_path / 'records.db'}")
    made = Office(engine, Directory(SETTINGS, engine))
    with made.client:
        yield made
    made.close()
    engine.dispose()
