"""Contacts, agents and offers as the engine knows them, and the table of an agent's states.

    logged_out -> idle | not_ready                      log in
    idle       -> reserved                              an offer is made
    idle      <-> not_ready                             asked for
    reserved   -> talking                               the offer is answered
    reserved   -> idle | not_ready | logged_out         declined, missed, failed, left
    talking    -> wrap_up | idle | not_ready | logged_out
    wrap_up    -> idle | not_ready | logged_out         time is up, or the form is saved
    not_ready with an end of its own (a pause after a device failed) -> idle

Every state but idle, not_ready and logged_out ends by a deadline or by the end of a contact; there
is no state without a way out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from routing.policy import Skills

LOGGED_OUT, NOT_READY, IDLE, RESERVED, TALKING, WRAP_UP = (
    "logged_out",
    "not_ready",
    "idle",
    "reserved",
    "talking",
    "wrap_up",
)
AGENT_TRANSITIONS: dict[str, frozenset[str]] = {
    LOGGED_OUT: frozenset({IDLE, NOT_READY, TALKING}),
    NOT_READY: frozenset({IDLE, NOT_READY, LOGGED_OUT, TALKING}),
    IDLE: frozenset({RESERVED, NOT_READY, LOGGED_OUT, TALKING}),
    RESERVED: frozenset({TALKING, IDLE, NOT_READY, LOGGED_OUT}),
    TALKING: frozenset({WRAP_UP, IDLE, NOT_READY, LOGGED_OUT}),
    WRAP_UP: frozenset({IDLE, NOT_READY, LOGGED_OUT, TALKING}),
}
"""`TALKING` from anywhere: a live call that was adopted wins over what the log said."""

WAITING, OFFERED, CONNECTED = "waiting", "offered", "connected"


@dataclass(slots=True)
class Contact:
    id: str
    queue: str
    needs: Skills
    arrived_at_ms: int
    deadline_ms: int
    order: int
    state: str = WAITING
    offer: str = ""
    agent: str = ""
    barred: dict[str, int] = field(default_factory=dict)
    """agent -> until when this contact is not offered to them (they declined it)"""

    @property
    def key(self) -> tuple[int, int]:
        return (self.deadline_ms, self.order)


@dataclass(slots=True)
class Agent:
    id: str
    skills: Skills
    state: str = LOGGED_OUT
    since_ms: int = 0
    reason: str = ""
    until_ms: int = 0
    contact: str = ""
    offer: str = ""
    idle_since_ms: int = 0
    idle_order: int = 0
    next_state: str = ""
    """not_ready or logged_out once the present work is done"""
    next_reason: str = ""
    token: int = 0
    """changes with every change of state: fences timers and index entries"""


@dataclass(slots=True)
class Offer:
    id: str
    contact: str
    agent: str
    expires_at_ms: int


@dataclass(slots=True)
class Tables:
    """All of the engine's state but its indexes and timers, which follow from it."""

    contacts: dict[str, Contact] = field(default_factory=dict)
    agents: dict[str, Agent] = field(default_factory=dict)
    offers: dict[str, Offer] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    closed: dict[str, bool] = field(default_factory=dict)
