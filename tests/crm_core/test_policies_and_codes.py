from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from callcenter.kernel.envelope import MasterKey
from crm_core.customers import CustomerCreate, CustomerService
from crm_core.db import session
from crm_core.policies import STATES, PolicyCreate, PolicyService, PolicyUpdate
from crm_core.wrap_up import DEFAULTS, WrapUpService

TODAY = date(2026, 11, 22)


@pytest.fixture
def db(records: Engine) -> Iterator[Session]:
    with session(records) as opened:
        yield opened


@pytest.fixture
def customer_id(db: Session) -> int:
    customer = CustomerService(db, MasterKey(bytes(32))).create(CustomerCreate(name="王芳"))
    return customer.id or 0


def policy(customer_id: int, number: str, state: str = "in_force", due_in: int | None = 10) -> PolicyCreate:
    return PolicyCreate(
        customer_id=customer_id,
        number=number,
        product="康宁终身重大疾病保险",
        state=state,
        sum_insured_cents=30_000_000,
        premium_cents=620_000,
        effective_on=TODAY - timedelta(days=400),
        due_on=None if due_in is None else TODAY + timedelta(days=due_in),
    )


def test_policies_in_force_come_first_then_what_is_due_first(db: Session, customer_id: int) -> None:
    service = PolicyService(db)
    for number, state, due_in in (
        ("P1", "lapsed", None), ("P2", "in_force", 300), ("P3", "grace", -5), ("P4", "in_force", 20),
        ("P5", "claim", 1), ("P6", "in_force", None), ("P7", "matured", None),
    ):  # fmt: skip
        service.create(policy(customer_id, number, state, due_in))
    db.flush()
    found = [one.number for one in service.of_customer(customer_id)]
    assert found == ["P4", "P2", "P6", "P3", "P1", "P7", "P5"]
    assert service.of_customer(customer_id + 1) == []


@pytest.mark.parametrize("state", STATES)
def test_every_state_can_be_shown(db: Session, customer_id: int, state: str) -> None:
    service = PolicyService(db)
    service.create(policy(customer_id, "P1", state))
    db.flush()
    assert service.of_customer(customer_id)[0].state == state


def test_a_state_from_the_core_system_that_we_do_not_know_does_not_hide_the_card(
    db: Session, customer_id: int
) -> None:
    service = PolicyService(db)
    service.create(policy(customer_id, "P1", "suspended"))
    service.create(policy(customer_id, "P2"))
    db.flush()
    assert [one.number for one in service.of_customer(customer_id)] == ["P2", "P1"]


def test_a_policy_belongs_to_a_customer_that_exists(db: Session, customer_id: int) -> None:
    PolicyService(db).create(policy(customer_id + 99, "P1"))
    with pytest.raises(IntegrityError):
        db.flush()


def test_a_policy_number_stands_once(db: Session, customer_id: int) -> None:
    service = PolicyService(db)
    service.create(policy(customer_id, "P1"))
    service.create(policy(customer_id, "P1"))
    with pytest.raises(IntegrityError):
        db.flush()


def test_money_is_whole_cents_and_large(db: Session, customer_id: int) -> None:
    service = PolicyService(db)
    made = service.create(policy(customer_id, "P1"))
    made.sum_insured_cents = 999_999_999_999_99
    db.commit()
    assert service.of_customer(customer_id)[0].sum_insured_cents == 999_999_999_999_99


def test_an_update_changes_state_and_due_date(db: Session, customer_id: int) -> None:
    service = PolicyService(db)
    made = service.create(policy(customer_id, "P1"))
    service.update(made, PolicyUpdate(state="lapsed", due_on=None))
    db.commit()
    (found,) = service.of_customer(customer_id)
    assert (found.state, found.due_on, found.premium_cents) == ("lapsed", None, 620_000)


def test_wrap_up_codes_are_seeded_once_and_keep_their_order(db: Session) -> None:
    service = WrapUpService(db)
    assert service.all() == []
    service.seed()
    db.flush()
    service.seed()
    db.flush()
    assert [code.code for code in service.all()] == [code for code, _, _ in DEFAULTS]
    assert all(code.title_zh and code.title_en for code in service.all())
