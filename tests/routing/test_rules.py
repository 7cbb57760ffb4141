"""The rules of docs/routing.md, as scenes: who gets a contact, which contact an agent gets, capacity, states, queues' lives.

The state machine plays far more of them against an independent implementation; these say what is meant."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from routing import AgentPolicy, Policy, QueuePolicy, RecordDecision, RoutingEngine
from routing import facts as f
from routing.engine import Activation
from routing.policy import MediumPolicy, OverflowRule, ReasonPolicy, Ring, Weights, skills_of
from tests.routing.desk import Desk, policy_of

SALES = QueuePolicy("sales", ring_ms=20_000)
ANN, BOB, CYD = (AgentPolicy(name, wrap_up_ms=0) for name in ("ann", "bob", "cyd"))


def skilled(name: str, **levels: int) -> AgentPolicy:
    return AgentPolicy(name, skills_of(levels), wrap_up_ms=0)


def decision(desk: Desk, second: float, happens: str) -> RecordDecision:
    (found,) = (c for c in desk.do(second, happens).commands if isinstance(c, RecordDecision))
    return found


# --- which agent -------------------------------------------------------------------------------------------


def test_best_skilled_goes_before_longest_idle() -> None:
    fr = replace(SALES, skills=skills_of({"fr": 3}), strategy="best_skilled")
    desk = Desk(fr, skilled("ann", fr=5), skilled("bob", fr=9), skilled("cyd", fr=2))
    desk.do(0, "ready ann; ready bob; ready cyd")
    made = decision(desk, 1, "arrive c1 sales")
    assert (made.agent, made.rule, made.considered) == ("bob", "best_skilled", (("bob", -9), ("ann", -5)))


def test_least_flexible_keeps_generalists_free() -> None:
    claims = QueuePolicy("claims", skills_of({"claims": 1}))
    sales = replace(SALES, skills=skills_of({"sales": 1}), strategy="least_flexible")
    desk = Desk(sales, claims, skilled("ann", sales=9, claims=9), skilled("bob", sales=1))
    desk.do(0, "ready ann")
    desk.do(1, "ready bob")
    assert decision(desk, 2, "arrive c1 sales").agent == "bob"


def test_least_occupied_looks_at_the_day_so_far() -> None:
    desk = Desk(replace(SALES, strategy="least_occupied"), ANN, BOB)
    desk.play(
        (0, "ready ann", "ann idle"),
        (0, "arrive c1 sales", "ring ann c1"),
        (0, "answer ann", "ann talking"),
        (50, "end c1", "ann idle"),
        (60, "ready bob", "bob idle"),
        (61, "arrive c2 sales", "ring bob c2"),
    )


def test_weighted_counts_merits_in_idle_time() -> None:
    """A level is worth ten seconds: three levels more beat twenty-five seconds of idle time, not thirty-five."""
    queue = replace(SALES, skills=skills_of({"fr": 1}), strategy="weighted", weights=Weights(skill_ms=10_000))
    for lead_s, expected in ((25, "bob"), (35, "ann")):
        desk = Desk(queue, skilled("ann", fr=2), skilled("bob", fr=5))
        desk.do(0, "ready ann")
        desk.do(lead_s, "ready bob")
        assert decision(desk, 100, "arrive c1 sales").agent == expected


def test_learned_costs_decide_and_who_is_new_is_average() -> None:
    queue = replace(SALES, strategy="learned", explore_every=0)
    desk = Desk(queue, ANN, BOB, CYD)
    desk.act(0, f.AgentsLearned((("ann", "sales", 90_000), ("bob", "sales", 30_000))))
    desk.do(1, "ready ann; ready cyd; ready bob")
    order = []
    for n in range(3):
        order.append(decision(desk, 2 + n, f"arrive c{n} sales").agent)
    assert order == ["bob", "cyd", "ann"], "cyd is taken for the mean, 60 s"


def test_every_so_often_history_is_left_aside() -> None:
    queue = replace(SALES, strategy="learned", explore_every=2)
    desk = Desk(queue, ANN, BOB)
    desk.act(0, f.AgentsLearned((("ann", "sales", 90_000), ("bob", "sales", 30_000))))
    rules = []
    for n in range(4):
        desk.do(10 * n, "ready ann" if not n else "")
        desk.do(10 * n + 1, "ready bob" if not n else "")
        made = decision(desk, 10 * n + 2, f"arrive c{n} sales")
        rules.append(made.rule)
        desk.do(10 * n + 3, f"answer {made.agent}")
        desk.do(10 * n + 4, f"end c{n}")
    assert rules == ["learned", "explore", "learned", "explore"]


def test_the_preferred_agent_is_waited_for_while_they_are_there() -> None:
    queue = replace(SALES, preferred_ms=30_000)
    busy = (
        (0, "ready ann", "ann idle"),
        (0, "arrive c1 sales", "ring ann c1"),
        (1, "answer ann", "ann talking"),
    )
    desk = Desk(queue, ANN, BOB)
    desk.play(
        *busy,
        (2, "ready bob", "bob idle"),
        (5, "prefer c2 sales ann", ""),
        (6, "arrive c3 sales", "ring bob c3"),
        (7, "answer bob", "bob talking"),
        (8, "end c3", "bob idle"),
        (20, "end c1", "ann idle; ring ann c2"),
    )
    desk = Desk(queue, ANN, BOB)
    desk.play(
        *busy,
        (2, "ready bob", "bob idle"),
        (5, "prefer c2 sales ann", ""),
        (35, "", "ring bob c2"),
    )
    desk = Desk(queue, ANN, BOB)
    desk.play(
        *busy,
        (2, "ready bob", "bob idle"),
        (5, "prefer c2 sales ann", ""),
        (9, "break ann lunch", "ring bob c2"),
    )


def test_needs_relax_while_it_waits_and_while_it_rings() -> None:
    queue = replace(
        SALES,
        skills=skills_of({"fr": 8}),
        rings=(Ring(10_000, skills_of({"fr": 5})), Ring(30_000)),
    )
    desk = Desk(queue, skilled("ann", fr=8), skilled("bob", fr=5), CYD)
    desk.play(
        (0, "ready bob; ready cyd", "bob idle; cyd idle"),
        (1, "arrive c1 sales", ""),
        (11, "", "relax c1 1; ring bob c1"),
        (25, "decline bob", "bob idle"),
        (31, "", "relax c1 2; ring cyd c1"),
    )


def test_a_relaxation_goes_on_while_an_offer_rings() -> None:
    queue = replace(SALES, skills=skills_of({"fr": 8}), rings=(Ring(10_000),))
    desk = Desk(queue, skilled("ann", fr=8), CYD)
    desk.play(
        (0, "ready ann; ready cyd", "ann idle; cyd idle"),
        (1, "arrive c1 sales", "ring ann c1"),
        (11, "", "relax c1 1"),
        (21, "", "stop ann c1 no_answer; ann not_ready missed; ring cyd c1"),
    )


def test_half_of_the_newcomers_are_kept_for_a_team_for_a_while() -> None:
    queue = replace(SALES, shares=(("north", 50),), share_ms=20_000)
    north = AgentPolicy("ann", wrap_up_ms=0, teams=("north",))
    desk = Desk(queue, north, BOB)
    desk.play(
        (0, "ready bob", "bob idle"),
        (1, "arrive c1 sales", ""),
        (2, "arrive c2 sales", "ring bob c2"),
        (3, "answer bob", "bob talking"),
        (4, "end c2", "bob idle"),
        (21, "", "ring bob c1"),
    )


# --- which contact -----------------------------------------------------------------------------------------


def test_a_higher_class_goes_first_and_promotion_ends_the_wait() -> None:
    vip = QueuePolicy("vip", target_ms=600_000, strict_class=1)
    desk = Desk(replace(SALES, target_ms=0, promote_ms=60_000), vip, ANN)
    desk.play(
        (0, "arrive c1 sales; arrive c2 vip", ""),
        (10, "ready ann", "ann idle; ring ann c2"),
        (11, "answer ann", "ann talking"),
        (50, "arrive c3 vip", ""),
        (60, "", ""),
        (70, "end c2", "ann idle; ring ann c1"),
    )


def test_who_misses_the_target_gives_way_to_those_in_time_but_not_for_ever() -> None:
    desk = Desk(replace(SALES, late_ms=60_000), ANN)
    desk.play(
        (0, "arrive c1 sales", ""),
        (15, "arrive c2 sales", ""),
        (20, "", "late c1"),
        (25, "ready ann", "ann idle; ring ann c2"),
        (26, "answer ann", "ann talking"),
        (75, "arrive c3 sales", ""),
        (80, "end c2", "ann idle; ring ann c1"),
    )


def test_giving_way_goes_by_the_target_and_not_by_the_credit() -> None:
    desk = Desk(replace(SALES, late_ms=60_000), ANN, classes={"vip": 30_000})
    desk.play(
        (0, "class c1 sales vip", ""),
        (10, "arrive c2 sales", ""),
        (19, "ready ann", "ann idle; ring ann c1"),
    )


def test_a_customers_class_is_credit() -> None:
    desk = Desk(SALES, ANN, classes={"vip": 60_000})
    desk.play(
        (0, "arrive c1 sales", ""),
        (30, "class c2 sales vip; class c3 sales gold", ""),
        (31, "ready ann", "ann idle; ring ann c2"),
    )


# --- several media -----------------------------------------------------------------------------------------

CHAT, MAIL = QueuePolicy("chat", medium="chat"), QueuePolicy("mail", medium="email", target_ms=0)
MANY = AgentPolicy("ann", wrap_up_ms=0, capacity=(("voice", 1), ("chat", 2), ("email", 1)))


def test_two_chats_beside_each_other_and_no_call_beside_them() -> None:
    desk = Desk(SALES, CHAT, MANY)
    desk.play(
        (0, "ready ann", "ann idle"),
        (1, "arrive c1 chat; arrive c2 chat; arrive c3 chat; arrive c4 sales", "ring ann c1"),
        (2, "answer ann", "ann talking; ring ann c2"),
        (3, "answer ann", ""),
        (4, "end c1", "ann talking; ring ann c3"),
        (5, "abandon c3", "stop ann c3 abandoned"),
        (6, "end c2", "ann idle; ring ann c4"),
    )


def test_a_mail_pauses_for_a_call_and_goes_on_afterwards() -> None:
    desk = Desk(SALES, MAIL, replace(MANY, wrap_up_ms=5_000))
    desk.play(
        (0, "ready ann", "ann idle"),
        (1, "arrive m1 mail", "ring ann m1"),
        (2, "answer ann", "ann talking"),
        (3, "arrive c1 sales", "ring ann c1"),
        (4, "answer ann", "ann talking; pause ann m1"),
        (5, "end c1", "ann wrap_up until 10"),
        (10, "", "resume ann m1; ann talking"),
        (11, "end m1", "ann wrap_up until 16"),
        (16, "", "ann idle"),
    )


def test_the_emptier_hands_take_the_next_chat() -> None:
    desk = Desk(CHAT, MANY, replace(MANY, agent="bob"))
    desk.play(
        (0, "ready ann; ready bob", "ann idle; bob idle"),
        (1, "arrive c1 chat", "ring ann c1"),
        (2, "answer ann", "ann talking"),
        (3, "arrive c2 chat", "ring bob c2"),
    )


def test_a_chat_may_stand_beside_a_call_where_that_is_allowed() -> None:
    media = {
        "voice": MediumPolicy("voice", 60, exclusive=True, beside=("chat",)),
        "chat": MediumPolicy("chat", 30, beside=("voice",)),
    }
    desk = Desk(SALES, CHAT, MANY, media=media)
    desk.play(
        (0, "ready ann", "ann idle"),
        (1, "arrive c1 sales; arrive c2 chat; arrive c3 chat", "ring ann c1"),
        (2, "answer ann", "ann talking; ring ann c2"),
        (3, "answer ann", ""),
    )


def test_outbound_work_waits_for_idle_agents_and_leaves_some() -> None:
    calls = QueuePolicy("calls", outbound=True, blend_after_ms=10_000, keep_idle=1)
    desk = Desk(SALES, calls, ANN, BOB)
    desk.play(
        (0, "ready ann", "ann idle"),
        (1, "arrive o1 calls; arrive o2 calls", ""),
        (20, "", ""),
        (25, "ready bob", "bob idle; ring ann o1"),
        (26, "answer ann", "ann talking"),
        (60, "", ""),
        (61, "arrive c1 sales", "ring bob c1"),
    )


def test_who_was_idle_too_short_is_asked_when_the_time_has_come() -> None:
    calls = QueuePolicy("calls", outbound=True, blend_after_ms=10_000)
    desk = Desk(calls, ANN)
    desk.do(0, "ready ann")
    assert desk.do(2, "arrive o1 calls").next_deadline_ms == 10_000
    desk.play((10, "", "ring ann o1"))


# --- states ------------------------------------------------------------------------------------------------


def test_a_missed_offer_is_a_pause_until_it_happens_too_often() -> None:
    rules = {"missed_action": "pause", "missed_pause_ms": 5_000, "missed_limit": 2}
    desk = Desk(SALES, ANN, **rules)
    desk.play(
        (0, "ready ann; arrive c1 sales", "ann idle; ring ann c1"),
        (20, "", "stop ann c1 no_answer; ann not_ready missed until 25"),
        (25, "", "ann idle; ring ann c1"),
        (45, "", "stop ann c1 no_answer; ann not_ready missed"),
        (46, "ready ann", "ann idle; ring ann c1"),
        (47, "answer ann", "ann talking"),
    )


def test_a_wrap_up_is_extended_to_the_most_allowed() -> None:
    desk = Desk(SALES, replace(ANN, wrap_up_ms=10_000), wrap_up_max_ms=25_000)
    desk.play(
        (0, "ready ann; arrive c1 sales", "ann idle; ring ann c1"),
        (1, "answer ann", "ann talking"),
        (2, "end c1", "ann wrap_up until 12"),
        (3, "extend ann 10", "ann wrap_up until 22"),
        (4, "extend ann 60", "ann wrap_up until 27"),
        (
            5,
            "extend ann 1; extend ann -1",
            "reject WrapUpExtended longest; reject WrapUpExtended not_positive",
        ),
        (27, "", "ann idle"),
        (28, "extend ann 5", "reject WrapUpExtended not_wrapping_up"),
    )


def test_a_break_has_limits_in_time_and_in_number() -> None:
    reasons = {"lunch": ReasonPolicy("lunch", limit_ms=60_000, at_once=1)}
    desk = Desk(SALES, ANN, BOB, reasons=reasons)
    desk.play(
        (0, "ready ann; ready bob", "ann idle; bob idle"),
        (1, "break ann lunch", "ann not_ready lunch"),
        (2, "break bob lunch", "reject AgentNotReady too_many"),
        (61, "", "limit ann lunch"),
        (62, "ready ann", "ann idle"),
        (63, "break bob lunch", "bob not_ready lunch"),
    )


def test_finish_then_break_with_several_contacts() -> None:
    desk = Desk(CHAT, MANY)
    desk.play(
        (0, "ready ann", "ann idle"),
        (1, "arrive c1 chat", "ring ann c1"),
        (2, "answer ann", "ann talking"),
        (3, "break ann lunch", ""),
        (4, "arrive c2 chat", ""),
        (5, "end c1", "ann not_ready lunch"),
    )


# --- queues ------------------------------------------------------------------------------------------------


def test_nobody_waits_where_nobody_may() -> None:
    desk = Desk(replace(SALES, no_waiting=True), ANN)
    desk.play(
        (0, "arrive c1 sales", "overflow c1 nobody_free"),
        (1, "ready ann", "ann idle"),
        (2, "arrive c2 sales", "ring ann c2"),
        (3, "arrive c3 sales", "overflow c3 nobody_free"),
    )


def test_who_waited_too_long_is_moved_with_the_age_they_have() -> None:
    first = replace(SALES, skills=skills_of({"fr": 1}), overflow=(OverflowRule(30_000, "queue", "all"),))
    desk = Desk(first, QueuePolicy("all"), ANN)
    desk.play(
        (0, "arrive c1 sales", ""),
        (20, "arrive c2 all", ""),
        (30, "", "move c1 all max_wait"),
        (31, "ready ann", "ann idle; ring ann c1"),
    )


def test_other_ways_out_of_a_queue() -> None:
    rules = (
        OverflowRule(10_000, "callback"),
        OverflowRule(20_000, "flow", "night"),
        OverflowRule(30_000, "text"),
    )
    desk = Desk(replace(SALES, overflow=rules), ANN)
    desk.play(
        (0, "arrive c1 sales; arrive c2 sales", ""),
        (10, "", "send c1 callback; send c2 callback"),
        (11, "callback c1", ""),
        (20, "", "send c2 flow night"),
        (40, "ready ann", "ann idle; ring ann c1"),
        (41, "answer ann", "ann talking"),
        (42, "hold c1 60", "ann idle"),
        (60, "", "ring ann c1"),
    )


def test_a_full_or_closed_queue_is_passed_over_by_overflow() -> None:
    rules = (
        OverflowRule(10_000, "queue", "b"),
        OverflowRule(20_000, "queue", "c"),
        OverflowRule(30_000, "voicemail"),
    )
    desk = Desk(replace(SALES, overflow=rules), QueuePolicy("b", max_waiting=1), QueuePolicy("c"), ANN)
    desk.play(
        (0, "close c; arrive x b; arrive c1 sales", ""),
        (30, "", "send c1 voicemail"),
    )


def test_announcements_keep_their_schedule() -> None:
    desk = Desk(replace(SALES, announce_first_ms=10_000, announce_every_ms=20_000))
    desk.play(
        (0, "arrive c1 sales; arrive c2 sales", ""),
        (10, "", "say c1 1; say c2 2"),
        (15, "abandon c1", ""),
        (30, "", "say c2 1"),
        (75, "", "say c2 1"),
    )
    assert desk.engine.next_deadline_ms == 90_000


def test_by_hand() -> None:
    desk = Desk(SALES, replace(SALES, name="fr", skills=skills_of({"fr": 1})), ANN)
    desk.play(
        (0, "ready ann; arrive c1 fr; arrive c2 fr", "ann idle"),
        (
            1,
            "assign c2 bob; assign c9 ann",
            "reject ContactAssigned unknown_agent; reject ContactAssigned unknown_contact",
        ),
        (2, "assign c2 ann", "ring ann c2"),
        (3, "assign c1 ann", "reject ContactAssigned agent_not_ready"),
        (4, "moveall fr sales", "move c1 sales moved"),
        (5, "answer ann", "ann talking"),
        (6, "move c2 fr", "ann idle; ring ann c1; move c2 fr moved"),
    )


def test_a_held_contact_keeps_its_place() -> None:
    desk = Desk(SALES, ANN)
    desk.play(
        (0, "arrive c1 sales; arrive c2 sales; hold c1 30", ""),
        (1, "ready ann", "ann idle; ring ann c2"),
        (2, "hold c2 20", "stop ann c2 held; ann idle"),
        (3, "release c1", "ring ann c1"),
        (4, "release c1; hold c1 2", "reject ContactReleased not_held; reject ContactHeld not_later"),
    )


def test_skills_of_many_change_at_once_and_on_time() -> None:
    fr = replace(SALES, skills=skills_of({"fr": 5}))
    desk = Desk(fr, ANN, BOB)
    desk.do(0, "ready ann; ready bob; arrive c1 sales")
    changes = (("ann", skills_of({"fr": 5})),)
    desk.act(1, f.AgentsReskilled(changes, at_ms=10_000))
    desk.play((9, "", ""), (10, "", "ring ann c1"))
    assert desk.engine.policy.agents["ann"].skills == skills_of({"fr": 5})
    rejected = desk.act(11, f.AgentsReskilled((("eve", ()),)))
    assert rejected.commands[0].to_plain()["reason"] == "unknown_agent"


# --- estimated wait ----------------------------------------------------------------------------------------


def busy_line(step_s: float, rounds: int) -> Desk:
    """One agent serves a line of three that never ends, a customer every `step_s`."""
    desk = Desk(SALES, ANN)
    desk.do(0, "ready ann; arrive c0 sales; arrive c1 sales; arrive c2 sales; arrive c3 sales")
    desk.do(0, "answer ann")
    for n in range(rounds):
        desk.do((n + 1) * step_s, f"end c{n}; arrive c{n + 4} sales")
        desk.do((n + 1) * step_s, "answer ann")
    return desk


def test_a_wait_is_told_once_enough_was_measured_and_it_came_true() -> None:
    assert busy_line(10, 10).engine.estimate("sales").wait_ms == -1
    desk = busy_line(10, 60)
    told = desk.engine.estimate("sales")
    assert told.confident and told.confidence > 900
    assert told.wait_ms == 4 * 10_000
    assert desk.engine.estimate("sales", "c63").wait_ms == 30_000


def test_an_overflow_that_depends_on_the_wait_to_come() -> None:
    desk = busy_line(10, 60)
    rule = OverflowRule(1_000, "voicemail", min_estimate_ms=35_000)
    desk.act(600, f.PolicyReplaced(policy_of(replace(SALES, overflow=(rule,)), ANN)))
    desk.do(600, "arrive x1 sales; abandon c62; abandon c63; arrive x2 sales; arrive x3 sales")
    sent = [c.to_plain()["contact"] for c in desk.do(601, "").commands]
    assert sent == ["x3"], "the fourth has forty seconds before them, the third thirty"


def test_a_wait_grows_when_nobody_leaves_any_more() -> None:
    desk = busy_line(10, 60)
    assert desk.engine.estimate("sales", now_ms=desk.now + 60_000).wait_ms == 4 * 60_000


def test_an_estimate_that_does_not_come_true_is_not_told() -> None:
    desk = Desk(SALES, ANN)
    desk.do(0, "ready ann")
    at, n = 0.0, 0
    for burst in range(30):
        gap = 1 if burst % 2 else 300
        desk.do(at, f"arrive c{n} sales; arrive c{n + 1} sales; arrive c{n + 2} sales")
        for k in range(3):
            desk.do(at, "answer ann")
            at += gap
            desk.do(at, f"end c{n + k}")
        n += 3
    told = desk.engine.estimate("sales")
    assert told.wait_ms >= 0 and not told.confident


# --- policy ------------------------------------------------------------------------------------------------


def test_a_new_policy_counts_between_two_activations_and_loses_nobody() -> None:
    desk = Desk(replace(SALES, skills=skills_of({"fr": 9})), ANN)
    desk.do(0, "ready ann; arrive c1 sales; arrive c2 sales")
    done = desk.act(1, f.PolicyReplaced(policy_of(SALES, ANN)))
    assert [c.to_plain()["contact"] for c in done.commands if isinstance(c, RecordDecision)] == ["c1"]
    assert desk.engine.position("c2") == 2


@pytest.mark.parametrize(
    "wrong", [{"media": {}}, {"queues": {"a": QueuePolicy("a", strict_class=2), "b": SALES}}]
)
def test_an_engine_is_not_begun_under_a_policy_that_contradicts_itself(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="queue"):
        RoutingEngine(replace(Policy({"sales": SALES}), **wrong))


def test_time_never_goes_back() -> None:
    engine = RoutingEngine()
    engine.activate(Activation(1, 5))
    with pytest.raises(ValueError, match="time went back"):
        engine.activate(Activation(2, 4))
    with pytest.raises(ValueError, match="activation 3 after 1"):
        engine.activate(Activation(3, 6))
