from __future__ import annotations

from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher
from sqlalchemy import Engine

from callcenter.directory.directory import Directory
from softphone_ui import auth
from tests.databases import Databases
from tests.softphone_ui.office import SETTINGS, Office, give_passwords


@pytest.fixture(autouse=True, scope="session")
def light_passwords() -> Iterator[None]:
    """Hashing as ever, with little memory and one pass: what is slow on purpose is not tested here."""
    patch = pytest.MonkeyPatch()
    patch.setattr(auth, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def furnished(light_passwords: None, databases: Databases) -> str:
    """A database with people and their passwords, to be copied."""

    def fill(engine: Engine) -> None:
        Directory(SETTINGS, engine)
        give_passwords(engine, "1001", "1002", "8001", "9001")

    return databases.prepared(fill)


@pytest.fixture
def office(databases: Databases, furnished: str) -> Iterator[Office]:
    with databases.opened(furnished) as engine:
        made = Office(engine, Directory(SETTINGS, engine))
        with made.client:
            yield made
        made.close()
