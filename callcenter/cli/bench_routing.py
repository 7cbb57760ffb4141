"""The routing engine alone under load: a centre of any size, its queues full, agents and contacts of many skills."""

from __future__ import annotations

import gc
import random
import time
import tracemalloc
from typing import Any

from callcenter.policies import usual
from routing import Activation, AgentPolicy, Command, OfferContact, Policy, QueuePolicy, RoutingEngine
from routing import facts as f

_SEED, _SKILLS, _PROFILES = 7, 60, 500
_MEASURED = 200_000
_MEMORY_SAMPLE = 5_000


class _Load:
    """Arrivals and ends in turn, so that about as many wait at the end as at the beginning."""

    def __init__(self, agents: int, waiting: int, queues: int) -> None:
        self._dice = random.Random(_SEED)  # noqa: S311 - a load, no secret
        self._queues = [f"q{n}" for n in range(queues)]
        self.engine = RoutingEngine(self._policy(agents))
        self.now_ms, self._made = 1_000, 0
        self.took_s: list[float] = []
        self._offers: list[OfferContact] = []
        self._talking: list[str] = []
        self.queued = 0
        for _ in range(waiting):
            self.arrive()
        for agent in list(self.engine.policy.agents):
            self.activate(f.AgentReady(agent))
            self.answer()
        while self.queued < waiting:
            self.arrive()
            self.answer()
        self.took_s.clear()

    def _policy(self, agents: int) -> Policy:
        dice, names = self._dice, [f"s{n}" for n in range(_SKILLS)]

        def skills(most: int, highest: int) -> tuple[tuple[str, int], ...]:
            chosen = dice.sample(names, dice.randint(1, most))
            return tuple(sorted((name, dice.randint(1, highest)) for name in chosen))

        profiles = [skills(6, 10) for _ in range(_PROFILES)]
        people = {f"a{n}": AgentPolicy(f"a{n}", dice.choice(profiles), 0) for n in range(agents)}
        there = [agent.skills for agent in people.values()] or profiles

        def needs() -> tuple[tuple[str, int], ...]:
            """One or two skills that somebody has."""
            own = dice.choice(there)
            chosen = sorted(dice.sample(own, min(len(own), dice.randint(1, 2))))
            return tuple((name, dice.randint(1, level)) for name, level in chosen)

        return Policy(
            queues={
                name: usual(QueuePolicy(name, needs(), target_ms=dice.choice((10_000, 20_000, 60_000))))
                for name in self._queues
            },
            agents=people,
        )

    def activate(self, *facts: f.Fact) -> tuple[Command, ...]:
        self.now_ms += 1
        activation = Activation(self.engine.seq + 1, self.now_ms, facts)
        started = time.perf_counter()
        commands = self.engine.activate(activation).commands
        self.took_s.append(time.perf_counter() - started)
        self._offers += [command for command in commands if isinstance(command, OfferContact)]
        return commands

    def arrive(self) -> None:
        self._made += 1
        self.queued += 1
        self.activate(f.ContactArrived(f"c{self._made}", self._dice.choice(self._queues), self.now_ms))

    def answer(self) -> None:
        while self._offers:
            offer = self._offers.pop()
            self.queued -= 1
            self.activate(f.OfferAnswered(offer.offer, self.now_ms))
            self._talking.append(offer.contact)

    def end(self) -> None:
        if self._talking:
            at = self._dice.randrange(len(self._talking))
            self._talking[at], self._talking[-1] = self._talking[-1], self._talking[at]
            self.activate(f.ContactEnded(self._talking.pop(), self.now_ms))


def routing(agents: int, waiting: int, queues: int) -> dict[str, Any]:
    """Activations a second, their p50 and p99, bytes a waiting contact takes, snapshot and restore."""
    load = _Load(agents, waiting, queues)
    gc.collect()
    gc.freeze()
    while len(load.took_s) < _MEASURED:
        if load.queued < waiting:
            load.arrive()
            load.answer()
        load.end()
        load.answer()
    took = sorted(load.took_s)
    started = time.perf_counter()
    state = load.engine.snapshot()
    snapshot_s = time.perf_counter() - started
    started = time.perf_counter()
    RoutingEngine.restore(state, load.engine.policy)
    restore_s = time.perf_counter() - started
    gc.unfreeze()
    return {
        "agents": agents,
        "queues": queues,
        "waiting": load.queued,
        "rate": round(len(took) / sum(took)),
        "p50_ms": round(took[len(took) // 2] * 1000, 4),
        "p99_ms": round(took[int(len(took) * 0.99)] * 1000, 4),
        "bytes_per_contact": _bytes_per_contact(queues),
        "snapshot_s": round(snapshot_s, 3),
        "restore_s": round(restore_s, 3),
    }


def _bytes_per_contact(queues: int) -> int:
    """Of contacts that wait while nobody is there."""
    load = _Load(0, 0, queues)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(_MEMORY_SAMPLE):
        load.arrive()
    load.took_s.clear()
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return used // _MEMORY_SAMPLE
