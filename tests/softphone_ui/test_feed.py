"""The one WebSocket of a page: who gets it, what comes over it, and what happens when it breaks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect

from tests.softphone_ui.office import Browser, Office

pytestmark = pytest.mark.timeout(30)


def closed(browser: Browser, **how: Any) -> int:
    with pytest.raises(WebSocketDisconnect) as over, browser.feed(**how) as feed:
        feed.next()
    return int(over.value.code)


def test_without_a_session_it_is_closed(office: Office) -> None:
    assert closed(office.browser()) == 4403
    stranger = office.browser()
    stranger.cookies["cc_session"] = "nonsense"
    assert closed(stranger) == 4403


def test_from_another_page_it_is_closed(office: Office) -> None:
    browser = office.log_in("1001")
    elsewhere = (
        "http://evil.example",
        "http://testserver.evil.example",
        "null",
        "",
        None,
        "http://testserver:81",
    )
    for origin in elsewhere:
        assert closed(browser, origin=origin) == 4403, origin


@pytest.mark.parametrize(
    "hello",
    ["x", 5, [], None, {"seq": "x"}, {"seq": None}, {"seq": [1]}, {"seq": 1e999}, {"boot": {}, "seq": {}}],
)
def test_a_greeting_that_is_none_is_closed_and_does_no_harm(office: Office, hello: Any) -> None:
    browser = office.log_in("1001")
    assert closed(browser, hello=[hello] if hello is None else hello) == 4403
    with browser.feed() as feed:
        assert feed.next()["t"] == "state"


def test_opening_the_page_begins_the_shift_and_nothing_more(office: Office) -> None:
    with office.log_in("1001").feed() as feed:
        state = feed.next()["body"]
        assert state["agent"]["state"] == "not_ready"
        assert state["contacts"] == []
        assert [queue["title"] for queue in state["queues"]] == ["客户服务", "投诉受理"]


def test_a_change_reaches_the_page(office: Office) -> None:
    browser = office.log_in("1001")
    with browser.feed() as feed:
        feed.next()
        browser.post("/agent/ready")
        assert feed.until(lambda state: state["agent"]["state"] == "idle")
        interaction = office.ring("1001")
        state = feed.until(lambda state: state["contacts"])
        (contact,) = state["contacts"]
        assert (contact["id"], contact["state"], contact["offer"]) == (
            interaction.id,
            "ringing",
            interaction.offer,
        )


def test_a_call_on_the_page_from_offer_to_wrap_up(office: Office) -> None:
    browser = office.log_in("1001")
    with browser.feed() as feed:
        interaction = office.talk("1001")
        (contact,) = feed.until(
            lambda state: state["contacts"] and state["contacts"][0]["state"] == "talking"
        )["contacts"]
        assert contact["recording"]
        office.hang_up(interaction)
        state = feed.until(lambda state: state["agent"]["state"] == "wrap_up")
        assert state["contacts"][0]["state"] == "wrapping"
        assert state["agent"]["until_ms"] > state["now_ms"]
        browser.post(f"/interactions/{interaction.id}/wrap-up", {"code": "enquiry_answered"})
        assert feed.until(lambda state: state["agent"]["state"] == "idle")["contacts"] == []


def test_coming_back_resumes(office: Office) -> None:
    browser = office.log_in("1001")
    with browser.feed() as feed:
        feed.next()
        boot, seq = feed.boot, feed.seq
        with browser.feed(boot, seq) as again:
            assert again.next()["t"] == "resumed"


def test_an_offer_that_came_while_the_network_was_away_is_shown(office: Office) -> None:
    browser = office.log_in("1001")
    with browser.feed() as feed:
        feed.next()
        boot, seq = feed.boot, feed.seq
    interaction = office.ring("1001")
    with browser.feed(boot, seq) as feed:
        state = feed.until(lambda state: state["contacts"])
        assert state["contacts"][0]["id"] == interaction.id


def test_losing_the_page_does_not_end_the_shift(office: Office) -> None:
    browser = office.log_in("1001")
    with browser.feed() as feed:
        feed.next()
        browser.post("/agent/ready")
        interaction = office.talk("1001")
    assert office.centre.agent("1001") == "talking"
    assert interaction.state == "talking"


def test_two_people_see_their_own_calls(office: Office) -> None:
    mine, other = office.log_in("1001"), office.log_in("1002")
    with mine.feed() as feed, other.feed() as others:
        feed.next()
        others.next()
        office.ring("1001")
        assert feed.until(lambda state: state["contacts"])
        office.do(office.centre.agents.ready, "1002")
        assert others.until(lambda state: state["agent"]["state"] == "idle")["contacts"] == []


def test_a_supervisor_sees_agents_change(office: Office) -> None:
    """The overview lives; it is not a photograph of when it was opened."""
    with office.log_in("8001").feed() as feed:
        state = feed.next()["body"]
        assert {agent["login"]: agent["state"] for agent in state["agents"]}["1001"] == "logged_out"
        office.do(office.centre.agents.ready, "1001")
        office.do(office.panel._tick_all)
        told = [message["body"]["agents"] for message in feed.so_far() if "agents" in message["body"]]
        assert told, "it never changed"
        assert {agent["login"]: agent["state"] for agent in told[-1]}["1001"] == "idle"


def test_a_supervisor_takes_no_calls(office: Office) -> None:
    with office.log_in("8001").feed() as feed:
        state = feed.next()["body"]
        assert state["agent"] is None
        assert {agent["login"] for agent in state["agents"]} == {"1001", "1002", "1009"}
    assert "8001" not in {view.id for view in office.centre.host.engine.agent_views()}


def test_whatever_a_page_sends_later_is_ignored(office: Office) -> None:
    browser = office.log_in("1001")
    with browser.feed() as feed:
        feed.next()
        feed.socket.send_text("nonsense")
        feed.socket.send_text("x" * 10_000)
        feed.socket.send_bytes(b"\x00\xff")
        browser.post("/agent/ready")
        assert feed.until(lambda state: state["agent"]["state"] == "idle")


def test_the_core_stops_and_tells_its_pages_to_come_back(office: Office) -> None:
    browser = office.log_in("1001")
    with pytest.raises(WebSocketDisconnect) as over, browser.feed() as feed:
        feed.next()
        office.do(office.panel.hub.close)
        feed.next()
    assert over.value.code == 1013


def test_a_quiet_feed_beats(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page tells silence from a network that is gone."""
    monkeypatch.setattr("softphone_ui.feed.BEAT_S", 0.05)
    with office.log_in("1001").feed() as feed:
        kinds = [json.loads(feed.socket.receive_text())["t"] for _ in range(4)]
    assert kinds[-2:] == ["beat", "beat"]


def test_the_state_says_which_pages_it_is_for(office: Office) -> None:
    browser = office.log_in("1001")
    page = browser.get("/").text
    with browser.feed() as feed:
        version = feed.next()["body"]["version"]
    assert len(version) == 16
    assert f'"version": "{version}"' in page
