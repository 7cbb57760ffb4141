"""What wedges other engines, each as a scene that does not wedge this one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from routing import AgentPolicy, OfferContact, QueuePolicy, RoutingEngine
from routing import facts as f
from routing.policy import Ring, skills_of
from tests.routing.desk import Desk

SALES = QueuePolicy("sales")
ANN, BOB = AgentPolicy("ann", wrap_up_ms=10_000), AgentPolicy("bob", wrap_up_ms=10_000)


def test_an_agent_never_stays_reserved_for_an_offer_that_nobody_answers() -> None:
    desk = Desk(SALES, ANN)
    done = desk.do(0, "ready ann; arrive c1 sales")
    assert done.next_deadline_ms == 20_000
    desk.play((20, "", "stop ann c1 no_answer; ann not_ready missed"))


def test_an_agent_is_not_logged_out_for_a_missed_call() -> None:
    for action in ("not_ready", "stay_ready", "pause"):
        desk = Desk(SALES, ANN, missed_action=action)
        for second in range(0, 300, 20):
            desk.do(second, "ready ann" + ("; arrive c1 sales" if not second else ""))
        assert desk.states()["ann"] != "logged_out"


def test_a_wrap_up_is_neither_cut_short_nor_begun_anew_by_another_queue() -> None:
    desk = Desk(SALES, QueuePolicy("claims"), ANN)
    desk.play(
        (0, "ready ann; arrive c1 sales", "ann idle; ring ann c1"),
        (1, "answer ann", "ann talking"),
        (2, "end c1", "ann wrap_up until 12"),
        (3, "arrive c2 claims", ""),
        (6, "abandon c2; arrive c3 claims", ""),
        (12, "", "ann idle; ring ann c3"),
    )


def test_a_failed_call_of_ours_does_not_end_a_break() -> None:
    desk = Desk(SALES, ANN)
    desk.do(0, "ready ann")
    desk.do(1, "break ann lunch")
    desk.act(2, f.ContactAdopted("out", "sales", 2_000, 2_000, "ann"), f.AgentNotReady("ann", "lunch"))
    desk.play(
        (3, "end out", "ann wrap_up until 13"), (4, "arrive c1 sales", ""), (13, "", "ann not_ready lunch")
    )


def test_the_last_agent_to_leave_does_not_stop_the_offers() -> None:
    desk = Desk(SALES, ANN, BOB)
    desk.play(
        (0, "ready ann", "ann idle"),
        (1, "logout ann", "ann logged_out"),
        (2, "arrive c1 sales", ""),
        (3, "ready bob", "bob idle; ring bob c1"),
    )


def test_who_hung_up_is_not_counted_any_more() -> None:
    desk = Desk(SALES)
    desk.do(0, "arrive c1 sales; arrive c2 sales")
    desk.do(5, "abandon c1; abandon c2")
    assert desk.engine.queue_view("sales", 3_600_000) == (0, 0)
    assert desk.engine.position("c1") == 0


def test_the_oldest_caller_whom_nobody_can_serve_stops_nobody_else() -> None:
    desk = Desk(SALES, QueuePolicy("rare", skills_of({"ainu": 9}), priority=50), ANN)
    desk.play(
        (0, "arrive c1 rare", ""),
        (1, "arrive c2 sales", ""),
        (2, "ready ann", "ann idle; ring ann c2"),
    )


def test_the_order_across_queues_is_one_and_the_same_every_time() -> None:
    """Deadlines 30, 25 and 15 s: by urgency, whatever queue they are in, and whatever the hash seed."""
    queues = [QueuePolicy(name, target_ms=ms) for name, ms in (("a", 30_000), ("b", 20_000), ("c", 5_000))]
    desk = Desk(*queues, replace(ANN, wrap_up_ms=0))
    desk.do(0, "arrive c1 a")
    desk.do(5, "arrive c2 b")
    desk.do(10, "arrive c3 c")
    desk.play(
        (11, "ready ann", "ann idle; ring ann c3"),
        (12, "answer ann", "ann talking"),
        (13, "end c3", "ann idle; ring ann c2"),
        (14, "answer ann", "ann talking"),
        (15, "end c2", "ann idle; ring ann c1"),
    )


def test_an_idle_agent_never_waits_for_a_poll() -> None:
    """The offer is made in the activation that made it possible, whichever side came last."""
    desk = Desk(SALES, replace(ANN, wrap_up_ms=0))
    desk.do(0, "arrive c1 sales; arrive c2 sales")
    assert any(isinstance(c, OfferContact) for c in desk.do(1, "ready ann").commands)
    desk.do(2, "answer ann")
    assert any(isinstance(c, OfferContact) for c in desk.do(3, "end c1").commands)


def test_a_caller_relaxes_while_an_agent_lets_it_ring() -> None:
    queue = QueuePolicy("sales", skills_of({"fr": 9}), rings=(Ring(5_000),))
    desk = Desk(queue, AgentPolicy("ann", skills_of({"fr": 9})), BOB)
    desk.play(
        (0, "ready ann; ready bob; arrive c1 sales", "ann idle; bob idle; ring ann c1"),
        (5, "", "relax c1 1"),
        (6, "decline ann", "ann idle; ring bob c1"),
    )


def test_a_restart_keeps_everybodys_place() -> None:
    desk = Desk(SALES, QueuePolicy("vip", priority=1), ANN)
    desk.do(0, "arrive c1 sales; arrive c2 vip; arrive c3 sales; hold c3 60")
    desk.engine = RoutingEngine.restore(json.loads(json.dumps(desk.engine.snapshot())), desk.policy)
    places = [desk.engine.position(contact) for contact in ("c1", "c2", "c3")]
    assert places == [1, 1, 2]
    desk.play((1, "ready ann", "ann idle; ring ann c2"))


def test_nothing_is_assigned_to_who_is_not_there() -> None:
    desk = Desk(SALES, ANN)
    desk.play(
        (0, "arrive c1 sales", ""),
        (1, "assign c1 ann", "reject ContactAssigned agent_not_ready"),
        (2, "login ann", "ann not_ready logged_in"),
        (3, "assign c1 ann", "reject ContactAssigned agent_not_ready"),
    )


def test_shares_are_even_despite_limits() -> None:
    agents = [AgentPolicy(name, wrap_up_ms=0, capacity=(("chat", 3),)) for name in ("ann", "bob", "cyd")]
    desk = Desk(QueuePolicy("chat", medium="chat"), *agents)
    desk.do(0, "ready ann; ready bob; ready cyd")
    for n in range(9):
        done = desk.do(1 + n, f"arrive c{n} chat")
        (offer,) = (c for c in done.commands if isinstance(c, OfferContact))
        desk.do(1 + n, f"answer {offer.agent}")
    assert [len(agent.works) for agent in desk.engine.agent_views()] == [3, 3, 3]


def test_a_callback_can_be_deleted_and_is_never_dialled_without_an_agent() -> None:
    desk = Desk(SALES, ANN)
    desk.play(
        (0, "arrive c1 sales; callback c1", ""),
        (3_600, "", ""),
        (3_601, "abandon c1", ""),
        (3_602, "ready ann", "ann idle"),
    )


@pytest.mark.parametrize("fact", ["answer ann", "decline ann", "fail ann busy"])
def test_a_late_word_about_an_offer_that_is_over_changes_nothing(fact: str) -> None:
    desk = Desk(SALES, ANN)
    desk.do(0, "ready ann; arrive c1 sales")
    desk.do(20, "")
    before = desk.engine.snapshot()
    done = desk.do(21, fact)
    assert [command.to_plain()["reason"] for command in done.commands] == ["offer_over"]
    assert desk.engine.snapshot() | {"seq": 0, "now_ms": 0} == before | {"seq": 0, "now_ms": 0}
