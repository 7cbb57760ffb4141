"""Offers made real: who is rung how, and each way in which an offer may end."""

from __future__ import annotations

import pytest

from callcenter.live.book import RINGING, TALKING, WAITING
from tests.callcenter.centre import ANN, BOB, SERVICE, Centre


@pytest.fixture
def centre() -> Centre:
    made = Centre(SERVICE, ANN, BOB)
    made.ready("ann")
    return made


@pytest.fixture
def panel() -> Centre:
    made = Centre(SERVICE, ANN, BOB, answer="panel")
    made.ready("ann")
    return made


def ended(centre: Centre) -> list[tuple[str, str]]:
    return [(fact["agent"], fact["cause"]) for fact in centre.journalled("OfferEnded")]


def why(centre: Centre, agent: str) -> tuple[str, str]:
    view = centre.host.engine.agent_view(agent)
    assert view is not None
    return view.state, view.reason


# --- ringing ---------------------------------------------------------------------------------------------


def test_the_phone_is_rung_with_everything_it_needs(centre: Centre) -> None:
    interaction = centre.queue_up(caller="13800138000")
    (dial,) = centre.worker.ops("dial")
    assert dial["uri"] == "sip:ann@10.1.1.1"
    assert dial["tag"] == {
        "interaction": interaction.id, "contact": interaction.contact, "role": "agent", "agent": "ann", "offer": interaction.offer,
    }  # fmt: skip
    assert dial["on_answer"]["bridge"] == interaction.leg
    assert dial["on_answer"]["record"]["interaction"] == interaction.id
    assert dial["then"]["on_peer_lost"] == "hangup", "an agent does not wait for a caller who is gone"
    assert dial["headers"]["X-Interaction"] == interaction.id
    assert dial["headers"]["P-Asserted-Identity"] == "<sip:+8613800138000@127.0.0.1>"
    assert dial["ring_s"] >= 20, "the engine ends the ring, the worker is the safety net"


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("127.0.0.1:5060", "127.0.0.1"),
        ("203.0.113.5", "203.0.113.5"),
        ("sip.example.com", "sip.example.com"),
        ("[2001:db8::1]:5060", "[2001:db8::1]"),
        ("2001:db8::1", "[2001:db8::1]"),
    ],
)
def test_the_callers_identity_is_a_valid_address(address: str, host: str) -> None:
    centre = Centre(SERVICE, ANN, address=address)
    centre.ready("ann")
    centre.queue_up(caller="13800138000")
    assert centre.worker.ops("dial")[0]["headers"]["P-Asserted-Identity"] == f"<sip:+8613800138000@{host}>"


@pytest.mark.parametrize("caller", ['a"b', "x>y", "1;2", "a%0d%0ab"])
def test_a_strange_caller_cannot_break_the_header(caller: str) -> None:
    centre = Centre(SERVICE, ANN)
    centre.ready("ann")
    centre.queue_up(caller=caller)
    identity = centre.worker.ops("dial")[0]["headers"].get("P-Asserted-Identity", "<sip:x@127.0.0.1>")
    assert identity.startswith("<sip:")
    assert identity.endswith("@127.0.0.1>")
    user = identity[len("<sip:") : -len("@127.0.0.1>")]
    assert user.replace("+", "").replace("-", "").replace("_", "").replace(".", "").isalnum()


def test_at_the_panel_nothing_rings_until_the_offer_is_taken(panel: Centre) -> None:
    interaction = panel.queue_up()
    assert (interaction.state, interaction.agent, interaction.agent_leg) == (RINGING, "ann", "")
    assert panel.worker.ops("dial") == []
    assert panel.offers.accept("ann", interaction.offer)
    (dial,) = panel.worker.ops("dial")
    assert "answer-after=0" in dial["headers"]["Call-Info"]
    panel.settle()
    panel.pick_up(interaction)
    assert (interaction.state, panel.agent("ann")) == (TALKING, "talking")


def test_an_impatient_double_click_rings_once(panel: Centre) -> None:
    interaction = panel.queue_up()
    assert panel.offers.accept("ann", interaction.offer)
    assert panel.offers.accept("ann", interaction.offer)
    assert len(panel.worker.ops("dial")) == 1


@pytest.mark.parametrize("act", ["accept", "decline"])
def test_an_offer_is_taken_or_refused_by_who_it_was_made_to(panel: Centre, act: str) -> None:
    interaction = panel.queue_up()
    take = getattr(panel.offers, act)
    assert not take("bob", interaction.offer)
    assert not take("ann", "o99-9")
    assert not take("ann", "")
    assert take("ann", interaction.offer)


# --- how an offer may end ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "cause", "state"),
    [
        (486, "busy", ("not_ready", "device_busy")),
        (600, "busy", ("not_ready", "device_busy")),
        (480, "unreachable", ("not_ready", "device_unreachable")),
        (408, "unreachable", ("not_ready", "device_unreachable")),
        (503, "unreachable", ("not_ready", "device_unreachable")),
        (404, "not_found", ("not_ready", "device_not_found")),
        (500, "error", ("not_ready", "device_error")),
        (488, "error", ("not_ready", "device_error")),
        (603, "declined", ("idle", "")),
        (487, "no_answer", ("not_ready", "missed")),
    ],
)
def test_what_the_phone_says_is_what_is_written(
    centre: Centre, code: int, cause: str, state: tuple[str, str]
) -> None:
    interaction = centre.queue_up()
    centre.agent_leaves(interaction, code)
    assert ended(centre) == [("ann", cause)]
    assert why(centre, "ann") == state
    assert interaction.state == WAITING
    assert centre.worker.legs[interaction.leg].music


def test_a_phone_that_failed_is_tried_again_after_its_pause(centre: Centre) -> None:
    interaction = centre.queue_up()
    centre.agent_leaves(interaction, 486)
    centre.wait(29)
    assert interaction.state == WAITING
    centre.wait(2)
    assert (interaction.state, interaction.agent) == (RINGING, "ann")


def test_no_leg_free_is_not_the_fault_of_the_agents_phone() -> None:
    centre = Centre(SERVICE, ANN, BOB)
    centre.ready("ann")
    interaction = centre.queue_up()
    centre.worker.leave(interaction.agent_leg, 503, why="capacity")
    centre.settle()
    assert why(centre, "ann")[0] == "idle"
    centre.wait(15)
    assert (interaction.state, interaction.agent) == (RINGING, "ann")


def test_nobody_answers(centre: Centre) -> None:
    interaction = centre.queue_up()
    leg = interaction.agent_leg
    centre.ready("bob")
    centre.wait(21)
    assert leg not in centre.worker.legs
    assert why(centre, "ann") == ("not_ready", "missed")
    assert (interaction.state, interaction.agent) == (RINGING, "bob")
    assert ended(centre) == [("ann", "no_answer")]


def test_the_worker_stops_ringing_by_itself_and_it_is_the_same(centre: Centre) -> None:
    interaction = centre.queue_up()
    centre.worker.leave(interaction.agent_leg, 487, why="no_answer")
    centre.settle()
    assert ended(centre) == [("ann", "no_answer")]
    assert why(centre, "ann") == ("not_ready", "missed")


def test_declined_at_the_panel(panel: Centre) -> None:
    interaction = panel.queue_up()
    assert panel.offers.decline("ann", interaction.offer)
    panel.settle()
    assert ended(panel) == [("ann", "declined")]
    assert (interaction.state, panel.agent("ann")) == (WAITING, "idle"), "not the same again at once"
    panel.ready("bob")
    assert interaction.agent == "bob"


def test_declined_while_the_phone_rings(centre: Centre) -> None:
    interaction = centre.queue_up()
    assert centre.offers.decline("ann", interaction.offer)
    centre.settle()
    assert centre.worker.agent_legs() == []
    assert ended(centre) == [("ann", "declined")]
    assert not centre.offers.decline("ann", interaction.offer)


def test_an_agent_who_logs_out_while_it_rings(centre: Centre) -> None:
    interaction = centre.queue_up()
    centre.agents.log_out("ann")
    centre.settle()
    assert centre.worker.agent_legs() == []
    assert (interaction.state, centre.agent("ann")) == (WAITING, "logged_out")


def test_a_phone_that_answers_and_is_gone_before_anybody_is_joined(centre: Centre) -> None:
    interaction = centre.queue_up()
    leg = centre.worker.legs[interaction.agent_leg]
    leg.state, leg.answered_ms = "answered", centre.clock.now_ms()
    centre.agent_leaves(interaction, 200)
    assert ended(centre) == [("ann", "error")]
    assert interaction.state == WAITING


# --- crossing ------------------------------------------------------------------------------------------


def test_an_answer_that_comes_after_the_offer_was_withdrawn_is_parted_again(centre: Centre) -> None:
    interaction = centre.queue_up()
    late = interaction.agent_leg
    centre.ready("bob")
    centre.scheduler.advance(20_100)  # the ring is over; the command is on its way
    assert (interaction.state, interaction.agent) == (RINGING, "bob")
    centre.worker.pick_up(late)
    centre.settle()
    assert late not in centre.worker.legs
    assert interaction.state == RINGING, "bob's phone rings on"
    assert centre.worker.legs[interaction.leg].music
    assert centre.worker.legs[interaction.leg].peer is None
    assert len(centre.journalled("InteractionAnswered")) == 0
    centre.pick_up(interaction)
    assert (interaction.state, interaction.agent) == (TALKING, "bob")
    assert [fact["agent"] for fact in centre.journalled("InteractionAnswered")] == ["bob"]


def test_a_late_answer_with_nobody_else_ready(centre: Centre) -> None:
    interaction = centre.queue_up()
    late = interaction.agent_leg
    centre.scheduler.advance(20_100)
    centre.worker.pick_up(late)
    centre.settle()
    assert (interaction.state, late in centre.worker.legs) == (WAITING, False)
    assert centre.worker.legs[interaction.leg].music


def test_an_answer_and_a_refusal_at_the_panel_cross(centre: Centre) -> None:
    interaction = centre.queue_up()
    leg = interaction.agent_leg
    assert centre.offers.decline("ann", interaction.offer)
    centre.worker.pick_up(leg)
    centre.settle()
    assert (interaction.state, leg in centre.worker.legs) == (WAITING, False)
    assert len(ended(centre)) == 1


def test_an_answer_and_the_callers_leaving_cross(centre: Centre) -> None:
    interaction = centre.queue_up()
    centre.worker.leave(interaction.leg)
    centre.settle()
    assert centre.worker.legs == {}
    assert [fact["outcome"] for fact in centre.journalled("InteractionEnded")] == ["abandoned"]
    assert centre.agent("ann") == "idle"


def test_the_caller_leaves_in_the_moment_the_phone_answers(centre: Centre) -> None:
    interaction = centre.queue_up()
    centre.worker.pick_up(interaction.agent_leg)
    centre.worker.leave(interaction.leg)
    centre.settle()
    assert centre.worker.legs == {}
    (end,) = centre.journalled("InteractionEnded")
    assert end["outcome"] == "answered"
    assert centre.agent("ann") == "wrap_up"


def test_a_phone_is_dialled_for_a_caller_who_has_just_left(centre: Centre) -> None:
    interaction = centre.ring()
    centre.listen_through(interaction)
    centre.worker.key(interaction.leg, "1")
    centre.worker.key(interaction.leg, "0")
    centre.deliver()
    centre.worker.work()
    centre.worker.leave(interaction.leg)
    centre.settle()
    centre.wait(30)
    assert centre.worker.legs == {}
    assert centre.agent("ann") == "idle"


def test_every_offer_ends_once(centre: Centre) -> None:
    centre.ready("bob")
    for code in (486, 603, 480):
        interaction = centre.queue_up(caller=f"1390013{code:04d}")
        if interaction.agent_leg:
            centre.agent_leaves(interaction, code)
    centre.wait(120)
    made = {fact["offer"] for fact in centre.journalled("AgentDialled")}
    over = [fact["offer"] for fact in centre.journalled("OfferEnded")]
    assert len(over) == len(set(over))
    ringing = {offer.id for offer in centre.host.engine.offer_views()}
    assert made == set(over) | ringing
