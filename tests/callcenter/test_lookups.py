"""What flows may ask, answered from real records on a helper thread."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, text

from callcenter.live.book import Interaction
from callcenter.live.hours import HoursKeeper
from callcenter.live.lookups import CrmLookups
from config.settings import OpeningHours
from crm_core.customers import CustomerCreate, CustomerService
from crm_core.db import session
from crm_core.sales_agents import SalesAgentCreate, SalesAgentService
from tests.callcenter.centre import MASTER, Centre

PHONE = "13800138000"


class Desk:
    def __init__(self, records: Engine, **week: str) -> None:
        self.records = records
        self.centre = Centre()
        self.executor = ThreadPoolExecutor(2)
        hours = HoursKeeper(self.centre.host, self.centre.scheduler, OpeningHours(week=week))
        self.lookups = CrmLookups(self.centre.host, records, MASTER, hours, self.executor)

    def call(self, caller: str = PHONE) -> Interaction:
        return self.centre.ring(caller=caller)

    def ask(self, interaction: Interaction, name: str, **args: str) -> Mapping[str, Any] | None:
        async def scene() -> Mapping[str, Any] | None:
            answered: asyncio.Future[Mapping[str, Any] | None] = asyncio.get_running_loop().create_future()
            self.lookups.ask(interaction, name, args, answered.set_result)
            return await asyncio.wait_for(answered, 10)

        return asyncio.run(scene())

    def recognise(self, interaction: Interaction, e164: str) -> None:
        async def scene() -> None:
            self.lookups.recognise(interaction.id, e164)
            while self.lookups._callers or self.lookups._tasks:
                await asyncio.sleep(0.005)

        asyncio.run(scene())


@pytest.fixture
def desk(records: Engine) -> Iterator[Desk]:
    made = Desk(records)
    with session(records) as db:
        customers = CustomerService(db, MASTER)
        customers.create(CustomerCreate(name="王芳", phones=[PHONE], klass="vip", language="en"))
        for name in ("李强", "李静"):
            customers.create(CustomerCreate(name=name, phones=["13900139000"]))
        agents = SalesAgentService(db, MASTER)
        agents.create(
            SalesAgentCreate(
                employee_number="10001", licence_number="02001", name="陈静", branch="北京分公司"
            )
        )
        db.commit()
    yield made
    made.executor.shutdown()


def test_the_customer_of_a_number(desk: Desk) -> None:
    found = desk.ask(desk.call(), "customer")
    assert found == {"known": "yes", "id": 1, "klass": "vip", "language": "en"}


@pytest.mark.parametrize(("caller", "candidates"), [("13900139000", 2), ("13700137000", 0)])
def test_of_several_nobody_is_guessed(desk: Desk, caller: str, candidates: int) -> None:
    assert desk.ask(desk.call(caller), "customer") == {"known": "no", "candidates": candidates}


def test_who_withholds_the_number_is_not_known(desk: Desk) -> None:
    assert desk.ask(desk.call(""), "customer") == {"known": "no"}


def test_a_sales_agent_is_checked_and_the_check_is_kept(desk: Desk) -> None:
    interaction = desk.call()
    assert desk.ask(interaction, "sales_agent", number="10001") == {
        "result": "active",
        "name": "陈静",
        "branch": "北京分公司",
    }
    assert desk.ask(interaction, "sales_agent", number="99999") == {
        "result": "unknown",
        "name": "",
        "branch": "",
    }
    assert desk.ask(interaction, "sales_agent") == {"result": "unknown", "name": "", "branch": ""}
    with session(desk.records) as db:
        checks = SalesAgentService(db, MASTER).checks_of(interaction.id)
    assert [check.result for check in checks] == ["active", "unknown", "unknown"]


@pytest.mark.parametrize(("week", "open_now"), [({}, "yes"), ({"sun": "00:00-00:01"}, "no")])
def test_opening_hours(records: Engine, week: dict[str, str], open_now: str) -> None:
    made = Desk(records, **week)
    assert made.ask(made.call(), "hours") == {"open": open_now}
    made.executor.shutdown()


def test_an_unknown_question_is_answered_with_nothing(desk: Desk) -> None:
    assert desk.ask(desk.call(), "weather") is None


@pytest.mark.parametrize("name", ["customer", "sales_agent"])
def test_records_that_cannot_be_read_are_a_failed_lookup(desk: Desk, name: str) -> None:
    with desk.records.begin() as connection:
        for table in ("sales_agent_checks", "contact_points"):
            connection.execute(text(f"DROP TABLE {table}"))
    assert desk.ask(desk.call(), name, number="10001") is None
    assert desk.lookups.failed == 1


def test_another_mistake_is_a_failed_lookup_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong in there, the caller goes on."""

    def broken(*_args: Any) -> Any:
        raise RuntimeError("not a database error")

    monkeypatch.setattr(CustomerService, "by_phone", broken)
    assert desk.ask(desk.call(), "customer") is None


@pytest.mark.parametrize(("caller", "matched"), [(PHONE, 1), ("13900139000", 0), ("13700137000", 0)])
def test_recognising_attaches_the_one_customer(desk: Desk, caller: str, matched: int) -> None:
    interaction = desk.call(caller)
    desk.recognise(interaction, f"+86{caller}")
    assert interaction.customer == matched
    assert len(desk.centre.journalled("CustomerMatched")) == matched
    assert interaction.klass == ("vip" if matched else "")


def test_recognising_somebody_who_left_does_no_harm(desk: Desk) -> None:
    interaction = desk.call()
    desk.centre.caller_leaves(interaction)
    desk.recognise(interaction, f"+86{PHONE}")
    assert desk.centre.host.book.interactions == {}
