"""What pages and reports read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Engine

from callcenter.history import rebuild
from callcenter.journal.private import erase
from callcenter.kernel.errors import NotAllowed
from callcenter.queries import ContactQueries, report_interactions
from crm_core.customers import CustomerCreate, CustomerService
from crm_core.db import session
from crm_core.policies import PolicyCreate, PolicyService
from tests.callcenter.centre import MASTER, START_MS, Centre

PHONE = "13800138000"


class Desk:
    """Two calls of a known customer, in history."""

    def __init__(self, records: Engine) -> None:
        self.records, self.executor = records, ThreadPoolExecutor(1)
        self.centre = Centre()
        self.centre.ready("ann")
        self.first = self.served("答复保单状态", "enquiry_answered")
        self.centre.wait(60)
        self.second = self.served("", "complaint_taken")
        self.centre.wait(60)
        self.running = self.centre.talk(PHONE)
        self.match(self.running.id)
        rebuild(records, self.centre.journal.connection, lambda _done: None)
        with session(records) as db:
            customer = CustomerService(db, MASTER).create(
                CustomerCreate(name="王芳", phones=[PHONE], klass="vip")
            )
            PolicyService(db).create(
                PolicyCreate(customer_id=customer.id or 0, number="P1", product="康宁", sum_insured_cents=1, premium_cents=620_000,
                             effective_on=date(2026, 1, 1), due_on=date(2026, 12, 1))
            )  # fmt: skip
            db.commit()
        self.queries = ContactQueries(records, self.centre.private, MASTER, self.executor)

    def served(self, note: str, code: str) -> str:
        interaction = self.centre.talk(PHONE)
        self.match(interaction.id)
        self.centre.caller_leaves(interaction)
        self.centre.agents.wrap_up("ann", interaction.id, code, note, interaction.party_ref)
        return interaction.id

    def match(self, interaction: str) -> None:
        from callcenter.live.facts import CustomerMatched

        self.centre.host.submit(CustomerMatched(interaction, 1))

    def run(self, work: Any) -> Any:
        return asyncio.run(work)


@pytest.fixture
def desk(records: Engine) -> Iterator[Desk]:
    made = Desk(records)
    yield made
    made.executor.shutdown()


def test_a_customers_card(desk: Desk) -> None:
    card = desk.run(desk.queries.card(1))
    assert (card["name"], card["klass"], card["phones"], card["do_not_call"]) == (
        "王芳",
        "vip",
        ["138 0013 8000"],
        False,
    )
    assert [policy["number"] for policy in card["policies"]] == ["P1"]
    assert card["policies"][0]["due_on"] == "2026-12-01"
    assert [contact["id"] for contact in card["contacts"]] == [desk.second, desk.first], (
        "newest first, without the running one"
    )
    assert all("party_ref" not in contact and "note_ref" not in contact for contact in card["contacts"])


def test_nobodys_card_is_empty(desk: Desk) -> None:
    assert desk.run(desk.queries.card(99)) == {}


def test_an_agents_last_contacts(desk: Desk) -> None:
    rows = desk.run(desk.queries.last_of_agent("ann"))
    assert [row["id"] for row in rows] == [desk.running.id, desk.second, desk.first]
    assert rows[2]["caller"] == "138 0013 8000"
    assert (rows[2]["note"], rows[2]["wrap_up_code"], rows[2]["outcome"]) == (
        "答复保单状态",
        "enquiry_answered",
        "answered",
    )
    assert "party_ref" not in rows[0]
    assert desk.run(desk.queries.last_of_agent("bob")) == []


def test_ten_at_most(desk: Desk) -> None:
    desk.centre.caller_leaves(desk.running)
    for _ in range(12):
        desk.centre.wait(31)
        desk.served("", "enquiry_answered")
    rebuild(desk.records, desk.centre.journal.connection, lambda _done: None)
    assert len(desk.run(desk.queries.last_of_agent("ann"))) == 10


def test_the_party_of_my_own_contact_only(desk: Desk) -> None:
    assert desk.run(desk.queries.party_of(desk.first, "ann")) == f"{desk.first}.party"
    for interaction, agent in ((desk.first, "bob"), ("i9-9", "ann"), ("' OR 1=1 --", "ann")):
        with pytest.raises(NotAllowed, match="not_yours"):
            desk.run(desk.queries.party_of(interaction, agent))


def test_the_report_in_order_of_arrival(desk: Desk) -> None:
    rows = list(report_interactions(desk.records, desk.centre.private))
    assert [row["id"] for row in rows] == [desk.first, desk.second, desk.running.id]
    first, running = rows[0], rows[2]
    assert (first["caller"], first["number"], first["queue"], first["agent"]) == (
        "+8613800138000",
        "95519",
        "service",
        "ann",
    )
    assert first["arrived_at"] == "2026-01-05T08:00:00.000Z"
    assert first["outcome"] == "answered"
    assert (running["ended_at"], running["outcome"], running["wrap_up_code"]) == (None, None, None)
    assert START_MS == 1_767_600_000_000


def test_an_erased_person_is_an_empty_field_in_the_same_row(desk: Desk) -> None:
    before = list(report_interactions(desk.records, desk.centre.private))
    person = desk.centre.private.person_of(f"+86{PHONE}")
    erase(desk.centre.journal.connection, person)
    desk.centre.private.forget(person)
    rebuild(desk.records, desk.centre.journal.connection, lambda _done: None)
    after = list(report_interactions(desk.records, desk.centre.private))
    assert [{**row, "caller": None} for row in before] == after
    assert [row["note"] for row in desk.run(desk.queries.last_of_agent("ann"))] == ["", "", ""]
