"""Outside opening hours a caller leaves a message; an agent hears it in the panel and is done with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.centre import Centre, agent, queue, until
from tests.peers.phones import Baresip, free_port
from tests.peers.sound import WINDOW_S, tone_share

pytestmark = [pytest.mark.peer("baresip")]

NUMBER, ANN, CALLER_HZ = "95519", "1001", 440
Start = Callable[..., Centre]


@pytest.mark.parametrize("library", ["stock", pytest.param("dense", marks=pytest.mark.dense)])
def test_a_message_left_and_seen_to(start_centre: Start, tmp_path: Path, library: str) -> None:
    centre = start_centre(
        numbers=[{"number": NUMBER, "flow": "hotline"}],
        queues=[queue("service", title="客户服务"), queue("complaints")],
        agents=[agent(ANN, free_port(), "service")],
        sections={"hours": {"holidays": [], "week": {"thu": "00:00-00:01"}}},
        prompts={
            "notice": 0.2,
            "main": 0.5,
            "choose_language": 0.5,
            "closed": 0.5,
            "leave_message": 0.5,
            "speak_now": 0.5,
        },
        library=library,
    )
    person = centre.person(ANN)
    with Baresip(tmp_path / "caller", "13800138001", hertz=CALLER_HZ) as caller:
        caller.dial(NUMBER, centre.sip)
        caller.event("CALL_ESTABLISHED")
        for _ in range(3):
            time.sleep(1.5)
            caller.press("1")
        until(lambda: list((centre.var / "recordings").glob("*-caller.wav")), 10, "the tone", 0.1)
        time.sleep(3)
        caller.hang_up()
        caller.event("CALL_CLOSED")
    (message,) = until(lambda: person.page()["messages"], 10, "the message", 0.1)
    assert (message["queue"], message["taken_by"]) == ("客户服务", "")
    assert 2_500 <= message["duration_ms"] <= 5_000
    row = centre.recorded(NUMBER)
    assert row["outcome"] == "message"
    shares = tone_share(centre.sound(row), CALLER_HZ)
    assert sum(share > 0.5 for share in shares) * WINDOW_S >= 2
    person.act(f"/messages/{message['name']}/take")
    (message,) = person.page()["messages"]
    assert message["mine"]
    person.act(f"/messages/{message['name']}/done")
    assert person.page()["messages"] == []
