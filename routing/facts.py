"""What the engine is told, in the past tense. Frozen value types; `KINDS` names them for journals.

`occurred_at_ms` may lie before the activation's `now`: measures use it, order does not.
A field added later gets a default, so that old journals still read.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from routing.policy import Policy


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
    first, whatever their skills; what comes to nothing waits in the queue like any other."""

    contact: str
    queue: str
    occurred_at_ms: int
    credit_ms: int = 0
    agent: str = ""


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
    agent: str
    occurred_at_ms: int


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
    return kind(**{name: plain[name] for name in _NAMES[kind] if name in plain})
