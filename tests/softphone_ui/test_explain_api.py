"""The page that says why, and the cancelling of callbacks."""

from __future__ import annotations

from typing import Any

import pytest

from callcenter.live.book import Interaction
from routing import facts as rf
from tests.softphone_ui.office import Office


def waiting(office: Office) -> Interaction:
    found: list[Interaction] = []
    office.do(lambda: found.append(office.centre.queue_up()))
    return found[0]


def test_why_a_caller_waits_in_both_languages(office: Office) -> None:
    live, supervisor = waiting(office), office.log_in("8001")
    lines = supervisor.get(f"/api/interactions/{live.id}/explanation?language=en").json()
    assert [set(line) for line in lines] == [{"at", "text"}] * len(lines)
    assert (
        any("not handed to anybody" in line["text"] or "Not offered" in line["text"] for line in lines)
        or len(lines) >= 3
    )
    chinese = supervisor.get(f"/api/interactions/{live.id}/explanation").json()
    assert "客户服务" in lines[1]["text"]
    chinese = supervisor.get(f"/api/interactions/{live.id}/explanation").json()
    assert any("没有马上分给任何人" in line["text"] for line in chinese)


def test_what_nobody_knows_and_who_may_not_ask(office: Office) -> None:
    supervisor, agent = office.log_in("8001"), office.log_in("1001")
    answer = supervisor.get("/api/interactions/i9-9/explanation")
    assert (answer.status_code, answer.json()["error"]) == (404, "no_interaction")
    assert agent.get("/api/interactions/i1-1/explanation").status_code == 403
    assert agent.get("/why").status_code == 303


def test_a_journal_that_cannot_be_read_in_time_is_said(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(_interaction: str) -> Any:
        raise TimeoutError

    monkeypatch.setattr(office.core, "explain", late)
    answer = office.log_in("8001").get("/api/interactions/i1-1/explanation")
    assert (answer.status_code, answer.json()["error"]) == (503, "not_explained")


def test_the_page_carries_the_number_it_was_asked_for(office: Office) -> None:
    page = office.log_in("8001").get("/why?interaction=i1-7")
    assert page.status_code == 200
    assert 'value="i1-7"' in page.text


def test_a_callback_is_shown_and_cancelled(office: Office) -> None:
    live, supervisor = waiting(office), office.log_in("8001")
    path = f"/api/supervise/interactions/{live.id}/callback"
    refused = supervisor.send("DELETE", path)
    assert (refused.status_code, refused.json()["error"]) == (409, "no_callback")
    office.do(lambda: office.centre.callbacks.ask(live))
    back = office.centre.host.book.of_contact(live.contact)
    assert back is not None
    office.do(office.centre.settle)
    assert office.log_in("1001").send("DELETE", path.replace(live.id, back.id)).status_code == 403
    assert supervisor.send("DELETE", path.replace(live.id, back.id)).status_code == 204
    assert office.centre.host.engine.contact_view(live.contact) is None


def test_a_callback_is_given_to_an_agent_by_hand_and_stays_one(office: Office) -> None:
    live, supervisor = waiting(office), office.log_in("8001")
    office.do(lambda: office.centre.callbacks.ask(live))
    back = office.centre.host.book.of_contact(live.contact)
    assert back is not None
    office.do(
        lambda: office.centre.host.submit(rf.ContactHeld(live.contact, office.centre.clock.now_ms() + 60_000))
    )
    office.do(lambda: office.centre.ready("1001"))
    answer = supervisor.post(f"/supervise/interactions/{back.id}/assign", {"agent": "1001"})
    assert answer.status_code == 204
    office.do(office.centre.settle)
    contact = office.centre.host.engine.contact_view(live.contact)
    assert contact is not None and (contact.state, contact.agent, contact.callback) == (
        "offered",
        "1001",
        True,
    )
