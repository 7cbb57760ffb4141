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
    """Stop ringing. Reasons: no_answer, abandoned, agent_left, adopted (a live call won)."""

    offer: str
    contact: str
    agent: str
    reason: str


@dataclass(frozen=True, slots=True)
class Overflow(Command):
    """The queue does not take the contact. Reasons: closed, full, unknown_queue; agent_not_ready where the one
    it was meant for cannot take it now."""

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

    rule: `longest_idle` (a contact chose among idle agents), `earliest_deadline` (an agent chose among
    waiting contacts) or `chosen` (by a person). considered: the ten best candidates, (id, key in ms), the winner first.
    rest: (reason, count) of all others."""

    offer: str
    contact: str
    agent: str
    rule: str
    considered: tuple[tuple[str, int], ...]
    rest: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class RejectFact(Command):
    """A fact that does not fit the state: a late answer, an unknown contact. Counted, never fatal."""

    kind: str
    subject: str
    reason: str
