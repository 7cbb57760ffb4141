from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from tests.softphone_ui.office import Office


@pytest.fixture
def office(records: Engine) -> Iterator[Office]:
    made = Office(records)
    with made.client:
        yield made
    made.close()
