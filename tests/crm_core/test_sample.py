"""Sample people: always the same, never real, never twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
from sqlalchemy import Engine, text
from sqlmodel import select

from callcenter.kernel.e164 import to_e164
from callcenter.kernel.envelope import MasterKey
from crm_core.customers import Customer, CustomerService
from crm_core.db import session
from crm_core.policies import STATES, PolicyService
from crm_core.sales_agents import ACTIVE, LEFT, SUSPENDED, SalesAgentService
from crm_core.sample import FIRST_PHONE, fill
from tests.databases import Databases

MASTER = MasterKey(bytes(range(32)))
TODAY = date(2026, 11, 22)


@pytest.fixture(scope="module")
def filled_once(databases: Databases) -> str:
    return databases.prepared(_fill)


@pytest.fixture
def filled(databases: Databases, filled_once: str) -> Iterator[Engine]:
    with databases.opened(filled_once) as engine:
        yield engine


def _fill(engine: Engine) -> int:
    with session(engine) as db:
        added = fill(db, MASTER, TODAY)
        db.commit()
    return added


def plain(engine: Engine) -> list[tuple[object, ...]]:
    """Everything but what is sealed (each sealing differs)."""
    queries = (
        "SELECT id, name, sex, klass, language, do_not_call FROM customers ORDER BY id",
        "SELECT customer_id, index_full FROM contact_points ORDER BY id",
        "SELECT customer_id, number, product, state, premium_cents, due_on FROM policies ORDER BY id",
        "SELECT employee_number, licence_number, name, branch, state FROM sales_agents ORDER BY id",
        "SELECT code FROM wrap_up_codes ORDER BY id",
    )
    with engine.connect() as connection:
        return [tuple(row) for query in queries for row in connection.execute(text(query))]


def test_two_hundred_customers_each_with_policies(filled: Engine) -> None:
    with session(filled) as db:
        customers = list(db.exec(select(Customer)))
        policies = PolicyService(db)
        assert len(customers) == 200
        held = [policies.of_customer(customer.id or 0) for customer in customers]
    assert all(1 <= len(one) <= 3 for one in held)
    assert {policy.state for one in held for policy in one} <= set(STATES)
    assert len({policy.number for one in held for policy in one}) == sum(len(one) for one in held)
    assert {customer.klass for customer in customers} == {"vip", "gold", "standard", "low"}


def test_the_same_people_each_time(filled: Engine, records: Engine) -> None:
    assert _fill(records) == 200
    assert plain(records) == plain(filled)


def test_a_second_filling_adds_nobody(filled: Engine) -> None:
    before = plain(filled)
    assert _fill(filled) == 0
    assert plain(filled) == before


def test_numbers_lie_in_their_block_and_each_finds_one_person(filled: Engine) -> None:
    with session(filled) as db:
        service = CustomerService(db, MASTER)
        for number in range(FIRST_PHONE, FIRST_PHONE + 200):
            e164 = to_e164(str(number))
            assert e164 is not None
            assert len(service.by_phone(e164)) == 1


def test_sales_agents_of_every_state_with_numbers_a_keypad_can_enter(filled: Engine) -> None:
    with session(filled) as db:
        service = SalesAgentService(db, MASTER)
        states = {service.check(str(10001 + n), "i1-1", 1)[0] for n in range(40)}
        assert states == {ACTIVE, SUSPENDED, LEFT}
        found = service.find("10001")
        assert found is not None
        assert found.licence_number.isdigit()
        assert 4 <= len(found.licence_number) <= 20


def test_where_there_are_customers_nobody_is_added(records: Engine) -> None:
    with session(records) as db:
        db.add(Customer(name="真客户"))
        db.commit()
    assert _fill(records) == 0
    with records.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM customers")).scalar() == 1
        assert connection.execute(text("SELECT count(*) FROM sales_agents")).scalar() == 0
