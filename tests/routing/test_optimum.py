"""The engine against the best that any rule without foreknowledge could do, in small systems (`optimum.py`).

`python -m tests.routing.test_optimum` prints the table that docs/routing.md shows. `shipped` is the engine as it comes;
`strict` is it with `late_s = 0`, which is what `earliest deadline` comes to in the model. Of the optima,

- `first come` keeps the order of arrival within each class, and is free in all else: which class, which server, or none;
- `overtaking` lets those in time overtake late ones of their own class, too (one pool only);
- `ceiling` lets late contacts vanish.

The engine as shipped lets contacts that are late give way for four times their target, so it may do better than
`first come`. In `n` and `w`, a newcomer goes to a free agent at random in the model, which comes close to longest idle.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest

from callcenter.simulation import Scenario
from callcenter.simulation.day import Contact
from tests.routing.optimum import (
    SYSTEMS,
    Model,
    System,
    earliest_deadline,
    first_come,
    late_yield,
    late_yield_tight_last,
    refined,
)
from tests.routing.theory import erlang_c_service_level, in_time_or_gone

WITHIN = 0.03
CONTACTS = {
    "pool": 30_000,
    "pool_heavy": 50_000,
    "hall": 60_000,
    "n": 60_000,
    "n_heavy": 100_000,
    "w": 50_000,
    "w_heavy": 100_000,
    "three": 30_000,
    "three_heavy": 50_000,
}
"""that the engine gets of each system, so many that half the confidence interval is at most 0.7 points"""
REPLICATIONS = 20
WARM_UP_H = 2.0
POOLS = [name for name, system in SYSTEMS.items() if len(system.servers) == 1]


class Measured(NamedTuple):
    level: float
    half_width: float


@cache
def best(name: str) -> float:
    return refined(SYSTEMS[name])[0]


@cache
def deadlines(name: str, specialists_first: bool = False) -> float:
    """What the rule of the engine comes to in the model."""
    return refined(SYSTEMS[name], lambda model: model.level(earliest_deadline, specialists_first))[0]


@cache
def engine(name: str, **queue: Any) -> Measured:
    """The service level that the production engine reaches. The mean over replications is corrected by a control variate: the
    service level of the same contacts, served by all agents alike and in the order of arrival, whose mean Erlang C knows;
    and in two pools by how busy agents are."""
    system = SYSTEMS[name]
    rate = sum(system.arrivals)
    scenario = scenario_of(system, CONTACTS[name] / REPLICATIONS / rate / 3_600, queue)
    rows = [measured(system, scenario, replication) for replication in range(REPLICATIONS)]
    level, in_order, busy = np.array(rows).T
    known = [in_order - erlang_c_level(system)]
    if len(system.servers) > 1:
        known.append(busy - system.load)
    columns = np.column_stack([np.ones(REPLICATIONS), *known])
    factors, *_rest = np.linalg.lstsq(columns, level, rcond=None)
    left = level - columns @ factors
    variance = left @ left / (REPLICATIONS - columns.shape[1]) * np.linalg.inv(columns.T @ columns)[0, 0]
    return Measured(float(factors[0]), 2.11 * math.sqrt(float(variance)))


def measured(system: System, scenario: Scenario, replication: int) -> tuple[float, float, float]:
    """Service level of the engine, that of one line in order of arrival, and how busy agents were."""
    simulation = scenario.day(replication)
    came: list[Contact] = []
    simulation._arrivals = noted(simulation._arrivals, came)
    day = simulation.run()
    worth = {f"q{one}": weight for one, weight in enumerate(system.worth)}
    tallies = day.queues.items()
    assert all(tally.answered == tally.offered for _queue, tally in tallies)
    offered = sum(worth[queue] * tally.offered for queue, tally in tallies)
    in_target = sum(worth[queue] * tally.in_target for queue, tally in tallies)
    hands = day.agents.values()
    busy = sum(one.busy_ms for one in hands) / sum(one.staffed_ms for one in hands)
    return in_target / offered, in_one_line(system, came) / offered, busy


def noted(contacts: Iterator[Contact], into: list[Contact]) -> Iterator[Contact]:
    for contact in contacts:
        into.append(contact)
        yield contact


def in_one_line(system: System, came: list[Contact]) -> float:
    """What contacts that count and are served in their targets are worth, if all servers serve all in order."""
    targets = {f"q{one}": 1_000 * target for one, target in enumerate(system.targets)}
    worth = {f"q{one}": weight for one, weight in enumerate(system.worth)}
    free = [0] * sum(system.servers)
    level = 0.0
    for contact in came:
        begins = max(contact.at_ms, free[0])
        heapq.heapreplace(free, begins + contact.handle_ms(""))
        if contact.at_ms >= WARM_UP_H * 3_600_000 and begins - contact.at_ms <= targets[contact.queue]:
            level += worth[contact.queue]
    return level


def erlang_c_level(system: System) -> float:
    """In order of arrival, all servers serving all."""
    servers, rate, mu = sum(system.servers), sum(system.arrivals), 1 / system.means[0]
    parts = zip(system.worth, system.arrivals, system.targets, strict=True)
    worth = [(weight * arrivals, target) for weight, arrivals, target in parts]
    level = math.fsum(part * erlang_c_service_level(servers, rate, mu, target) for part, target in worth)
    return level / math.fsum(part for part, _target in worth)


def scenario_of(system: System, hours: float, queue: dict[str, Any]) -> Scenario:
    return Scenario.model_validate(
        {
            "hours": WARM_UP_H + hours,
            "warm_up_h": WARM_UP_H,
            "replications": REPLICATIONS,
            "queues": [
                {"name": f"q{one}", "skills": {f"s{one}": 1}, "target_s": round(target), **queue}
                for one, target in enumerate(system.targets)
            ],
            "arrivals": [
                {"queue": f"q{one}", "per_hour": (rate * 3_600,), "handle": {"mean": system.means[0]}}
                for one, rate in enumerate(system.arrivals)
            ],
            "agents": [
                {"count": count, "skills": {f"s{one}": 1 for one in skills}}
                for count, skills in zip(system.servers, system.skills, strict=True)
            ],
        }
    )


# --- is the model right? -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pool", "pool_heavy", "hall", "three_heavy"])
def test_first_come_first_served_in_the_model_is_erlang_c(name: str) -> None:
    found = refined(SYSTEMS[name], lambda model: model.level(first_come))[0]
    assert found == pytest.approx(erlang_c_level(SYSTEMS[name]), abs=0.003)


def test_the_optimum_for_one_class_that_alone_counts_is_erlang_c_of_it_alone() -> None:
    """The other one is left to wait for ever, which only the horizon ends."""
    system = replace(SYSTEMS["pool_heavy"], weights=(1.0, 0.0), horizon_s=600)
    exact = erlang_c_service_level(4, system.arrivals[0], 1 / 60, system.targets[0])
    assert refined(system)[0] == pytest.approx(exact, abs=0.002)


@pytest.mark.parametrize(("servers", "load"), [(1, 0.8), (4, 0.85), (4, 1.2)])
def test_the_ceiling_of_one_class_is_the_queue_that_late_contacts_leave(servers: int, load: float) -> None:
    rate = load * servers / 60
    system = System("one", (rate,), (20,), (servers,), (60,), ((0,),), (20 / 9.5, 20 / 19.5), 0)
    assert refined(system, late=0)[0] == pytest.approx(in_time_or_gone(servers, rate, 1 / 60, 20), abs=0.002)


@pytest.mark.parametrize("name", SYSTEMS)
def test_rules_stay_below_the_optimum_and_that_below_the_ceiling(name: str) -> None:
    system = SYSTEMS[name]
    free = Model(system, system.steps[0])
    rules = [
        free.level(key).level for key in (first_come, earliest_deadline, late_yield, late_yield_tight_last)
    ]
    optima = [free.optimum().level, Model(system, system.steps[0], late=0).optimum().level]
    if system.late:
        optima.insert(1, Model(system, system.steps[0], system.late).optimum().level)
    assert optima == sorted(optima)
    assert max(rules) < optima[0] + 0.001
    if name in POOLS:  # no rule of pools is of interest, and the optimum is nearly a simple rule
        assert rules[-1] == pytest.approx(optima[0], abs=0.006)


@pytest.mark.parametrize("name", [name for name, system in SYSTEMS.items() if system.late])
def test_of_those_in_time_the_earliest_deadline_is_best(name: str) -> None:
    """Panwar, Towsley and Wolf, Optimal scheduling policies for a class of queues with customer deadlines to the beginning
    of service, Journal of the ACM 35, 1988."""
    system = SYSTEMS[name]
    model = Model(system, system.steps[0], system.late)
    assert model.level(earliest_deadline).level == pytest.approx(model.optimum().level, abs=0.001)


# --- is the engine good? -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_engine_reaches_what_earliest_deadline_does_in_the_model(name: str) -> None:
    level, half_width = engine(name, late_s=0)
    assert half_width <= 0.007
    assert level == pytest.approx(deadlines(name), abs=0.01)


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_engine_as_shipped_is_within_three_points_of_the_optimum(name: str) -> None:
    level, half_width = engine(name)
    assert half_width <= 0.01
    assert level >= best(name) - WITHIN


@pytest.mark.parametrize("name", ["n", "n_heavy"])
def test_specialists_first_spare_those_who_can_do_both(name: str) -> None:
    gain = deadlines(name, specialists_first=True) - deadlines(name)
    assert 0.004 < gain < 0.02


@pytest.mark.parametrize("name", ["n", "n_heavy"])
def test_the_least_flexible_first_is_specialists_first(name: str) -> None:
    level, half_width = engine(name, strategy="least_flexible", late_s=0)
    assert half_width <= 0.007
    assert level == pytest.approx(deadlines(name, specialists_first=True), abs=0.01)


STRATEGIES = ("least_occupied", "best_skilled", "least_flexible", "weighted")


def table() -> str:
    """The figures above, anew."""
    lines = []
    for name, system in SYSTEMS.items():
        shipped, strict = engine(name), engine(name, late_s=0)
        others = "".join(f"{engine(name, strategy=one).level:8.1%}" for one in STRATEGIES)
        optimum, error = refined(system)
        apart = f"{refined(system, late=system.late)[0]:8.1%}" if system.late else 8 * " "
        lines.append(
            f"{name:12}{system.load:6.0%}{shipped.level:8.1%} ±{shipped.half_width:5.1%}{others}{strict.level:8.1%}"
            f"{deadlines(name):8.1%}{optimum:8.1%}{apart}{refined(system, late=0)[0]:8.1%}{error:+8.1%}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
