"""What the engine is told about queues and agents. Enters as a fact, so replay sees every change.

All durations are integer milliseconds; skills are sorted (name, level 1-10) pairs.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

Skills = tuple[tuple[str, int], ...]

KNOWN_FLAGS: tuple[str, ...] = ()
"""Changed behaviour, append-only: a stored journal replays under the flags that its policy names."""


MISSED_ACTIONS = ("not_ready", "stay_ready")


def skills_of(levels: dict[str, int]) -> Skills:
    return tuple(sorted(levels.items()))


def satisfies(have: Skills, need: Skills) -> bool:
    """Every needed skill is there at the needed level or above."""
    levels = dict(have)
    return all(levels.get(name, 0) >= level for name, level in need)


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    name: str
    skills: Skills = ()
    target_ms: int = 20_000
    priority: int = 0
    ring_ms: int = 20_000
    max_waiting: int = 0
    """0: no limit"""

    def __post_init__(self) -> None:
        if self.ring_ms <= 0:
            raise ValueError(f"queue {self.name}: ring_ms = {self.ring_ms}, expected more than 0")


@dataclass(frozen=True, slots=True)
class AgentPolicy:
    agent: str
    skills: Skills = ()
    wrap_up_ms: int = 30_000


@dataclass(frozen=True, slots=True)
class Policy:
    queues: dict[str, QueuePolicy] = field(default_factory=dict)
    agents: dict[str, AgentPolicy] = field(default_factory=dict)
    missed_action: str = "not_ready"
    """after a ring time-out: not_ready | stay_ready"""
    decline_pause_ms: int = 10_000
    """so long a declined contact is not offered to the same agent again"""
    device_pause_ms: int = 30_000
    """so long an agent whose device failed gets nothing, then is ready again"""
    priority_step_ms: int = 30_000
    flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.missed_action not in MISSED_ACTIONS:
            raise ValueError(f"missed_action = {self.missed_action!r}, expected one of {MISSED_ACTIONS}")
        unknown = [flag for flag in self.flags if flag not in KNOWN_FLAGS]
        if unknown:
            raise ValueError(f"policy flag {unknown[0]!r} is not known to this engine")

    def deadline_ms(self, queue: QueuePolicy, arrived_at_ms: int, credit_ms: int) -> int:
        """Virtual deadline: arrival + target − credit − priority steps. The smallest is served first."""
        return arrived_at_ms + queue.target_ms - credit_ms - queue.priority * self.priority_step_ms

    def to_plain(self) -> dict[str, Any]:
        return {
            "queues": [
                [q.name, [list(s) for s in q.skills], q.target_ms, q.priority, q.ring_ms, q.max_waiting]
                for q in self.queues.values()
            ],
            "agents": [[a.agent, [list(s) for s in a.skills], a.wrap_up_ms] for a in self.agents.values()],
            "missed_action": self.missed_action,
            "decline_pause_ms": self.decline_pause_ms,
            "device_pause_ms": self.device_pause_ms,
            "priority_step_ms": self.priority_step_ms,
            "flags": list(self.flags),
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Policy:
        queues = [QueuePolicy(row[0], _skills(row[1]), *row[2:]) for row in plain["queues"]]
        agents = [AgentPolicy(row[0], _skills(row[1]), *row[2:]) for row in plain["agents"]]
        return cls(
            queues={queue.name: queue for queue in queues},
            agents={agent.agent: agent for agent in agents},
            missed_action=plain["missed_action"],
            decline_pause_ms=plain["decline_pause_ms"],
            device_pause_ms=plain["device_pause_ms"],
            priority_step_ms=plain["priority_step_ms"],
            flags=tuple(plain["flags"]),
        )

    def digest(self) -> str:
        text = json.dumps(self.to_plain(), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _skills(rows: list[list[Any]]) -> Skills:
    return tuple((str(name), int(level)) for name, level in rows)
