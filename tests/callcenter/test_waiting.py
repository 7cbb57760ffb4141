"""What callers hear while they wait, what becomes of those who waited too long, and callbacks that keep their place."""

from __future__ import annotations

from typing import Any

import pytest

from callcenter.kernel.errors import NotAllowed
from callcenter.live.book import Interaction
from routing import AgentPolicy
from routing.policy import OverflowRule
from tests.callcenter.centre import ANN, BOB, COMPLAINTS, SERVICE, Centre


def centre(*overflow: OverflowRule, agents: tuple[AgentPolicy, ...] = (ANN,), **more: Any) -> Centre:
    from dataclasses import replace

    return Centre(replace(SERVICE, overflow=overflow, **more), COMPLAINTS, *agents)


def plays(desk: Centre, live: Interaction) -> list[str]:
    return [file for play in desk.worker.ops("play", live.leg) for file in play["files"]]


# --- announcements -----------------------------------------------------------------------------------------


def test_the_place_is_said_on_schedule_and_music_follows() -> None:
    desk = centre(announce_first_ms=10_000, announce_every_ms=30_000)
    desk.ready("ann")
    desk.talk("13800138001")
    first, second = desk.queue_up("13800138002"), desk.queue_up("13800138003")
    desk.wait(11)
    assert desk.heard(first) == ["zh/您是下一位。"]
    assert desk.heard(second) == ["zh/您前面还有1位客户。"]
    music = len(desk.worker.ops("music", first.leg))
    desk.worker.finish_play(first.leg)
    desk.settle()
    assert len(desk.worker.ops("music", first.leg)) == music + 1
    desk.wait(30)
    assert plays(desk, first).count("zh/您是下一位。") == 2
    assert desk.waiting.counts["announced"] == 4


def test_nothing_is_said_to_who_talks_already() -> None:
    desk = centre(announce_first_ms=10_000, announce_every_ms=10_000)
    desk.ready("ann")
    live = desk.talk()
    before = len(desk.worker.ops("play", live.leg))
    desk.wait(60)
    assert len(desk.worker.ops("play", live.leg)) == before


@pytest.mark.parametrize(
    ("language", "position", "estimate_ms", "said"),
    [
        ("zh", 1, -1, ("您是下一位。",)),
        ("zh", 4, 30_000, ("您前面还有3位客户。", "预计等候不到一分钟。")),
        ("en", 2, 61_000, ("There are 1 callers before you.", "The wait is about 2 minutes.")),
        ("en", 150, 600_000, ("The wait is about 10 minutes.",)),
    ],
)
def test_the_words_of_an_announcement(
    language: str, position: int, estimate_ms: int, said: tuple[str, ...]
) -> None:
    from callcenter.live.waiting import _place

    assert _place(language, position, estimate_ms) == said


# --- overflow ----------------------------------------------------------------------------------------------


def test_into_another_queue_with_the_age_it_has() -> None:
    desk = centre(OverflowRule(20_000, "queue", "complaints"))
    live = desk.queue_up()
    since_ms = live.queued_at_ms
    desk.wait(21)
    assert (live.queue, live.state, live.queued_at_ms) == ("complaints", "waiting", since_ms)
    view = desk.host.engine.contact_view(live.contact)
    assert view is not None and view.queue == "complaints"
    tag = desk.worker.legs[live.leg].tag
    assert (tag["queue"], tag["arrived_at_ms"]) == ("complaints", view.arrived_at_ms)
    assert [fact["queue"] for fact in desk.journalled("QueueChanged")] == ["complaints"]


@pytest.mark.parametrize("to", ["voicemail", "text"])
def test_into_the_flow_that_sent_them(to: str) -> None:
    """The hotline offers to take a message where its queue does not take the caller."""
    desk = centre(OverflowRule(20_000, to))
    live = desk.queue_up()
    node = live.node
    desk.wait(21)
    assert live.state == "flow" and live.node != node
    assert desk.host.engine.contact_view(live.contact) is None
    assert desk.waiting.counts[f"overflow_{to}"] == 1


def test_into_a_flow_by_name() -> None:
    desk = centre(OverflowRule(20_000, "flow", "hotline"))
    live = desk.queue_up()
    desk.wait(21)
    assert (live.state, live.flow) == ("flow", "hotline")


def test_who_can_go_nowhere_waits_on_as_long_as_since_the_first_time() -> None:
    desk = centre(OverflowRule(20_000, "flow", "no_such_flow"))
    live = desk.queue_up()
    desk.flows.stop(live.id)
    since_ms = live.queued_at_ms
    desk.wait(21)
    view = desk.host.engine.contact_view(live.contact)
    assert live.state == "waiting" and view is not None
    assert view.deadline_ms <= since_ms + SERVICE.target_ms
    desk.ready("ann")
    desk.pick_up(live)
    assert live.state == "talking"


# --- callbacks ---------------------------------------------------------------------------------------------

OFFER = OverflowRule(20_000, "callback")


def asked(desk: Centre, caller: str = "13800138000") -> tuple[Interaction, Interaction]:
    """A caller who said yes: (their own call, the callback)."""
    live = desk.queue_up(caller)
    desk.wait(21)
    desk.worker.key(live.leg, "1")
    desk.settle()
    desk.wait(7)
    back = desk.host.book.of_contact(live.contact)
    assert back is not None and back is not live
    return live, back


def test_the_offer_is_heard_and_any_other_key_changes_nothing() -> None:
    desk = centre(OFFER)
    live = desk.queue_up()
    desk.worker.key(live.leg, "1")
    desk.settle()
    assert live.state == "waiting", "nothing was offered yet"
    desk.wait(21)
    assert "请按一" in desk.heard(live)[0]
    desk.worker.key(live.leg, "5")
    desk.settle()
    assert live.state == "waiting" and live.leg in desk.worker.legs


def test_who_says_yes_hangs_up_and_keeps_the_place() -> None:
    desk = centre(OFFER)
    live, back = asked(desk)
    desk.queue_up("13800138009")
    assert live.leg not in desk.worker.legs
    assert (back.callback, back.state, back.direction, back.queued_at_ms) == (
        *(1, "waiting", "out"),
        live.queued_at_ms,
    )
    assert desk.host.engine.position(back.contact) == 1
    assert desk.journalled("InteractionEnded")[-1]["outcome"] == "callback"


def test_an_agent_is_reserved_before_the_customer_is_rung() -> None:
    desk = centre(OFFER)
    _live, back = asked(desk)
    assert desk.worker.ops("dial") == []
    desk.ready("ann")
    (ringing,) = desk.worker.ops("dial")
    assert ringing.leg == back.agent_leg and ringing["on_answer"] is None
    assert (back.state, desk.agent("ann")) == ("ringing", "reserved")
    desk.pick_up(back)
    _ringing, customer = desk.worker.ops("dial")
    assert (customer.leg, back.state, desk.agent("ann")) == (back.leg, "calling", "talking")
    assert "13800138000" in customer["uri"]
    desk.worker.pick_up(back.leg)
    desk.settle()
    assert back.state == "talking"
    desk.agent_leaves(back)
    assert desk.agent("ann") == "wrap_up"
    assert [f["outcome"] for f in desk.journalled("InteractionEnded")] == ["callback", "answered"]


def test_nobody_reached_is_tried_again_later_at_the_old_place() -> None:
    desk = centre(OFFER)
    live, back = asked(desk)
    desk.ready("ann")
    desk.pick_up(back)
    desk.worker.leave(back.leg, 480)
    desk.settle()
    again = desk.host.book.of_contact(live.contact)
    assert again is not None and again.id != back.id
    assert (again.callback, again.state, desk.agent("ann")) == (2, "waiting", "idle")
    dials = len(desk.worker.ops("dial"))
    desk.wait(50)
    assert len(desk.worker.ops("dial")) == dials, "held"
    desk.wait(15)
    assert again.state == "ringing"
    desk.pick_up(again)
    desk.worker.leave(again.leg, 480)
    desk.settle()
    assert desk.host.book.of_contact(live.contact) is None, "tried often enough"
    assert desk.host.engine.contact_view(live.contact) is None
    outcomes = [f["outcome"] for f in desk.journalled("InteractionEnded")]
    assert outcomes == ["callback", "callback_again", "not_reached"]


def test_an_agent_who_hangs_up_before_the_customer_answers_loses_nobody() -> None:
    desk = centre(OFFER)
    live, back = asked(desk)
    desk.ready("ann")
    desk.pick_up(back)
    desk.agent_leaves(back)
    again = desk.host.book.of_contact(live.contact)
    assert again is not None and (again.callback, again.state) == (2, "waiting")


def test_an_agent_who_does_not_answer_gives_it_to_another() -> None:
    desk = centre(OFFER, agents=(ANN, BOB))
    _live, back = asked(desk)
    desk.ready("ann")
    desk.worker.leave(back.agent_leg, 486)
    desk.settle()
    assert (back.state, back.worker, back.leg) == ("waiting", "", "")
    desk.ready("bob")
    assert (back.state, back.agent) == ("ringing", "bob")


def test_a_supervisor_cancels_a_callback() -> None:
    desk = centre(OFFER)
    live, back = asked(desk)
    desk.callbacks.cancel("eve", back.id)
    assert desk.host.engine.contact_view(live.contact) is None
    assert desk.journalled("ActionTaken")[-1]["action"] == "cancel_callback"
    with pytest.raises(NotAllowed, match="no_callback"):
        desk.callbacks.cancel("eve", back.id)
    with pytest.raises(NotAllowed, match="no_callback"):
        desk.callbacks.cancel("eve", desk.queue_up("13800138007").id)


def test_who_hides_their_number_is_offered_none() -> None:
    desk = centre(OFFER)
    live = desk.queue_up("anonymous")
    desk.wait(25)
    assert not any("请按一" in file for file in plays(desk, live))
    desk.worker.key(live.leg, "1")
    desk.settle()
    assert live.state == "waiting" and live.leg in desk.worker.legs


def test_a_new_core_knows_the_callbacks_that_wait() -> None:
    desk = centre(OFFER)
    live, _back = asked(desk)
    desk.restart(away_ms=3_000)
    back = desk.host.book.of_contact(live.contact)
    assert back is not None and (back.state, back.callback) == ("waiting", 1)
    desk.ready("ann")
    desk.pick_up(back)
    desk.worker.pick_up(back.leg)
    desk.settle()
    assert back.state == "talking"


@pytest.mark.parametrize("answered", [False, True])
def test_a_new_core_goes_on_with_a_callback_that_rings_at_the_agent(answered: bool) -> None:
    desk = centre(OFFER)
    live, back = asked(desk)
    desk.ready("ann")
    desk.crash()
    if answered:
        desk.worker.pick_up(back.agent_leg)
        desk.worker.work()
    desk.stay_away(2_000)
    desk.revive()
    desk.attach()
    again = desk.host.book.of_contact(live.contact)
    assert again is not None
    if not answered:
        assert again.state == "ringing"
        desk.pick_up(again)
    assert again.state == "calling"
    desk.worker.pick_up(again.leg)
    desk.settle()
    assert again.state == "talking"


def test_a_worker_that_dies_with_a_callback_loses_nobody() -> None:
    desk = centre(OFFER)
    live, back = asked(desk)
    desk.ready("ann")
    desk.pick_up(back)
    desk.adoption.worker_lost(desk.worker.boot)
    again = desk.host.book.of_contact(live.contact)
    assert again is not None and (again.callback, again.state) == (2, "waiting")


def test_history_counts_the_contact_once() -> None:
    from callcenter.projection import Projection

    desk = centre(OFFER)
    live, back = asked(desk)
    desk.ready("ann")
    desk.pick_up(back)
    desk.worker.pick_up(back.leg)
    desk.settle()
    desk.agent_leaves(back)
    projection = Projection(lambda _interaction: None)
    for entry in desk.journal.entries:
        projection.apply(entry.seq, entry.now_ms, entry.facts, entry.commands)
    first, second = (projection.records[one.id].contacts for one in (live, back))
    assert [row["result"] for row in first] == ["moved"]
    assert [(row["result"], row["queued_at_ms"], row["agent"]) for row in second] == [
        ("answered", live.queued_at_ms, "ann")
    ]


def test_a_queue_that_sent_them_on_has_moved_them_and_the_other_has_their_age() -> None:
    from callcenter.projection import Projection

    desk = centre(OverflowRule(20_000, "queue", "complaints"))
    live = desk.queue_up()
    desk.wait(21)
    desk.caller_leaves(live)
    projection = Projection(lambda _interaction: None)
    for entry in desk.journal.entries:
        projection.apply(entry.seq, entry.now_ms, entry.facts, entry.commands)
    rows = projection.records[live.id].contacts
    assert [(row["queue"], row["result"]) for row in rows] == [
        ("service", "moved"),
        ("complaints", "abandoned"),
    ]
    assert rows[0]["queued_at_ms"] == rows[1]["queued_at_ms"]
    assert len({row["id"] for row in rows}) == 2
