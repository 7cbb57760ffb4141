"""A scenario: queues, arrivals, agents and rules as a TOML file, and the days that chance makes of them."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from callcenter.policies import ms, usual, with_general, with_rules
from callcenter.simulation.day import SLOT_MS, Contact, Day, Simulation
from callcenter.simulation.figures import figures
from config.policy import Age, Media, QueueRules, Rules
from config.sections import Level, Name, Section
from routing import AgentPolicy, Policy, QueuePolicy
from routing import facts as f
from routing.policy import skills_of

Plain = dict[str, Any]
_HOUR_MS = 3_600_000


class Times(Section):
    """How long something takes, in seconds: by its mean and, for log-normal, its standard deviation; or drawn from
    `values` as they were."""

    kind: Literal["exponential", "lognormal", "constant", "empirical"] = "exponential"
    mean: Annotated[float, Field(gt=0)] = 1.0
    sd: Annotated[float, Field(ge=0)] = 0.0
    values: tuple[Annotated[float, Field(ge=0)], ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Times:
        if self.kind == "empirical" and not self.values:
            raise ValueError("expected values, since it is empirical")
        if self.kind == "lognormal" and not self.sd:
            raise ValueError("expected sd, since it is log-normal")
        return self

    @property
    def usual(self) -> float:
        """The mean, in seconds."""
        return math.fsum(self.values) / len(self.values) if self.kind == "empirical" else self.mean

    def draw(self, dice: random.Random) -> Callable[[], int]:
        """A function that answers milliseconds, another each time."""
        if self.kind == "exponential":
            rate = 1 / (self.mean * 1000)
            return lambda: round(dice.expovariate(rate))
        if self.kind == "lognormal":
            spread = math.log(1 + (self.sd / self.mean) ** 2)
            middle = math.log(self.mean * 1000) - spread / 2
            return lambda: round(dice.lognormvariate(middle, math.sqrt(spread)))
        if self.kind == "constant":
            fixed = ms(self.mean)
            return lambda: fixed
        values = [ms(value) for value in self.values]
        return lambda: dice.choice(values)


class Queue(QueueRules):
    name: Name
    skills: dict[Name, Level] = Field(default_factory=dict)
    target_s: Age = 20
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    max_waiting: Annotated[int, Field(ge=0)] = 0


class Arrivals(Section):
    queue: Name
    per_hour: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=1)]
    """of each half hour in turn; the last one lasts"""
    handle: Times
    patience: Times | None = None
    """none: nobody leaves"""
    customer_class: str = ""
    callback: Annotated[float, Field(ge=0, le=1)] = 0.5
    """share of those who say yes when a callback is offered"""


class Agents(Section):
    count: Annotated[int, Field(ge=1, le=100_000)]
    skills: dict[Name, Level] = Field(default_factory=dict)
    teams: tuple[Name, ...] = ()
    capacity: dict[Media, Annotated[int, Field(ge=0, le=50)]] = Field(default={"voice": 1})
    wrap_up_s: Age = 0
    pace: dict[Name, Annotated[float, Field(gt=0, le=20)]] = Field(default_factory=dict)
    """queue -> how many times the usual handling time they need"""
    from_h: Annotated[float, Field(ge=0)] = 0
    until_h: Annotated[float, Field(gt=0)] | None = None


class Scenario(Rules):
    hours: Annotated[float, Field(gt=0, le=10_000)]
    warm_up_h: Annotated[float, Field(ge=0)] = 0
    """contacts that arrive before are served and not counted"""
    replications: Annotated[int, Field(ge=1, le=1_000)] = 10
    seed: int = 1
    priority_step_s: Age = 30
    queues: Annotated[tuple[Queue, ...], Field(min_length=1)]
    arrivals: tuple[Arrivals, ...] = ()
    agents: Annotated[tuple[Agents, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _refers(self) -> Scenario:
        known = {queue.name for queue in self.queues}
        strange = [one.queue for one in self.arrivals if one.queue not in known]
        if strange:
            raise ValueError(f"arrivals: {strange[0]!r} is none of the queues")
        if len(known) < len(self.queues):
            raise ValueError("queues: a name stands twice")
        if wrong := self.policy().problem():
            raise ValueError(wrong)
        return self

    def people(self) -> Iterator[tuple[str, Agents]]:
        names = itertools.count(1)
        for group in self.agents:
            for _ in range(group.count):
                yield f"a{next(names)}", group

    def policy(self) -> Policy:
        queues = {queue.name: with_rules(_queue(queue), queue) for queue in self.queues}
        agents = {
            name: AgentPolicy(
                name,
                skills_of(group.skills),
                ms(group.wrap_up_s),
                group.teams,
                tuple(group.capacity.items()),
            )
            for name, group in self.people()
        }
        for team, names in self.teams.items():
            for name in names:
                if name in agents:
                    agents[name] = replace(agents[name], teams=(*agents[name].teams, team))
        plain = Policy(queues=queues, agents=agents, priority_step_ms=ms(self.priority_step_s))
        return with_general(plain, self)

    def day(self, replication: int, policy: Policy | None = None) -> Simulation:
        """The same for the same seed and replication. `policy`: instead of the scenario's own."""
        dice = random.Random(f"{self.seed}/{replication}")  # noqa: S311 - chance, no secret
        return Simulation(
            policy or self.policy(),
            self._staff(),
            _merged([_contacts(one, self, dice) for one in self.arrivals]),
            round(self.hours * _HOUR_MS),
            round(self.warm_up_h * _HOUR_MS),
        )

    def _staff(self) -> list[tuple[int, f.Fact]]:
        lessons = self._lessons()
        facts: list[tuple[int, f.Fact]] = [(0, f.AgentsLearned(lessons))] if lessons else []
        for name, group in self.people():
            facts.append((round(group.from_h * _HOUR_MS), f.AgentReady(name)))
            if group.until_h is not None:
                facts.append((round(group.until_h * _HOUR_MS), f.AgentLoggedOut(name)))
        return sorted(facts, key=lambda one: one[0])

    def _lessons(self) -> tuple[tuple[str, str, int], ...]:
        """What history would have taught of each agent, for queues that choose by it."""
        learned = {queue.name for queue in self.queues if queue.strategy == "learned"}
        usual = {one.queue: one.handle.usual for one in self.arrivals if one.queue in learned}
        return tuple(
            (name, queue, ms(mean * group.pace.get(queue, 1.0)))
            for name, group in self.people()
            for queue, mean in usual.items()
        )

    def paces(self, queue: str) -> dict[str, float]:
        return {name: group.pace[queue] for name, group in self.people() if queue in group.pace}


def _queue(queue: Queue) -> QueuePolicy:
    skills, target_ms = skills_of(queue.skills), ms(queue.target_s)
    return usual(QueuePolicy(queue.name, skills, target_ms, queue.priority, 20_000, queue.max_waiting))


def _merged(streams: list[Iterator[Contact]]) -> Iterator[Contact]:
    return heapq.merge(*streams, key=lambda contact: contact.at_ms)


def _contacts(arrivals: Arrivals, scenario: Scenario, dice: random.Random) -> Iterator[Contact]:
    own = random.Random(dice.random())  # noqa: S311 - a stream of its own, so that streams do not disturb each other
    handle, paces = arrivals.handle.draw(own), scenario.paces(arrivals.queue)
    patience = arrivals.patience.draw(own) if arrivals.patience is not None else None
    for at_ms in _arrival_times(arrivals.per_hour, round(scenario.hours * _HOUR_MS), own):
        yield Contact(
            at_ms,
            arrivals.queue,
            _paced(handle(), paces),
            patience() if patience is not None else None,
            customer_class=arrivals.customer_class,
            callback=own.random() < arrivals.callback,
        )


def _paced(handle_ms: int, paces: dict[str, float]) -> Callable[[str], int]:
    if not paces:
        return lambda _agent: handle_ms
    return lambda agent: round(handle_ms * paces.get(agent, 1.0))


def _arrival_times(per_hour: tuple[float, ...], end_ms: int, dice: random.Random) -> Iterator[int]:
    """A Poisson process whose rate holds for half an hour each."""
    at = 0.0
    while at < end_ms:
        slot = int(at // SLOT_MS)
        rate = per_hour[min(slot, len(per_hour) - 1)] / _HOUR_MS
        last = slot >= len(per_hour) - 1
        until = end_ms if last else min(end_ms, (slot + 1) * SLOT_MS)
        gap = dice.expovariate(rate) if rate > 0 else math.inf
        if at + gap >= until:
            at = float(until)
            continue
        at += gap
        yield round(at)


def simulate(
    scenario: Scenario, told: Callable[[int], None] = lambda _done: None, policy: Policy | None = None
) -> Plain:
    """All replications: `figures` of them, and how many contacts there were. `told` hears how many replications are
    done."""
    days: list[Day] = []
    contacts = 0
    for replication in range(scenario.replications):
        simulation = scenario.day(replication, policy)
        days.append(simulation.run())
        contacts += simulation.contacts
        told(replication + 1)
    return {"contacts": contacts, **figures(days)}
