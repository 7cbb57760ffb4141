"""Is this salesperson really one of ours? Every question is recorded, whatever the answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from callcenter.kernel.envelope import MasterKey
from crm_core.db import session
from crm_core.sales_agents import (
    ACTIVE,
    LEFT,
    SUSPENDED,
    UNKNOWN,
    SalesAgentCreate,
    SalesAgentService,
    SalesAgentUpdate,
)
from tests.databases import content_of

MASTER = MasterKey(bytes(range(32)))
PEOPLE = {ACTIVE: "10001", SUSPENDED: "10002", LEFT: "10003"}


@pytest.fixture
def db(records: Engine) -> Iterator[Session]:
    with session(records) as opened:
        yield opened


@pytest.fixture
def service(db: Session) -> SalesAgentService:
    made = SalesAgentService(db, MASTER)
    for state, number in PEOPLE.items():
        made.create(
            SalesAgentCreate(
                employee_number=number,
                licence_number=f"0200{number}",
                name="陈静",
                branch="北京分公司",
                state=state,
            )
        )
    db.flush()
    return made


@pytest.mark.parametrize("by", ["employee", "licence"])
@pytest.mark.parametrize("state", PEOPLE)
def test_the_answer_is_their_state(service: SalesAgentService, state: str, by: str) -> None:
    number = PEOPLE[state] if by == "employee" else f"0200{PEOPLE[state]}"
    result, who = service.check(number, "i1-1", 5)
    assert result == state
    assert who is not None
    assert (who.name, who.branch) == ("陈静", "北京分公司")


@pytest.mark.parametrize("number", ["99999", "", "1000", "100011", "0200", "'", "10001 ", "*", "1000%"])
def test_a_number_that_is_nobodys_is_unknown(service: SalesAgentService, number: str) -> None:
    assert service.check(number, "i1-1", 5) == (UNKNOWN, None)


@pytest.mark.parametrize("number", [*PEOPLE.values(), "99999"])
def test_each_check_is_recorded_with_its_result(service: SalesAgentService, db: Session, number: str) -> None:
    result, who = service.check(number, "i7-1", 1_700_000_000_000)
    service.check(number, "i7-2", 1_700_000_000_001)
    db.commit()
    (check,) = service.checks_of("i7-1")
    assert (check.result, check.checked_at_ms, check.org_id) == (result, 1_700_000_000_000, 1)
    assert check.sales_agent_id == (who.id if who else None)
    assert number not in check.number_index
    assert check.number_index == service.checks_of("i7-2")[0].number_index, "the same question is counted"


def test_checks_of_an_interaction_in_order(service: SalesAgentService, db: Session) -> None:
    for number, moment in (("10001", 1), ("99999", 2), ("10003", 3)):
        service.check(number, "i1-1", moment)
    db.commit()
    assert [check.result for check in service.checks_of("i1-1")] == [ACTIVE, UNKNOWN, LEFT]
    assert service.checks_of("i1-2") == []


def test_a_new_state_counts_from_the_next_check_on(service: SalesAgentService, db: Session) -> None:
    _, who = service.check("10001", "i1-1", 1)
    assert who is not None
    service.update(who, SalesAgentUpdate(state=LEFT))
    db.commit()
    assert service.check("10001", "i1-1", 2)[0] == LEFT
    assert [check.result for check in service.checks_of("i1-1")] == [ACTIVE, LEFT]
    assert (who.branch, who.employee_number) == ("北京分公司", "10001")


@pytest.mark.parametrize("number", [("10001", "0200999"), ("10009", "020010001")])
def test_numbers_are_unique(service: SalesAgentService, db: Session, number: tuple[str, str]) -> None:
    employee, licence = number
    service.create(
        SalesAgentCreate(employee_number=employee, licence_number=licence, name="赵明", branch="上海分公司")
    )
    with pytest.raises(IntegrityError):
        db.flush()


def test_the_number_that_was_asked_about_does_not_stand_in_the_file(records: Engine, tmp_path: Path) -> None:
    with session(records) as db:
        SalesAgentService(db, MASTER).check("0200765432109876", "i1-1", 5)
        db.commit()
    records.dispose()
    content = content_of(records)
    assert b"0200765432109876" not in content
