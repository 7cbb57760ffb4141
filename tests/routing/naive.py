"""A second, deliberately naive reading of the routing rules: lists, scans, no index and no heap.

It exists to disagree with the engine when one of the two is wrong, and shares nothing with it but the
value types of facts and policies. What it expects to be told is a list of plain tuples (`said`).
Left out: outbound work, and rules that ask for the estimated wait.
"""

from __future__ import annotations

from typing import Any

from routing import facts as f
from routing.policy import Policy, QueuePolicy
from tests.routing.naive_matching import Matching
from tests.routing.naive_tables import FRONT, Caller, Job, Ringing, Seat, free, medium_of

Timer = tuple[int, str, str]


class NaiveCentre(Matching):
    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        self.closed: list[str] = []
        self.dealt: dict[str, list[int]] = {}
        self.newcomers: dict[str, int] = {}
        self.reskills: list[tuple[int, int, f.AgentsReskilled]] = []
        """(when, number, what)"""
        self.reskills_numbered = 0
        self._seats_from(policy)

    def activate(self, now: int, facts: list[f.Fact]) -> list[tuple[Any, ...]]:
        self.now, self.said = now, []
        for fact in facts:
            getattr(self, "on_" + type(fact).__name__)(fact)
        while due := [timer for timer in self.timers() if timer[0] <= now]:
            _when, what, subject = min(due)
            getattr(self, "_time_of_" + what)(*subject.split("\0"))
        return self.said

    # --- deadlines -----------------------------------------------------------------------------

    def timers(self) -> list[Timer]:
        """(due, what, of whom); what is due at the same time goes by these as text."""
        found = [(ring.expires, "offer", ring.id) for ring in self.ringing]
        found += [(when, "reskill", str(number)) for when, number, _what in self.reskills]
        for seat in self.seats:
            found += self._timers_of_seat(seat)
        for caller in self.callers:
            found += [(until, "bar", f"{caller.id}\0{agent}") for agent, until in caller.bars.items()]
            if caller.state != "connected":
                found += [(due, what, caller.id) for due, what in self._timers_of_caller(caller)]
        return found

    def _timers_of_seat(self, seat: Seat) -> list[Timer]:
        found = [(job.until, "agent", f"{seat.id}\0{job.contact}") for job in seat.wrap_ups()]
        if seat.pause_until:
            found.append((seat.pause_until, "agent", seat.id))
        if self._limit_ends(seat) and not seat.limit_said:
            found.append((self._limit_ends(seat), "limit", seat.id))
        return found

    def _limit_ends(self, seat: Seat) -> int:
        """0 where the reason may last."""
        reason = self.policy.reasons.get(seat.reason)
        limited = seat.presence == "not_ready" and reason and reason.limit_ms
        return seat.since + limited if limited else 0

    def _timers_of_caller(self, caller: Caller) -> list[tuple[int, str]]:
        found = []
        if caller.held:
            found.append((caller.held, "hold"))
        if caller.share:
            found.append((caller.share_until, "share"))
        if caller.prefers:
            found.append((caller.prefers_until, "prefer"))
        queue = self._queue(caller.queue)
        if queue is None:
            return found
        if caller.announce_at and queue.announce_first_ms:
            found.append((caller.announce_at, "announce"))
        if caller.ring < len(queue.rings):
            found.append((caller.arrived + queue.rings[caller.ring].after_ms, "ring"))
        if queue.promote_ms and caller.rank != FRONT:
            found.append((caller.arrived + queue.promote_ms, "promote"))
        if queue.late_ms and not caller.late and caller.rank != FRONT:
            found.append((caller.arrived + queue.target_ms, "late"))
        looking = caller.state == "waiting" and not caller.held and not caller.callback
        if looking and caller.looked_at < len(queue.overflow):
            found.append((caller.arrived + queue.overflow[caller.looked_at].after_ms, "overflow"))
        return found

    def _time_of_agent(self, agent: str, contact: str = "") -> None:
        seat = self._seat(agent)
        if contact:
            self._drop(seat, contact)
        else:
            seat.presence, seat.pause_until = "ready", 0
        self._settle(seat)

    def _time_of_limit(self, agent: str) -> None:
        seat = self._seat(agent)
        seat.limit_said = True
        self.said.append(("limit", seat.id, seat.reason, seat.since))

    def _time_of_offer(self, offer: str) -> None:
        ring = self._ring(offer)
        self._stop(ring, "no_answer")
        self._came_to_nothing(ring, self._missed)

    def _time_of_bar(self, contact: str, agent: str) -> None:
        del self._caller(contact).bars[agent]
        seat = self._seat(agent)
        if seat:
            self._seek_caller(seat)

    def _time_of_reskill(self, number: str) -> None:
        mine = next(one for one in self.reskills if str(one[1]) == number)
        self.reskills.remove(mine)
        self._reskill(mine[2])

    def _time_of_hold(self, contact: str) -> None:
        self._caller(contact).held = 0
        self._wanted_anew(self._caller(contact))

    def _time_of_share(self, contact: str) -> None:
        caller = self._caller(contact)
        caller.share = ""
        if self._queue(caller.queue) is None:
            caller.teams = ()
        self._wanted_anew(caller)

    def _time_of_prefer(self, contact: str) -> None:
        self._caller(contact).prefers = ""
        self._wanted_anew(self._caller(contact))

    def _time_of_promote(self, contact: str) -> None:
        self._caller(contact).rank = FRONT
        self._wanted_anew(self._caller(contact))

    def _time_of_late(self, contact: str) -> None:
        caller = self._caller(contact)
        caller.late = True
        caller.deadline += self.policy.queues[caller.queue].late_ms
        self.said.append(("late", caller.id, caller.deadline))
        self._wanted_anew(caller)

    def _time_of_ring(self, contact: str) -> None:
        caller = self._caller(contact)
        ring = self.policy.queues[caller.queue].rings[caller.ring]
        caller.ring += 1
        caller.needs, caller.teams = ring.needs, ring.teams
        self.said.append(("relax", caller.id, caller.ring, ring.needs, ring.teams))
        self._wanted_anew(caller)

    def _time_of_announce(self, contact: str) -> None:
        caller = self._caller(contact)
        queue = self.policy.queues[caller.queue]
        if caller.state == "waiting" and not caller.held and not caller.callback:
            self.said.append(("announce", caller.id, self.position(caller)))
        caller.announce_at = self._next_announcement(caller, queue)

    def _next_announcement(self, caller: Caller, queue: QueuePolicy) -> int:
        due = caller.arrived + queue.announce_first_ms
        while queue.announce_every_ms and due <= self.now:
            due += queue.announce_every_ms
        return due if queue.announce_first_ms and due > self.now else 0

    def _time_of_overflow(self, contact: str) -> None:
        caller = self._caller(contact)
        rule = self.policy.queues[caller.queue].overflow[caller.looked_at]
        caller.looked_at += 1
        if rule.to == "queue":
            if not self._turned_away(rule.target):
                self._move(caller, rule.target, "max_wait")
                self._wanted_anew(caller)
            return
        self.said.append(("overflow_to", caller.id, caller.queue, rule.to, rule.target))
        if rule.to != "callback":
            self.callers.remove(caller)

    def _wanted_anew(self, caller: Caller) -> None:
        """What it needs changed, or nothing holds it back any more."""
        self._lapse()
        self._seek_agent(caller)

    # --- policy and queues ---------------------------------------------------------------------

    def on_PolicyReplaced(self, fact: f.PolicyReplaced) -> None:
        if problem := fact.policy.problem():
            self._reject(fact, "policy", problem)
            return
        self.policy = fact.policy
        self.dealt = {}
        for caller in self.callers:
            queue = self._queue(caller.queue)
            if queue:
                caller.ring = min(caller.ring, len(queue.rings))
                self._wants(caller, queue)
        self._seats_from(fact.policy)
        for seat in self.seats:
            seat.limit_said = seat.limit_said and self._limit_ends(seat) <= self.now
        self._seek_for_everybody()

    def _wants(self, caller: Caller, queue: QueuePolicy) -> None:
        caller.needs, caller.teams = queue.skills, queue.teams
        for ring in queue.rings[: caller.ring]:
            caller.needs, caller.teams = ring.needs, ring.teams

    def _seats_from(self, policy: Policy) -> None:
        for seat in self.seats:
            if seat.id not in policy.agents and seat.state in ("idle", "not_ready"):
                self._set(seat, "logged_out")
        self.seats = [seat for seat in self.seats if seat.id in policy.agents or seat.jobs]
        for seat in self.seats:
            seat.total_load = 10**9
        for agent in policy.agents.values():
            seat = self._seat(agent.agent)
            if seat is None:
                seat = Seat(agent.agent)
                self.seats.append(seat)
            seat.skills, seat.teams = dict(agent.skills), agent.teams
            seat.capacity, seat.total_load = dict(agent.capacity), agent.total_load

    def on_QueueOpened(self, fact: f.QueueOpened) -> None:
        self.closed = [queue for queue in self.closed if queue != fact.queue]

    def on_QueueClosed(self, fact: f.QueueClosed) -> None:
        self.closed.append(fact.queue)

    def on_QueueMoved(self, fact: f.QueueMoved) -> None:
        if fact.queue not in self.policy.queues:
            self._reject(fact, fact.queue, "unknown_queue")
        elif why := self._no_move(fact.queue, fact.to):
            self._reject(fact, fact.queue, why)
        elif fact.to in self.closed:
            self._reject(fact, fact.queue, "closed")
        else:
            moving = [caller for caller in self.waiting() if caller.queue == fact.queue]
            for caller in moving:
                self._move(caller, fact.to, "moved")
            self._lapse()
            for caller in moving:
                self._seek_agent(caller)

    # --- agents --------------------------------------------------------------------------------

    def on_AgentLoggedIn(self, fact: f.AgentLoggedIn) -> None:
        seat = self._known(fact, self._seat(fact.agent), fact.agent, "unknown_agent")
        if seat and seat.presence == "logged_out":
            self._log_in(seat)
            self._set(seat, "not_ready", "logged_in")
        elif seat and seat.after and seat.after[0] == "logged_out":
            seat.after = None
            self._settle(seat)

    def on_AgentLoggedOut(self, fact: f.AgentLoggedOut) -> None:
        seat = self._known(fact, self._seat(fact.agent), fact.agent, "unknown_agent")
        if not seat or seat.presence == "logged_out":
            return
        seat.after = ("logged_out", fact.reason)
        if seat.jobs:
            self._lapse()
        rings = [ring for ring in self.ringing if ring.seat is seat]
        for ring in rings:
            self._stop(ring, "agent_left")
            self._forget_ring(ring)
        for job in seat.wrap_ups():
            self._drop(seat, job.contact)
        self._settle(seat)
        for ring in rings:
            self._wait_again(ring.caller)

    def on_AgentReady(self, fact: f.AgentReady) -> None:
        seat = self._known(fact, self._seat(fact.agent), fact.agent, "unknown_agent")
        if seat and self._left(seat):
            self._reject(fact, seat.id, "left_policy")
        elif seat and (seat.presence != "ready" or seat.after or seat.wrap_ups()):
            if seat.presence == "logged_out":
                self._log_in(seat)
            seat.presence, seat.pause_until, seat.after = "ready", 0, None
            for job in seat.wrap_ups():
                self._drop(seat, job.contact)
            self._settle(seat)

    def on_AgentNotReady(self, fact: f.AgentNotReady) -> None:
        seat = self._known(fact, self._seat(fact.agent), fact.agent, "unknown_agent")
        if seat and self._too_many(seat, fact.reason):
            self._reject(fact, seat.id, "too_many")
        elif seat and seat.jobs:
            seat.after = ("not_ready", fact.reason)
            self._lapse()
        elif seat:
            self._set(seat, "not_ready", fact.reason)

    def _too_many(self, seat: Seat, reason: str) -> bool:
        limit = self.policy.reasons[reason].at_once if reason in self.policy.reasons else 0
        away = [
            other
            for other in self.seats
            if other is not seat and ("not_ready", reason) in ((other.presence, other.reason), other.after)
        ]
        return bool(limit) and len(away) >= limit

    def on_WrapUpEnded(self, fact: f.WrapUpEnded) -> None:
        seat = self._known(fact, self._seat(fact.agent), fact.agent, "unknown_agent")
        over = [job for job in seat.wrap_ups() if fact.contact in ("", job.contact)] if seat else []
        for job in over:
            self._drop(seat, job.contact)
        if over:
            self._settle(seat)

    def on_WrapUpExtended(self, fact: f.WrapUpExtended) -> None:
        seat = self._known(fact, self._seat(fact.agent), fact.agent, "unknown_agent")
        if not seat:
            return
        job = next(iter(seat.wrap_ups()), None)
        if job is None:
            self._reject(fact, seat.id, "not_wrapping_up")
        elif fact.extra_ms <= 0:
            self._reject(fact, seat.id, "not_positive")
        elif job.until >= job.begun + self.policy.wrap_up_max_ms:
            self._reject(fact, seat.id, "longest")
        else:
            job.until = min(job.until + fact.extra_ms, job.begun + self.policy.wrap_up_max_ms)
            self._say(seat)

    def on_AgentsReskilled(self, fact: f.AgentsReskilled) -> None:
        unknown = [agent for agent, _skills in fact.changes if not self._seat(agent)]
        if unknown:
            self._reject(fact, unknown[0], "unknown_agent")
        elif fact.at_ms > self.now:
            self.reskills_numbered += 1
            self.reskills.append((fact.at_ms, self.reskills_numbered, fact))
        else:
            self._reskill(fact)

    def _reskill(self, fact: f.AgentsReskilled) -> None:
        for agent, skills in fact.changes:
            seat = self._seat(agent)
            if seat:
                seat.skills = dict(skills)
        self._seek_for_everybody()

    def on_AgentsLearned(self, fact: f.AgentsLearned) -> None:
        self.learned = {(agent, queue): cost for agent, queue, cost in fact.costs}

    # --- contacts come -------------------------------------------------------------------------

    def on_ContactArrived(self, fact: f.ContactArrived) -> None:
        chosen = self._seat(fact.agent)
        queue = self._queue(fact.queue)
        if self._caller(fact.contact):
            self._reject(fact, fact.contact, "known_already")
        elif queue is None:
            self.said.append(("overflow", fact.contact, fact.queue, "unknown_queue"))
        elif fact.agent:
            if chosen and free(self.policy, chosen, queue.medium):
                self._choose(self._arrives(fact, queue), chosen, "chosen")
            else:
                self.said.append(("overflow", fact.contact, fact.queue, "agent_not_ready"))
        elif why := self._turned_away(fact.queue):
            self.said.append(("overflow", fact.contact, fact.queue, why))
        else:
            caller = self._arrives(fact, queue)
            caller.prefers = fact.prefers
            caller.prefers_until = caller.arrived + (fact.prefers_ms or queue.preferred_ms)
            self._newcomer(caller, queue)

    def _arrives(self, fact: f.ContactArrived, queue: QueuePolicy) -> Caller:
        caller = self._new_caller(fact.contact, fact.queue, fact.occurred_at_ms)
        caller.credit = fact.credit_ms + self.policy.classes.get(fact.customer_class, 0)
        caller.deadline = self._deadline(caller, queue)
        return caller

    def _newcomer(self, caller: Caller, queue: QueuePolicy) -> None:
        caller.share, caller.share_until = self._deal(queue), caller.arrived + queue.share_ms
        if queue.strategy == "learned":
            self.newcomers[queue.name] = self.newcomers.get(queue.name, 0) + 1
            every = queue.explore_every
            caller.explored = every > 0 and self.newcomers[queue.name] % every == 0
        self._forget_preferences()
        if caller.prefers and caller.prefers_until <= self.now and not self._fit(caller):
            caller.prefers = ""
        if queue.no_waiting and not self._fit(caller):
            self.callers.remove(caller)
            self.said.append(("overflow", caller.id, queue.name, "nobody_free"))
        else:
            self._seek_agent(caller)

    def _deal(self, queue: QueuePolicy) -> str:
        """The team that the newcomer is reserved for, or "": by largest remainder."""
        entries = [*queue.shares, ("", 100 - sum(percent for _team, percent in queue.shares))]
        gained = self.dealt.setdefault(queue.name, [0] * len(entries))
        for index, (_team, percent) in enumerate(entries):
            gained[index] += percent
        first = gained.index(max(gained))
        gained[first] -= 100
        return entries[first][0]

    def _turned_away(self, name: str) -> str:
        if name in self.closed:
            return "closed"
        limit = self.policy.queues[name].max_waiting
        full = limit and len([c for c in self.waiting() if c.queue == name]) >= limit
        return "full" if full else ""

    def _new_caller(self, contact: str, name: str, occurred_at: int) -> Caller:
        caller = Caller(contact, name, min(occurred_at, self.now), 0, self._count())
        self.callers.append(caller)
        self._enter(caller, name)
        return caller

    def _enter(self, caller: Caller, name: str) -> None:
        """What a queue means for a contact of this age."""
        caller.queue, queue = name, self._queue(name)
        caller.ring, caller.looked_at, caller.announce_at = 0, 0, 0
        caller.share, caller.prefers, caller.explored, caller.late = "", "", False, False
        caller.needs, caller.teams, caller.rank = (), (), 0
        if queue:
            self._wants(caller, queue)
            caller.rank = -queue.strict_class
            if queue.announce_first_ms:
                caller.announce_at = caller.arrived + queue.announce_first_ms

    def _deadline(self, caller: Caller, queue: QueuePolicy) -> int:
        steps = queue.priority * self.policy.priority_step_ms
        return caller.arrived + queue.target_ms - caller.credit - steps

    def on_ContactAdopted(self, fact: f.ContactAdopted) -> None:
        caller, seat = self._caller(fact.contact), self._seat(fact.agent)
        if caller and (not fact.agent or caller.state == "connected"):
            self._reject(fact, caller.id, "known_already")
        elif not fact.agent:
            self._seek_agent(self._adopted(fact))
        elif not seat:
            self._reject(fact, fact.agent, "unknown_agent")
        elif seat.state == "talking":
            self._reject(fact, seat.id, "agent_busy")
        elif any(ring.caller is caller and ring.seat is seat for ring in self.ringing):
            seat.missed = 0
            self._talk(seat, caller)
        else:
            self._found_talking(caller or self._adopted(fact), seat)

    def _adopted(self, fact: f.ContactAdopted) -> Caller:
        caller = self._new_caller(fact.contact, fact.queue, fact.occurred_at_ms)
        caller.deadline = fact.deadline_ms
        queue = self._queue(caller.queue)
        caller.late = queue is not None and caller.arrived + queue.target_ms <= self.now
        return caller

    def _found_talking(self, caller: Caller, seat: Seat) -> None:
        """Offers that say otherwise end: first that of the caller, then that of the agent."""
        theirs = [ring for ring in self.ringing if ring.caller is caller]
        others = [ring for ring in self.ringing if ring.seat is seat and ring.caller is not caller]
        for ring in theirs + others:
            if ring.seat is not seat or ring.caller is not caller:
                self._stop(ring, "adopted")
                self._forget_ring(ring)
        for job in seat.wrap_ups():
            self._drop(seat, job.contact)
        if seat.presence == "logged_out":
            self._log_in(seat)
        seat.presence, seat.pause_until, caller.held = "ready", 0, 0
        if all(job.contact != caller.id for job in seat.jobs):
            self._begin(seat, Job(caller.id, medium_of(self.policy, caller.queue)))
        self._talk(seat, caller)
        for ring in theirs:
            if ring.seat is not seat:
                self._settle(ring.seat, old_place=True)
        for ring in others:
            self._wait_again(ring.caller)

    # --- contacts go ---------------------------------------------------------------------------

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
            self._wrap_up(self._seat(caller.agent), caller.id)
        elif caller:
            self._hung_up(caller)

    def _hung_up(self, caller: Caller) -> None:
        self.callers.remove(caller)
        if caller.state == "offered":
            self._give_back(self._ring_of(caller), "abandoned")

    def _give_back(self, ring: Ringing, reason: str) -> None:
        """The agent did nothing wrong and has the old place again."""
        self._stop(ring, reason)
        self._forget_ring(ring)
        self._settle(ring.seat, old_place=True)

    def on_ContactRequeued(self, fact: f.ContactRequeued) -> None:
        caller = self._known(fact, self._caller(fact.contact), fact.contact, "unknown_contact")
        if caller and caller.state != "connected":
            self._reject(fact, caller.id, "not_connected")
        elif caller:
            seat = self._seat(caller.agent)
            self._drop(seat, caller.id)
            self._device_failed(seat, fact.cause)
            self._wait_again(caller)

    # --- contacts are moved, held, given away --------------------------------------------------

    def on_ContactMoved(self, fact: f.ContactMoved) -> None:
        caller = self._known(fact, self._caller(fact.contact), fact.contact, "unknown_contact")
        if not caller:
            return
        why = self._no_move(caller.queue, fact.queue, there_already=caller.state != "connected")
        if why := why or self._turned_away(fact.queue):
            self._reject(fact, caller.id, why)
            return
        if caller.state == "offered":
            self._give_back(self._ring_of(caller), "moved")
        elif caller.state == "connected":
            self._wrap_up(self._seat(caller.agent), caller.id)
        self._move(caller, fact.queue, "moved")
        self._wait_again(caller)

    def _no_move(self, queue: str, to: str, there_already: bool = True) -> str:
        if to not in self.policy.queues:
            return "unknown_queue"
        if queue in self.policy.queues and medium_of(self.policy, to) != medium_of(self.policy, queue):
            return "other_medium"
        return "there_already" if there_already and queue == to else ""

    def _move(self, caller: Caller, to: str, reason: str) -> None:
        self.said.append(("move", caller.id, caller.queue, to, reason))
        self._enter(caller, to)
        every_ms = self.policy.queues[to].announce_every_ms
        while caller.announce_at and every_ms and caller.announce_at < self.now:
            caller.announce_at += every_ms
        caller.deadline = self._deadline(caller, self.policy.queues[to])

    def on_ContactHeld(self, fact: f.ContactHeld) -> None:
        caller = self._known(fact, self._caller(fact.contact), fact.contact, "unknown_contact")
        if not caller:
            return
        if fact.until_ms <= self.now:
            self._reject(fact, caller.id, "not_later")
        elif caller.state == "connected" and not caller.callback:
            self._reject(fact, caller.id, "connected")
        else:
            caller.held, caller.prefers = fact.until_ms, ""
            if caller.state == "offered":
                self._give_back(self._ring_of(caller), "held")
            elif caller.state == "connected":
                self._drop(self._seat(caller.agent), caller.id)
                self._settle(self._seat(caller.agent))
            caller.state, caller.agent = "waiting", ""

    def on_ContactReleased(self, fact: f.ContactReleased) -> None:
        caller = self._known(fact, self._caller(fact.contact), fact.contact, "unknown_contact")
        if caller and not caller.held:
            self._reject(fact, caller.id, "not_held")
        elif caller:
            caller.held = 0
            self._wanted_anew(caller)

    def on_CallbackAsked(self, fact: f.CallbackAsked) -> None:
        caller = self._known(fact, self._caller(fact.contact), fact.contact, "unknown_contact")
        if caller and caller.callback:
            self._reject(fact, caller.id, "known_already")
        elif caller and caller.state == "connected":
            self._reject(fact, caller.id, "connected")
        elif caller:
            caller.callback = True

    def on_ContactAssigned(self, fact: f.ContactAssigned) -> None:
        caller = self._known(fact, self._caller(fact.contact), fact.contact, "unknown_contact")
        if not caller:
            return
        seat = self._known(fact, self._seat(fact.agent), fact.agent, "unknown_agent")
        if not seat:
            return
        if caller.state != "waiting":
            self._reject(fact, caller.id, "not_waiting")
        elif not free(self.policy, seat, medium_of(self.policy, caller.queue)):
            self._reject(fact, seat.id, "agent_not_ready")
        else:
            caller.held = 0
            self._choose(caller, seat, "chosen")

    # --- offers --------------------------------------------------------------------------------

    def on_OfferAnswered(self, fact: f.OfferAnswered) -> None:
        ring = self._known(fact, self._ring(fact.offer), fact.offer, "offer_over")
        if ring:
            ring.seat.missed = 0
            self._talk(ring.seat, ring.caller)

    def on_OfferDeclined(self, fact: f.OfferDeclined) -> None:
        ring = self._known(fact, self._ring(fact.offer), fact.offer, "offer_over")
        if ring:
            if self.policy.decline_pause_ms:
                ring.caller.bars[ring.seat.id] = self.now + self.policy.decline_pause_ms
            self._came_to_nothing(ring, self._settle)

    def on_OfferFailed(self, fact: f.OfferFailed) -> None:
        ring = self._known(fact, self._ring(fact.offer), fact.offer, "offer_over")
        if ring and fact.cause == "no_answer":
            self._came_to_nothing(ring, self._missed)
        elif ring:
            self._came_to_nothing(ring, lambda seat: self._device_failed(seat, fact.cause))

    # --- small things --------------------------------------------------------------------------

    def position(self, caller: Caller) -> int:
        """Among those of its queue who are not served yet."""
        here = [c for c in self.callers if c.queue == caller.queue and c.state != "connected"]
        return 1 + len([other for other in here if other.order < caller.order])

    def _known(self, fact: f.Fact, found: Any, subject: str, reason: str) -> Any:
        if found is None:
            self._reject(fact, subject, reason)
        return found

    def _reject(self, fact: f.Fact, subject: str, reason: str) -> None:
        self.said.append(("reject", type(fact).__name__, subject, reason))
