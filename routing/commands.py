"""What the engine asks for, in the imperative. Frozen value types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

_SHAPES: dict[type, tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]] = {}
"""names and values of each kind's plain map: one call reads all fields"""


def _shape(kind: type[Command]) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    shape = _SHAPES.get(kind)
    if shape is None:
        names = tuple(field.name for field in fields(kind))
        shape = _SHAPES[kind] = ("k", *names), attrgetter("__class__.__name__", *names)
    return shape


@dataclass(frozen=True, slots=True)
class Command:
    """Base of all commands."""

    def to_plain(self) -> dict[str, Any]:
        names, values = _shape(type(self))
        return dict(zip(names, values(self), strict=True))


@dataclass(frozen=True, slots=True)
class OfferContact(Command):
    """Ring the agent for the contact. A lease: after `expires_at_ms` it is withdrawn by the engine."""

    offer: str
    contact: str
    agent: str
    queue: str
    expires_at_ms: int
    ring_ms: int


@dataclass(frozen=True, slots=True)
class WithdrawOffer(Command):
    """Stop ringing. Reasons: no_answer, abandoned, agent_left, adopted (a live call won), moved, held."""

    offer: str
    contact: str
    agent: str
    reason: str


@dataclass(frozen=True, slots=True)
class Overflow(Command):
    """The queue does not take the contact. Reasons: closed, full, unknown_queue; agent_not_ready where the one
    it was meant for cannot take it now; nobody_free where the queue knows no waiting."""

    contact: str
    queue: str
    reason: str


@dataclass(frozen=True, slots=True)
class AgentChanged(Command):
    """An agent's state changed; `until_ms` is 0 where the state has no end of its own."""

    agent: str
    state: str
    reason: str
    since_ms: int
    until_ms: int
    contact: str


@dataclass(frozen=True, slots=True)
class RecordDecision(Command):
    """Why this agent and this contact met.

    rule: where a contact chose among idle agents, the queue's strategy, `explore` or `preferred`; where an agent chose
    among waiting contacts `earliest_deadline` or `strict_class`; `chosen` by a person. considered: the ten best
    candidates, (id, key), the winner first; a contact's key is its deadline in ms, an agent's that of the strategy.
    rest: (reason, count) of all others."""

    offer: str
    contact: str
    agent: str
    rule: str
    considered: tuple[tuple[str, int], ...]
    rest: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class RelaxContact(Command):
    """It waited long enough for its next ring: from now on these needs and teams count."""

    contact: str
    ring: int
    needs: tuple[tuple[str, int], ...]
    teams: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TargetMissed(Command):
    """It has waited longer than its target, and gives way: this is its deadline from now on."""

    contact: str
    deadline_ms: int


@dataclass(frozen=True, slots=True)
class MoveContact(Command):
    """It waits in another queue from now on. Reasons: moved (by a person), max_wait."""

    contact: str
    queue: str
    to: str
    reason: str


@dataclass(frozen=True, slots=True)
class OverflowTo(Command):
    """It waited too long. `callback`: offer to ring back, it keeps its place meanwhile; else it has left the queue and
    goes to voicemail, text or flow `target`."""

    contact: str
    queue: str
    to: str
    target: str


@dataclass(frozen=True, slots=True)
class Announce(Command):
    """Tell the one who waits: place (1 is next), and the estimated wait, -1 where none can be given with
    confidence."""

    contact: str
    position: int
    estimate_ms: int


@dataclass(frozen=True, slots=True)
class PauseContact(Command):
    """Something more urgent was taken; the agent's work on this goes on afterwards."""

    contact: str
    agent: str
    by: str


@dataclass(frozen=True, slots=True)
class ResumeContact(Command):
    contact: str
    agent: str


@dataclass(frozen=True, slots=True)
class LimitPassed(Command):
    """Not ready for longer than the reason allows. Counted and shown; nobody is made ready against their will."""

    agent: str
    reason: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class RejectFact(Command):
    """A fact that does not fit the state: a late answer, an unknown contact. Counted, never fatal."""

    kind: str
    subject: str
    reason: str
