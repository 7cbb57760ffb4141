"""What the naive centre writes down about contacts, agents and their work, and the one predicate over it.

Plain lists, plain loops. Nothing is kept that could be counted anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from routing.policy import VOICE, MediumPolicy, Policy, QueuePolicy

FRONT = -1_000
"""the class of who was promoted: before every other"""

Names = tuple[str, ...]
Levels = tuple[tuple[str, int], ...]


@dataclass
class Caller:
    """A contact that waits, rings or is connected."""

    id: str
    queue: str
    arrived: int
    credit: int
    place: int
    deadline: int = 0
    late: bool = False
    """past its target, and gave way"""
    rank: int = 0
    needs: Levels = ()
    teams: Names = ()
    ring: int = 0
    """so many rings count already"""
    share: str = ""
    share_until: int = 0
    prefers: str = ""
    prefers_until: int = 0
    held: int = 0
    callback: bool = False
    explored: bool = False
    looked_at: int = 0
    """so many overflow rules of this queue were looked at"""
    announce_at: int = 0
    state: str = "waiting"
    agent: str = ""
    bars: dict[str, int] = field(default_factory=dict)

    @property
    def order(self) -> tuple[int, int, int]:
        """The total order: the smallest is served first."""
        return (self.rank, self.deadline, self.place)

    @property
    def wanted(self) -> Names:
        return (self.share,) if self.share else self.teams


@dataclass
class Job:
    """A contact in an agent's hands."""

    contact: str
    medium: str
    state: str = "offered"
    until: int = 0
    begun: int = 0
    """of the wrap-up"""
    paused: int = 0
    """0, or a number that grows with every pause"""


@dataclass
class Seat:
    """An agent: `presence` is logged_out, not_ready or ready; what is shown follows from that and the work."""

    id: str
    skills: dict[str, int] = field(default_factory=dict)
    teams: Names = ()
    capacity: dict[str, int] = field(default_factory=dict)
    total_load: int = 0
    presence: str = "logged_out"
    reason: str = ""
    since: int = 0
    """of the presence"""
    pause_until: int = 0
    limit_said: bool = False
    after: tuple[str, str] | None = None
    """(presence, reason) once the present work is done"""
    jobs: list[Job] = field(default_factory=list)
    lighter: bool = False
    """a work ended since it was last looked at what may be resumed"""
    load: int = 0
    """of active work, when they became free"""
    idle: tuple[int, int] = (0, 0)
    permille: int = 0
    """of the time since log-in that went into work, when they became free"""
    missed: int = 0
    here_since: int = 0
    busy_since: int = 0
    busy: int = 0
    said: tuple[str, int, str] = ("logged_out", 0, "")

    def shown(self) -> tuple[str, int, str]:
        """(state, end, contact)"""
        kinds = (
            ("talking", [job for job in self.jobs if job.state == "connected" and not job.paused]),
            ("reserved", [job for job in self.jobs if job.state == "offered"]),
            ("wrap_up", [job for job in self.jobs if job.state == "wrap_up"]),
            ("talking", self.jobs),
        )
        for state, jobs in kinds:
            if jobs:
                return (state, jobs[0].until, jobs[0].contact)
        return ("idle" if self.presence == "ready" else self.presence, self.pause_until, "")

    @property
    def state(self) -> str:
        return self.shown()[0]

    @property
    def until(self) -> int:
        return self.shown()[1]

    @property
    def contact(self) -> str:
        return self.shown()[2]

    def job(self, contact: str) -> Job:
        return next(job for job in self.jobs if job.contact == contact)

    def rings(self) -> bool:
        return any(job.state == "offered" for job in self.jobs)

    def wrap_ups(self) -> list[Job]:
        return [job for job in self.jobs if job.state == "wrap_up"]


@dataclass
class Ringing:
    caller: Caller
    seat: Seat
    expires: int
    id: str = ""
    """the engine's name for it, learned after the activation that made it"""


# --- the one predicate -------------------------------------------------------------------------------


def medium_of(policy: Policy, queue: str) -> str:
    return policy.queues[queue].medium if queue in policy.queues else VOICE


def skilled(seat: Seat, needs: Levels, teams: Names) -> bool:
    enough = all(seat.skills.get(name, 0) >= level for name, level in needs)
    return enough and (not teams or any(team in seat.teams for team in teams))


def able(policy: Policy, seat: Seat, caller: Caller) -> bool:
    here = seat.id in policy.agents
    has = seat.capacity.get(medium_of(policy, caller.queue), 0) > 0
    return here and has and skilled(seat, caller.needs, caller.wanted)


def there(policy: Policy, seat: Seat) -> bool:
    """Ready and not about to leave, busy or not."""
    return seat.presence == "ready" and not seat.after and seat.id in policy.agents


def free(policy: Policy, seat: Seat, medium: str) -> bool:
    return there(policy, seat) and not seat.rings() and fits(policy, seat, medium)


def fits(policy: Policy, seat: Seat, medium: str) -> bool:
    """One more contact of the medium; what it may interrupt is no obstacle."""
    if len([job for job in seat.jobs if job.medium == medium]) >= seat.capacity.get(medium, 0):
        return False
    beside = [job for job in active(seat) if not interrupts(policy, medium, job)]
    return fits_beside(policy, seat, medium, beside)


def fits_beside(policy: Policy, seat: Seat, medium: str, jobs: list[Job]) -> bool:
    mine = medium_policy(policy, medium)
    load = mine.load
    for job in jobs:
        theirs = medium_policy(policy, job.medium)
        if theirs.exclusive and medium not in theirs.beside:
            return False
        if mine.exclusive and job.medium not in mine.beside:
            return False
        load += theirs.load
    return load <= seat.total_load


def active(seat: Seat) -> list[Job]:
    return [job for job in seat.jobs if not job.paused]


def interrupts(policy: Policy, medium: str, job: Job) -> bool:
    return job.state == "connected" and medium in medium_policy(policy, job.medium).interrupted_by


def medium_policy(policy: Policy, medium: str) -> MediumPolicy:
    return policy.media.get(medium) or MediumPolicy(medium)


def load(policy: Policy, seat: Seat) -> int:
    """Of what is going on; what rings is not yet."""
    going_on = [job for job in active(seat) if job.state != "offered"]
    return sum(medium_policy(policy, job.medium).load for job in going_on)


def eligible(policy: Policy, caller: Caller, seat: Seat, now: int) -> bool:
    return (
        caller.state == "waiting"
        and not caller.held
        and able(policy, seat, caller)
        and free(policy, seat, medium_of(policy, caller.queue))
        and caller.bars.get(seat.id, 0) <= now
        and caller.prefers in ("", seat.id)
    )


# --- strategies --------------------------------------------------------------------------------------


def merit(
    policy: Policy, learned: dict[tuple[str, str], int], strategy: str, caller: Caller, seat: Seat
) -> int:
    """The second part of an agent's key."""
    levels = sum(seat.skills.get(name, 0) for name, _level in caller.needs)
    queues = len([queue for queue in policy.queues.values() if serves(seat, queue)])
    if strategy == "least_occupied":
        return seat.permille
    if strategy == "best_skilled":
        return -levels
    if strategy == "least_flexible":
        return queues
    if strategy == "weighted":
        worth = policy.queues[caller.queue].weights
        return (
            seat.idle[0]
            - worth.skill_ms * levels
            + worth.occupancy_ms * seat.permille
            + worth.breadth_ms * queues
        )
    if strategy == "learned":
        return cost(learned, seat.id, caller.queue)
    return seat.idle[0]


def serves(seat: Seat, queue: QueuePolicy) -> bool:
    return seat.capacity.get(queue.medium, 0) > 0 and skilled(seat, queue.skills, queue.teams)


def cost(learned: dict[tuple[str, str], int], agent: str, queue: str) -> int:
    """As last learned; who is new costs the mean of those known."""
    if (agent, queue) in learned:
        return learned[agent, queue]
    known = [cost for (_agent, of), cost in learned.items() if of == queue]
    return sum(known) // len(known) if known else 0
