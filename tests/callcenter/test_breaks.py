"""Breaks with limits: too many at once, and too long."""

from __future__ import annotations

import pytest

from callcenter.kernel.errors import NotAllowed
from callcenter.live.alarms import Alarms
from callcenter.live.breaks import ALARM, Breaks
from routing.policy import ReasonPolicy
from tests.callcenter.centre import ANN, BOB, COMPLAINTS, SERVICE, Centre


def centre() -> Centre:
    limits = {"meal": ReasonPolicy("meal", limit_ms=60_000, at_once=1)}
    desk = Centre(SERVICE, COMPLAINTS, ANN, BOB, rules={"reasons": limits})
    desk.ready("ann", "bob")
    return desk


def test_as_many_as_may_be_are_away_already() -> None:
    desk = centre()
    desk.agents.not_ready("ann", "meal")
    with pytest.raises(NotAllowed, match="too_many_away"):
        desk.agents.not_ready("bob", "meal")
    assert desk.agent("bob") == "idle"
    desk.agents.not_ready("bob", "training")
    assert desk.agent("bob") == "not_ready"


def test_a_break_after_the_call_counts_already() -> None:
    desk = centre()
    live = desk.talk()
    desk.agents.not_ready(live.agent, "meal")
    other = "bob" if live.agent == "ann" else "ann"
    with pytest.raises(NotAllowed, match="too_many_away"):
        desk.agents.not_ready(other, "meal")


def test_who_stays_too_long_is_named_until_they_are_back() -> None:
    desk = centre()
    alarms = Alarms(desk.clock)
    Breaks(desk.host, alarms, lambda login: login.upper())
    desk.agents.not_ready("ann", "meal")
    desk.wait(59)
    assert ALARM not in alarms.standing
    desk.wait(2)
    assert alarms.standing[ALARM][1] == "ANN"
    desk.ready("ann")
    assert ALARM not in alarms.standing
