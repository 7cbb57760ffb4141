"""A caller who waited too long asks to be rung back: hears the offer, presses a key, keeps the place; an agent is
reserved first, then the customer's telephone rings, and the core may die in between."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.centre import Centre, agent, queue
from tests.peers.phones import HOST, Baresip, free_port, until
from tests.peers.sound import WINDOW_S, tone_share

pytestmark = [pytest.mark.peer("baresip"), pytest.mark.dense]

ANN, NUMBER, CALLER = "1001", "95519", "+8613800138000"
ANN_HZ, CUSTOMER_HZ = 880, 440
RULES = """
[[queues]]
name = "service"
announce_first_s = 1
[[queues.overflow]]
after_s = 3
to = "callback"
"""
Start = Callable[..., Centre]


def heard_s(phone: Baresip, hertz: int) -> float:
    return sum(share > 0.5 for share in tone_share(phone.heard(), hertz)) * WINDOW_S


@pytest.mark.parametrize("killed", [False, True])
def test_a_callback_keeps_its_place(start_centre: Start, tmp_path: Path, killed: bool) -> None:
    rules = tmp_path / "policy.toml"
    rules.write_text(RULES, encoding="utf-8")
    port, outside = free_port(), free_port()
    centre = start_centre(
        numbers=[{"number": NUMBER, "queue": "service"}],
        queues=[queue("service", title="客户服务", caller_id="02195519")],
        agents=[agent(ANN, port, "service", wrap_up_s=60)],
        trunks=[{"name": "carrier", "address": f"{HOST}:{outside}", "monitor_s": 0}],
        routing={"policy_file": str(rules)},
        library="dense",
    )
    person = centre.person(ANN)
    person.act("/agent/not-ready", {"reason": "other"})
    with Baresip(tmp_path / "caller", "13800138000", hertz=CUSTOMER_HZ) as caller:
        caller.dial(NUMBER, centre.sip)
        caller.event("CALL_ESTABLISHED")
        offered = 'callcenter_voice_events_total{what="callback_offered"}'
        until(
            lambda: centre.metric("callcenter_voice_events_total", what="callback_offered"), 10, offered, 0.1
        )
        time.sleep(1)
        caller.press("1")
        caller.event("CALL_CLOSED", 15)
    assert centre.waiting("service") == 1, "the place is kept"
    if killed:
        centre.kill_core()
        centre.wait_ready()
    with (
        Baresip(tmp_path / "ann", ANN, hertz=ANN_HZ, answer="auto", port=port) as ann,
        Baresip(tmp_path / "customer", CALLER, hertz=CUSTOMER_HZ, answer="auto", port=outside) as customer,
    ):
        person = centre.person(ANN)
        person.act("/agent/ready")
        ann.event("CALL_ESTABLISHED")
        customer.event("CALL_ESTABLISHED")
        until(lambda: person.page()["contacts"][0]["state"] == "talking", 5, "the call", 0.05)
        time.sleep(3)
        customer.hang_up()
        ann.event("CALL_CLOSED")
    rows = until(
        lambda: [r for r in centre.report() if r["recordings"]] and centre.report(), 15, "records", 0.2
    )
    assert sorted(row["outcome"] for row in rows) == ["answered", "callback"]
    assert heard_s(ann, CUSTOMER_HZ) >= 2
    assert heard_s(customer, ANN_HZ) >= 2
    centre.wait_no_legs()
