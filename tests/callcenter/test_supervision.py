"""Listening, whispering, barging, taking over; states set and customers assigned by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from callcenter.kernel.errors import NotAllowed
from callcenter.live.book import OUTSIDE, RINGING, TALKING, Interaction
from callcenter.live.offers import Seat
from routing import AgentPolicy

from .centre import COMPLAINTS, SERVICE, Centre

ANN, BOB = (AgentPolicy(name, wrap_up_ms=30_000) for name in ("ann", "bob"))


@pytest.fixture
def centre() -> Centre:
    made = Centre(SERVICE, COMPLAINTS, ANN, BOB)
    made.directory.seats["sue"] = Seat("sue", "Sue", "sip:sue@10.1.1.9", "phone")
    return made


@pytest.fixture
def call(centre: Centre) -> Interaction:
    centre.ready("ann")
    return centre.talk()


def watch(centre: Centre, call: Interaction, how: str = "listen") -> str:
    centre.supervision.watch("sue", call.id, how)
    centre.settle()
    (leg,) = call.guests
    if leg not in centre.worker.legs or centre.worker.legs[leg].state != "answered":
        centre.worker.pick_up(leg)
    centre.settle()
    return leg


def members(centre: Centre, call: Interaction) -> list[str]:
    room = centre.worker.legs[call.leg].room
    assert room is not None
    return list(room.members.values())


def refused(action: Callable[..., Any], *args: Any) -> str:
    with pytest.raises(NotAllowed) as caught:
        action(*args)
    return caught.value.code


def test_listen_whisper_barge_on_one_leg(centre: Centre, call: Interaction) -> None:
    leg = watch(centre, call)
    assert members(centre, call) == ["talk", "talk", "listen"]
    assert refused(centre.control.complete, "ann", call.id) == "no_guest", (
        "a listener is nobody to hand over to"
    )
    watch(centre, call, "whisper")
    assert members(centre, call) == ["talk", "talk", f"whisper:{call.agent_leg}"]
    watch(centre, call, "barge")
    assert members(centre, call) == ["talk", "talk", "talk"]
    assert len(centre.worker.ops("dial", leg)) == 1
    assert [fact["action"] for fact in centre.journalled("ActionTaken")] == ["listen", "whisper", "barge"]
    centre.supervision.leave("sue", call.id)
    centre.settle()
    assert members(centre, call) == ["talk", "talk"]
    assert refused(centre.supervision.leave, "sue", call.id) == "call_over"


def test_a_listener_goes_when_the_call_ends_and_never_keeps_it(centre: Centre, call: Interaction) -> None:
    watch(centre, call)
    centre.agent_leaves(call)
    assert centre.worker.legs == {}
    assert centre.journalled("InteractionEnded")[-1]["by"] == "agent"


def test_holding_goes_on_under_a_listener(centre: Centre, call: Interaction) -> None:
    watch(centre, call)
    centre.control.hold("ann", call.id, True)
    centre.settle()
    assert members(centre, call) == ["hold", "talk", "listen"]
    centre.control.take_back("ann", call.id)
    centre.settle()
    assert members(centre, call) == ["talk", "talk", "listen"], "the listener stays"


def test_taking_over(centre: Centre, call: Interaction) -> None:
    assert refused(centre.supervision.take_over, "sue", call.id) == "no_guest"
    watch(centre, call)
    centre.supervision.take_over("sue", call.id)
    centre.settle()
    assert (call.state, call.agent, centre.agent("ann")) == (OUTSIDE, "", "wrap_up")
    assert members(centre, call) == ["talk", "talk"]
    assert centre.journalled("ActionTaken")[-1]["detail"] == "ann"


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (lambda c, i: refused(c.supervision.watch, "sue", "i9", "listen"), "call_over"),
        (lambda c, i: refused(c.supervision.watch, "sue", i.id, "shout"), "unknown_mode"),
        (lambda c, i: refused(c.supervision.watch, "nobody", i.id, "listen"), "no_device"),
        (lambda c, i: refused(c.supervision.set_state, "sue", "zoe", "ready"), "unknown_agent"),
        (lambda c, i: refused(c.supervision.set_state, "sue", "ann", "asleep"), "unknown_state"),
        (lambda c, i: refused(c.supervision.assign, "sue", i.id, "bob"), "not_waiting"),
    ],
)
def test_refusals(centre: Centre, call: Interaction, action: Callable[..., str], reason: str) -> None:
    assert action(centre, call) == reason


def test_states_by_hand(centre: Centre, call: Interaction) -> None:
    centre.supervision.set_state("sue", "ann", "not_ready")
    assert centre.agent("ann") == "talking", "when the work is done"
    centre.caller_leaves(call)
    centre.agents.wrap_up("ann", call.id, "enquiry_answered", "", "")
    assert centre.agent("ann") == "not_ready"
    centre.supervision.set_state("sue", "ann", "ready")
    assert centre.agent("ann") == "idle"
    centre.supervision.set_state("sue", "ann", "logged_out")
    assert centre.agent("ann") == "logged_out"


def test_a_waiting_customer_is_given_to_somebody(centre: Centre, call: Interaction) -> None:
    first, second = centre.queue_up("13800138001"), centre.queue_up("13800138002")
    centre.agents.not_ready("bob", "meal")
    assert refused(centre.supervision.assign, "sue", second.id, "bob") == "agent_not_ready"
    centre.restart()
    second = centre.host.book.interactions[second.id]
    centre.caller_leaves(centre.host.book.interactions[call.id])
    centre.agents.wrap_up("ann", call.id, "enquiry_answered", "", "")
    first = centre.host.book.interactions[first.id]
    assert (first.state, first.agent) == (RINGING, "ann"), "by themselves, the first one"
    centre.ready("bob")
    assert (second.state, second.agent) == (RINGING, "bob")


def test_assigning_goes_past_the_queue(centre: Centre) -> None:
    waiting = centre.queue_up("13800138002")
    centre.host.submit()
    view = centre.host.engine.contact_view(waiting.contact)
    assert view is not None
    centre.agents.log_in("bob")
    centre.settle()
    assert refused(centre.supervision.assign, "sue", waiting.id, "bob") == "agent_not_ready"
    centre.control.offer_to(waiting, "bob")  # bob was quicker with something else
    centre.settle()
    assert waiting.state != TALKING
    assert waiting.leg in centre.worker.legs, "the customer waits on"
    assert waiting.queue == "service"
