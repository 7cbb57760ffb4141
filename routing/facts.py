"""What the engine is told, in the past tense. Frozen value types; `KINDS` names them for journals.

`occurred_at_ms` may lie before the activation's `now`: measures use it, order does not.
A field added later gets a default, so that old journals still read.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from routing.policy import Policy, Skills, skills_of


@dataclass(frozen=True, slots=True)
class Fact:
    """Base of all facts."""


@dataclass(frozen=True, slots=True)
class PolicyReplaced(Fact):
    policy: Policy


@dataclass(frozen=True, slots=True)
class QueueOpened(Fact):
    queue: str


@dataclass(frozen=True, slots=True)
class QueueClosed(Fact):
    """Newcomers overflow from now on; who waits already stays."""

    queue: str


@dataclass(frozen=True, slots=True)
class AgentLoggedIn(Fact):
    agent: str


@dataclass(frozen=True, slots=True)
class AgentLoggedOut(Fact):
    agent: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AgentReady(Fact):
    agent: str


@dataclass(frozen=True, slots=True)
class AgentNotReady(Fact):
    """While busy it takes effect when the work is done."""

    agent: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ContactArrived(Fact):
    """`credit_ms` is waiting time already earned elsewhere: it moves the virtual deadline forward.

    `agent`: somebody chose who shall have it (a transfer, a parked call taken back). It is offered to that agent
    first, whatever their skills; what comes to nothing waits in the queue like any other.
    `prefers`: the agent they spoke to last, or who keeps the relationship. It waits for them for `prefers_ms` (0: as
    long as the queue says), and only while they are there and have the skills. `customer_class` earns the credit that
    the policy names for it."""

    contact: str
    queue: str
    occurred_at_ms: int
    credit_ms: int = 0
    agent: str = ""
    customer_class: str = ""
    prefers: str = ""
    prefers_ms: int = 0


@dataclass(frozen=True, slots=True)
class ContactAbandoned(Fact):
    """The customer left before anybody answered."""

    contact: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class ContactEnded(Fact):
    """Handling ended; the agent wraps up."""

    contact: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class ContactRequeued(Fact):
    """The agent was lost after answering; the customer is still there and keeps the old place."""

    contact: str
    occurred_at_ms: int
    cause: str = "agent_lost"


@dataclass(frozen=True, slots=True)
class ContactAdopted(Fact):
    """A live call that the log does not know (its tail was lost): the live call wins.

    With an agent it is connected, without one it waits in the place its tag says."""

    contact: str
    queue: str
    occurred_at_ms: int
    deadline_ms: int
    agent: str = ""


@dataclass(frozen=True, slots=True)
class ContactMoved(Fact):
    """Into another queue with the age it has: it waited there, rang, or was talking (the agent wraps up)."""

    contact: str
    queue: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class QueueMoved(Fact):
    """Everybody who waits, in order and with their age, into another queue."""

    queue: str
    to: str


@dataclass(frozen=True, slots=True)
class ContactHeld(Fact):
    """Keeps its place and is offered to nobody until then; what rings for it stops."""

    contact: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class ContactReleased(Fact):
    """A hold ends before its time."""

    contact: str


@dataclass(frozen=True, slots=True)
class CallbackAsked(Fact):
    """The customer hung up and keeps the place; they are rung once an agent has taken the contact."""

    contact: str


@dataclass(frozen=True, slots=True)
class ContactAssigned(Fact):
    """A person gives a waiting contact to an agent, or the agent takes it; whatever the skills."""

    contact: str
    agent: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class AgentsReskilled(Fact):
    """(agent, skills) of several agents at once, now or at a time."""

    changes: tuple[tuple[str, Skills], ...]
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class AgentsLearned(Fact):
    """(agent, queue, what a contact of it costs with this agent in ms) as history teaches; replaces what was learned
    before. `callcenter/learning.py` makes it."""

    costs: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, slots=True)
class WrapUpExtended(Fact):
    """The agent needs this much longer, up to the policy's most."""

    agent: str
    extra_ms: int
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class OfferAnswered(Fact):
    offer: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class OfferDeclined(Fact):
    offer: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class OfferFailed(Fact):
    """The agent's device did not take it: busy, not_found, unreachable, no_answer, error."""

    offer: str
    occurred_at_ms: int
    cause: str


@dataclass(frozen=True, slots=True)
class WrapUpEnded(Fact):
    """`contact`: of an agent with several wrap-ups, which; "" for all."""

    agent: str
    occurred_at_ms: int
    contact: str = ""


KINDS: dict[str, type[Fact]] = {
    kind.__name__: kind
    for kind in (
        PolicyReplaced,
        QueueOpened,
        QueueClosed,
        AgentLoggedIn,
        AgentLoggedOut,
        AgentReady,
        AgentNotReady,
        ContactArrived,
        ContactAbandoned,
        ContactEnded,
        ContactRequeued,
        ContactAdopted,
        ContactMoved,
        QueueMoved,
        ContactHeld,
        ContactReleased,
        CallbackAsked,
        ContactAssigned,
        AgentsReskilled,
        AgentsLearned,
        WrapUpExtended,
        OfferAnswered,
        OfferDeclined,
        OfferFailed,
        WrapUpEnded,
    )
}
_NAMES = {kind: tuple(field.name for field in fields(kind)) for kind in KINDS.values()}
_KEYS = {kind: ("k", *names) for kind, names in _NAMES.items()}
_VALUES = {kind: attrgetter("__class__.__name__", *names) for kind, names in _NAMES.items()}


def to_plain(fact: Fact) -> dict[str, Any]:
    """The fact as a map of plain values with its kind under `k`."""
    if isinstance(fact, PolicyReplaced):
        return {"k": "PolicyReplaced", "policy": fact.policy.to_plain()}
    kind = type(fact)
    return dict(zip(_KEYS[kind], _VALUES[kind](fact), strict=True))


def from_plain(plain: dict[str, Any]) -> Fact:
    """Inverse of `to_plain`. KeyError for a kind that this engine does not know."""
    kind = KINDS[plain["k"]]
    if kind is PolicyReplaced:
        return PolicyReplaced(Policy.from_plain(plain["policy"]))
    values = {name: plain[name] for name in _NAMES[kind] if name in plain}
    if kind is AgentsReskilled:
        values["changes"] = tuple((agent, skills_of(dict(skills))) for agent, skills in values["changes"])
    elif kind is AgentsLearned:
        values["costs"] = tuple(tuple(cost) for cost in values["costs"])
    return kind(**values)
