"""Calls that agents make: to a customer over a trunk, to a colleague; and what an agent hears before a customer."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.centre import Centre, agent, queue
from tests.peers.phones import HOST, Baresip, Sipp, free_port, until
from tests.peers.sound import WINDOW_S, tone_share

pytestmark = [pytest.mark.peer("sipp", "baresip"), pytest.mark.dense]

ANN, BOB, NUMBER, SHOWN = "1001", "1002", "95520", "02195519"
ANN_HZ, BOB_HZ, CUSTOMER_HZ, ZIP_HZ = 880, 1320, 440, 1000
CUSTOMER = "+8613800138000"
Start = Callable[..., Centre]


def heard_s(phone: Baresip, hertz: int) -> float:
    return sum(share > 0.5 for share in tone_share(phone.heard(), hertz)) * WINDOW_S


def test_a_customer_is_called_over_the_trunk(start_centre: Start, tmp_path: Path) -> None:
    port, outside = free_port(), free_port()
    centre = start_centre(
        numbers=[],
        queues=[queue("service", caller_id=SHOWN)],
        agents=[agent(ANN, port, "service", wrap_up_s=60)],
        trunks=[{"name": "carrier", "address": f"{HOST}:{outside}", "monitor_s": 0}],
        library="dense",
    )
    person = centre.person(ANN)
    person.act("/agent/not-ready", {"reason": "other"})
    with (
        Baresip(tmp_path / "ann", ANN, hertz=ANN_HZ, answer="auto", port=port) as ann,
        Baresip(tmp_path / "customer", CUSTOMER, hertz=CUSTOMER_HZ, port=outside) as customer,
    ):
        person.act("/calls", {"number": "13800138000"})
        ann.event("CALL_ESTABLISHED")
        customer.event("CALL_INCOMING")
        (contact,) = person.page()["contacts"]
        assert (contact["state"], contact["direction"]) == ("calling", "out")
        time.sleep(2.5)
        customer.accept()
        customer.event("CALL_ESTABLISHED")
        until(lambda: person.page()["contacts"][0]["state"] == "talking", 5, "the call", 0.05)
        time.sleep(3)
        customer.hang_up()
        ann.event("CALL_CLOSED")
    row = until(lambda: next((r for r in centre.report() if r["recordings"]), None), 10, "the record", 0.2)
    assert (row["direction"], row["outcome"], row["agent"], row["caller"]) == (
        "out",
        "answered",
        ANN,
        CUSTOMER,
    )
    assert heard_s(ann, CUSTOMER_HZ) >= 2
    assert heard_s(customer, ANN_HZ) >= 2
    assert heard_s(ann, 450) >= 0.8, "ringing while the customer's phone rings"
    until(lambda: centre.report()[0]["recordings"][0]["state"] == "saved", 10, "the recording", 0.2)
    sound = centre.sound(centre.report()[0])
    for channel, hertz in ((0, CUSTOMER_HZ), (1, ANN_HZ)):
        assert sum(share > 0.5 for share in tone_share(sound, hertz, channel)) * WINDOW_S >= 2


def test_a_customer_who_is_busy(start_centre: Start, tmp_path: Path) -> None:
    port, outside = free_port(), free_port()
    centre = start_centre(
        numbers=[],
        queues=[queue("service")],
        agents=[agent(ANN, port, "service", wrap_up_s=60)],
        trunks=[{"name": "carrier", "address": f"{HOST}:{outside}", "monitor_s": 0}],
        library="dense",
    )
    person = centre.person(ANN)
    person.act("/agent/not-ready", {"reason": "other"})
    with (
        Baresip(tmp_path / "ann", ANN, answer="auto", port=port) as ann,
        Sipp("agent_refuse", tmp_path / "customer", port=outside, variables={"ring": 0, "status": 486}),
    ):
        person.act("/calls", {"number": CUSTOMER})
        ann.event("CALL_CLOSED")
    (row,) = until(lambda: [r for r in centre.report() if r["ended_at"]], 10, "the record", 0.2)
    assert (row["outcome"], row["cause"]) == ("not_reached", "busy")
    centre.wait_agent(ANN, "wrap_up")
    centre.wait_no_legs()


def test_colleagues_call_each_other(start_centre: Start, tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    centre = start_centre(
        numbers=[],
        queues=[queue("service")],
        agents=[agent(ANN, ports[0], "service"), agent(BOB, ports[1], "service")],
        library="dense",
    )
    ann_person, bob_person = centre.person(ANN), centre.person(BOB)
    for person in (ann_person, bob_person):
        person.act("/agent/ready")
    with (
        Baresip(tmp_path / "ann", ANN, hertz=ANN_HZ, answer="auto", port=ports[0]) as ann,
        Baresip(tmp_path / "bob", BOB, hertz=BOB_HZ, answer="auto", port=ports[1]) as bob,
    ):
        ann_person.act("/calls", {"agent": BOB})
        bob.event("CALL_ESTABLISHED")
        until(lambda: ann_person.page()["contacts"][0]["state"] == "talking", 5, "the call", 0.05)
        (contact,) = bob_person.page()["contacts"]
        assert contact["state"] == "consulting"
        assert contact["colleague"]
        time.sleep(2.5)
        bob.hang_up()
        ann.event("CALL_CLOSED")
    assert heard_s(ann, BOB_HZ) >= 2
    assert heard_s(bob, ANN_HZ) >= 2
    centre.wait_agent(BOB, "idle")


def test_a_tone_and_a_whisper_come_before_the_customer(start_centre: Start, tmp_path: Path) -> None:
    """The device answers by itself; the agent hears tone and whisper alone, the customer music until then."""
    port = free_port()
    centre = start_centre(
        numbers=[{"number": NUMBER, "queue": "service"}],
        queues=[queue("service", title="投诉受理", whisper=True)],
        agents=[agent(ANN, port, "service", answer="auto")],
        library="dense",
    )
    with (
        Baresip(tmp_path / "ann", ANN, hertz=ANN_HZ, answer="auto", port=port) as ann,
        Baresip(tmp_path / "caller", "13800138001", hertz=CUSTOMER_HZ) as caller,
    ):
        caller.dial(NUMBER, centre.sip)
        ann.event("CALL_ESTABLISHED")
        centre.wait_agent(ANN, "talking")
        time.sleep(3)
        caller.hang_up()
        ann.event("CALL_CLOSED")
    customer = [share > 0.5 for share in tone_share(ann.heard(), CUSTOMER_HZ)]
    first = customer.index(True)
    tone = [share > 0.5 for share in tone_share(ann.heard(), ZIP_HZ)]
    assert True in tone[:first], "the tone"
    assert first * WINDOW_S >= 0.8, "and the whisper, before the customer"
    assert heard_s(caller, ANN_HZ) >= 2
