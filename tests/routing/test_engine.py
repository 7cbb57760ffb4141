"""Scenes of a shift, row by row; see `desk.py` for how a row reads."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from routing import (
    Activation,
    AgentChanged,
    AgentPolicy,
    Command,
    OfferContact,
    Policy,
    QueuePolicy,
    RecordDecision,
    RoutingEngine,
)
from routing import facts as f
from routing.index import Index
from routing.policy import MediumPolicy, OverflowRule, ReasonPolicy, Ring, Skills, Weights, skills_of
from routing.state import IDLE, RESERVED, Agent, Contact, Tables
from tests.routing.desk import Desk, Row, policy_of, told

SALES = QueuePolicy("sales")
CLAIMS = QueuePolicy("claims")
FRENCH = QueuePolicy("french", skills=(("fr", 3),))
ANN, BOB, CYD = AgentPolicy("ann"), AgentPolicy("bob"), AgentPolicy("cyd")
FRED = AgentPolicy("fred", skills=(("fr", 5),))


def decisions(commands: tuple[Command, ...]) -> list[RecordDecision]:
    return [command for command in commands if isinstance(command, RecordDecision)]


# --- skills ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("needs", "has", "fits"),
    [
        ((), (), True),
        ((), (("fr", 1),), True),
        ((("fr", 3),), (), False),
        ((("fr", 3),), (("fr", 2),), False),
        ((("fr", 3),), (("fr", 3),), True),
        ((("fr", 3),), (("fr", 10),), True),
        ((("fr", 3),), (("de", 10),), False),
        ((("de", 1), ("fr", 3)), (("fr", 10),), False),
        ((("de", 1), ("fr", 3)), (("de", 1), ("en", 1), ("fr", 3)), True),
        ((("de", 2), ("fr", 3)), (("de", 1), ("fr", 3)), False),
    ],
)
@pytest.mark.parametrize("agent_first", [True, False])
def test_an_agent_is_offered_a_contact_only_with_every_skill_at_its_level(
    needs: Skills, has: Skills, fits: bool, agent_first: bool
) -> None:
    desk = Desk(replace(SALES, skills=needs), replace(ANN, skills=has))
    for happens in ("ready ann", "arrive c1 sales") if agent_first else ("arrive c1 sales", "ready ann"):
        desk.do(0, happens)
    assert desk.states()["ann"] == ("reserved" if fits else "idle")


def test_a_contact_that_nobody_can_serve_does_not_hold_up_those_behind_it() -> None:
    Desk(SALES, FRENCH, ANN, FRED).play(
        (0, "arrive c1 french", ""),
        (1, "arrive c2 sales", ""),
        (2, "ready ann", "ann idle; ring ann c2"),
        (3, "arrive c3 sales", ""),
        (4, "ready fred", "fred idle; ring fred c1"),
    )


# --- order of contacts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "after_s", "credit_s", "wins"),
    [
        pytest.param({}, {}, 1, 0, "c1", id="first come"),
        pytest.param({}, {}, 0, 0, "c1", id="equal deadlines keep the order of arrival"),
        pytest.param({"target_ms": 40_000}, {}, 19, 0, "c2", id="earlier deadline"),
        pytest.param({"target_ms": 40_000}, {}, 20, 0, "c1", id="equal deadline came first"),
        pytest.param({"target_ms": 40_000}, {}, 21, 0, "c1", id="waited past its longer target"),
        pytest.param({}, {"priority": 1}, 29, 0, "c2", id="a priority step is worth 30 s"),
        pytest.param({}, {"priority": 1}, 31, 0, "c1", id="and no more than 30 s"),
        pytest.param({"priority": 1}, {"priority": 3}, 59, 0, "c2", id="two steps ahead"),
        pytest.param({}, {}, 5, 6, "c2", id="credit earned elsewhere"),
        pytest.param({}, {}, 5, 5, "c1", id="credit that only draws level"),
    ],
)
def test_an_agent_gets_the_contact_with_the_earliest_virtual_deadline(
    first: dict[str, int], second: dict[str, int], after_s: int, credit_s: int, wins: str
) -> None:
    desk = Desk(QueuePolicy("one", **first), QueuePolicy("two", **second), ANN)
    desk.do(0, "arrive c1 one")
    desk.act(after_s, f.ContactArrived("c2", "two", after_s * 1000, credit_s * 1000))
    assert told(desk.do(60, "ready ann").commands) == f"ann idle; ring ann {wins}"


def test_a_contact_reported_late_has_waited_since_it_came() -> None:
    desk = Desk(SALES, ANN)
    desk.do(10, "arrive c1 sales")
    desk.act(20, f.ContactArrived("c2", "sales", 9_000))
    assert desk.engine.queue_view("sales") == (2, 11_000)
    desk.play((21, "ready ann", "ann idle; ring ann c2"))


def test_a_time_of_arrival_in_the_future_counts_as_now() -> None:
    desk = Desk(SALES, ANN)
    desk.act(10, f.ContactArrived("c1", "sales", 99_000))
    desk.play((11, "arrive c2 sales", ""), (12, "ready ann", "ann idle; ring ann c1"))


def test_position_counts_those_ahead_in_the_same_queue() -> None:
    desk = Desk(SALES, replace(CLAIMS, priority=5), ANN)
    desk.do(0, "arrive c1 sales; arrive c2 sales; arrive x claims; arrive c3 sales")
    desk.act(1, f.ContactArrived("c0", "sales", 1_000, credit_ms=60_000))
    assert [desk.engine.position(contact) for contact in ("c0", "c1", "c2", "c3", "x")] == [1, 2, 3, 4, 1]
    desk.do(2, "abandon c1")
    assert [desk.engine.position(contact) for contact in ("c0", "c1", "c2", "c3")] == [1, 0, 2, 3]
    desk.do(3, "abandon x; ready ann")
    desk.do(4, "answer ann")
    assert [desk.engine.position(contact) for contact in ("c0", "c2", "c3")] == [0, 1, 2]
    assert desk.engine.queue_view("sales") == (2, 4_000)


def test_hundreds_wait_and_are_served_in_order_whoever_left_meanwhile() -> None:
    desk = Desk(SALES, replace(ANN, wrap_up_ms=0))
    for n in range(400):
        desk.do(n / 100, f"arrive c{n} sales")
    desk.do(10, "; ".join(f"abandon c{n}" for n in range(400) if n % 3))
    desk.do(11, "; ".join(f"arrive c{n} sales" for n in range(400, 500)))
    served = []
    commands = desk.do(12, "ready ann").commands
    while offers := [command for command in commands if isinstance(command, OfferContact)]:
        served += [offer.contact for offer in offers]
        commands = desk.do(12, f"answer ann; end {served[-1]}").commands
    assert served == [f"c{n}" for n in range(500) if n >= 400 or n % 3 == 0]


# --- order of agents ---------------------------------------------------------------------------------


def test_a_contact_goes_to_the_longest_idle_agent() -> None:
    Desk(SALES, ANN, BOB, CYD).play(
        (0, "ready bob", "bob idle"),
        (0, "ready ann", "ann idle"),
        (1, "ready cyd", "cyd idle"),
        (2, "arrive c1 sales", "ring bob c1"),
        (3, "arrive c2 sales", "ring ann c2"),
        (4, "arrive c3 sales", "ring cyd c3"),
    )


def test_ready_said_twice_keeps_the_idle_place_and_a_break_loses_it() -> None:
    Desk(SALES, ANN, BOB, CYD).play(
        (0, "ready ann; ready bob; ready cyd", "ann idle; bob idle; cyd idle"),
        (1, "ready ann", ""),
        (2, "break bob lunch", "bob not_ready lunch"),
        (3, "ready bob", "bob idle"),
        (4, "arrive c1 sales", "ring ann c1"),
        (5, "arrive c2 sales", "ring cyd c2"),
        (6, "arrive c3 sales", "ring bob c3"),
    )


def test_work_is_shared_evenly_among_equals() -> None:
    desk = Desk(SALES, *(replace(agent, wrap_up_ms=0) for agent in (ANN, BOB, CYD)))
    desk.do(0, "ready ann; ready bob; ready cyd")
    shares: Counter[str] = Counter()
    for n in range(30):
        (offer,) = (c for c in desk.do(n, f"arrive c{n} sales").commands if isinstance(c, OfferContact))
        shares[offer.agent] += 1
        desk.do(n, f"answer {offer.agent}; end c{n}")
    assert shares == {"ann": 10, "bob": 10, "cyd": 10}


@pytest.mark.parametrize("rounds", range(1, 9))
def test_a_hundred_agents_are_offered_work_in_the_order_they_became_idle(rounds: int) -> None:
    crew = [replace(ANN, agent=f"a{n:02}") for n in range(100)]
    desk = Desk(SALES, *crew)
    desk.do(0, "arrive c0 sales; abandon c0")
    for second in range(rounds):
        desk.do(second, "; ".join(f"break {one.agent}; ready {one.agent}" for one in reversed(crew)))
    desk.do(9, "; ".join(f"arrive c{n} sales" for n in range(1, 101)))
    offered = [(offer.contact, offer.agent) for offer in desk.engine.offer_views()]
    assert offered == [(f"c{n}", f"a{100 - n:02}") for n in range(1, 101)]


def test_nobody_is_offered_work_who_is_not_ready_or_not_there() -> None:
    Desk(SALES, ANN, BOB).play(
        (0, "arrive c1 sales", ""),
        (1, "login ann", "ann not_ready logged_in"),
        (2, "break bob", "bob not_ready"),
        (3, "arrive c2 sales", ""),
        (4, "ready ann", "ann idle; ring ann c1"),
    )


def test_offers_go_on_after_the_last_agent_left_and_one_came_back() -> None:
    Desk(SALES, ANN).play(
        (0, "ready ann", "ann idle"),
        (1, "logout ann", "ann logged_out"),
        (2, "arrive c1 sales", ""),
        (3, "login ann", "ann not_ready logged_in"),
        (4, "ready ann", "ann idle; ring ann c1"),
    )


# --- the offer ---------------------------------------------------------------------------------------


def test_an_offer_is_made_at_once_with_its_lease_and_its_reason() -> None:
    desk = Desk(replace(FRENCH, ring_ms=15_000), ANN, FRED, replace(FRED, agent="fay"))
    desk.do(1, "ready fred")
    desk.do(2, "ready fay")
    done = desk.do(3, "arrive c1 french")
    offer = desk.rang["fred"]
    considered = (("fred", 1_000), ("fay", 2_000))
    assert done.commands == (
        AgentChanged("fred", "reserved", "", 3_000, 0, "c1"),
        RecordDecision(offer, "c1", "fred", "longest_idle", considered, (("skill", 1),)),
        OfferContact(offer, "c1", "fred", "french", 18_000, 15_000),
    )
    assert done.next_deadline_ms == desk.engine.next_deadline_ms == 18_000


def test_a_decision_counts_everybody_who_was_not_considered() -> None:
    crew = [replace(FRED, agent=f"f{n:02}") for n in range(15)]
    desk = Desk(SALES, FRENCH, ANN, BOB, *crew)
    desk.do(0, "; ".join(f"ready {agent.agent}" for agent in crew))
    desk.do(1, "arrive c1 french; arrive c2 french")
    desk.do(2, "answer f00; break f14")
    (decision,) = decisions(desk.do(3, "arrive c3 french").commands)
    assert [agent for agent, _ in decision.considered] == [f"f{n:02}" for n in range(2, 12)]
    assert dict(decision.rest) == {"idle": 2, "not_ready": 1, "reserved": 1, "skill": 2, "talking": 1}


def test_an_agent_who_chooses_leaves_a_decision_too() -> None:
    desk = Desk(SALES, FRENCH, replace(CLAIMS, priority=1), FRED, ANN)
    desk.do(0, "arrive s1 sales; arrive s2 sales")
    desk.do(1, "arrive c1 claims")
    (decision,) = decisions(desk.do(2, "ready ann").commands)
    assert (decision.contact, decision.agent, decision.rule) == ("c1", "ann", "earliest_deadline")
    assert decision.considered[0] == ("c1", -9_000)
    assert len(decision.considered) + sum(count for _, count in decision.rest) == 3


def test_an_agent_who_chooses_is_shown_the_ten_best_contacts() -> None:
    desk = Desk(SALES, ANN)
    desk.do(0, "; ".join(f"arrive c{n:02} sales" for n in range(12)))
    (decision,) = decisions(desk.do(1, "ready ann").commands)
    assert decision.considered == tuple((f"c{n:02}", 20_000) for n in range(10))


def test_an_agent_who_declined_is_no_candidate() -> None:
    desk = Desk(SALES, ANN, BOB)
    desk.do(0, "ready ann; ready bob; arrive c1 sales")
    (decision,) = decisions(desk.do(1, "decline ann").commands)
    assert decision.considered == (("bob", 0),)
    assert dict(decision.rest) == {"barred": 1}


def test_a_decision_names_nobody_twice() -> None:
    desk = Desk(SALES, FRENCH, FRED, replace(FRED, agent="fay"))
    desk.do(0, "arrive f1 french; abandon f1; ready fay; ready fred")
    desk.do(1, "arrive s1 sales; arrive s2 sales")
    desk.do(2, "abandon s1; abandon s2")
    twin = RoutingEngine.restore(desk.engine.snapshot(), desk.policy)
    done = desk.do(3, "arrive f2 french")
    (decision,) = decisions(done.commands)
    assert decision.considered == (("fay", 0), ("fred", 0))
    assert twin.activate(Activation(twin.seq + 1, 3_000, (f.ContactArrived("f2", "french", 3_000),))) == done


def test_a_contact_back_in_its_old_place_is_named_once() -> None:
    desk = Desk(SALES, ANN, BOB)
    desk.do(0, "ready ann; arrive c1 sales")
    desk.do(1, "fail ann busy; arrive c2 sales")
    twin = RoutingEngine.restore(desk.engine.snapshot(), desk.policy)
    done = desk.do(2, "ready bob")
    (decision,) = decisions(done.commands)
    assert decision.considered == (("c1", 20_000), ("c2", 21_000))
    assert decision.rest == ()
    assert twin.activate(Activation(twin.seq + 1, 2_000, (f.AgentReady("bob"),))) == done


def test_an_agent_both_barred_and_without_the_skill_is_counted_once() -> None:
    desk = Desk(FRENCH, FRED, BOB)
    desk.do(0, "ready fred; ready bob; arrive c1 french")
    desk.do(1, "decline fred")
    policy = policy_of(FRENCH, replace(FRED, skills=()), replace(BOB, skills=(("fr", 3),)))
    (decision,) = decisions(desk.act(2, f.PolicyReplaced(policy)).commands)
    assert decision.considered == (("bob", 0),)
    assert decision.rest == (("skill", 1),)


def test_offer_ids_are_never_used_twice() -> None:
    desk = Desk(SALES, ANN, missed_action="stay_ready")
    desk.do(0, "ready ann; arrive c1 sales")
    ids = []
    for n in range(1, 6):
        ids.append(desk.rang["ann"])
        desk.do(20 * n, "")
    assert len(set(ids)) == 5


def test_a_silent_agent_is_set_not_ready_and_the_next_agent_is_offered_the_contact() -> None:
    desk = Desk(SALES, ANN, BOB)
    desk.play(
        (0, "ready ann; ready bob", "ann idle; bob idle"),
        (1, "arrive c1 sales", "ring ann c1"),
        (20.999, "", ""),
        (21, "", "stop ann c1 no_answer; ann not_ready missed; ring bob c1"),
        (22, "answer ann", "reject OfferAnswered offer_over"),
        (23, "answer bob", "bob talking"),
        (24, "ready ann", "ann idle"),
    )
    assert desk.states() == {"ann": "idle", "bob": "talking"}


def test_a_silent_agent_may_stay_ready_behind_the_others() -> None:
    Desk(SALES, ANN, BOB, missed_action="stay_ready").play(
        (0, "ready ann; ready bob", "ann idle; bob idle"),
        (1, "arrive c1 sales", "ring ann c1"),
        (21, "", "stop ann c1 no_answer; ann idle; ring bob c1"),
        (22, "arrive c2 sales", "ring ann c2"),
        (41, "", "stop bob c1 no_answer; bob idle; ring bob c1"),
    )


def test_a_silent_agent_who_asked_for_a_break_gets_the_break() -> None:
    Desk(SALES, ANN).play(
        (0, "ready ann; arrive c1 sales", "ann idle; ring ann c1"),
        (1, "break ann lunch", ""),
        (20, "", "stop ann c1 no_answer; ann not_ready lunch"),
    )


def test_an_answer_that_reaches_the_engine_before_the_deadline_does_counts() -> None:
    """Facts come before deadlines, however late the host wakes up."""
    Desk(SALES, ANN).play(
        (0, "ready ann; arrive c1 sales", "ann idle; ring ann c1"),
        (25, "answer ann", "ann talking"),
    )


@pytest.mark.parametrize("late", ["answer ann", "decline ann", "fail ann busy"])
@pytest.mark.parametrize("ended_by", ["abandon c1", "end c1", "decline ann", "answer ann", "logout ann"])
def test_what_comes_after_the_end_of_an_offer_is_rejected_without_effect(ended_by: str, late: str) -> None:
    desk = Desk(SALES, ANN, BOB)
    desk.do(0, "ready ann; arrive c1 sales")
    desk.do(1, ended_by)
    before = desk.states()
    fact = desk.fact(late)
    assert told(desk.act(2, fact).commands) == f"reject {type(fact).__name__} offer_over"
    assert desk.states() == before


def test_a_declined_contact_rings_elsewhere_and_comes_back_after_the_pause() -> None:
    Desk(SALES, ANN, BOB).play(
        (0, "ready ann; ready bob", "ann idle; bob idle"),
        (1, "arrive c1 sales", "ring ann c1"),
        (2, "decline ann", "ann idle; ring bob c1"),
        (3, "decline bob", "bob idle"),
        (4, "arrive c2 sales", "ring ann c2"),
        (5, "decline ann", "ann idle; ring bob c2"),
        (11.999, "", ""),
        (12, "", "ring ann c1"),
    )


def test_a_declined_contact_is_not_offered_to_the_same_agent_on_becoming_ready_again() -> None:
    desk = Desk(SALES, ANN, decline_pause_ms=5_000)
    desk.play(
        (0, "ready ann; arrive c1 sales", "ann idle; ring ann c1"),
        (1, "decline ann", "ann idle"),
        (2, "break ann", "ann not_ready"),
        (3, "ready ann", "ann idle"),
    )
    assert desk.engine.next_deadline_ms == 6_000
    desk.play((6, "", "ring ann c1"))


def test_of_contacts_whose_pauses_ended_together_the_earliest_deadline_rings_first() -> None:
    Desk(SALES, QueuePolicy("vip", priority=3), ANN).play(
        (0, "ready ann; arrive c1 sales", "ann idle; ring ann c1"),
        (1, "decline ann", "ann idle"),
        (2, "arrive c2 vip", "ring ann c2"),
        (3, "decline ann", "ann idle"),
        (60, "", "ring ann c2"),
    )


def test_declining_costs_the_idle_place() -> None:
    Desk(SALES, ANN, BOB).play(
        (0, "ready ann; ready bob", "ann idle; bob idle"),
        (1, "arrive c1 sales", "ring ann c1"),
        (2, "decline ann; abandon c1", "ann idle; ring bob c1; stop bob c1 abandoned; bob idle"),
        (3, "arrive c2 sales", "ring bob c2"),
    )


def test_without_a_pause_a_declined_contact_goes_to_whoever_is_idle_longest() -> None:
    Desk(SALES, ANN, BOB, decline_pause_ms=0).play(
        (0, "ready ann; ready bob", "ann idle; bob idle"),
        (1, "arrive c1 sales", "ring ann c1"),
        (2, "decline ann", "ann idle; ring bob c1"),
        (3, "decline bob", "bob idle; ring ann c1"),
    )


@pytest.mark.parametrize("cause", ["busy", "not_found", "unreachable", "error"])
def test_an_agent_whose_device_failed_pauses_and_is_then_ready_by_itself(cause: str) -> None:
    desk = Desk(SALES, ANN)
    desk.play(
        (0, "ready ann; arrive c1 sales", "ann idle; ring ann c1"),
        (1, f"fail ann {cause}", f"ann not_ready device_{cause} until 31"),
        (30.999, "", ""),
        (31, "", "ann idle; ring ann c1"),
    )


def test_a_device_that_did_not_answer_is_a_missed_offer() -> None:
    Desk(SALES, ANN, BOB).play(
        (0, "ready ann; ready bob; arrive c1 sales", "ann idle; bob idle; ring ann c1"),
        (1, "fail ann no_answer", "ann not_ready missed; ring bob c1"),
    )


def test_an_agent_may_end_the_device_pause_or_make_it_a_break() -> None:
    Desk(SALES, ANN, BOB).play(
        (0, "ready ann; ready bob", "ann idle; bob idle"),
        (1, "arrive c1 sales; arrive c2 sales", "ring ann c1; ring bob c2"),
        (2, "fail ann busy", "ann not_ready device_busy until 32"),
        (2, "fail bob error", "bob not_ready device_error until 32"),
        (3, "ready ann", "ann idle; ring ann c1"),
        (4, "break bob lunch", "bob not_ready lunch"),
        (5, "answer ann", "ann talking"),
        (99, "", ""),
    )


def test_an_agent_whose_device_failed_after_asking_for_a_break_gets_the_break() -> None:
    Desk(SALES, ANN).play(
        (0, "ready ann; arrive c1 sales", "ann idle; ring ann c1"),
        (1, "break ann lunch", ""),
        (2, "fail ann busy", "ann not_ready lunch"),
        (99, "", ""),
    )


# --- leaving while waiting ---------------------------------------------------------------------------


def test_a_contact_that_left_while_waiting_is_offered_to_nobody_and_counted_nowhere() -> None:
    desk = Desk(SALES, ANN)
    desk.play((0, "arrive c1 sales", ""), (1, "abandon c1", ""))
    assert desk.engine.queue_view("sales") == (0, 0)
    assert desk.engine.contact_view("c1") is None
    desk.play((2, "ready ann", "ann idle"), (3, "abandon c1", "reject ContactAbandoned unknown_contact"))


def test_a_contact_that_left_and_came_back_waits_anew() -> None:
    Desk(SALES, ANN).play(
        (0, "arrive c1 sales", ""),
        (1, "arrive c2 sales", ""),
        (2, "abandon c1; arrive c1 sales", ""),
        (3, "ready ann", "ann idle; ring ann c2"),
    )


def test_a_contact_that_left_and_came_back_may_be_declined_anew() -> None:
    """Bob's wrap-up keeps the first pause among the deadlines until the contact is back."""
    Desk(SALES, FRENCH, FRED, replace(BOB, wrap_up_ms=9_000)).play(
        (0, "ready bob; arrive c0 sales", "bob idle; ring bob c0"),
        (0, "answer bob; end c0", "bob talking; bob wrap_up until 9"),
        (0, "ready fred; arrive c1 french", "fred idle; ring fred c1"),
        (1, "decline fred; abandon c1", "fred idle"),
        (5, "arrive c1 french", "ring fred c1"),
        (6, "decline fred", "fred idle"),
        (11, "", "bob idle"),
        (16, "", "ring fred c1"),
    )


@pytest.mark.parametrize("leaves", ["abandon c1", "end c1"])
def test_an_agent_whose_customer_left_while_it_rang_keeps_the_idle_place(leaves: str) -> None:
    Desk(SALES, ANN, BOB).play(
        (0, "ready ann", "ann idle"),
        (1, "ready bob", "bob idle"),
        (2, "arrive c1 sales", "ring ann c1"),
        (3, leaves, "stop ann c1 abandoned; ann idle"),
        (4, "arrive c2 sales", "ring ann c2"),
    )


def test_an_agent_whose_customer_left_takes_the_next_who_waits() -> None:
    Desk(SALES, ANN).play(
        (0, "ready ann", "ann idle"),
        (1, "arrive c1 sales; arrive c2 sales", "ring ann c1"),
        (2, "abandon c1", "stop ann c1 abandoned; ann idle; ring ann c2"),
    )


def test_a_connected_contact_cannot_be_abandoned() -> None:
    desk = Desk(SALES, ANN)
    desk.play(
        (0, "ready ann; arrive c1 sales", "ann idle; ring ann c1"),
        (1, "answer ann", "ann talking"),
        (2, "abandon c1", "reject ContactAbandoned connected"),
    )
    assert desk.states() == {"ann": "talking"}


# --- after the conversation --------------------------------------------------------------------------

TALKING: tuple[Row, ...] = (
    (0, "ready ann; arrive c1 sales", "ann idle; ring ann c1"),
    (1, "answer ann", "ann talking"),
)


def test_wrap_up_lasts_its_time_and_the_agent_is_then_idle() -> None:
    Desk(SALES, ANN).play(
        *TALKING,
        (10, "end c1", "ann wrap_up until 40"),
        (11, "arrive c2 sales", ""),
        (39.999, "", ""),
        (40, "", "ann idle; ring ann c2"),
    )


@pytest.mark.parametrize("done", ["saved ann", "ready ann"])
def test_wrap_up_ends_early_when_the_form_is_saved_or_the_agent_is_ready(done: str) -> None:
    Desk(SALES, ANN).play(
        *TALKING,
        (10, "end c1", "ann wrap_up until 40"),
        (15, done, "ann idle"),
        (16, "arrive c2 sales", "ring ann c2"),
        (17, "answer ann", "ann talking"),
        (40, "", ""),
    )


def test_wrap_up_is_neither_cut_short_nor_begun_anew_by_other_events() -> None:
    Desk(SALES, CLAIMS, ANN).play(
        *TALKING,
        (10, "end c1", "ann wrap_up until 40"),
        (20, "login ann; arrive c2 claims; end c1", "reject ContactEnded unknown_contact"),
        (30, "close sales; open sales; abandon c2", ""),
        (40, "", "ann idle"),
    )


def test_without_wrap_up_time_the_agent_is_idle_at_once() -> None:
    Desk(SALES, replace(ANN, wrap_up_ms=0)).play(*TALKING, (2, "end c1", "ann idle"))


def test_wrap_up_said_to_be_over_when_it_is_not_on_means_nothing() -> None:
    Desk(SALES, ANN).play((0, "saved ann", ""), *TALKING, (2, "saved ann", ""))


@pytest.mark.parametrize(
    ("asked", "after"),
    [
        ("break ann lunch", "ann not_ready lunch"),
        ("logout ann", "ann logged_out"),
        ("break ann lunch; ready ann", "ann idle"),
        ("logout ann; ready ann", "ann idle"),
        ("logout ann; login ann", "ann idle"),
        ("logout ann; break ann lunch", "ann not_ready lunch"),
        ("break ann tea; break ann lunch", "ann not_ready lunch"),
        ("login ann", "ann idle"),
    ],
)
def test_what_an_agent_asks_for_while_talking_takes_effect_after_the_wrap_up(asked: str, after: str) -> None:
    Desk(SALES, ANN).play(
        *TALKING,
        (5, asked, ""),
        (10, "end c1", "ann wrap_up until 40"),
        (40, "", after),
    )


def test_a_break_asked_for_during_wrap_up_waits_for_its_end_and_a_log_out_does_not() -> None:
    Desk(SALES, ANN).play(
        *TALKING,
        (10, "end c1", "ann wrap_up until 40"),
        (20, "break ann lunch", ""),
        (40, "", "ann not_ready lunch"),
        (50, "ready ann; arrive c2 sales", "ann idle; ring ann c2"),
        (51, "answer ann; end c2", "ann talking; ann wrap_up until 81"),
        (60, "logout ann", "ann logged_out"),
        (81, "", ""),
    )


def test_logging_out_while_it_rings_stops_the_ringing_and_the_contact_rings_elsewhere() -> None:
    Desk(SALES, ANN, BOB).play(
        (0, "ready ann; ready bob", "ann idle; bob idle"),
        (1, "arrive c1 sales", "ring ann c1"),
        (2, "logout ann", "stop ann c1 agent_left; ann logged_out; ring bob c1"),
        (3, "logout ann", ""),
    )


def test_a_log_out_asked_for_after_a_break_has_not_the_reason_of_the_break() -> None:
    Desk(SALES, ANN).play(
        *TALKING,
        (2, "break ann lunch", ""),
        (3, "logout ann", ""),
        (4, "end c1", "ann wrap_up until 34"),
        (34, "", "ann logged_out"),
    )


# --- back in the old place ---------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["fail ann busy", "fail ann no_answer", "logout ann"])
def test_a_contact_whose_offer_came_to_nothing_is_back_in_its_old_place(lost: str) -> None:
    desk = Desk(SALES, ANN, BOB)
    desk.do(0, "ready ann; arrive c1 sales")
    desk.do(1, "arrive c2 sales")
    desk.do(2, lost)
    assert [desk.engine.position(contact) for contact in ("c1", "c2")] == [1, 2]
    desk.play((3, "ready bob", "bob idle; ring bob c1"))


def test_a_contact_whose_agent_was_lost_in_conversation_is_back_in_its_old_place() -> None:
    Desk(SALES, ANN, BOB).play(
        *TALKING,
        (2, "arrive c2 sales", ""),
        (3, "requeue c1", "ann not_ready device_agent_lost until 33"),
        (4, "ready bob", "bob idle; ring bob c1"),
        (5, "requeue c1", "reject ContactRequeued not_connected"),
        (6, "answer bob", "bob talking"),
        (24, "", ""),
        (33, "", "ann idle; ring ann c2"),
    )


def test_a_contact_whose_agent_was_lost_goes_before_an_equal_one_that_came_after_it() -> None:
    Desk(SALES, ANN, BOB).play(
        (0, "ready ann; arrive c1 sales; arrive c2 sales", "ann idle; ring ann c1"),
        (1, "answer ann", "ann talking"),
        (2, "requeue c1", "ann not_ready device_agent_lost until 32"),
        (3, "ready bob", "bob idle; ring bob c1"),
    )


def test_a_lost_agent_who_asked_to_leave_is_not_made_ready_again() -> None:
    Desk(SALES, ANN).play(*TALKING, (2, "logout ann; requeue c1", "ann logged_out"), (99, "", ""))


# --- queues ------------------------------------------------------------------------------------------


def test_a_closed_queue_takes_nobody_new_and_serves_those_who_wait() -> None:
    Desk(SALES, CLAIMS, ANN).play(
        (0, "arrive c1 sales", ""),
        (1, "close sales", ""),
        (2, "arrive c2 sales", "overflow c2 closed"),
        (3, "arrive c3 claims", ""),
        (4, "ready ann", "ann idle; ring ann c1"),
        (5, "open sales", ""),
        (6, "arrive c4 sales", ""),
    )


def test_a_full_queue_takes_the_next_one_when_somebody_left() -> None:
    Desk(replace(SALES, max_waiting=2), ANN).play(
        (0, "arrive c1 sales; arrive c2 sales; arrive c3 sales", "overflow c3 full"),
        (1, "abandon c1", ""),
        (2, "arrive c3 sales; arrive c4 sales", "overflow c4 full"),
        (3, "ready ann", "ann idle; ring ann c2"),
        (4, "arrive c4 sales", ""),
        (5, "fail ann busy", "ann not_ready device_busy until 35"),
        (6, "arrive c5 sales", "overflow c5 full"),
    )


def test_an_unknown_queue_overflows_and_an_unknown_or_known_contact_is_rejected() -> None:
    Desk(SALES, ANN).play(
        (0, "arrive c1 nowhere", "overflow c1 unknown_queue"),
        (1, "arrive c1 sales; arrive c1 sales", "reject ContactArrived known_already"),
        (2, "end c9", "reject ContactEnded unknown_contact"),
        (3, "requeue c9", "reject ContactRequeued unknown_contact"),
    )


@pytest.mark.parametrize("verb", ["login", "logout", "ready", "break", "saved"])
def test_an_unknown_agent_is_rejected(verb: str) -> None:
    desk = Desk(SALES, ANN)
    assert told(desk.do(0, f"{verb} ghost").commands).endswith("unknown_agent")
    assert desk.states() == {"ann": "logged_out"}


# --- policy ------------------------------------------------------------------------------------------


def replaced(desk: Desk, second: float, *parts: QueuePolicy | AgentPolicy, **rules: int | str) -> str:
    return told(desk.act(second, f.PolicyReplaced(policy_of(*parts, **rules))).commands)


def test_new_skills_of_agents_and_queues_are_matched_at_once() -> None:
    desk = Desk(SALES, FRENCH, ANN, BOB)
    desk.do(0, "ready ann; ready bob; arrive c1 french; arrive c2 french")
    clever = replace(BOB, skills=(("fr", 3),))
    assert replaced(desk, 1, SALES, FRENCH, ANN, clever) == "ring bob c1"
    assert replaced(desk, 2, SALES, replace(FRENCH, skills=()), ANN, clever) == "ring ann c2"


def test_an_agent_who_lost_a_skill_gets_no_more_of_it_and_keeps_what_rings() -> None:
    desk = Desk(SALES, FRENCH, FRED, BOB)
    desk.do(0, "ready fred; arrive c1 french")
    assert replaced(desk, 1, SALES, FRENCH, replace(FRED, skills=()), BOB) == ""
    desk.play(
        (2, "answer fred", "fred talking"),
        (3, "end c1; ready fred", "fred wrap_up until 33; fred idle"),
        (4, "arrive c2 french", ""),
        (5, "arrive c3 sales", "ring fred c3"),
    )


def test_several_matches_of_a_new_policy_follow_the_order_of_deadlines_and_of_idleness() -> None:
    desk = Desk(FRENCH, ANN, BOB)
    desk.do(0, "ready bob; ready ann; arrive c1 french")
    desk.act(1, f.ContactArrived("c2", "french", 1_000, credit_ms=9_000))
    assert replaced(desk, 2, replace(FRENCH, skills=()), ANN, BOB) == "ring bob c2; ring ann c1"


def test_an_arrival_keeps_its_deadline_under_a_new_policy() -> None:
    desk = Desk(SALES, CLAIMS, ANN)
    desk.do(0, "arrive c1 sales")
    desk.do(1, "arrive c2 claims")
    replaced(desk, 2, SALES, replace(CLAIMS, priority=9), ANN)
    desk.play((3, "ready ann", "ann idle; ring ann c1"))


def test_new_times_hold_from_the_next_offer_and_the_next_wrap_up() -> None:
    desk = Desk(SALES, ANN)
    desk.do(0, "ready ann; arrive c1 sales")
    replaced(desk, 1, replace(SALES, ring_ms=5_000), replace(ANN, wrap_up_ms=7_000))
    assert desk.engine.next_deadline_ms == 20_000
    desk.play(
        (10, "answer ann; end c1", "ann talking; ann wrap_up until 17"),
        (17, "arrive c2 sales", "ann idle; ring ann c2"),
    )
    assert desk.engine.next_deadline_ms == 22_000


def test_an_idle_agent_who_left_the_policy_is_gone() -> None:
    desk = Desk(SALES, ANN, BOB)
    desk.do(0, "ready ann; ready bob")
    replaced(desk, 1, SALES, BOB)
    assert desk.states() == {"bob": "idle"}
    desk.play((2, "ready ann", "reject AgentReady unknown_agent"), (3, "arrive c1 sales", "ring bob c1"))
    replaced(desk, 4, SALES, ANN, BOB)
    desk.play((5, "ready ann", "ann idle"))


@pytest.mark.parametrize(
    ("rows", "last"),
    [
        ((), (20, "", "stop ann c1 no_answer; ann logged_out")),
        ((), (5, "decline ann", "ann logged_out")),
        ((), (5, "fail ann busy", "ann logged_out")),
        ((), (5, "abandon c1", "stop ann c1 abandoned; ann logged_out")),
        (((5, "answer ann", "ann talking"),), (6, "end c1", "ann logged_out")),
        (((5, "answer ann", "ann talking"),), (6, "requeue c1", "ann logged_out")),
    ],
)
def test_a_busy_agent_who_left_the_policy_finishes_and_is_then_gone(rows: tuple[Row, ...], last: Row) -> None:
    desk = Desk(SALES, ANN)
    desk.do(0, "ready ann; arrive c1 sales")
    assert replaced(desk, 1, SALES) == ""
    desk.play((2, "ready ann", "reject AgentReady left_policy"), *rows, last)
    assert desk.states() == {}


def test_an_agent_who_left_the_policy_during_wrap_up_finishes_it() -> None:
    desk = Desk(SALES, ANN)
    desk.play(*TALKING, (10, "end c1", "ann wrap_up until 40"))
    replaced(desk, 20, SALES)
    desk.play((40, "", "ann logged_out"))
    assert desk.states() == {}


def test_an_agent_who_left_the_policy_is_gone_after_the_work_even_when_they_log_in_meanwhile() -> None:
    desk = Desk(SALES, replace(ANN, wrap_up_ms=0))
    desk.play(*TALKING)
    replaced(desk, 2, SALES)
    desk.do(3, "login ann")
    desk.do(4, "end c1; arrive c2 sales")
    assert desk.states() == {}


def test_an_agent_who_left_the_policy_is_last_told_as_logged_out() -> None:
    desk = Desk(SALES, ANN)
    desk.play(*TALKING)
    replaced(desk, 2, SALES)
    desk.do(3, "break ann lunch")
    desk.play((4, "end c1", "ann logged_out"))


def test_an_agent_who_is_back_in_the_policy_before_the_work_is_done_goes_on() -> None:
    desk = Desk(SALES, ANN)
    desk.play(*TALKING)
    replaced(desk, 2, SALES)
    replaced(desk, 3, SALES, ANN)
    desk.play((4, "end c1", "ann wrap_up until 34"), (34, "", "ann idle"))


def test_that_an_idle_agent_left_with_the_policy_is_told() -> None:
    desk = Desk(SALES, ANN, BOB)
    desk.do(0, "ready ann; login bob")
    assert replaced(desk, 1, SALES) == "ann logged_out; bob logged_out"


def test_who_waits_in_a_queue_that_was_removed_is_still_served() -> None:
    desk = Desk(SALES, CLAIMS, ANN)
    desk.do(0, "arrive c1 sales")
    replaced(desk, 1, CLAIMS, ANN)
    desk.play(
        (2, "arrive c2 sales", "overflow c2 unknown_queue"),
        (3, "ready ann", "ann idle; ring ann c1"),
        (23, "", "stop ann c1 no_answer; ann not_ready missed"),
    )


# --- adoption ----------------------------------------------------------------------------------------


def adopted(desk: Desk, second: float, contact: str, agent: str = "", deadline_ms: int = 0) -> str:
    now_ms = round(second * 1000)
    return told(desk.act(second, f.ContactAdopted(contact, "sales", now_ms, deadline_ms, agent)).commands)


def test_an_adopted_caller_waits_in_the_place_the_tag_says() -> None:
    desk = Desk(SALES, ANN)
    desk.do(0, "arrive c1 sales")
    desk.do(10, "arrive c2 sales")
    assert adopted(desk, 60, "c0", deadline_ms=25_000) == ""
    assert [desk.engine.position(contact) for contact in ("c1", "c0", "c2")] == [1, 2, 3]
    assert adopted(desk, 61, "c0", deadline_ms=0) == "reject ContactAdopted known_already"


def test_an_adopted_caller_is_taken_in_even_by_a_queue_that_is_closed_full_or_gone() -> None:
    desk = Desk(replace(SALES, max_waiting=1), ANN)
    desk.do(0, "arrive c1 sales; close sales")
    assert adopted(desk, 1, "c2", deadline_ms=1) == ""
    desk.act(2, f.ContactAdopted("c3", "nowhere", 2_000, 2))
    desk.play((3, "ready ann", "ann idle; ring ann c2"), (4, "answer ann", "ann talking"))
    assert desk.engine.position("c3") == 1


@pytest.mark.parametrize("before", ["", "login ann", "ready ann"])
def test_an_adopted_conversation_makes_its_agent_talk_whatever_the_log_said(before: str) -> None:
    desk = Desk(SALES, ANN)
    desk.do(0, before)
    assert adopted(desk, 1, "c1", "ann") == "ann talking"
    desk.play((2, "end c1", "ann wrap_up until 32"))


def test_an_adopted_conversation_ends_a_wrap_up_and_has_one_of_its_own() -> None:
    desk = Desk(SALES, ANN)
    desk.play(*TALKING, (10, "end c1", "ann wrap_up until 40"))
    assert adopted(desk, 20, "c2", "ann") == "ann talking"
    desk.play((40, "", ""), (50, "end c2", "ann wrap_up until 80"))


def test_a_waiting_contact_adopted_with_its_agent_waits_no_more() -> None:
    desk = Desk(replace(SALES, max_waiting=1), ANN, BOB)
    desk.do(0, "arrive c1 sales")
    assert adopted(desk, 1, "c1", "ann") == "ann talking"
    desk.play((2, "arrive c2 sales", ""), (3, "ready bob", "bob idle; ring bob c2"))


def test_an_adopted_conversation_makes_no_room_in_its_queue() -> None:
    desk = Desk(replace(SALES, max_waiting=1), ANN)
    assert adopted(desk, 0, "c1", "ann") == "ann talking"
    desk.play((1, "arrive c2 sales; arrive c3 sales", "overflow c3 full"))


def test_a_contact_adopted_with_the_agent_it_rings_at_is_an_answer() -> None:
    desk = Desk(SALES, ANN)
    desk.do(0, "ready ann; arrive c1 sales")
    assert adopted(desk, 1, "c1", "ann") == "ann talking"
    assert desk.engine.offer_views() == []


def test_a_contact_adopted_twice_or_for_an_agent_who_talks_is_rejected() -> None:
    desk = Desk(SALES, ANN, BOB)
    desk.play(*TALKING)
    assert adopted(desk, 2, "c1", "bob") == "reject ContactAdopted known_already"
    assert adopted(desk, 3, "c2", "ann") == "reject ContactAdopted agent_busy"


def test_a_conversation_with_an_unknown_agent_is_not_offered_to_another() -> None:
    desk = Desk(SALES, ANN)
    desk.do(0, "ready ann")
    assert adopted(desk, 1, "c1", "ghost") == "reject ContactAdopted unknown_agent"


def test_a_conversation_adopted_while_another_contact_rings_at_its_agent_wins() -> None:
    desk = Desk(SALES, ANN, BOB)
    desk.do(0, "ready ann; arrive c1 sales")
    assert adopted(desk, 1, "c2", "ann") == "stop ann c1 adopted; ann talking"
    desk.play((2, "ready bob", "bob idle; ring bob c1"))


def test_a_conversation_adopted_while_it_rings_at_another_agent_wins() -> None:
    desk = Desk(SALES, ANN, BOB, CYD)
    desk.do(0, "ready ann")
    desk.do(1, "ready cyd; arrive c1 sales")
    assert adopted(desk, 2, "c1", "bob") == "stop ann c1 adopted; bob talking; ann idle"
    desk.play((3, "arrive c2 sales", "ring ann c2"))


# --- the contract ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seq", "now_ms"), [(1, 5_000), (3, 5_000), (0, 5_000), (2, 4_999)])
def test_a_gap_in_the_sequence_or_time_going_back_is_misuse_without_effect(seq: int, now_ms: int) -> None:
    desk = Desk(SALES, ANN)
    desk.do(5, "ready ann")
    before = desk.engine.snapshot()
    with pytest.raises(ValueError, match=r"activation|time"):
        desk.engine.activate(Activation(seq, now_ms, (f.ContactArrived("c1", "sales", 0),)))
    assert desk.engine.snapshot() == before
    desk.play((5, "arrive c1 sales", "ring ann c1"))


def test_the_next_deadline_is_the_earliest_that_still_holds() -> None:
    desk = Desk(SALES, ANN, BOB)
    seen = []
    for second, happens in [
        (0, ""),
        (1, "ready ann; arrive c1 sales"),
        (2, "ready bob; arrive c2 sales"),
        (3, "answer ann"),
        (4, "decline bob"),
        (5, "end c1"),
        (6, "abandon c2"),
        (7, "saved ann"),
    ]:
        seen.append(desk.do(second, happens).next_deadline_ms)
    assert seen == [None, 21_000, 21_000, 22_000, 14_000, 14_000, 35_000, None]


def test_deadlines_missed_together_are_kept_in_the_order_they_were_due() -> None:
    Desk(SALES, replace(ANN, wrap_up_ms=9_000), replace(BOB, wrap_up_ms=5_000)).play(
        (0, "ready ann; ready bob", "ann idle; bob idle"),
        (1, "arrive c1 sales; arrive c2 sales; arrive c3 sales", "ring ann c1; ring bob c2"),
        (2, "answer ann; answer bob", "ann talking; bob talking"),
        (3, "end c1", "ann wrap_up until 12"),
        (4, "end c2", "bob wrap_up until 9"),
        (60, "arrive c4 sales", "bob idle; ring bob c3; ann idle; ring ann c4"),
    )


@pytest.mark.parametrize("ring_ms", [0, -1])
def test_a_ring_time_that_is_over_at_once_is_refused(ring_ms: int) -> None:
    with pytest.raises(ValueError, match="ring_ms"):
        policy_of(replace(SALES, ring_ms=ring_ms), ANN, missed_action="stay_ready")


def test_an_unknown_missed_action_is_refused() -> None:
    with pytest.raises(ValueError, match="missed_action"):
        Policy(missed_action="notready")


def test_a_fact_of_no_known_kind_is_misuse_and_changes_nothing() -> None:
    engine = RoutingEngine()
    with pytest.raises(ValueError, match="fact"):
        engine.activate(Activation(1, 0, (f.Fact(),)))
    assert engine.seq == 0


EVERY_FACT = (
    f.PolicyReplaced(policy_of(SALES, FRENCH, ANN, FRED, missed_action="stay_ready", device_pause_ms=1)),
    f.QueueOpened("sales"),
    f.QueueClosed("sales"),
    f.AgentLoggedIn("ann"),
    f.AgentLoggedOut("ann"),
    f.AgentReady("ann"),
    f.AgentNotReady("ann", "lunch"),
    f.ContactArrived("c1", "sales", 7, 3, customer_class="vip", prefers="ann", prefers_ms=9),
    f.ContactAbandoned("c1", 7),
    f.ContactEnded("c1", 7),
    f.ContactRequeued("c1", 7, "edge_lost"),
    f.ContactAdopted("c1", "sales", 7, 9, "ann"),
    f.ContactMoved("c1", "french", 7),
    f.QueueMoved("sales", "french"),
    f.ContactHeld("c1", 7),
    f.ContactReleased("c1"),
    f.CallbackAsked("c1"),
    f.ContactAssigned("c1", "ann", "eva"),
    f.AgentsReskilled((("ann", skills_of({"fr": 3})), ("bob", ())), 9),
    f.AgentsLearned((("ann", "sales", 90_000),)),
    f.WrapUpExtended("ann", 30_000, 7),
    f.OfferAnswered("o1-1", 7),
    f.OfferDeclined("o1-1", 7),
    f.OfferFailed("o1-1", 7, "busy"),
    f.WrapUpEnded("ann", 7, "c1"),
)


def test_every_kind_of_fact_is_tried_below() -> None:
    assert [type(fact).__name__ for fact in EVERY_FACT] == list(f.KINDS)


@pytest.mark.parametrize("fact", EVERY_FACT, ids=list(f.KINDS))
def test_a_fact_survives_json(fact: f.Fact) -> None:
    assert f.from_plain(json.loads(json.dumps(f.to_plain(fact)))) == fact


FULL = Policy(
    queues={
        "a": QueuePolicy(
            "a",
            skills_of({"fr": 5}),
            medium="chat",
            strategy="weighted",
            weights=Weights(1, 2, 3),
            teams=("north",),
            rings=(Ring(5, skills_of({"fr": 3})), Ring(9, (), ("north", "south"))),
            strict_class=2,
            promote_ms=60_000,
            shares=(("north", 50), ("south", 20)),
            share_ms=7,
            overflow=(OverflowRule(9, "queue", "b", 4), OverflowRule(10, "voicemail")),
            announce_first_ms=1,
            announce_every_ms=2,
        ),
        "b": QueuePolicy("b", medium="chat", outbound=True, blend_after_ms=8, keep_idle=2, promote_ms=5),
    },
    agents={"ann": AgentPolicy("ann", (), 5, ("north",), (("voice", 1), ("chat", 3)), 120)},
    missed_action="pause",
    missed_pause_ms=1,
    missed_limit=2,
    wrap_up_max_ms=3,
    media={"chat": MediumPolicy("chat", 20, True, ("email",), ("voice",))},
    classes={"vip": 60_000},
    reasons={"lunch": ReasonPolicy("lunch", 1_800_000, 3)},
)


def test_a_policy_with_everything_in_it_survives_json() -> None:
    assert FULL.problem() == ""
    again = Policy.from_plain(json.loads(json.dumps(FULL.to_plain())))
    assert again == FULL and again.digest() == FULL.digest()


def test_a_policy_of_an_older_journal_is_read_and_written_as_it_was() -> None:
    plain = {
        "queues": [["sales", [["fr", 3]], 20_000, 1, 15_000, 6]],
        "agents": [["ann", [], 30_000]],
        "missed_action": "not_ready",
        "decline_pause_ms": 10_000,
        "device_pause_ms": 30_000,
        "priority_step_ms": 30_000,
        "flags": [],
    }
    assert Policy.from_plain(plain).to_plain() == plain


@pytest.mark.parametrize(
    ("queues", "problem"),
    [
        ((QueuePolicy("a", rings=(Ring(5), Ring(5))),), "queue a: rings"),
        ((QueuePolicy("a", rings=(Ring(0),)),), "queue a: rings"),
        ((QueuePolicy("a", shares=(("x", 60), ("y", 50)), share_ms=5),), "queue a: shares"),
        ((QueuePolicy("a", shares=(("x", 60),)),), "queue a: share_ms"),
        ((QueuePolicy("a", medium="smoke"),), "queue a: medium"),
        ((QueuePolicy("a", overflow=(OverflowRule(5, "queue", "b"),)),), "queue a: overflow: queue 'b'"),
        ((QueuePolicy("a", overflow=(OverflowRule(5, "bin"),)),), "queue a: overflow: to"),
        ((QueuePolicy("a", strict_class=1), QueuePolicy("b")), "queue b: promote_ms"),
        (
            (
                QueuePolicy("a", overflow=(OverflowRule(5, "queue", "b"),)),
                QueuePolicy("b", overflow=(OverflowRule(5, "queue", "c"),)),
                QueuePolicy("c", overflow=(OverflowRule(5, "queue", "a"),)),
            ),
            "overflow: a cycle, a > b > c > a",
        ),
    ],
)
def test_a_policy_that_contradicts_itself_is_rejected_and_changes_nothing(
    queues: tuple[QueuePolicy, ...], problem: str
) -> None:
    desk = Desk(SALES, ANN)
    desk.do(0, "ready ann; arrive c1 sales")
    before = desk.engine.snapshot() | {"seq": 0, "now_ms": 0}
    done = desk.act(1, f.PolicyReplaced(policy_of(*queues)))
    assert [type(command).__name__ for command in done.commands] == ["RejectFact"]
    assert done.commands[0].to_plain()["reason"].startswith(problem)
    assert desk.engine.snapshot() | {"seq": 0, "now_ms": 0} == before
    with pytest.raises(ValueError, match=problem.split(":", maxsplit=1)[0]):
        RoutingEngine(policy_of(*queues))


def test_a_negative_capacity_is_rejected() -> None:
    desk = Desk(SALES, ANN)
    wrong = policy_of(SALES, AgentPolicy("ann", capacity=(("voice", -1),)))
    done = desk.act(1, f.PolicyReplaced(wrong))
    assert done.commands[0].to_plain()["reason"] == "agent ann: negative capacity"


def test_a_fact_of_an_older_journal_gets_the_defaults_of_newer_fields() -> None:
    old = {"k": "ContactArrived", "contact": "c1", "queue": "sales", "occurred_at_ms": 7}
    assert f.from_plain(old) == f.ContactArrived("c1", "sales", 7, 0)
    with pytest.raises(KeyError):
        f.from_plain({"k": "ContactSang"})


def test_every_command_has_a_plain_form_that_survives_json() -> None:
    desk = Desk(SALES, ANN)
    done = desk.do(0, "ready ann; arrive c1 sales; arrive c2 nowhere; end c3")
    done = replace(done, commands=done.commands + desk.do(1, "abandon c1").commands)
    plain = [command.to_plain() for command in done.commands]
    kinds = {"AgentChanged", "RecordDecision", "OfferContact", "WithdrawOffer", "Overflow", "RejectFact"}
    assert {row["k"] for row in plain} == kinds
    assert json.loads(json.dumps(plain[3])) == {
        "k": "OfferContact",
        "offer": desk.rang["ann"],
        "contact": "c1",
        "agent": "ann",
        "queue": "sales",
        "expires_at_ms": 20_000,
        "ring_ms": 20_000,
    }


def test_the_digest_of_a_policy_tells_policies_apart_and_survives_json() -> None:
    policy = policy_of(SALES, FRENCH, ANN, FRED)
    again = Policy.from_plain(json.loads(json.dumps(policy.to_plain())))
    assert again == policy and again.digest() == policy.digest()
    assert policy.digest() != replace(policy, decline_pause_ms=1).digest()
    assert policy.digest() != policy_of(SALES, FRENCH, ANN).digest()


def test_a_policy_with_an_unknown_flag_is_refused() -> None:
    with pytest.raises(ValueError, match="flag 'sing'"):
        Policy(flags=("sing",))


def test_a_snapshot_is_restored_only_under_its_own_policy_and_version() -> None:
    desk = Desk(SALES, ANN)
    state = desk.engine.snapshot()
    with pytest.raises(ValueError, match="policy"):
        RoutingEngine.restore(state, policy_of(SALES, BOB))
    with pytest.raises(ValueError, match="version"):
        RoutingEngine.restore(state | {"version": 0}, desk.policy)


def test_a_restored_engine_keeps_places_offers_bars_wishes_and_closed_queues() -> None:
    desk = Desk(replace(SALES, max_waiting=2), CLAIMS, ANN, BOB, CYD)
    desk.do(0, "ready ann; ready bob; ready cyd; close claims")
    desk.do(1, "arrive c1 sales; arrive c2 sales; arrive c3 sales; arrive c4 sales")
    desk.do(2, "answer ann; break ann lunch; decline bob; end c1")
    desk.engine = RoutingEngine.restore(json.loads(json.dumps(desk.engine.snapshot())), desk.policy)
    assert desk.engine.next_deadline_ms == 12_000
    desk.play(
        (3, "arrive c5 claims", "overflow c5 closed"),
        (4, "arrive c6 sales", ""),
        (5, "arrive c7 sales", "overflow c7 full"),
        (6, "saved ann", "ann not_ready lunch"),
        (7, "abandon c3", "stop cyd c3 abandoned; cyd idle; ring cyd c2"),
    )


def test_a_restored_engine_keeps_an_idle_place_that_was_given_back() -> None:
    desk = Desk(SALES, ANN, BOB)
    desk.do(0, "ready ann")
    desk.do(1, "ready bob; arrive c1 sales")
    desk.do(2, "abandon c1")
    desk.engine = RoutingEngine.restore(desk.engine.snapshot(), desk.policy)
    desk.play((3, "arrive c2 sales", "ring ann c2"))


def test_the_index_keeps_one_idle_place_of_an_agent_whatever_rings_elsewhere() -> None:
    agent, tables = Agent("ann", (), IDLE, free=("voice",)), Tables()
    tables.agents["ann"] = agent
    index = Index(policy_of(SALES, ANN), tables)
    signature = index.signature(Contact("c0", "sales", (), 0, 0, 0))
    for _ in range(1_000):
        for before, state in ((IDLE, RESERVED), (RESERVED, IDLE)):
            was_free = agent.free
            agent.state, agent.free = state, ("voice",) if state == IDLE else ()
            index.agent_changed(agent, before, was_free, rekeyed=False)
    assert len(signature.idle) < 200


def test_the_index_forgets_those_who_left_a_queue_that_nobody_serves() -> None:
    tables = Tables()
    index = Index(policy_of(SALES), tables)
    for n in range(1_000):
        contact = tables.contacts[f"c{n}"] = Contact(f"c{n}", "sales", (), n, n, n)
        index.add_waiting(contact)
        del tables.contacts[contact.id]
    assert len(index.signature(Contact("c0", "sales", (), 0, 0, 0)).waiting) < 200
