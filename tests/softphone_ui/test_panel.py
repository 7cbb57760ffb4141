"""What a person's page shows right now."""

from __future__ import annotations

from typing import Any

import pytest

from callcenter.live.facts import CustomerMatched
from crm_core.customers import CustomerCreate, CustomerService
from crm_core.db import session
from tests.callcenter.centre import MASTER
from tests.softphone_ui.office import Office

PHONE = "13800138000"
pytestmark = pytest.mark.timeout(30)


def shown(office: Office, login: str = "1001") -> dict[str, Any]:
    state: dict[str, Any] = office.do(office.panel.state, login)
    return state


def contact(office: Office, login: str = "1001") -> dict[str, Any]:
    (only,) = shown(office, login)["contacts"]
    return dict(only)


def test_an_offer_with_everything_before_the_voice_begins(office: Office) -> None:
    interaction = office.ring("1001", PHONE)
    offer = contact(office)
    assert (offer["state"], offer["caller"], offer["number"], offer["queue"]) == (
        "ringing",
        "138 0013 8000",
        "95519",
        "客户服务",
    )
    assert offer["keyed"] == [{"zh": "中文", "en": "Chinese"}, {"zh": "人工服务", "en": "an agent"}]
    assert (offer["answer_at"], offer["dialling"]) == ("panel", False)
    assert offer["expires_at_ms"] == office.centre.clock.now_ms() + 20_000
    assert offer["queued_at_ms"] == interaction.queued_at_ms
    assert offer["customer"] is None


def test_a_phone_rings_by_itself(office: Office) -> None:
    office.ring("1002")
    offer = contact(office, "1002")
    assert (offer["answer_at"], offer["dialling"]) == ("phone", True)


def test_a_withheld_number_is_empty(office: Office) -> None:
    office.ring("1001", "")
    assert contact(office)["caller"] == ""


def test_talking_and_wrapping(office: Office) -> None:
    interaction = office.talk("1001")
    talking = contact(office)
    assert (talking["state"], talking["offer"], talking["recording"]) == ("talking", "", True)
    office.hang_up(interaction)
    wrapping = contact(office)
    assert (wrapping["state"], wrapping["recording"]) == ("wrapping", False)


def test_nobody_sees_anothers_call(office: Office) -> None:
    office.talk("1001")
    assert shown(office, "1002")["contacts"] == []
    assert shown(office, "8001")["contacts"] == []
    assert PHONE[-4:] not in repr(shown(office, "1002"))


def test_the_customer_is_fetched_once_and_then_shown(office: Office) -> None:
    with session(office.records) as db:
        CustomerService(db, MASTER).create(CustomerCreate(name="王女士", phones=[PHONE], klass="vip"))
        db.commit()
    browser = office.log_in("1001")
    with browser.feed() as feed:
        feed.next()
        interaction = office.ring("1001", PHONE)
        office.do(lambda: office.centre.host.submit(CustomerMatched(interaction.id, 1)))
        state = feed.until(
            lambda state: state["contacts"] and (state["contacts"][0]["customer"] or {}).get("name")
        )
        card = state["contacts"][0]["customer"]
        assert (card["name"], card["klass"]) == ("王女士", "vip")


def test_a_card_that_cannot_be_read_does_not_load_for_ever(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_customer: int) -> Any:
        raise OSError("records are away")

    monkeypatch.setattr(office.panel.queries, "card", broken)
    with office.log_in("1001").feed() as feed:
        feed.next()
        interaction = office.ring("1001", PHONE)
        office.do(lambda: office.centre.host.submit(CustomerMatched(interaction.id, 1)))
        feed.so_far()
        card = contact(office)["customer"]
        assert card is None or not card.get("loading")


def test_queues_are_measured_now(office: Office) -> None:
    """A caller who waits while nothing else happens waits longer and longer."""

    def scene() -> None:
        office.centre.queue_up(PHONE)
        office.centre.wait(47)

    office.do(scene)
    (service, complaints) = shown(office)["queues"]
    assert (service["waiting"], complaints["waiting"]) == (1, 0)
    now_ms = shown(office)["now_ms"]
    longest = service.get("longest_ms") if "longest_ms" in service else now_ms - service["oldest_at_ms"]
    assert longest == pytest.approx(47_000, abs=1_000)


def test_what_comes_next_is_told(office: Office) -> None:
    office.talk("1001")
    office.do(office.centre.agents.not_ready, "1001", "meal")
    agent = shown(office)["agent"]
    assert (agent["state"], agent["next"]) == ("talking", "not_ready")


def test_a_person_whom_the_engine_does_not_know_sees_the_overview(office: Office) -> None:
    state = shown(office, "8001")
    assert state["agent"] is None
    assert [agent["name"] for agent in state["agents"]][:2] == ["王芳", "李强"]
