"""What history teaches of agents and queues: by hand, from records, and by the hour."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, text

from callcenter.learning import LearningKeeper, costs, learn
from callcenter.live.lookups import last_agents
from routing import AgentPolicy
from tests.callcenter.centre import ANN, BOB, COMPLAINTS, SERVICE, AtOnce, Centre

DAY = 86_400_000


def test_who_has_handled_few_is_taken_for_average() -> None:
    """ann: 100 contacts of 100 s, bob: one of 500 s; the queue's mean is 103.96 s."""
    found = {
        agent: cost
        for agent, _queue, cost in costs([("ann", "q", 10_000_000, 100), ("bob", "q", 500_000, 1)], [])
    }
    usual = 10_500_000 / 101
    assert found["ann"] == round((10_000_000 + 20 * usual) / 120)
    assert found["bob"] == round((500_000 + 20 * usual) / 21)
    assert found["bob"] < 130_000


def test_customers_who_come_again_cost_more() -> None:
    handled = [("ann", "q", 10_000_000, 100), ("bob", "q", 10_000_000, 100)]
    again = [("ann", "q", 100, 50), ("bob", "q", 100, 0)]
    found = {agent: cost for agent, _queue, cost in costs(handled, again)}
    assert found["ann"] == round(100_000 * (1 + (50 + 20 * 0.25) / 120))
    assert found["bob"] == round(100_000 * (1 + 20 * 0.25 / 120))


def test_nothing_teaches_nothing() -> None:
    assert costs([], []) == ()


def told(records: Engine, rows: list[tuple[str, str, int, int, int]]) -> None:
    """(id, agent, customer, arrived, talked for) of answered interactions of queue q."""
    with records.begin() as db:
        for name, agent, customer, arrived_ms, talked_ms in rows:
            db.execute(
                text(
                    "INSERT INTO interactions (id, org_id, medium, direction, number, queue, agent, customer_id, language, "
                    "arrived_at_ms, answered_at_ms, ended_at_ms, outcome, cause, ended_by, party_ref, flow, path, "
                    "wrap_up_code, note_ref, quality, last_seq) VALUES (:i, 1, 'voice', 'in', '1', 'q', :a, :c, 'zh', :t, :t, "
                    ":e, 'answered', '', '', '', '', '', '', '', '', 1)"
                ),
                {"i": name, "a": agent, "c": customer, "t": arrived_ms, "e": arrived_ms + talked_ms},
            )
            db.execute(
                text(
                    "INSERT INTO segments (interaction_id, n, org_id, kind, queue, agent, started_at_ms, ended_at_ms, result) "
                    "VALUES (:i, 1, 1, 'talking', 'q', :a, :t, :e, '')"
                ),
                {"i": name, "a": agent, "t": arrived_ms, "e": arrived_ms + talked_ms},
            )


def test_from_the_history_of_sixty_days(records: Engine) -> None:
    now = 100 * DAY
    told(
        records,
        [
            ("i1", "ann", 1, now - 5 * DAY, 60_000),
            ("i2", "bob", 1, now - 4 * DAY, 90_000),
            ("i3", "bob", 2, now - 90 * DAY, 9_000_000),
        ],
    )
    with records.connect() as connection:
        found = learn(connection, now)
    assert [(agent, queue) for agent, queue, _cost in found] == [("ann", "q"), ("bob", "q")]
    assert found == costs(
        [("ann", "q", 60_000, 1), ("bob", "q", 90_000, 1)], [("ann", "q", 1, 1), ("bob", "q", 1, 0)]
    )


def test_who_served_a_customer_last(records: Engine) -> None:
    told(records, [("i1", "ann", 1, 5 * DAY, 1), ("i2", "bob", 1, 6 * DAY, 1), ("i3", "cyd", 2, 1 * DAY, 1)])
    with records.connect() as connection:
        assert last_agents(connection, {1, 2, 3}, 2 * DAY) == {1: "bob"}


class Later(Executor):
    """Answers when told to."""

    def __init__(self) -> None:
        self.asked: list[Future[Any]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.asked.append(Future())
        return self.asked[-1]


def centre(strategy: str) -> Centre:
    return Centre(replace(SERVICE, strategy=strategy), COMPLAINTS, ANN, BOB)


def test_it_learns_by_the_hour_where_anybody_asks(records: Engine) -> None:
    now = centre("learned")
    told(records, [("i1", "ann", 1, now.clock.now_ms() - DAY, 60_000)])
    keeper = LearningKeeper(now.host, now.scheduler, records, AtOnce())
    keeper.start()
    now.wait(31)
    (fact,) = now.journalled("AgentsLearned")
    assert [row[:2] for row in fact["costs"]] == [("ann", "q")]
    now.wait(3_700)
    assert len(now.journalled("AgentsLearned")) == 1, "nothing new"
    quiet = centre("longest_idle")
    other = Later()
    LearningKeeper(quiet.host, quiet.scheduler, records, other).start()
    quiet.wait(60)
    assert other.asked == []


def test_a_lesson_that_fails_changes_nothing(records: Engine) -> None:
    desk, later = centre("learned"), Later()
    keeper = LearningKeeper(desk.host, desk.scheduler, records, later)
    keeper.start()
    desk.wait(35)
    later.asked[0].set_exception(RuntimeError("locked"))
    desk.wait(5)
    assert (keeper.failed, desk.journalled("AgentsLearned")) == (1, [])


@pytest.mark.parametrize(("preferred_ms", "rung"), [(0, "ann"), (10_000, "bob")])
def test_the_agent_who_served_them_last_where_the_queue_asks_for_them(preferred_ms: int, rung: str) -> None:
    desk = Centre(
        replace(SERVICE, preferred_ms=preferred_ms), COMPLAINTS, AgentPolicy("ann", ANN.skills), BOB
    )
    desk.ready("ann")
    desk.wait(5)
    desk.ready("bob")
    live = desk.ring()
    live.last_agent = "bob"
    desk.listen_through(live)
    for key in "10":
        if live.leg in desk.worker.legs:
            desk.press(live, key)
    assert (live.state, live.agent) == ("ringing", rung)
