"""Recorded days again: the same under the same rules, other under others."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from callcenter.journal.store import Row
from callcenter.simulation import Scenario, Simulation, figures
from callcenter.simulation.day import Day
from callcenter.simulation.recorded import Patience, record
from routing import Activation, Policy
from routing import facts as f

SCENARIO = Scenario.model_validate(
    {
        "hours": 2.0,
        "queues": [
            {"name": "sales", "skills": {"sales": 1}},
            {"name": "claims", "skills": {"claims": 1}, "target_s": 30},
        ],
        "arrivals": [
            {"queue": "sales", "per_hour": [80], "handle": {"mean": 100}, "patience": {"mean": 90}},
            {"queue": "claims", "per_hour": [40], "handle": {"mean": 150}, "patience": {"mean": 200}},
        ],
        "agents": [
            {"count": 2, "skills": {"sales": 1}, "wrap_up_s": 10},
            {"count": 3, "skills": {"sales": 1, "claims": 1}, "wrap_up_s": 20},
        ],
    }
)


def recorded(scenario: Scenario = SCENARIO) -> tuple[Day, list[Row]]:
    """A day and the journal that it leaves."""
    template = scenario.day(0)
    simulation = Simulation(Policy(), [], [], round(scenario.hours * 3_600_000))
    template.__dict__["engine"] = simulation.engine
    rows: list[Row] = []
    activate = simulation.engine.activate

    def noted(activation: Activation) -> Any:
        completion = activate(activation)
        facts = [f.to_plain(fact) for fact in activation.facts]
        commands = [command.to_plain() for command in completion.commands]
        rows.append(Row(activation.seq, 1, activation.now_ms, facts, commands))
        return completion

    template.engine.activate = noted  # type: ignore[method-assign]
    noted(Activation(1, 0, (f.PolicyReplaced(scenario.policy()),)))
    return template.run(), rows


def tallies(day: Day) -> dict[str, tuple[int, int, int, list[int]]]:
    return {
        name: (tally.offered, tally.answered, tally.abandoned, tally.waits_ms)
        for name, tally in day.queues.items()
        if tally.offered
    }


def test_under_the_recorded_policy_the_day_is_the_same_to_the_millisecond() -> None:
    day, rows = recorded()
    again = record(iter(rows)).simulation().run()
    assert tallies(again) == tallies(day)
    assert len(tallies(day)["sales"][3]) > 100


def test_under_another_policy_it_is_another() -> None:
    _day, rows = recorded()
    recording = record(iter(rows))

    def claims_first(policy: Policy) -> Policy:
        queues = {name: replace(queue) for name, queue in policy.queues.items()}
        if "claims" in queues:
            queues["claims"] = replace(queues["claims"], priority=10)
        return replace(policy, queues=queues)

    before, after = (figures([recording.simulation(*how).run()]) for how in ((), (claims_first,)))
    assert after["queues"]["claims"]["asa_s"]["mean"] < before["queues"]["claims"]["asa_s"]["mean"]
    assert after["queues"]["sales"]["asa_s"]["mean"] > before["queues"]["sales"]["asa_s"]["mean"]
    assert after["all"]["offered"] == before["all"]["offered"]


def test_an_empty_journal_is_refused() -> None:
    def nothing() -> Iterator[Row]:
        yield from ()

    with pytest.raises(ValueError, match="nothing"):
        record(nothing())


def test_patience_of_those_who_were_served_is_longer_than_they_waited() -> None:
    known = Patience([(10, True), (20, True), (30, False), (40, True)])
    dice = random.Random(1)
    drawn = [known.beyond(15, dice) for _ in range(400)]
    assert set(drawn) == {20, 40}
    assert 0.2 < drawn.count(20) / len(drawn) < 0.5, "one of the three who stayed so long"


def test_where_nobody_left_nobody_does() -> None:
    assert Patience([(10, False), (20, False)]).beyond(5, random.Random(1)) is None
    assert Patience([(10, True), (20, False)]).beyond(15, random.Random(1)) is None
