"""Service figures: contacts as history keeps them, counted by one formula."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, text

from callcenter.history import rebuild
from callcenter.live.control import Target
from callcenter.service import Figures, figures, half_hours, start_of_day_ms
from routing import AgentPolicy, QueuePolicy

from .centre import START_MS, Centre

DAY_MS = 86_400_000
TARGETS = {"service": 20, "complaints": 20}


def told(centre: Centre, engine: Engine, **interval: int) -> dict[str, Figures]:
    rebuild(engine, centre.journal.connection, lambda _done: None)
    since, until = interval.get("since", START_MS), interval.get("until", START_MS + DAY_MS)
    return {one.queue: one for one in figures(engine, since, until, TARGETS)}


def contacts(engine: Engine) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        query = "SELECT queue, agent, answered_at_ms - queued_at_ms, result FROM contacts ORDER BY queued_at_ms, id"
        return [tuple(row) for row in connection.execute(text(query))]


def test_a_day_in_figures(records: Engine) -> None:
    centre = Centre(QueuePolicy("service"), QueuePolicy("complaints"), AgentPolicy("ann", wrap_up_ms=0))
    for number in range(4):
        centre.queue_up(f"1380013800{number}")
    centre.wait(3)
    waiting = list(centre.host.book.interactions.values())
    centre.caller_leaves(waiting[3])  # a short abandon
    centre.wait(7)
    centre.ready("ann")
    centre.pick_up(waiting[0])  # after 10 s, in the target
    centre.wait(20)
    centre.caller_leaves(waiting[0])
    centre.pick_up(waiting[1])  # after 30 s, beyond it
    centre.caller_leaves(waiting[2])  # abandoned after 30 s
    one = told(centre, records)["service"]
    assert (one.offered, one.answered, one.abandoned, one.short_abandoned, one.in_target) == (4, 2, 2, 1, 1)
    assert one.service_level == pytest.approx(1 / 3)
    assert one.asa_ms == 20_000
    assert told(centre, records)["complaints"].service_level is None
    assert contacts(records)[2:] == [("service", "", None, "abandoned"), ("service", "", None, "abandoned")]


def test_a_transfer_is_a_contact_of_the_other_queue(records: Engine) -> None:
    centre = Centre(QueuePolicy("service"), QueuePolicy("complaints"), AgentPolicy("ann"), AgentPolicy("bob"))
    centre.ready("ann")
    call = centre.talk()
    centre.wait(60)
    centre.agents.not_ready("ann", "meal")
    centre.control.transfer("ann", call.id, Target(queue="complaints"))
    centre.settle()
    centre.wait(5)
    centre.ready("bob")
    centre.pick_up(call)
    found = told(centre, records)
    assert (found["service"].offered, found["service"].answered) == (1, 1)
    assert (found["complaints"].offered, found["complaints"].answered) == (1, 1)
    assert found["complaints"].waited_ms == 5_000, "not the minute before it"
    assert contacts(records) == [("service", "ann", 0, "answered"), ("complaints", "bob", 5_000, "")]


def test_a_contact_that_was_refused_was_not_offered(records: Engine) -> None:
    centre = Centre(QueuePolicy("service", max_waiting=1), QueuePolicy("complaints"), AgentPolicy("ann"))
    first, second = centre.queue_up("13800138001"), centre.queue_up("13800138002")
    assert first.state == "waiting"
    found = told(centre, records)["service"]
    assert found.offered == 1, second
    assert "refused" in {row[3] for row in contacts(records)}


def test_an_agent_who_was_lost_makes_no_second_contact(records: Engine) -> None:
    centre = Centre()
    centre.ready("ann")
    call = centre.talk()
    centre.wait(4)
    centre.agent_leaves(call, lost=True)
    centre.ready("bob")
    centre.pick_up(call)
    one = told(centre, records)["service"]
    assert (one.offered, one.answered, one.asa_ms) == (1, 1, 0), "the first answer counts"


def test_intervals_are_half_open(records: Engine) -> None:
    centre = Centre()
    centre.queue_up()
    at_ms = next(iter(centre.host.book.interactions.values())).queued_at_ms
    assert told(centre, records, since=at_ms, until=at_ms + 1)["service"].offered == 1
    assert told(centre, records, since=at_ms - 1, until=at_ms)["service"].offered == 0
    assert [(row["offered"], row["answered"]) for row in half_hours(records, at_ms, at_ms + 1)] == [(1, 0)]


def test_incremental_and_rebuilt_contacts_are_the_same(records: Engine) -> None:
    from callcenter.history import HistoryFollower

    centre = Centre()
    centre.ready("ann")
    centre.caller_leaves(centre.talk())
    follower = HistoryFollower(records, centre.journal.connection, lambda _seq: None)
    follower.close()
    before = contacts(records)
    rebuild(records, centre.journal.connection, lambda _done: None)
    assert contacts(records) == before == [("service", "ann", 0, "answered")]


@pytest.mark.parametrize(
    ("now", "zone", "wanted"),
    [
        (1_767_628_800_000, "Asia/Shanghai", 1_767_628_800_000),  # midnight itself
        (1_767_628_799_999, "Asia/Shanghai", 1_767_542_400_000),
        (1_767_628_800_000, "UTC", 1_767_571_200_000),
    ],
)
def test_the_day_begins_at_midnight_there(now: int, zone: str, wanted: int) -> None:
    assert start_of_day_ms(now, zone) == wanted
