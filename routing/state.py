"""Contacts, agents and offers as the engine knows them, and the table of an agent's states.

    logged_out -> idle | not_ready                      log in
    idle       -> reserved                              an offer is made
    idle      <-> not_ready                             asked for
    reserved   -> talking                               the offer is answered
    reserved   -> idle | not_ready | logged_out         declined, missed, failed, left
    talking    -> wrap_up | idle | not_ready | logged_out
    wrap_up    -> idle | not_ready | logged_out         time is up, or the form is saved
    not_ready with an end of its own (a pause after a device failed) -> idle

An agent with several contacts at once shows the state of the foremost (`Agent.foremost`), so `talking` and `wrap_up`
may also become `reserved`, and `reserved` `wrap_up`. Every state but idle, not_ready and logged_out ends by a deadline
or by the end of a contact; there is no state without a way out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from routing.policy import Names, Skills

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
    RESERVED: frozenset({TALKING, IDLE, NOT_READY, LOGGED_OUT, WRAP_UP}),
    TALKING: frozenset({WRAP_UP, IDLE, NOT_READY, LOGGED_OUT, RESERVED}),
    WRAP_UP: frozenset({IDLE, NOT_READY, LOGGED_OUT, TALKING, RESERVED}),
}
"""`TALKING` from anywhere: a live call that was adopted wins over what the log said."""

AWAY = frozenset({LOGGED_OUT, NOT_READY})

WAITING, OFFERED, CONNECTED = "waiting", "offered", "connected"

FRONT = -1_000
"""class of a contact that was promoted: before every other"""


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
    barred: dict[str, int] | None = None
    """agent -> until when this contact is not offered to them (they declined it)"""
    teams: Names = ()
    rank: int = 0
    """class: the smallest is served first"""
    credit_ms: int = 0
    late: bool = False
    """its target has passed, and it gave way"""
    ring: int = 0
    """how many rings count already"""
    share: str = ""
    """the team it is reserved for"""
    share_until_ms: int = 0
    prefers: str = ""
    prefers_until_ms: int = 0
    held_until_ms: int = 0
    callback: bool = False
    explored: bool = False
    overflowed: int = 0
    """how many overflow rules were looked at"""
    announce_at_ms: int = 0
    promised_ms: int = -1
    """the wait estimated at arrival"""
    line: object = None
    """where the index keeps it while it waits; follows from the rest"""

    @property
    def key(self) -> tuple[int, int, int]:
        return (self.rank, self.deadline_ms, self.order)

    def bar(self, agent: str) -> int:
        return self.barred.get(agent, 0) if self.barred else 0


@dataclass(slots=True)
class Work:
    """A contact in an agent's hands: `offered`, `connected`, or `wrap_up` after it."""

    contact: str
    medium: str
    state: str
    offer: str = ""
    until_ms: int = 0
    paused: bool = False
    begun_ms: int = 0
    """of the wrap-up"""
    pause_order: int = 0


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
    load: int = 0
    """of active work, when the agent became free"""
    occupied: int = 0
    """permille of the time since log-in with work, when the agent became free"""
    next_state: str = ""
    """not_ready or logged_out once the present work is done"""
    next_reason: str = ""
    token: int = 0
    """changes with every change of state: fences timers and index entries"""
    teams: Names = ()
    works: dict[str, Work] = field(default_factory=dict)
    free: Names = ()
    """media that an offer may be made for"""
    missed: int = 0
    """offers in a row"""
    here_since_ms: int = 0
    busy_since_ms: int = -1
    """-1 without work"""
    busy_ms: int = 0
    """with work, between log-in and `busy_since_ms`"""
    blend_at_ms: int = 0
    """when outbound work may be looked for"""
    breadth: int = 0
    """how many queues the agent can serve"""
    limit_said: bool = False
    """not ready for longer than the reason allows, and that was told"""

    @property
    def leaving(self) -> bool:
        return bool(self.next_state)

    @property
    def there(self) -> bool:
        """A contact that prefers this agent may wait for them."""
        return self.state not in AWAY and not self.next_state

    def occupancy(self, now_ms: int) -> int:
        """Permille of the time since log-in."""
        busy = self.busy_ms + (now_ms - self.busy_since_ms if self.busy_since_ms >= 0 else 0)
        return 1000 * busy // max(1, now_ms - self.here_since_ms)

    def foremost(self) -> Work | None:
        """What the summary state shows: connected, else offered, else wrap-up, else what is paused."""
        best, rank = None, 9
        for work in self.works.values():
            mine = 3 if work.paused else _FOREMOST[work.state]
            if mine < rank:
                best, rank = work, mine
        return best


_FOREMOST = {CONNECTED: 0, OFFERED: 1, WRAP_UP: 2}
SHOWN = {CONNECTED: TALKING, OFFERED: RESERVED, WRAP_UP: WRAP_UP}
"""state of a work -> summary state of its agent"""


@dataclass(slots=True)
class Offer:
    id: str
    contact: str
    agent: str
    expires_at_ms: int


@dataclass(slots=True)
class QueueStats:
    """What was measured of a queue's line; see docs/routing.md, estimated wait."""

    departures: int = 0
    last_ms: int = -1
    """the last departure, or when the line began; -1 while nobody waits"""
    gap_ms: int = 0
    """mean between two departures while somebody waited"""
    told: int = 0
    error_ms: int = 0
    wait_ms: int = 0


@dataclass(slots=True)
class Tables:
    """All of the engine's state but its indexes and timers, which follow from it."""

    contacts: dict[str, Contact] = field(default_factory=dict)
    agents: dict[str, Agent] = field(default_factory=dict)
    offers: dict[str, Offer] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    closed: dict[str, bool] = field(default_factory=dict)
    stats: dict[str, QueueStats] = field(default_factory=dict)
    dealt: dict[str, list[int]] = field(default_factory=dict)
    """queue -> remainders of its shares"""
    counted: dict[str, int] = field(default_factory=dict)
    """queue -> newcomers, for exploration"""
    learned: dict[tuple[str, str], int] = field(default_factory=dict)
    """(agent, queue) -> cost"""
    reskills: dict[int, tuple[int, tuple[tuple[str, Skills], ...]]] = field(default_factory=dict)
    """number -> (when, changes)"""
    numbered: int = 0
    """the last number given to one"""
