"""What the engine is told about queues, agents and media. Enters as a fact, so replay sees every change.

All durations are integer milliseconds; skills are sorted (name, level 1-10) pairs. A policy that contradicts itself
(`Policy.problem`) is rejected as a whole.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

Skills = tuple[tuple[str, int], ...]
Names = tuple[str, ...]

KNOWN_FLAGS: tuple[str, ...] = ()
"""Changed behaviour, append-only: a stored journal replays under the flags that its policy names."""

MISSED_ACTIONS = ("not_ready", "stay_ready", "pause")
STRATEGIES = ("longest_idle", "least_occupied", "best_skilled", "least_flexible", "weighted", "learned")
OVERFLOWS = ("queue", "callback", "voicemail", "text", "flow")
VOICE = "voice"


def skills_of(levels: dict[str, int]) -> Skills:
    return tuple(sorted(levels.items()))


def satisfies(have: Skills, need: Skills) -> bool:
    """Every needed skill is there at the needed level or above."""
    levels = dict(have)
    return all(levels.get(name, 0) >= level for name, level in need)


@dataclass(frozen=True, slots=True)
class Ring:
    """From `after_ms` of waiting on, `needs` and `teams` count instead of the queue's own."""

    after_ms: int
    needs: Skills = ()
    teams: Names = ()


@dataclass(frozen=True, slots=True)
class OverflowRule:
    """After `after_ms` of waiting, and only if at least `min_estimate_ms` more are to be expected."""

    after_ms: int
    to: str
    """queue | callback | voicemail | text | flow"""
    target: str = ""
    """the queue or flow"""
    min_estimate_ms: int = 0


@dataclass(frozen=True, slots=True)
class Weights:
    """What an agent's merits are worth in milliseconds of idle time (strategy `weighted`)."""

    skill_ms: int = 0
    """for each level of each needed skill: the better skilled come first"""
    occupancy_ms: int = 0
    """against each permille of the time since log-in that went into work"""
    breadth_ms: int = 0
    """against each queue that the agent can serve"""


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    name: str
    skills: Skills = ()
    target_ms: int = 20_000
    priority: int = 0
    ring_ms: int = 20_000
    max_waiting: int = 0
    """0: no limit"""
    medium: str = VOICE
    strategy: str = "longest_idle"
    weights: Weights = Weights()
    teams: Names = ()
    """who may serve it, by team; none: everybody with the skills"""
    rings: tuple[Ring, ...] = ()
    strict_class: int = 0
    """contacts of a higher class go before all of a lower one, whatever their deadlines"""
    promote_ms: int = 0
    """after so long a contact goes before every class; 0: never"""
    late_ms: int = 0
    """a contact that has waited for longer than `target_ms` gives way: its deadline moves once by so much"""
    shares: tuple[tuple[str, int], ...] = ()
    """(team, percent) of newcomers reserved for a team"""
    share_ms: int = 0
    """a reservation for a team lapses after so long"""
    preferred_ms: int = 0
    """so long a contact waits for the agent it prefers, where the fact names no time of its own"""
    explore_every: int = 20
    """every n-th contact of a queue with strategy `learned` goes to the longest idle; 0: none"""
    overflow: tuple[OverflowRule, ...] = ()
    announce_first_ms: int = 0
    announce_every_ms: int = 0
    """position and estimated wait are told after, and every; 0: not"""
    outbound: bool = False
    """work that we begin: only agents idle for `blend_after_ms`, and while more than `keep_idle` could do it"""
    blend_after_ms: int = 0
    keep_idle: int = 0
    no_waiting: bool = False
    """who finds nobody free overflows at once"""

    def __post_init__(self) -> None:
        if self.ring_ms <= 0:
            raise ValueError(f"queue {self.name}: ring_ms = {self.ring_ms}, expected more than 0")
        if self.strategy not in STRATEGIES:
            raise ValueError(f"queue {self.name}: strategy = {self.strategy!r}, expected one of {STRATEGIES}")


@dataclass(frozen=True, slots=True)
class AgentPolicy:
    agent: str
    skills: Skills = ()
    wrap_up_ms: int = 30_000
    teams: Names = ()
    capacity: tuple[tuple[str, int], ...] = ((VOICE, 1),)
    """(medium, contacts at the same time)"""
    total_load: int = 100


@dataclass(frozen=True, slots=True)
class MediumPolicy:
    name: str
    load: int = 100
    """of an agent's `total_load`, for each contact"""
    exclusive: bool = False
    """nothing else beside it, but for `beside`"""
    beside: Names = ()
    interrupted_by: Names = ()
    """contacts of these media may pause it; it is resumed after them"""


DEFAULT_MEDIA = (
    MediumPolicy(VOICE, 100, exclusive=True),
    MediumPolicy("chat", 30),
    MediumPolicy("text", 20),
    MediumPolicy("email", 50, interrupted_by=(VOICE,)),
)


@dataclass(frozen=True, slots=True)
class ReasonPolicy:
    """A reason not to be ready. `limit_ms` 0: no limit; `at_once` 0: any number of agents."""

    name: str
    limit_ms: int = 0
    at_once: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    queues: dict[str, QueuePolicy] = field(default_factory=dict)
    agents: dict[str, AgentPolicy] = field(default_factory=dict)
    missed_action: str = "not_ready"
    """after a ring time-out: not_ready | stay_ready | pause"""
    decline_pause_ms: int = 10_000
    """so long a declined contact is not offered to the same agent again"""
    device_pause_ms: int = 30_000
    """so long an agent whose device failed gets nothing, then is ready again"""
    priority_step_ms: int = 30_000
    flags: tuple[str, ...] = ()
    missed_pause_ms: int = 30_000
    """`missed_action = pause`: so long nothing is offered, then the agent is ready again"""
    missed_limit: int = 3
    """`missed_action = pause`: not ready after so many in a row; 0: never"""
    wrap_up_max_ms: int = 600_000
    """a wrap-up is extended to this at most"""
    media: dict[str, MediumPolicy] = field(default_factory=lambda: {m.name: m for m in DEFAULT_MEDIA})
    classes: dict[str, int] = field(default_factory=dict)
    """customer class -> waiting time credited to it"""
    reasons: dict[str, ReasonPolicy] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.missed_action not in MISSED_ACTIONS:
            raise ValueError(f"missed_action = {self.missed_action!r}, expected one of {MISSED_ACTIONS}")
        unknown = [flag for flag in self.flags if flag not in KNOWN_FLAGS]
        if unknown:
            raise ValueError(f"policy flag {unknown[0]!r} is not known to this engine")

    def deadline_ms(self, queue: QueuePolicy, arrived_at_ms: int, credit_ms: int) -> int:
        """Virtual deadline: arrival + target − credit − priority steps. The smallest is served first."""
        return arrived_at_ms + queue.target_ms - credit_ms - queue.priority * self.priority_step_ms

    def problem(self) -> str:
        """The first contradiction, as `subject: what is wrong`; "" for none."""
        for queue in self.queues.values():
            if wrong := _queue_problem(queue, self):
                return f"queue {queue.name}: {wrong}"
        for agent in self.agents.values():
            if any(count < 0 for _medium, count in agent.capacity) or agent.total_load < 0:
                return f"agent {agent.agent}: negative capacity"
        return _overflow_cycle(self.queues)

    def to_plain(self) -> dict[str, Any]:
        plain: dict[str, Any] = {
            "queues": [_row(queue, _QUEUE_COLUMNS, _PLAIN_QUEUE) for queue in self.queues.values()],
            "agents": [_row(agent, _AGENT_COLUMNS, _PLAIN_AGENT) for agent in self.agents.values()],
            "missed_action": self.missed_action,
            "decline_pause_ms": self.decline_pause_ms,
            "device_pause_ms": self.device_pause_ms,
            "priority_step_ms": self.priority_step_ms,
            "flags": list(self.flags),
        }
        if self.media != _PLAIN_POLICY.media:
            plain["media"] = [_lists(asdict(medium)) for medium in self.media.values()]
        if self.reasons:
            plain["reasons"] = [asdict(reason) for reason in self.reasons.values()]
        if self.classes:
            plain["classes"] = dict(self.classes)
        for name in ("missed_pause_ms", "missed_limit", "wrap_up_max_ms"):
            if getattr(self, name) != getattr(_PLAIN_POLICY, name):
                plain[name] = getattr(self, name)
        return plain

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Policy:
        more: dict[str, Any] = {
            name: plain[name]
            for name in ("missed_pause_ms", "missed_limit", "wrap_up_max_ms", "classes")
            if name in plain
        }
        if "media" in plain:
            more["media"] = {
                row["name"]: MediumPolicy(**{k: _tuples(v) for k, v in row.items()}) for row in plain["media"]
            }
        if "reasons" in plain:
            more["reasons"] = {row["name"]: ReasonPolicy(**row) for row in plain["reasons"]}
        queues = [_queue(row) for row in plain["queues"]]
        agents = [_agent(row) for row in plain["agents"]]
        return cls(
            queues={queue.name: queue for queue in queues},
            agents={agent.agent: agent for agent in agents},
            missed_action=plain["missed_action"],
            decline_pause_ms=plain["decline_pause_ms"],
            device_pause_ms=plain["device_pause_ms"],
            priority_step_ms=plain["priority_step_ms"],
            flags=tuple(plain["flags"]),
            **more,
        )

    def digest(self) -> str:
        text = json.dumps(self.to_plain(), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _queue_problem(queue: QueuePolicy, policy: Policy) -> str:
    afters = [ring.after_ms for ring in queue.rings]
    if any(after <= before for before, after in zip([0, *afters], afters, strict=False)):
        return "rings: expected each to begin later than the one before"
    if sum(percent for _team, percent in queue.shares) > 100 or any(p <= 0 for _team, p in queue.shares):
        return "shares: expected positive percents that add up to 100 at most"
    if queue.shares and not queue.share_ms:
        return "share_ms: expected a time after which a reservation lapses"
    if not queue.promote_ms and any(
        other.strict_class > queue.strict_class for other in policy.queues.values()
    ):
        return "promote_ms: expected a time, since another queue has a higher strict_class"
    if queue.medium not in policy.media:
        return f"medium: {queue.medium!r} is not known"
    for rule in queue.overflow:
        if rule.to not in OVERFLOWS:
            return f"overflow: to = {rule.to!r}, expected one of {OVERFLOWS}"
        if rule.to == "queue" and rule.target not in policy.queues:
            return f"overflow: queue {rule.target!r} is not known"
    return ""


def _overflow_cycle(queues: dict[str, QueuePolicy]) -> str:
    """Contacts that would go round: queue a to b to a."""
    done: set[str] = set()
    for start in queues:
        path: list[str] = []
        todo = [(start, 0)]
        while todo:
            name, depth = todo.pop()
            del path[depth:]
            if name in path:
                return f"overflow: a cycle, {' > '.join([*path[path.index(name) :], name])}"
            if name in done:
                continue
            path.append(name)
            targets = [rule.target for rule in queues[name].overflow if rule.to == "queue"]
            if not targets:
                done.add(name)
            todo += [(target, depth + 1) for target in targets]
        done.add(start)
    return ""


_QUEUE_COLUMNS = ("name", "skills", "target_ms", "priority", "ring_ms", "max_waiting")
_AGENT_COLUMNS = ("agent", "skills", "wrap_up_ms")


def _row(value: Any, columns: tuple[str, ...], usual: Any) -> list[Any]:
    """The columns, and what else is not as usual under its name in a map behind them."""
    row = [_lists(getattr(value, name)) for name in columns]
    more = {
        one.name: _lists(
            asdict(getattr(value, one.name)) if one.name == "weights" else getattr(value, one.name)
        )
        for one in fields(value)
        if one.name not in columns and getattr(value, one.name) != getattr(usual, one.name)
    }
    return [*row, more] if more else row


def _lists(value: Any) -> Any:
    if isinstance(value, Ring):
        return [value.after_ms, _lists(value.needs), list(value.teams)]
    if isinstance(value, OverflowRule):
        return [value.after_ms, value.to, value.target, value.min_estimate_ms]
    if isinstance(value, dict):
        return {key: _lists(one) for key, one in value.items()}
    return [_lists(one) for one in value] if isinstance(value, tuple) else value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(one) for one in value) if isinstance(value, list) else value


def _queue(row: list[Any]) -> QueuePolicy:
    more = {key: _tuples(one) for key, one in (row[6] if len(row) > 6 else {}).items() if key != "weights"}
    if "rings" in more:
        more["rings"] = tuple(Ring(*ring) for ring in more["rings"])
    if "overflow" in more:
        more["overflow"] = tuple(OverflowRule(*rule) for rule in more["overflow"])
    if len(row) > 6 and "weights" in row[6]:
        more["weights"] = Weights(**row[6]["weights"])
    return QueuePolicy(row[0], _skills(row[1]), row[2], row[3], row[4], row[5], **more)


def _agent(row: list[Any]) -> AgentPolicy:
    more = {key: _tuples(one) for key, one in (row[3] if len(row) > 3 else {}).items()}
    return AgentPolicy(row[0], _skills(row[1]), row[2], **more)


def _skills(rows: list[list[Any]]) -> Skills:
    return tuple((str(name), int(level)) for name, level in rows)


_PLAIN_QUEUE, _PLAIN_AGENT, _PLAIN_POLICY = QueuePolicy(""), AgentPolicy(""), Policy()
