"""Listening, whispering, barging, taking over; states set and customers assigned by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from callcenter.kernel.errors import NotAllowed
from callcenter.live.book import OUTSIDE, RINGING, TALKING, Interaction
from callcenter.live.hours import HoursKeeper
from callcenter.live.offers import Seat
from config.settings import OpeningHours
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


# --- queues closed by hand, and the announcement ---------------------------------------------------------


def two_waiting() -> tuple[Centre, Interaction, Interaction]:
    """One rings at ann, one waits; bob is not here."""
    centre = Centre()
    centre.ready("ann")
    first, second = centre.queue_up("13800138001"), centre.queue_up("13800138002")
    assert (first.state, second.state) == ("ringing", "waiting")
    return centre, first, second


def test_people_in_a_closed_queue_may_stay() -> None:
    centre, first, second = two_waiting()
    assert centre.supervision.close_queue("8001", "service", "stay") == 2
    centre.settle()
    assert not centre.host.engine.is_open("service")
    assert (first.state, second.state) == ("ringing", "waiting")
    centre.pick_up(first)
    assert first.state == "talking"
    late = centre.queue_up("13800138003")
    assert late.state == "flow", "newcomers hear that it is closed"
    assert centre.journalled("ActionTaken")[-1]["action"] == "close_queue"


def test_people_in_a_closed_queue_may_move_with_their_age() -> None:
    centre, first, second = two_waiting()
    since = second.queued_at_ms
    centre.wait(10)
    centre.supervision.close_queue("8001", "service", "move", "complaints")
    centre.settle()
    assert {first.queue, second.queue} == {"complaints"}
    assert first.state == "ringing", "ann serves that one too"
    view = centre.host.engine.contact_view(second.contact)
    assert view is not None
    assert view.deadline_ms <= since + 20_000, "as old as before"
    assert centre.host.engine.queue_view("service")[0] == 0
    centre.pick_up(first)
    assert first.state == "talking"


def test_people_in_a_closed_queue_may_go_back_to_their_flow() -> None:
    centre, first, second = two_waiting()
    centre.supervision.close_queue("8001", "service", "flow")
    centre.settle()
    for live in (first, second):
        centre.listen_through(live)
        assert live.state == "flow"
        assert centre.heard(live) == ["zh/leave_message"]
    assert centre.host.engine.queue_view("service")[0] == 0
    assert centre.host.engine.snapshot()["contacts"] == []
    assert centre.agent("ann") == "idle"


def test_a_closed_queue_stays_closed_over_a_restart_and_is_reopened_by_hand() -> None:
    centre = Centre()
    centre.supervision.close_queue("8001", "service", "stay")
    centre.restart()
    assert centre.host.book.shut == {"service": "8001"}
    assert not centre.host.engine.is_open("service")
    hours = HoursKeeper(centre.host, centre.scheduler, OpeningHours())
    hours.look()
    assert not centre.host.engine.is_open("service"), "the hours do not count"
    centre.supervision.look_at_hours = hours.look
    centre.supervision.open_queue("8001", "service")
    assert centre.host.engine.is_open("service")


@pytest.mark.parametrize(
    ("queue", "then", "to", "code"),
    [
        ("nowhere", "stay", "", "unknown_queue"),
        ("service", "move", "nowhere", "unknown_queue"),
        ("service", "vanish", "", "unknown_way"),
        ("service", "move", "service", "queue_closed"),
        ("service", "move", "complaints", "queue_closed"),
    ],
)
def test_a_queue_that_cannot_be_closed_so(queue: str, then: str, to: str, code: str) -> None:
    centre = Centre()
    if code == "queue_closed" and to == "complaints":
        centre.supervision.close_queue("8001", "complaints", "stay")
    with pytest.raises(NotAllowed, match=code):
        centre.supervision.close_queue("8001", queue, then, to)
    assert centre.host.engine.is_open("service")
    with pytest.raises(NotAllowed, match="not_closed"):
        centre.supervision.open_queue("8001", "service")


def test_an_announcement_comes_first_and_cannot_be_skipped() -> None:
    centre = Centre()
    centre.supervision.announce("8001", {"zh": "系统维护", "en": ""})
    leg = centre.worker.ring()
    centre.settle()
    (play,) = centre.worker.ops("play", leg)
    assert (play["files"], play["interruptible"]) == (["zh/系统维护"], False)
    live = centre.host.book.of_leg(leg)
    assert live is not None
    assert live.flow == ""
    centre.worker.finish_play(leg)
    centre.settle()
    assert (live.flow, centre.heard(live)) == ("hotline", ["zh/notice"])
    assert "系统维护" not in str(centre.journalled()), "the journal holds no text"
    centre.supervision.announce("8001", {"zh": " ", "en": ""})
    other = centre.worker.ring()
    centre.settle()
    assert centre.worker.ops("play", other)[0]["files"] == ["zh/notice"]
    with pytest.raises(NotAllowed, match="no_announcement"):
        centre.supervision.announce("8001", {})


def test_an_announcement_outlives_the_core_and_so_does_who_hears_it() -> None:
    centre = Centre()
    centre.supervision.announce("8001", {"zh": "系统维护", "en": "maintenance"})
    leg = centre.worker.ring()
    centre.settle()
    centre.restart()
    assert centre.supervision.announcement() == {"zh": "系统维护", "en": "maintenance"}
    centre.worker.finish_play(leg)
    centre.settle()
    live = centre.host.book.of_leg(leg)
    assert live is not None
    centre.listen_through(live)
    assert live.flow == "hotline"


def test_who_hangs_up_during_the_announcement_has_left() -> None:
    centre = Centre()
    centre.supervision.announce("8001", {"zh": "系统维护"})
    leg = centre.worker.ring()
    centre.settle()
    centre.worker.leave(leg)
    centre.settle()
    assert centre.journalled("InteractionEnded")[-1]["outcome"] == "left_in_flow"
    assert centre.host.book.interactions == {}
