"""The simulator, and with it the production engine, against queueing theory: 20 cases with seeds fixed beforehand, and the
two-skill result of Wallace and Whitt.

Each case is a figure with a closed form. Independent replications give its mean and a 99.74 % interval (twenty of those
hold together with 95 %); the interval has to contain the theory and be at most ±2 % of it wide. Mean waits are heavily
correlated over time, so they are estimated with a control variate: the mean wait first come, first served, of the very
same customers (Kiefer and Wolfowitz's recursion), whose expectation theory knows.
"""

from __future__ import annotations

import heapq
import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from callcenter.simulation import Scenario, Simulation, simulate
from callcenter.simulation.day import Contact
from callcenter.simulation.figures import student
from config.policy import read_toml
from routing import AgentPolicy, Policy, QueuePolicy
from routing import facts as f
from tests.routing import theory

ROOT = Path(__file__).resolve().parents[2]
CONFIDENCE, WIDEST = 0.9974, 0.02
_MEAN_MS = 60_000.0
"""service: exponential, one minute"""
_WARM = 0.1
"""share of a replication that is not counted"""


@dataclass(frozen=True)
class Case:
    kind: str
    """erlang_c (share that waits), erlang_b (share lost), erlang_a (share that gives up), first, second (mean wait of
    the two classes of a strict priority, in services)"""
    servers: int
    load: float
    contacts: int
    """in all replications"""
    seed: int
    replications: int = 30

    @property
    def name(self) -> str:
        return f"{self.kind}({self.servers}, {self.load:g})"


CASES = (
    Case("erlang_c", 1, 0.7, 120_000, 101),
    Case("erlang_c", 3, 0.8, 550_000, 102),
    Case("erlang_c", 2, 0.85, 320_000, 103),
    Case("erlang_c", 2, 0.9, 260_000, 104),
    Case("erlang_c", 1, 0.95, 120_000, 105),
    Case("erlang_b", 3, 0.7, 220_000, 201),
    Case("erlang_b", 5, 0.8, 520_000, 202),
    Case("erlang_b", 5, 0.9, 280_000, 203),
    Case("erlang_b", 8, 1.0, 480_000, 204),
    Case("erlang_b", 10, 1.1, 480_000, 205),
    Case("erlang_a", 3, 0.7, 560_000, 301),
    Case("erlang_a", 3, 0.8, 460_000, 302),
    Case("erlang_a", 5, 0.9, 640_000, 303),
    Case("erlang_a", 5, 1.0, 900_000, 304),
    Case("erlang_a", 8, 1.1, 760_000, 305),
    Case("first", 1, 0.7, 450_000, 401),
    Case("second", 2, 0.7, 220_000, 402),
    Case("first", 2, 0.85, 700_000, 403),
    Case("second", 2, 0.85, 120_000, 404),
    Case("first", 1, 0.95, 700_000, 405),
)
QUICK = tuple(case for case in CASES if case.contacts <= 220_000)
"""for every run of the tests; the whole is `callcenter bench theory`"""
_FIRST_SHARE = 0.4
"""of arrivals that are of the first class"""


def expected(case: Case) -> float:
    offered = case.servers * case.load
    if case.kind == "erlang_c":
        return theory.erlang_c(case.servers, offered)
    if case.kind == "erlang_b":
        return theory.erlang_b(case.servers, offered)
    if case.kind == "erlang_a":
        return theory.erlang_a(case.servers, offered, 1.0, 1.0)[1]
    both = theory.priority_waits(case.servers, (offered * _FIRST_SHARE, offered * (1 - _FIRST_SHARE)), 1.0)
    return both[0 if case.kind == "first" else 1]


def run(case: Case) -> dict[str, Any]:
    """The figure with its interval, in the unit of the theory."""
    values, controls = [], []
    for replication in range(case.replications):
        value, control = _replicate(case, replication)
        values.append(value)
        controls.append(control)
    mean, half = _controlled(values, controls, _control_mean(case))
    theirs = expected(case)
    return {
        "theory": round(theirs, 5),
        "simulated": round(mean, 5),
        "half_width": round(half, 5),
        "relative": round(half / theirs, 4),
        "inside": abs(mean - theirs) <= half,
        "narrow": half <= WIDEST * theirs,
    }


def _control_mean(case: Case) -> float | None:
    if case.kind not in ("first", "second"):
        return None
    return theory.erlang_c_mean_wait(case.servers, case.servers * case.load, 1.0)


def _controlled(values: list[float], controls: list[float], known: float | None) -> tuple[float, float]:
    """Mean and half-width, with the part explained by the control taken out where its mean is known."""
    count = len(values)
    mean = fmean(values)
    if known is None:
        spread = sum((value - mean) ** 2 for value in values) / (count - 1)
        return mean, student(count - 1, CONFIDENCE) * (spread / count) ** 0.5
    middle = fmean(controls)
    across = sum((v - mean) * (c - middle) for v, c in zip(values, controls, strict=True))
    around = sum((c - middle) ** 2 for c in controls)
    slope = across / around
    rest = sum((v - mean - slope * (c - middle)) ** 2 for v, c in zip(values, controls, strict=True)) / (
        count - 2
    )
    width = (rest * (1 / count + (middle - known) ** 2 / around)) ** 0.5
    return mean - slope * (middle - known), student(count - 2, CONFIDENCE) * width


def _replicate(case: Case, replication: int) -> tuple[float, float]:
    dice = random.Random(f"{case.seed}/{replication}")
    count = case.contacts // case.replications
    gap_ms = _MEAN_MS / (case.servers * case.load)
    people: list[tuple[float, float, float, bool]] = []
    at = 0.0
    for _ in range(count):
        at += dice.expovariate(1 / gap_ms)
        served, patient = dice.expovariate(1 / _MEAN_MS), dice.expovariate(1 / _MEAN_MS)
        people.append((at, served, patient, dice.random() < _FIRST_SHARE))
    warm_ms = round(at * _WARM)
    simulation = Simulation(_policy(case), _ready(case), _contacts(case, people), round(at) + 1, warm_ms)
    day = simulation.run()
    tallies = day.queues
    if case.kind == "erlang_c":
        return tallies["first"].waited / tallies["first"].offered, 0.0
    if case.kind == "erlang_b":
        return tallies["first"].refused / tallies["first"].offered, 0.0
    if case.kind == "erlang_a":
        return tallies["first"].abandoned / tallies["first"].offered, 0.0
    waits = tallies[case.kind].waits_ms
    return fmean(waits) / _MEAN_MS, _fifo(people, case.servers, warm_ms) / _MEAN_MS


def _policy(case: Case) -> Policy:
    first = QueuePolicy(
        "first", strict_class=int(case.kind in ("first", "second")), no_waiting=case.kind == "erlang_b"
    )
    queues = {"first": first, "second": QueuePolicy("second", promote_ms=10**12)}
    agents = {f"a{n}": AgentPolicy(f"a{n}", wrap_up_ms=0) for n in range(case.servers)}
    return Policy(queues, agents)


def _ready(case: Case) -> list[tuple[int, f.Fact]]:
    return [(0, f.AgentReady(f"a{n}")) for n in range(case.servers)]


def _contacts(case: Case, people: list[tuple[float, float, float, bool]]) -> Iterator[Contact]:
    two = case.kind in ("first", "second")
    for at, served, patient, is_first in people:
        yield Contact(
            round(at),
            "first" if is_first or not two else "second",
            _always(round(served)),
            round(patient) if case.kind == "erlang_a" else None,
        )


def _always(handle_ms: int) -> Callable[[str], int]:
    return lambda _agent: handle_ms


def _fifo(people: list[tuple[float, float, float, bool]], servers: int, warm_ms: int) -> float:
    """Mean wait of those after the warm-up, first come, first served."""
    free = [0.0] * servers
    total, count = 0.0, 0
    for at, served, _patient, _first in people:
        begins = max(at, free[0])
        heapq.heapreplace(free, begins + served)
        if at >= warm_ms:
            total, count = total + begins - at, count + 1
    return total / count


def cases(chosen: tuple[Case, ...] = CASES) -> dict[str, Any]:
    """All of them, two at a time on two cores."""
    with ProcessPoolExecutor(min(os.cpu_count() or 1, len(chosen))) as pool:
        found = dict(zip((case.name for case in chosen), pool.map(run, chosen), strict=True))
    held = sum(one["inside"] and one["narrow"] for one in found.values())
    return {**found, "held": f"{held} of {len(found)}"}


def skills(hours: float = 100.0, replications: int = 4) -> dict[str, Any]:
    """Mean wait and service level of the shipped six-skill centre when everybody has one, two, or all six skills."""
    _text, raw = read_toml(ROOT / "docs" / "scenarios" / "two-skills.toml")
    found = {}
    for title, have in (("one", 1), ("two", 2), ("six", 6)):
        groups = [
            {"count": 15, "skills": {f"s{(n + k) % 6 + 1}": 10 - k for k in range(have)}} for n in range(6)
        ]
        scenario = Scenario.model_validate(
            {**raw, "agents": groups, "hours": hours, "replications": replications}
        )
        whole = simulate(scenario)["all"]
        found[title] = {name: whole[name] for name in ("asa_s", "service_level", "waited")}
    return found
