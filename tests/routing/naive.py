"""A second, deliberately naive reading of the routing rules: lists, scans, no index and no heap.

It exists to disagree with the engine when one of the two is wrong, and shares nothing with it but the
value types of facts and policies. What it expects to be told is a list of plain tuples (`said`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from routing import facts as f
from routing.policy import Policy, QueuePolicy

BUSY = ("reserved", "talking", "wrap_up")


@dataclass
class Caller:
    id: str
    queue: str
    needs: dict[str, int]
    deadline: int
    place: int
    state: str = "waiting"
    agent: str = ""
    bars: dict[str, int] = field(default_factory=dict)


@dataclass
class Seat:
    id: str
    skills: dict[str, int]
    state: str = "logged_out"
    until: int = 0
    contact: str = ""
    idle: tuple[int, int] = (0, 0)
    after: tuple[str, str] | None = None
    """(state, reason) once the present work is done"""

    def can(self, caller: Caller) -> bool:
        return all(name in self.skills and self.skills[name] >= level for name, level in caller.needs.items())


@dataclass
class Ringing:
    caller: Caller
    seat: Seat
    expires: int
    id: str = ""
    """the engine's name for it, learned after the activation that made it"""


class NaiveCentre:
    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.now = 0
        self.counter = 0
        self.callers: list[Caller] = []
        self.seats: list[Seat] = []
        self.ringing: list[Ringing] = []
        self.closed: list[str] = []
        self.said: list[tuple[Any, ...]] = []
        self._seats_from(policy)

    def activate(self, now: int, facts: list[f.Fact]) -> list[tuple[Any, ...]]:
        self.now, self.said = now, []
        for fact in facts:
            getattr(self, "on_" + type(fact).__name__)(fact)
        while due := [timer for timer in self.timers() if timer[0] <= now]:
            self._time_is_up(*min(due)[1:])
        return self.said

    def timers(self) -> list[tuple[int, str, str, str]]:
        """(due, what, id, other id); what is due at the same time goes by these as text."""
        found = [(seat.until, "agent", seat.id, "") for seat in self.seats if seat.until]
        found += [(until, "bar", c.id, agent) for c in self.callers for agent, until in c.bars.items()]
        return found + [(ring.expires, "offer", ring.id, "") for ring in self.ringing]

    def _time_is_up(self, what: str, subject: str, other: str) -> None:
        if what == "agent":
            self._free(self._seat(subject))
        elif what == "offer":
            ring = self._ring(subject)
            self._stop(ring, "no_answer")
            self._came_to_nothing(ring, self._missed)
        else:
            del self._caller(subject).bars[other]
            seat = self._seat(other)
            if seat and seat.state == "idle":
                self._seek_caller(seat)

    # --- policy and queues ---------------------------------------------------------------------

    def on_PolicyReplaced(self, fact: f.PolicyReplaced) -> None:
        self.policy = fact.policy
        for caller in self.callers:
            if caller.queue in fact.policy.queues:
                caller.needs = dict(fact.policy.queues[caller.queue].skills)
        self._seats_from(fact.policy)
        for caller in self._waiting():
            self._seek_agent(caller)

    def _seats_from(self, policy: Policy) -> None:
        for seat in self.seats:
            if seat.id not in policy.agents and seat.state in ("idle", "not_ready"):
                self._set(seat, "logged_out")
        self.seats = [seat for seat in self.seats if seat.id in policy.agents or seat.state in BUSY]
        for agent in policy.agents.values():
            seat = self._seat(agent.agent)
            if seat is None:
                self.seats.append(Seat(agent.agent, dict(agent.skills)))
            else:
                seat.skills = dict(agent.skills)

    def on_QueueOpened(self, fact: f.QueueOpened) -> None:
        self.closed = [queue for queue in self.closed if queue != fact.queue]

    def on_QueueClosed(self, fact: f.QueueClosed) -> None:
        self.closed.append(fact.queue)

    # --- agents --------------------------------------------------------------------------------

    def on_AgentLoggedIn(self, fact: f.AgentLoggedIn) -> None:
        seat = self._known(fact, self._seat(fact.agent), fact.agent, "unknown_agent")
        if seat and seat.state == "logged_out":
            self._set(seat, "not_ready", "logged_in")
        elif seat and seat.after and seat.after[0] == "logged_out":
            seat.after = None

    def on_AgentLoggedOut(self, fact: f.AgentLoggedOut) -> None:
        seat = self._known(fact, self._seat(fact.agent), fact.agent, "unknown_agent")
        if not seat or seat.state == "logged_out":
            return
        seat.after = ("logged_out", "")
        if seat.state == "reserved":
            ring = next(ring for ring in self.ringing if ring.seat is seat)
            self._stop(ring, "agent_left")
            self._came_to_nothing(ring, self._free)
        elif seat.state != "talking":
            self._free(seat)

    def on_AgentReady(self, fact: f.AgentReady) -> None:
        seat = self._known(fact, self._seat(fact.agent), fact.agent, "unknown_agent")
        if seat and self._left(seat):
            self._reject(fact, seat.id, "left_policy")
            return
        if not seat:
            return
        seat.after = None
        if seat.state in ("logged_out", "not_ready", "wrap_up"):
            self._idle(seat)

    def on_AgentNotReady(self, fact: f.AgentNotReady) -> None:
        seat = self._known(fact, self._seat(fact.agent), fact.agent, "unknown_agent")
        if seat and seat.state in BUSY:
            seat.after = ("not_ready", fact.reason)
        elif seat:
            self._set(seat, "not_ready", fact.reason)

    def on_WrapUpEnded(self, fact: f.WrapUpEnded) -> None:
        seat = self._known(fact, self._seat(fact.agent), fact.agent, "unknown_agent")
        if seat and seat.state == "wrap_up":
            self._free(seat)

    def _left(self, seat: Seat) -> bool:
        """They are no longer in the policy and only finish their work."""
        return seat.id not in self.policy.agents

    def _free(self, seat: Seat, old_place: bool = False) -> None:
        if self._left(seat):
            self._set(seat, "logged_out")
            self.seats.remove(seat)
        elif seat.after:
            state, reason = seat.after
            seat.after = None
            self._set(seat, state, reason)
        else:
            self._idle(seat, old_place)

    def _idle(self, seat: Seat, old_place: bool = False) -> None:
        if not old_place:
            seat.idle = (self.now, self._count())
        self._set(seat, "idle")
        self._seek_caller(seat)

    def _seek_caller(self, seat: Seat) -> None:
        waiting = self._waiting()
        fit = [caller for caller in waiting if self._fit(caller, seat)]
        if fit:
            considered = [(caller.id, caller.deadline) for caller in fit]
            self._ring_at(fit[0], seat, "earliest_deadline", considered, len(waiting))

    def _fit(self, caller: Caller, seat: Seat) -> bool:
        return seat.can(caller) and caller.bars.get(seat.id, 0) <= self.now

    def _missed(self, seat: Seat) -> None:
        if self.policy.missed_action == "not_ready" and not seat.after and not self._left(seat):
            self._set(seat, "not_ready", "missed")
        else:
            self._free(seat)

    def _pause(self, seat: Seat, cause: str) -> None:
        if seat.after or self._left(seat) or self.policy.device_pause_ms == 0:
            self._free(seat)
        else:
            until = self.now + self.policy.device_pause_ms
            self._set(seat, "not_ready", f"device_{cause}", until=until)

    def _set(self, seat: Seat, state: str, reason: str = "", until: int = 0, contact: str = "") -> None:
        seat.state, seat.until, seat.contact = state, until, contact
        self.said.append(("agent", seat.id, state, reason, self.now, until, contact))

    # --- contacts ------------------------------------------------------------------------------

    def on_ContactArrived(self, fact: f.ContactArrived) -> None:
        queue = self.policy.queues.get(fact.queue)
        if self._caller(fact.contact):
            self._reject(fact, fact.contact, "known_already")
        elif why := self._turned_away(fact.queue, queue):
            self.said.append(("overflow", fact.contact, fact.queue, why))
        elif queue:
            steps = queue.priority * self.policy.priority_step_ms
            deadline = min(fact.occurred_at_ms, self.now) + queue.target_ms - fact.credit_ms - steps
            self._admit(fact.contact, fact.queue, deadline)

    def _turned_away(self, name: str, queue: QueuePolicy | None) -> str:
        if queue is None:
            return "unknown_queue"
        if name in self.closed:
            return "closed"
        full = queue.max_waiting and len([c for c in self._waiting() if c.queue == name]) >= queue.max_waiting
        return "full" if full else ""

    def _admit(self, contact: str, queue: str, deadline: int) -> None:
        self._seek_agent(self._new_caller(contact, queue, deadline))

    def _new_caller(self, contact: str, queue: str, deadline: int) -> Caller:
        needs = dict(self.policy.queues[queue].skills) if queue in self.policy.queues else {}
        self.callers.append(Caller(contact, queue, needs, deadline, self._count()))
        return self.callers[-1]

    def on_ContactAbandoned(self, fact: f.ContactAbandoned) -> None:
        caller = self._known(fact, self._caller(fact.contact), fact.contact, "unknown_contact")
        if caller and caller.state == "connected":
            self._reject(fact, caller.id, "connected")
        elif caller:
            self._hung_up(caller)

    def on_ContactEnded(self, fact: f.ContactEnded) -> None:
        caller = self._known(fact, self._caller(fact.contact), fact.contact, "unknown_contact")
        if caller and caller.state == "connected":
            self.callers.remove(caller)
            seat = self._seat(caller.agent)
            mine = self.policy.agents.get(seat.id)
            if mine and mine.wrap_up_ms:
                self._set(seat, "wrap_up", until=self.now + mine.wrap_up_ms, contact=caller.id)
            else:
                self._free(seat)
        elif caller:
            self._hung_up(caller)

    def _hung_up(self, caller: Caller) -> None:
        self.callers.remove(caller)
        for ring in [ring for ring in self.ringing if ring.caller is caller]:
            self.ringing.remove(ring)
            self._stop(ring, "abandoned")
            self._free(ring.seat, old_place=True)

    def on_ContactRequeued(self, fact: f.ContactRequeued) -> None:
        caller = self._known(fact, self._caller(fact.contact), fact.contact, "unknown_contact")
        if caller and caller.state != "connected":
            self._reject(fact, caller.id, "not_connected")
        elif caller:
            self._pause(self._seat(caller.agent), fact.cause)
            self._wait_again(caller)

    def on_ContactAdopted(self, fact: f.ContactAdopted) -> None:
        caller, seat = self._caller(fact.contact), self._seat(fact.agent)
        if caller and (not fact.agent or caller.state == "connected"):
            self._reject(fact, caller.id, "known_already")
        elif not fact.agent:
            self._admit(fact.contact, fact.queue, fact.deadline_ms)
        elif not seat:
            self._reject(fact, fact.agent, "unknown_agent")
        elif seat.state == "talking":
            self._reject(fact, seat.id, "agent_busy")
        else:
            self._found_talking(caller or self._new_caller(fact.contact, fact.queue, fact.deadline_ms), seat)

    def _found_talking(self, caller: Caller, seat: Seat) -> None:
        """Offers that say otherwise end: first that of the caller, then that of the agent."""
        theirs = [ring for ring in self.ringing if ring.caller is caller]
        others = [ring for ring in self.ringing if ring.seat is seat and ring.caller is not caller]
        for ring in theirs + others:
            if ring.seat is not seat or ring.caller is not caller:
                self.ringing.remove(ring)
                self._stop(ring, "adopted")
        self._talk(seat, caller)
        for ring in theirs:
            if ring.seat is not seat:
                self._free(ring.seat, old_place=True)
        for ring in others:
            self._wait_again(ring.caller)

    def _waiting(self) -> list[Caller]:
        return sorted((c for c in self.callers if c.state == "waiting"), key=lambda c: (c.deadline, c.place))

    def _seek_agent(self, caller: Caller) -> None:
        able = [seat for seat in self.seats if seat.state == "idle" and self._fit(caller, seat)]
        if able:
            able.sort(key=lambda seat: seat.idle)
            considered = [(seat.id, seat.idle[0]) for seat in able]
            self._ring_at(caller, able[0], "longest_idle", considered, len(self.seats))

    def _wait_again(self, caller: Caller) -> None:
        caller.state, caller.agent = "waiting", ""
        self._seek_agent(caller)

    # --- offers --------------------------------------------------------------------------------

    def _ring_at(self, caller: Caller, seat: Seat, rule: str, fit: list[Any], everybody: int) -> None:
        queue = self.policy.queues.get(caller.queue)
        expires = self.now + (queue.ring_ms if queue else 20_000)
        caller.state, caller.agent = "offered", seat.id
        self.ringing.append(Ringing(caller, seat, expires))
        self._set(seat, "reserved", contact=caller.id)
        self.said.append(("decision", caller.id, seat.id, rule, tuple(fit[:10]), everybody))
        self.said.append(("offer", caller.id, seat.id, caller.queue, expires))

    def on_OfferAnswered(self, fact: f.OfferAnswered) -> None:
        ring = self._known(fact, self._ring(fact.offer), fact.offer, "offer_over")
        if ring:
            self._talk(ring.seat, ring.caller)

    def on_OfferDeclined(self, fact: f.OfferDeclined) -> None:
        ring = self._known(fact, self._ring(fact.offer), fact.offer, "offer_over")
        if ring:
            if self.policy.decline_pause_ms:
                ring.caller.bars[ring.seat.id] = self.now + self.policy.decline_pause_ms
            self._came_to_nothing(ring, self._free)

    def on_OfferFailed(self, fact: f.OfferFailed) -> None:
        ring = self._known(fact, self._ring(fact.offer), fact.offer, "offer_over")
        if ring and fact.cause == "no_answer":
            self._came_to_nothing(ring, self._missed)
        elif ring:
            self._came_to_nothing(ring, lambda seat: self._pause(seat, fact.cause))

    def _came_to_nothing(self, ring: Ringing, settle: Callable[[Seat], None]) -> None:
        self.ringing.remove(ring)
        settle(ring.seat)
        self._wait_again(ring.caller)

    def _talk(self, seat: Seat, caller: Caller) -> None:
        self.ringing = [ring for ring in self.ringing if ring.caller is not caller]
        caller.state, caller.agent = "connected", seat.id
        self._set(seat, "talking", contact=caller.id)

    def _stop(self, ring: Ringing, reason: str) -> None:
        self.said.append(("withdraw", ring.caller.id, ring.seat.id, reason))

    # --- small things --------------------------------------------------------------------------

    def _seat(self, agent: str) -> Any:
        return next((seat for seat in self.seats if seat.id == agent), None)

    def _caller(self, contact: str) -> Any:
        return next((caller for caller in self.callers if caller.id == contact), None)

    def _ring(self, offer: str) -> Any:
        return next((ring for ring in self.ringing if ring.id == offer), None)

    def _known(self, fact: f.Fact, found: Any, subject: str, reason: str) -> Any:
        if found is None:
            self._reject(fact, subject, reason)
        return found

    def _reject(self, fact: f.Fact, subject: str, reason: str) -> None:
        self.said.append(("reject", type(fact).__name__, subject, reason))

    def _count(self) -> int:
        self.counter += 1
        return self.counter
