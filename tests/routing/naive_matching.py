"""The naive centre's hands: who meets whom, and what an agent does when a work of theirs begins or ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from routing.policy import Policy, QueuePolicy
from tests.routing.naive_tables import (
    Caller,
    Job,
    Ringing,
    Seat,
    able,
    active,
    eligible,
    fits_beside,
    free,
    interrupts,
    load,
    medium_of,
    merit,
    there,
)


class Matching:
    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.now = 0
        self.counter = 0
        self.callers: list[Caller] = []
        self.seats: list[Seat] = []
        self.ringing: list[Ringing] = []
        self.learned: dict[tuple[str, str], int] = {}
        self.said: list[tuple[Any, ...]] = []

    # --- contacts look for agents, agents for contacts -----------------------------------------

    def waiting(self) -> list[Caller]:
        """In the total order."""
        return sorted((c for c in self.callers if c.state == "waiting"), key=lambda caller: caller.order)

    def eligible(self, caller: Caller, seat: Seat) -> bool:
        return eligible(self.policy, caller, seat, self.now)

    def _seek_agent(self, caller: Caller) -> None:
        fit = self._fit(caller)
        if not fit:
            return
        if caller.prefers:
            self._choose(caller, fit[0], "preferred")
            return
        queue = self.policy.queues.get(caller.queue)
        strategy = queue.strategy if queue else "longest_idle"
        exploring = strategy == "learned" and caller.explored
        if exploring:
            strategy = "longest_idle"

        def second(seat: Seat) -> int:
            return merit(self.policy, self.learned, strategy, caller, seat)

        fit.sort(key=lambda seat: (seat.load, second(seat), seat.idle))
        considered = [(seat.id, second(seat)) for seat in fit]
        self._ring_at(caller, fit[0], "explore" if exploring else strategy, considered, len(self.seats))

    def _fit(self, caller: Caller) -> list[Seat]:
        return [seat for seat in self.seats if self.eligible(caller, seat)]

    def _seek_caller(self, seat: Seat) -> None:
        waiting = self.waiting()
        fit = [caller for caller in waiting if self.eligible(caller, seat)]
        if fit:
            rule = "strict_class" if fit[0].rank else "earliest_deadline"
            considered = [(caller.id, caller.deadline) for caller in fit]
            self._ring_at(fit[0], seat, rule, considered, len(waiting))

    def _seek_for_everybody(self) -> None:
        """The policy or skills changed."""
        self._forget_preferences()
        for seat in self.seats:
            seat.load = load(self.policy, seat)
        for caller in self.waiting():
            self._seek_agent(caller)

    def _choose(self, caller: Caller, seat: Seat, rule: str) -> None:
        """This agent and no other."""
        self._ring_at(caller, seat, rule, [(seat.id, seat.idle[0])], 1)

    def _ring_at(self, caller: Caller, seat: Seat, rule: str, fit: list[Any], everybody: int) -> None:
        queue = self.policy.queues.get(caller.queue)
        expires = self.now + (queue.ring_ms if queue else 20_000)
        caller.state, caller.agent = "offered", seat.id
        caller.prefers = ""
        self.ringing.append(Ringing(caller, seat, expires))
        self._begin(seat, Job(caller.id, medium_of(self.policy, caller.queue)))
        self._say(seat)
        self.said.append(("decision", caller.id, seat.id, rule, tuple(fit[:10]), everybody))
        self.said.append(("offer", caller.id, seat.id, caller.queue, expires))

    def _wait_again(self, caller: Caller) -> None:
        caller.state, caller.agent = "waiting", ""
        self._lapse()
        self._seek_agent(caller)

    def _lapse(self) -> None:
        """Reservations for agents who are not there or not able end for good, and others may have the contact."""
        lapsed = self._forget_preferences()
        for caller in sorted(lapsed, key=lambda caller: caller.order):
            self._seek_agent(caller)

    def _forget_preferences(self) -> list[Caller]:
        lapsed = []
        for caller in self.callers:
            seat = self._seat(caller.prefers)
            if caller.prefers and not (seat and there(self.policy, seat) and able(self.policy, seat, caller)):
                caller.prefers = ""
                lapsed.append(caller)
        return lapsed

    # --- offers end ----------------------------------------------------------------------------

    def _stop(self, ring: Ringing, reason: str) -> None:
        self.said.append(("withdraw", ring.caller.id, ring.seat.id, reason))

    def _forget_ring(self, ring: Ringing) -> None:
        self.ringing.remove(ring)
        self._drop(ring.seat, ring.caller.id)

    def _came_to_nothing(self, ring: Ringing, settle: Callable[[Seat], None]) -> None:
        self._forget_ring(ring)
        settle(ring.seat)
        self._wait_again(ring.caller)

    def _talk(self, seat: Seat, caller: Caller) -> None:
        self.ringing = [ring for ring in self.ringing if ring.caller is not caller]
        caller.state, caller.agent = "connected", seat.id
        job = seat.job(caller.id)
        job.state = "connected"
        seat.lighter = False
        paused = [other for other in active(seat) if interrupts(self.policy, job.medium, other)]
        paused = [other for other in paused if other is not job]
        for other in paused:
            other.paused = self._count()
        self._say(seat)
        self.said += [("pause", other.contact, seat.id, caller.id) for other in paused]
        if self._free_for_something(seat):
            self._fix_key(seat)
            self._seek_caller(seat)

    # --- agents --------------------------------------------------------------------------------

    def _begin(self, seat: Seat, job: Job) -> None:
        if not seat.jobs:
            seat.busy_since = self.now
        seat.jobs = [other for other in seat.jobs if other.contact != job.contact]
        seat.jobs.append(job)

    def _drop(self, seat: Seat, contact: str) -> None:
        seat.jobs.remove(seat.job(contact))
        seat.lighter = True
        if not seat.jobs:
            seat.busy += self.now - seat.busy_since

    def _log_in(self, seat: Seat) -> None:
        seat.here_since, seat.busy, seat.missed = self.now, 0, 0

    def _settle(self, seat: Seat, old_place: bool = False) -> None:
        """A work ended, or a word was said that makes the agent free."""
        if seat.lighter:
            self._resume(seat)
        if not seat.jobs and self._left(seat):
            self._set(seat, "logged_out")
            self.seats.remove(seat)
        elif not seat.jobs and seat.after:
            self._set(seat, *seat.after)
        else:
            self._say(seat)
            self._lapse()
            seat.load = load(self.policy, seat)
            if not old_place and (not seat.jobs or self._free_for_something(seat)):
                self._fix_key(seat)
            self._seek_caller(seat)

    def _free_for_something(self, seat: Seat) -> bool:
        return any(free(self.policy, seat, medium) for medium in seat.capacity)

    def _fix_key(self, seat: Seat) -> None:
        seat.load = load(self.policy, seat)
        busy = seat.busy + (self.now - seat.busy_since if seat.jobs else 0)
        seat.permille = 1000 * busy // max(1, self.now - seat.here_since)
        seat.idle = (self.now, self._count())

    def _resume(self, seat: Seat) -> None:
        seat.lighter = False
        for job in sorted((job for job in seat.jobs if job.paused), key=lambda job: job.paused):
            if fits_beside(self.policy, seat, job.medium, active(seat)):
                job.paused = 0
                self.said.append(("resume", job.contact, seat.id))

    def _set(self, seat: Seat, presence: str, reason: str = "", until: int = 0) -> None:
        """A word about presence is said even where it changes nothing."""
        seat.presence, seat.reason, seat.pause_until = presence, reason, until
        seat.since, seat.limit_said, seat.after = self.now, False, None
        self._say(seat, always=True)
        self._lapse()

    def _say(self, seat: Seat, always: bool = False) -> None:
        shown = seat.shown()
        if always or shown != seat.said:
            seat.said = shown
            state, until, contact = shown
            reason = seat.reason if state in ("not_ready", "logged_out") else ""
            self.said.append(("agent", seat.id, state, reason, self.now, until, contact))

    def _missed(self, seat: Seat) -> None:
        action = self.policy.missed_action
        if action == "stay_ready" or seat.after or self._left(seat):
            self._settle(seat)
            return
        pause = action == "pause" and not self._missed_often(seat)
        if seat.jobs:
            seat.after = ("not_ready", "missed")
            self._settle(seat)
        else:
            self._set(seat, "not_ready", "missed", self.now + self.policy.missed_pause_ms if pause else 0)

    def _missed_often(self, seat: Seat) -> bool:
        seat.missed += 1
        if not 0 < self.policy.missed_limit <= seat.missed:
            return False
        seat.missed = 0
        return True

    def _device_failed(self, seat: Seat, cause: str) -> None:
        if self.policy.device_pause_ms == 0 or seat.after or self._left(seat):
            self._settle(seat)
        elif seat.jobs:
            seat.after = ("not_ready", f"device_{cause}")
            self._settle(seat)
        else:
            self._set(seat, "not_ready", f"device_{cause}", self.now + self.policy.device_pause_ms)

    def _wrap_up(self, seat: Seat, contact: str) -> None:
        """The conversation is over."""
        job, mine = seat.job(contact), self.policy.agents.get(seat.id)
        if mine and mine.wrap_up_ms:
            job.state, job.paused = "wrap_up", 0
            job.begun, job.until = self.now, self.now + mine.wrap_up_ms
            self._say(seat)
        else:
            self._drop(seat, contact)
            self._settle(seat)

    def _left(self, seat: Seat) -> bool:
        """They are no longer in the policy and only finish their work."""
        return seat.id not in self.policy.agents

    # --- small things --------------------------------------------------------------------------

    def _queue(self, name: str) -> QueuePolicy | None:
        return self.policy.queues.get(name)

    def _seat(self, agent: str) -> Any:
        return next((seat for seat in self.seats if seat.id == agent), None)

    def _caller(self, contact: str) -> Any:
        return next((caller for caller in self.callers if caller.id == contact), None)

    def _ring(self, offer: str) -> Any:
        return next((ring for ring in self.ringing if ring.id == offer), None)

    def _ring_of(self, caller: Caller) -> Ringing:
        return next(ring for ring in self.ringing if ring.caller is caller)

    def _count(self) -> int:
        self.counter += 1
        return self.counter
