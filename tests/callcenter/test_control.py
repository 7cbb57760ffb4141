"""Hold, consult, transfer, conference, park: what each does, what it refuses, and what survives a new core."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from callcenter.kernel.errors import NotAllowed
from callcenter.live.book import OUTSIDE, PARKED, RINGING, TALKING, WAITING, Interaction
from callcenter.live.control import PARKED_S, Target
from routing import AgentPolicy, QueuePolicy

from .centre import COMPLAINTS, SERVICE, Centre

WRAP_UP_MS = 30_000
ANN, BOB, CID = (AgentPolicy(name, wrap_up_ms=WRAP_UP_MS) for name in ("ann", "bob", "cid"))


@pytest.fixture
def centre() -> Centre:
    return Centre(SERVICE, COMPLAINTS, ANN, BOB, CID)


@pytest.fixture
def call(centre: Centre) -> Interaction:
    """A caller who talks to ann; bob is ready."""
    centre.ready("ann")
    interaction = centre.talk()
    centre.ready("bob")
    return interaction


def modes(centre: Centre, interaction: Interaction) -> list[str]:
    """As the worker has them, the caller first."""
    leg = centre.worker.legs.get(interaction.leg)
    return list(leg.room.members.values()) if leg is not None and leg.room is not None else []


def guest(interaction: Interaction) -> str:
    (leg,) = interaction.guests
    return leg


def consult(centre: Centre, interaction: Interaction, agent: str = "bob") -> str:
    """Ann asks somebody, who answers; the guest's leg."""
    centre.control.consult("ann", interaction.id, Target(agent=agent))
    centre.settle()
    leg = guest(interaction)
    centre.worker.pick_up(leg)
    centre.settle()
    return leg


def refused(action: Callable[..., Any], *args: Any) -> str:
    with pytest.raises(NotAllowed) as caught:
        action(*args)
    return caught.value.code


def test_hold_is_music_and_the_truth_comes_from_the_worker(centre: Centre, call: Interaction) -> None:
    centre.control.hold("ann", call.id, True)
    assert call.modes.get(call.leg) != "hold", "not before the worker said so"
    centre.settle()
    assert call.modes[call.leg] == "hold"
    assert centre.worker.legs[call.leg].music
    centre.control.hold("ann", call.id, False)
    centre.settle()
    assert modes(centre, call) == ["talk", "talk"]
    assert not centre.worker.legs[call.leg].music


def test_hold_and_mute_in_one_breath(centre: Centre, call: Interaction) -> None:
    """The second does not undo the first, though the worker has not spoken between them."""
    centre.control.hold("ann", call.id, True)
    centre.control.mute("ann", call.id, True)
    centre.settle()
    assert modes(centre, call) == ["hold", "mute"]
    centre.control.hold("ann", call.id, False)
    centre.settle()
    assert modes(centre, call) == ["talk", "mute"]


def test_mute_and_keys(centre: Centre, call: Interaction) -> None:
    centre.control.mute("ann", call.id, True)
    centre.settle()
    assert modes(centre, call) == ["talk", "mute"]
    centre.control.press("ann", call.id, "12#")
    centre.settle()
    assert centre.worker.pressed == [(call.leg, "12#")]
    assert refused(centre.control.press, "ann", call.id, "1; rm") == "bad_keys"


def test_a_recording_pauses_and_says_when(centre: Centre, call: Interaction) -> None:
    centre.control.pause_recording("ann", call.id, True)
    centre.settle()
    assert call.recording_paused
    centre.wait(5)
    centre.control.pause_recording("ann", call.id, False)
    centre.settle()
    assert not call.recording_paused
    kinds = [fact["k"] for fact in centre.journalled() if fact["k"].startswith("Recording")]
    assert kinds == ["RecordingStarted", "RecordingPaused", "RecordingResumed"]


def test_what_is_not_recorded_cannot_pause() -> None:
    centre = Centre(SERVICE, COMPLAINTS, ANN, record=False)
    centre.ready("ann")
    assert refused(centre.control.pause_recording, "ann", centre.talk().id, True) == "not_recorded"


def test_a_consultation_and_back(centre: Centre, call: Interaction) -> None:
    centre.control.consult("ann", call.id, Target(agent="bob"))
    centre.settle()
    assert modes(centre, call) == ["hold", "talk"]
    assert centre.agent("bob") == "not_ready", "nobody else's call comes to bob meanwhile"
    leg = guest(call)
    centre.worker.pick_up(leg)
    centre.settle()
    assert modes(centre, call) == ["hold", "talk", "talk"]
    assert call.guests[leg].joined
    centre.control.press("ann", call.id, "5")
    centre.settle()
    assert centre.worker.pressed == [(leg, "5")], "keys go to whom ann talks to"
    centre.control.take_back("ann", call.id)
    centre.settle()
    assert modes(centre, call) == ["talk", "talk"]
    assert call.guests == {}
    assert leg not in centre.worker.legs
    assert (centre.agent("ann"), centre.agent("bob")) == ("talking", "idle")


def test_who_does_not_answer_a_consultation_costs_nothing(centre: Centre, call: Interaction) -> None:
    centre.control.consult("ann", call.id, Target(agent="bob"))
    centre.settle()
    centre.worker.leave(guest(call), 486)
    centre.settle()
    assert call.guests == {}
    assert modes(centre, call) == ["hold", "talk"]
    assert centre.agent("bob") == "idle"
    assert centre.worker.ops("stop", call.agent_leg), "ann hears no ringing any more"


def test_an_agent_who_vanishes_while_a_colleague_rings(centre: Centre, call: Interaction) -> None:
    centre.control.consult("ann", call.id, Target(agent="bob"))
    centre.settle()
    leg = guest(call)
    centre.agent_leaves(call, lost=True)
    assert leg not in centre.worker.legs, "nobody answers into an empty room"
    assert call.guests == {}
    assert (call.state, call.agent) == (RINGING, "bob"), "the customer goes to whoever is ready"


def test_parking_twice_counts_anew(centre: Centre, call: Interaction) -> None:
    centre.control.park("ann", call.id)
    centre.settle()
    centre.wait(PARKED_S - 60)
    centre.control.take("bob", call.id)
    centre.settle()
    centre.pick_up(call)
    centre.control.park("bob", call.id)
    centre.settle()
    centre.wait(100)
    assert call.state == PARKED
    centre.wait(PARKED_S)
    assert call.state != PARKED


def test_swap_and_conference_and_drop(centre: Centre, call: Interaction) -> None:
    leg = consult(centre, call)
    centre.control.swap("ann", call.id)
    centre.settle()
    assert modes(centre, call) == ["talk", "talk", "hold"]
    centre.control.join("ann", call.id)
    centre.settle()
    assert modes(centre, call) == ["talk", "talk", "talk"]
    centre.control.drop("ann", call.id, leg)
    centre.settle()
    assert modes(centre, call) == ["talk", "talk"]
    assert centre.agent("bob") == "idle"
    assert refused(centre.control.drop, "ann", call.id, leg) == "no_guest"


def test_an_attended_transfer_to_an_agent(centre: Centre, call: Interaction) -> None:
    leg = consult(centre, call)
    first = call.agent_leg
    centre.control.complete("ann", call.id)
    centre.settle()
    assert first not in centre.worker.legs
    assert (call.state, call.agent, call.agent_leg) == (TALKING, "bob", leg)
    assert modes(centre, call) == ["talk", "talk"]
    assert (centre.agent("ann"), centre.agent("bob")) == ("wrap_up", "talking")
    assert [live.id for live in centre.host.book.of_agent("ann")] == [call.id], "ann still has its wrap-up"
    centre.agents.wrap_up("ann", call.id, "enquiry_answered", "", "")
    assert centre.agent("ann") == "idle"
    assert centre.host.book.of_agent("ann") == []
    centre.caller_leaves(call)
    assert centre.journalled("InteractionEnded")[-1]["outcome"] == "answered"
    assert centre.agent("bob") == "wrap_up"
    assert len(centre.worker.ops("record", call.leg)) == 1, "the second conversation is recorded, too"


def test_joining_and_handing_over_in_one_breath(centre: Centre, call: Interaction) -> None:
    """The worker's word of the conference comes when the agent is gone already: nobody new has come with it."""
    consult(centre, call)
    centre.control.join("ann", call.id)
    centre.control.complete("ann", call.id)
    centre.settle()
    assert (call.state, call.agent, call.guests) == (TALKING, "bob", {})
    assert modes(centre, call) == ["talk", "talk"]
    assert (centre.agent("ann"), centre.agent("bob")) == ("wrap_up", "talking")


def test_hanging_up_the_phone_completes_a_transfer(centre: Centre, call: Interaction) -> None:
    consult(centre, call)
    centre.agent_leaves(call)
    assert (call.state, call.agent) == (TALKING, "bob")
    assert modes(centre, call) == ["talk", "talk"]


def test_an_attended_transfer_to_an_outside_number(centre: Centre, call: Interaction) -> None:
    centre.control.consult("ann", call.id, Target(number="02188886666"))
    centre.settle()
    assert centre.worker.ops("dial")[-1]["uri"] == "sip:02188886666@centre"
    assert "02188886666" not in str(centre.journalled("GuestDialled")), "numbers stay out of the journal"
    centre.worker.pick_up(guest(call))
    centre.settle()
    centre.control.complete("ann", call.id)
    centre.settle()
    assert (call.state, call.agent) == (OUTSIDE, "")
    assert modes(centre, call) == ["talk", "talk"]
    assert centre.agent("ann") == "wrap_up"
    centre.worker.leave(guest(call))
    centre.settle()
    assert call.leg not in centre.worker.legs, "the worker lets the customer go with the last one"
    assert centre.journalled("InteractionEnded")[-1]["outcome"] == "answered"


def test_a_transfer_to_a_queue_keeps_the_age(centre: Centre, call: Interaction) -> None:
    since_ms, contact = call.queued_at_ms, call.contact
    centre.wait(40)
    centre.agents.not_ready("bob", "meal")
    centre.control.transfer("ann", call.id, Target(queue="complaints"))
    centre.settle()
    assert (call.state, call.queue, call.agent) == (WAITING, "complaints", "")
    assert call.contact != contact
    assert centre.worker.legs[call.leg].music
    assert centre.agent("ann") == "wrap_up"
    view = centre.host.engine.contact_view(call.contact)
    assert view is not None
    assert view.deadline_ms <= since_ms + 20_000, "as if it had waited from the first"
    centre.ready("bob")
    centre.pick_up(call)
    assert (call.state, call.agent) == (TALKING, "bob")
    centre.caller_leaves(call)
    assert centre.journalled("InteractionEnded")[-1]["outcome"] == "answered"


def test_who_leaves_after_a_transfer_was_served_once(centre: Centre, call: Interaction) -> None:
    centre.agents.not_ready("bob", "meal")
    centre.control.transfer("ann", call.id, Target(queue="complaints"))
    centre.settle()
    centre.caller_leaves(call)
    assert centre.journalled("InteractionEnded")[-1]["outcome"] == "answered"


def test_a_transfer_to_an_agent_rings_that_agent(centre: Centre, call: Interaction) -> None:
    centre.ready("cid")
    centre.control.transfer("ann", call.id, Target(agent="cid"))
    centre.settle()
    assert (call.state, call.agent) == (RINGING, "cid"), "though bob has been idle for longer"
    centre.worker.leave(call.agent_leg, 603)
    centre.settle()
    assert (call.state, call.agent) == (RINGING, "bob"), "who declines leaves the customer to the queue"


def test_a_transfer_to_a_number_that_does_not_answer_comes_back(centre: Centre, call: Interaction) -> None:
    centre.agents.not_ready("bob", "meal")
    centre.control.transfer("ann", call.id, Target(number="02188886666"))
    centre.settle()
    assert (call.state, centre.agent("ann")) == (OUTSIDE, "wrap_up")
    assert centre.worker.legs[call.leg].music
    centre.worker.leave(guest(call), 480)
    centre.settle()
    assert (call.state, call.queue) == (WAITING, "service")
    centre.ready("bob")
    centre.pick_up(call)
    assert (call.state, call.agent) == (TALKING, "bob")


def test_a_transfer_to_a_number_that_answers(centre: Centre, call: Interaction) -> None:
    centre.control.transfer("ann", call.id, Target(number="02188886666"))
    centre.settle()
    centre.worker.pick_up(guest(call))
    centre.settle()
    assert modes(centre, call) == ["talk", "talk"]
    centre.caller_leaves(call)
    assert centre.worker.legs == {}
    assert centre.journalled("InteractionEnded")[-1]["outcome"] == "answered"


def test_park_and_take(centre: Centre, call: Interaction) -> None:
    centre.control.park("ann", call.id)
    centre.settle()
    assert (call.state, call.agent) == (PARKED, "")
    assert [live.id for live in centre.control.parked()] == [call.id]
    assert centre.worker.legs[call.leg].music
    assert refused(centre.control.take, "ann", call.id) == "agent_not_ready"
    centre.control.take("bob", call.id)
    centre.settle()
    assert (call.state, call.agent) == (RINGING, "bob")
    centre.pick_up(call)
    assert modes(centre, call) == ["talk", "talk"]
    assert refused(centre.control.take, "cid", call.id) == "not_parked"


def test_a_parked_call_that_nobody_takes_goes_back(centre: Centre, call: Interaction) -> None:
    centre.agents.not_ready("bob", "meal")
    centre.control.park("ann", call.id)
    centre.settle()
    centre.restart(5_000)
    assert centre.host.book.interactions[call.id].state == PARKED
    centre.agents.not_ready("ann", "meal")
    centre.wait(PARKED_S + 1)
    assert centre.host.book.interactions[call.id].state == WAITING


@pytest.fixture
def joined(centre: Centre, call: Interaction) -> tuple[Interaction, Interaction]:
    """Bob's customer was parked and brought into ann's call."""
    other = centre.talk("13800138001")
    centre.control.park("bob", other.id)
    centre.settle()
    centre.control.bring("ann", call.id, other.id)
    centre.settle()
    centre.worker.link()
    centre.settle()
    return call, other


def test_a_parked_customer_joins_across_workers(
    centre: Centre, joined: tuple[Interaction, Interaction]
) -> None:
    call, other = joined
    assert modes(centre, call) == ["talk", "talk", "talk"]
    assert modes(centre, other) == ["talk", "talk"]
    assert (call.state, other.state) == (TALKING, OUTSIDE)
    assert call.guests[guest(call)].who == other.id
    assert refused(centre.control.bring, "ann", call.id, other.id) == "not_parked"


def test_who_is_let_go_waits_again(centre: Centre, joined: tuple[Interaction, Interaction]) -> None:
    call, other = joined
    centre.agents.not_ready("bob", "meal")
    centre.control.drop("ann", call.id, guest(call))
    centre.settle()
    assert modes(centre, call) == ["talk", "talk"]
    assert other.state in (WAITING, RINGING), "never lost"
    assert other.leg in centre.worker.legs


def test_the_brought_customer_may_hang_up(centre: Centre, joined: tuple[Interaction, Interaction]) -> None:
    call, other = joined
    centre.caller_leaves(other)
    assert modes(centre, call) == ["talk", "talk"]
    assert call.guests == {}
    assert other.id not in centre.host.book.interactions or not other.guests


def test_the_agent_leaves_and_both_customers_go_on(
    centre: Centre, joined: tuple[Interaction, Interaction]
) -> None:
    call, other = joined
    centre.agent_leaves(call)
    assert (call.state, other.state) == (OUTSIDE, OUTSIDE)
    assert modes(centre, call) == ["talk", "talk"]


REFUSALS: dict[str, tuple[Callable[[Centre, Interaction], Any], str]] = {
    "not mine": (lambda c, i: refused(c.control.hold, "bob", i.id, True), "call_over"),
    "over": (lambda c, i: (c.caller_leaves(i), refused(c.control.hold, "ann", i.id, True))[1], "call_over"),
    "nobody of that name": (
        lambda c, i: refused(c.control.consult, "ann", i.id, Target(agent="zoe")),
        "unknown_agent",
    ),
    "myself": (lambda c, i: refused(c.control.consult, "ann", i.id, Target(agent="ann")), "itself"),
    "not here": (lambda c, i: refused(c.control.consult, "ann", i.id, Target(agent="cid")), "agent_not_here"),
    "no number": (
        lambda c, i: refused(c.control.consult, "ann", i.id, Target(number="sip:x@h")),
        "bad_number",
    ),
    "no queue": (lambda c, i: refused(c.control.transfer, "ann", i.id, Target(queue="x")), "unknown_queue"),
    "nobody to join": (lambda c, i: refused(c.control.join, "ann", i.id), "no_guest"),
    "nobody to hand over to": (lambda c, i: refused(c.control.complete, "ann", i.id), "no_guest"),
    "not ready": (
        lambda c, i: refused(c.control.transfer, "ann", i.id, Target(agent="cid")),
        "agent_not_here",
    ),
    "two at once": (
        lambda c, i: (
            c.control.consult("ann", i.id, Target(agent="bob")),
            refused(c.control.consult, "ann", i.id, Target(number="13900139000")),
        )[1],
        "already_ringing",
    ),
    "held while consulting": (
        lambda c, i: (consult(c, i), refused(c.control.hold, "ann", i.id, False))[1],
        "in_consultation",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_say_why_and_change_nothing(centre: Centre, call: Interaction, case: str) -> None:
    act, reason = REFUSALS[case]
    assert act(centre, call) == reason


def test_an_agent_on_another_call_is_not_rung(centre: Centre, call: Interaction) -> None:
    other = centre.talk("13800138001")
    assert other.agent == "bob"
    assert refused(centre.control.consult, "ann", call.id, Target(agent="bob")) == "agent_busy"
    assert refused(centre.control.transfer, "ann", call.id, Target(agent="bob")) == "agent_busy"


def test_when_the_customer_leaves_nobody_stays(centre: Centre, call: Interaction) -> None:
    consult(centre, call)
    centre.caller_leaves(call)
    assert centre.worker.legs == {}
    assert (centre.agent("ann"), centre.agent("bob")) == ("wrap_up", "idle")
    assert centre.journalled("InteractionEnded")[-1]["outcome"] == "answered"


@pytest.mark.parametrize("snapshot_every", [1, 5_000])
def test_a_new_core_takes_a_consultation_over(snapshot_every: int) -> None:
    centre = Centre(SERVICE, COMPLAINTS, ANN, BOB, CID, snapshot_every=snapshot_every)
    centre.ready("ann")
    call = centre.talk()
    centre.ready("bob")
    leg = consult(centre, call)
    centre.restart(3_000)
    call = centre.host.book.interactions[call.id]
    assert call.guests[leg].joined
    assert modes(centre, call) == ["hold", "talk", "talk"]
    centre.control.complete("ann", call.id)
    centre.settle()
    assert (call.state, call.agent) == (TALKING, "bob")


def test_a_guest_who_left_while_no_core_reigned(centre: Centre, call: Interaction) -> None:
    leg = consult(centre, call)
    centre.crash()
    centre.worker.leave(leg)
    centre.revive()
    centre.attach()
    call = centre.host.book.interactions[call.id]
    assert call.guests == {}
    assert centre.agent("bob") == "idle"
    assert call.agent == "ann"


def test_an_agent_who_hung_up_while_no_core_reigned_has_handed_over(
    centre: Centre, call: Interaction
) -> None:
    consult(centre, call)
    centre.crash()
    centre.worker.leave(call.agent_leg)
    centre.revive()
    centre.attach()
    call = centre.host.book.interactions[call.id]
    assert (call.state, call.agent) == (TALKING, "bob")
    assert modes(centre, call) == ["talk", "talk"]


def test_a_worker_that_dies_leaves_no_guest_unready(centre: Centre, call: Interaction) -> None:
    consult(centre, call)
    centre.worker.die()
    centre.adoption.worker_lost(centre.worker.boot)
    assert (centre.agent("ann"), centre.agent("bob")) == ("wrap_up", "idle")


def test_queue_limits_do_not_cost_a_transferred_customer() -> None:
    centre = Centre(SERVICE, QueuePolicy("complaints", max_waiting=1), ANN, BOB)
    centre.ready("ann", "bob")
    call, other = centre.talk(), centre.talk("13800138009")
    centre.control.transfer("bob", other.id, Target(queue="complaints"))
    centre.settle()
    assert (other.state, other.queue) == (WAITING, "complaints")
    assert refused(centre.control.transfer, "ann", call.id, Target(queue="complaints")) == "queue_full"
    assert (call.state, call.agent) == (TALKING, "ann")


# --- calling out ---------------------------------------------------------------------------------------


def placed(centre: Centre, target: Target = Target(number="+8613800138000")) -> Interaction:
    interaction = centre.control.call_out("ann", target)
    centre.settle()
    return centre.host.book.interactions[interaction]


@pytest.fixture
def desk() -> Centre:
    centre = Centre(SERVICE, COMPLAINTS, ANN, BOB, CID)
    centre.ready("ann")
    return centre


def rung(centre: Centre) -> dict[str, str]:
    """Addresses of dialled legs by leg."""
    return {sent.leg: sent["uri"] for sent in centre.worker.ops("dial")}


def test_my_phone_rings_first_then_theirs_then_we_talk(desk: Centre) -> None:
    live = placed(desk)
    assert (live.state, live.direction, live.agent) == ("calling", "out", "ann")
    assert rung(desk) == {live.agent_leg: "sip:ann@10.1.1.1"}
    desk.worker.pick_up(live.agent_leg)
    desk.settle()
    assert rung(desk)[live.leg] == "sip:+8613800138000@centre"
    desk.worker.pick_up(live.leg)
    desk.settle()
    assert (live.state, live.recording != []) == ("talking", True)
    assert desk.host.engine.agent_view("ann").state == "talking"  # type: ignore[union-attr]
    desk.worker.leave(live.leg)
    desk.settle()
    assert desk.journalled("InteractionEnded")[-1]["outcome"] == "answered"
    assert desk.host.engine.agent_view("ann").state == "wrap_up"  # type: ignore[union-attr]
    assert live.agent_leg not in desk.worker.legs


@pytest.mark.parametrize(("code", "cause"), [(486, "busy"), (408, "no_answer"), (404, "not_found")])
def test_who_cannot_be_reached_is_said(desk: Centre, code: int, cause: str) -> None:
    live = placed(desk)
    desk.worker.pick_up(live.agent_leg)
    desk.settle()
    desk.worker.leave(live.leg, code)
    desk.settle()
    ended = desk.journalled("InteractionEnded")[-1]
    assert (ended["outcome"], ended["by"]) == ("not_reached", "caller")
    assert desk.worker.legs == {}
    assert desk.host.engine.agent_view("ann").state == "wrap_up"  # type: ignore[union-attr]


@pytest.mark.parametrize("answered", [False, True])
def test_hanging_up_before_they_answer_rings_nobody_any_more(desk: Centre, answered: bool) -> None:
    live = placed(desk)
    if answered:
        desk.worker.pick_up(live.agent_leg)
        desk.settle()
    desk.worker.leave(live.agent_leg, 200 if answered else 486)
    desk.settle()
    ended = desk.journalled("InteractionEnded")[-1]
    assert (ended["outcome"], ended["by"]) == ("not_reached", "agent")
    assert desk.worker.legs == {}


def test_a_colleague_is_called_and_free_again_afterwards(desk: Centre) -> None:
    desk.ready("bob")
    live = placed(desk, Target(agent="bob"))
    view = desk.host.engine.agent_view("bob")
    assert view is not None
    assert (view.state, view.reason, live.direction) == ("not_ready", "consult", "internal")
    desk.worker.pick_up(live.agent_leg)
    desk.settle()
    assert rung(desk)[live.leg] == "sip:bob@10.1.1.1"
    desk.worker.pick_up(live.leg)
    desk.settle()
    assert (live.state, live.recording) == ("talking", [])
    desk.worker.leave(live.agent_leg)
    desk.settle()
    assert desk.host.engine.agent_view("bob").state == "idle"  # type: ignore[union-attr]
    assert desk.worker.legs == {}


def test_who_may_not_call(desk: Centre) -> None:
    call = desk.control.call_out
    assert refused(call, "ann", Target(number="12ab")) == "bad_number"
    assert refused(call, "ann", Target(agent="ann")) == "itself"
    assert refused(call, "ann", Target(agent="nobody")) == "unknown_agent"
    assert refused(call, "nobody", Target(number="10086")) == "you_are_busy"
    desk.worker.free = 1
    assert refused(call, "ann", Target(number="10086")) == "all_lines_busy"
    desk.worker.free = 2
    placed(desk)
    assert refused(call, "ann", Target(number="10086")) == "you_are_busy"
    desk.ready("bob")
    assert refused(call, "bob", Target(agent="ann")) == "agent_busy"


@pytest.mark.parametrize("when", ["agent_rings", "other_rings", "talking"])
def test_a_new_core_takes_a_call_of_ours_over(desk: Centre, when: str) -> None:
    live = placed(desk)
    if when != "agent_rings":
        desk.worker.pick_up(live.agent_leg)
        desk.settle()
    desk.crash()
    if when == "talking":
        desk.worker.pick_up(live.leg)
    desk.revive()
    desk.attach()
    now = desk.host.book.interactions.get(live.id)
    assert now is not None
    if when == "agent_rings":
        assert now.state == "calling"
        desk.worker.pick_up(now.agent_leg)
        desk.settle()
    if when != "talking":
        assert now.state == "calling"
        desk.worker.pick_up(live.leg)
        desk.settle()
    assert now.state == "talking"
    desk.control.hold("ann", live.id, True)
    desk.settle()
    assert now.modes[now.leg] == "hold"


def test_a_call_of_ours_can_be_handed_on(desk: Centre) -> None:
    live = placed(desk)
    for leg in (live.agent_leg, live.leg):
        desk.worker.pick_up(leg)
        desk.settle()
    desk.ready("bob")
    desk.control.transfer("ann", live.id, Target(agent="bob"))
    desk.settle()
    assert (live.state, live.agent) == ("ringing", "bob")


def test_a_core_that_dies_as_the_agent_answers_goes_on_to_call(desk: Centre) -> None:
    live = placed(desk)
    desk.crash()
    desk.worker.pick_up(live.agent_leg)
    desk.revive()
    desk.attach()
    assert rung(desk)[live.leg] == "sip:+8613800138000@centre"
    assert desk.host.book.interactions[live.id].state == "calling"
    assert live.leg in desk.worker.legs


def test_who_was_on_a_break_is_on_it_again_after_a_call(desk: Centre) -> None:
    desk.agents.not_ready("ann", "meal")
    live = placed(desk)
    for leg in (live.agent_leg, live.leg):
        desk.worker.pick_up(leg)
        desk.settle()
    desk.worker.leave(live.leg)
    desk.settle()
    desk.wait(40)
    view = desk.host.engine.agent_view("ann")
    assert view is not None
    assert (view.state, view.reason) == ("not_ready", "meal")


def test_who_was_answered_once_is_not_turned_away_by_a_closed_queue(desk: Centre) -> None:
    live = placed(desk)
    for leg in (live.agent_leg, live.leg):
        desk.worker.pick_up(leg)
        desk.settle()
    desk.control.park("ann", live.id)
    desk.settle()
    desk.supervision.close_queue("8001", "service", "stay")
    desk.wait(PARKED_S + 2)
    assert live.state in ("waiting", "ringing")
    assert live.leg in desk.worker.legs


def test_a_called_colleague_is_free_however_the_call_ends(desk: Centre) -> None:
    desk.ready("bob")
    live = placed(desk, Target(agent="bob"))
    for leg in (live.agent_leg, live.leg):
        desk.worker.pick_up(leg)
        desk.settle()
    desk.desk.finish(live, "overflowed")
    desk.settle()
    assert desk.host.engine.agent_view("bob").state == "idle"  # type: ignore[union-attr]


@pytest.mark.parametrize("target", [Target(number="+8613800138000"), Target(agent="bob")])
def test_a_call_of_ours_outlives_even_the_tail_of_the_journal(desk: Centre, target: Target) -> None:
    desk.ready("bob")
    desk.journal.stuck = True
    live = placed(desk, target)
    for leg in (live.agent_leg, live.leg):
        desk.worker.pick_up(leg)
        desk.settle()
    desk.crash()
    desk.revive()
    assert live.id not in desk.host.book.interactions
    desk.attach()
    now = desk.host.book.interactions[live.id]
    assert (now.state, now.agent, now.callee, now.direction) == (
        "talking",
        "ann",
        live.callee,
        live.direction,
    )
    assert {live.leg, live.agent_leg} <= set(desk.worker.legs)
    desk.worker.leave(now.leg)
    desk.settle()
    assert desk.agent("ann") == "wrap_up"
