"""Strategies: which of several free agents takes a newcomer. The smallest merit wins; before it comes the agent's load,
after it idle since and order. A merit is an integer and fixed when the agent becomes free."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from routing.policy import Skills, Weights
from routing.state import Agent


@dataclass(slots=True)
class Grounds:
    """What merits are judged by, besides the agent."""

    needs: Skills
    queue: str
    weights: Weights
    learned: Mapping[tuple[str, str], int] = field(default_factory=dict)
    usual: Mapping[str, int] = field(default_factory=dict)
    """queue -> mean of what was learned of it"""


def _levels(agent: Agent, needs: Skills) -> int:
    have = dict(agent.skills)
    return sum(have.get(name, 0) for name, _level in needs)


def _weighted(agent: Agent, grounds: Grounds) -> int:
    weights = grounds.weights
    return (
        agent.idle_since_ms
        - weights.skill_ms * _levels(agent, grounds.needs)
        + weights.occupancy_ms * agent.occupied
        + weights.breadth_ms * agent.breadth
    )


MERITS: dict[str, Callable[[Agent, Grounds], int]] = {
    "longest_idle": lambda agent, _grounds: agent.idle_since_ms,
    "least_occupied": lambda agent, _grounds: agent.occupied,
    "best_skilled": lambda agent, grounds: -_levels(agent, grounds.needs),
    "least_flexible": lambda agent, _grounds: agent.breadth,
    "weighted": _weighted,
    "learned": lambda agent, grounds: grounds.learned.get(
        (agent.id, grounds.queue), grounds.usual.get(grounds.queue, 0)
    ),
}
"""the registry; `routing.policy.STRATEGIES` names the same"""
