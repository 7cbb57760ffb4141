"""Contacts that wait: arrival, what they need over time, their place, moves, and the matching of both sides."""

from __future__ import annotations

from collections.abc import Callable

from routing import estimate
from routing import facts as f
from routing.commands import Announce, MoveContact, Overflow, OverflowTo, RelaxContact, TargetMissed
from routing.index import Signature
from routing.ledger import Ledger
from routing.policy import VOICE, QueuePolicy, Ring, Skills
from routing.seats import Seats
from routing.state import CONNECTED, FRONT, IDLE, OFFERED, WAITING, Agent, Contact, QueueStats

_CONSIDERED = 10
Considered = tuple[tuple[str, int], ...]


class Lines:
    def __init__(self, ledger: Ledger, seats: Seats) -> None:
        self._l, self._seats = ledger, seats
        self.offer: Callable[[Contact, Agent, str, Considered, Considered], None] = lambda *_: None
        self.withdraw: Callable[[Contact, str], None] = lambda *_: None
        """stop what rings for the contact; the agent keeps their place"""

    # --- arrival -----------------------------------------------------------------------------------

    def arrived(self, fact: f.ContactArrived) -> None:
        ledger = self._l
        if fact.contact in ledger.t.contacts:
            ledger.reject(fact, fact.contact, "known_already")
            return
        queue = ledger.policy.queues.get(fact.queue)
        if queue is None:
            ledger.say(Overflow(fact.contact, fact.queue, "unknown_queue"))
            return
        chosen = ledger.t.agents.get(fact.agent) if fact.agent else None
        if fact.agent and (chosen is None or queue.medium not in chosen.free):
            ledger.say(Overflow(fact.contact, queue.name, "agent_not_ready"))
            return
        if chosen is None and (full := self._turned_away(queue)):
            ledger.say(Overflow(fact.contact, queue.name, full))
            return
        arrived_at_ms = min(fact.occurred_at_ms, ledger.now)
        credit_ms = fact.credit_ms + ledger.policy.classes.get(fact.customer_class, 0)
        deadline_ms = ledger.policy.deadline_ms(queue, arrived_at_ms, credit_ms)
        contact = self._new(fact.contact, queue.name, queue, arrived_at_ms, deadline_ms)
        contact.credit_ms = credit_ms
        if chosen is None:
            self._explore(contact, queue)
            self._deal(contact, queue)
            self._prefer(contact, queue, fact)
        if queue.no_waiting and chosen is None and not self._somebody(contact):
            del ledger.t.contacts[contact.id]
            ledger.say(Overflow(contact.id, queue.name, "nobody_free"))
            return
        self.wait(contact, chosen)
        self._promise(contact)

    def _turned_away(self, queue: QueuePolicy) -> str:
        if self._l.t.closed.get(queue.name):
            return "closed"
        return "full" if self._full(queue) else ""

    def _full(self, queue: QueuePolicy) -> bool:
        return bool(queue.max_waiting) and self._l.t.waiting.get(queue.name, 0) >= queue.max_waiting

    def _new(
        self, name: str, queue_name: str, queue: QueuePolicy | None, arrived_at_ms: int, deadline_ms: int
    ) -> Contact:
        needs = queue.skills if queue else ()
        contact = Contact(name, queue_name, needs, arrived_at_ms, deadline_ms, self._l.next_order())
        if queue is not None:
            contact.teams, contact.rank = queue.teams, -queue.strict_class
            if queue.announce_first_ms:
                contact.announce_at_ms = arrived_at_ms + queue.announce_first_ms
        self._l.t.contacts[name] = contact
        return contact

    def adopt(self, fact: f.ContactAdopted) -> Contact:
        """A live call that the log does not know."""
        queue = self._l.policy.queues.get(fact.queue)
        arrived_at_ms = min(fact.occurred_at_ms, self._l.now)
        contact = self._new(fact.contact, fact.queue, queue, arrived_at_ms, fact.deadline_ms)
        contact.late = queue is not None and arrived_at_ms + queue.target_ms <= self._l.now
        return contact

    def _explore(self, contact: Contact, queue: QueuePolicy) -> None:
        """Every so many newcomers of a queue that chooses by what it learned go to whoever is idle longest."""
        if queue.strategy != "learned" or not queue.explore_every:
            return
        counted = self._l.t.counted.get(queue.name, 0) + 1
        self._l.t.counted[queue.name] = counted
        contact.explored = counted % queue.explore_every == 0

    def _deal(self, contact: Contact, queue: QueuePolicy) -> None:
        """To a team, by largest remainder."""
        if not queue.shares:
            return
        percents = [percent for _team, percent in queue.shares]
        percents.append(100 - sum(percents))
        dealt = self._l.t.dealt.get(queue.name) or [0] * len(percents)
        dealt = [remainder + percent for remainder, percent in zip(dealt, percents, strict=True)]
        winner = max(range(len(dealt)), key=lambda at: (dealt[at], -at))
        dealt[winner] -= 100
        self._l.t.dealt[queue.name] = dealt
        if winner < len(queue.shares) and contact.arrived_at_ms + queue.share_ms > self._l.now:
            contact.share = queue.shares[winner][0]
            contact.share_until_ms = contact.arrived_at_ms + queue.share_ms
            contact.teams = (contact.share,)

    def _prefer(self, contact: Contact, queue: QueuePolicy, fact: f.ContactArrived) -> None:
        agent = self._l.t.agents.get(fact.prefers) if fact.prefers else None
        if agent is None or not agent.there or not self._able(agent, contact, queue):
            return
        until_ms = contact.arrived_at_ms + (fact.prefers_ms or queue.preferred_ms)
        if until_ms > self._l.now or queue.medium in agent.free:
            contact.prefers, contact.prefers_until_ms = agent.id, until_ms

    def _able(self, agent: Agent, contact: Contact, queue: QueuePolicy | None) -> bool:
        medium = queue.medium if queue is not None else VOICE
        known = agent.id in self._l.policy.agents
        return known and self._l.index.able(agent, contact.needs, contact.teams, medium)

    def _somebody(self, contact: Contact) -> bool:
        """Would it be offered to anybody at once?"""
        if contact.prefers:
            queue = self._l.policy.queues[contact.queue]
            return queue.medium in self._l.t.agents[contact.prefers].free
        found = self._l.index.first_free(contact, self._l.now, 1)
        self._arm_blends()
        return bool(found)

    # --- waiting -----------------------------------------------------------------------------------

    def wait(self, contact: Contact, chosen: Agent | None = None) -> None:
        """It waits from now on, or again, and is matched."""
        if contact.state != OFFERED:
            self._l.stand(contact)
        contact.state, contact.offer, contact.agent = WAITING, "", ""
        self._count(contact.queue, 1)
        self._l.index.add_waiting(contact)
        self._l.arm_deadlines(contact)
        if chosen is not None:
            self.offer(contact, chosen, "chosen", ((chosen.id, chosen.idle_since_ms),), ())
        else:
            self.match(contact)
            self._begin_line(contact)

    def _begin_line(self, contact: Contact) -> None:
        if contact.state == WAITING:
            stats = self._l.t.stats.setdefault(contact.queue, QueueStats())
            if stats.last_ms < 0:
                estimate.line_began(stats, self._l.now)

    def _promise(self, contact: Contact) -> None:
        """What a newcomer who has to wait could be told."""
        stats = self._l.t.stats.get(contact.queue)
        if contact.state == WAITING and stats is not None and stats.departures >= estimate.MEASURED:
            contact.promised_ms = self.estimated(contact).wait_ms

    def _count(self, queue: str, change: int) -> None:
        self._l.t.waiting[queue] = self._l.t.waiting.get(queue, 0) + change

    def _depart(self, contact: Contact) -> None:
        """It waits no longer: its turn came, or it left."""
        self._count(contact.queue, -1)
        stats = self._l.t.stats.get(contact.queue)
        if stats is not None:
            estimate.departed(stats, self._l.t.waiting[contact.queue], self._l.now)

    def rings_at_somebody(self, contact: Contact) -> None:
        self._depart(contact)
        stats = self._l.t.stats.get(contact.queue)
        if stats is not None:
            estimate.served(stats, contact, self._l.now)
        contact.promised_ms = -1
        self.forget_preference(contact)

    def leave(self, contact: Contact) -> None:
        """Out of its line, to an agent or for good."""
        if contact.state == WAITING:
            self._depart(contact)
        if contact.state != CONNECTED:
            self._l.step_out(contact)

    def remove(self, contact: Contact) -> None:
        self.leave(contact)
        del self._l.t.contacts[contact.id]

    # --- matching ----------------------------------------------------------------------------------

    def match(self, contact: Contact) -> None:
        """A contact chooses among free agents."""
        ledger, index = self._l, self._l.index
        if contact.prefers:
            agent = ledger.t.agents[contact.prefers]
            queue = ledger.policy.queues.get(contact.queue)
            if queue is None or queue.medium not in agent.free or contact.bar(agent.id) > ledger.now:
                return
            if not queue.outbound or index.first_free(contact, ledger.now, 1):
                self.offer(contact, agent, "preferred", ((agent.id, agent.idle_since_ms),), ())
            return
        first = index.first_free(contact, ledger.now, _CONSIDERED)
        self._arm_blends()
        if not first:
            return
        signature = index.signature(contact)
        queue = ledger.policy.queues.get(contact.queue)
        exploring = contact.explored and queue is not None and queue.strategy == "learned"
        rule = "explore" if exploring else signature.profile.strategy
        considered = tuple((agent.id, merit) for agent, merit in first)
        rest = self._others(contact, signature, [agent for agent, _merit in first])
        self.offer(contact, first[0][0], rule, considered, rest)

    def _others(self, contact: Contact, signature: Signature, first: list[Agent]) -> Considered:
        """How many were not considered, by reason."""
        barred = self._barred_free(contact, signature)
        states = signature.states.copy()
        states.subtract(agent.state for agent in (*first, *barred))
        rest = [("barred", len(barred)), (IDLE, states.pop(IDLE, 0)), *sorted(states.items())]
        rest.append(("skill", len(self._l.t.agents) - signature.eligible))
        return tuple((reason, count) for reason, count in rest if count > 0)

    def _barred_free(self, contact: Contact, signature: Signature) -> list[Agent]:
        """Who could take this contact, had they not declined it a moment ago."""
        if not contact.barred:
            return []
        profile, now = signature.profile, self._l.now
        views = (self._l.t.agents.get(agent) for agent, until in contact.barred.items() if until > now)
        return [
            agent
            for agent in views
            if agent is not None
            and profile.medium in agent.free
            and self._l.index.able(agent, profile.needs, profile.teams, profile.medium)
        ]

    def serve(self, agent: Agent) -> None:
        """A free agent takes the first contact of the total order, if any waits for them."""
        best = self._l.index.best_waiting(agent, self._l.now, _CONSIDERED)
        self._arm_blends()
        if best:
            considered = tuple((contact.id, contact.deadline_ms) for contact in best)
            others = sum(self._l.t.waiting.values()) - len(best)
            rest = (("later_or_other_skill", others),) if others else ()
            rule = "strict_class" if best[0].rank else "earliest_deadline"
            self.offer(best[0], agent, rule, considered, rest)
        elif agent.free:
            self._spare(agent)

    def _spare(self, agent: Agent) -> None:
        """One more is free than before: enough, perhaps, for outbound work that somebody else is to do."""
        for signature in self._l.index.of_agent(agent.id):
            if signature.profile.outbound and signature.profile.keep_idle and signature.waiting:
                for contact in self._l.index.heads(signature, self._l.now, _CONSIDERED):
                    self.match(contact)
                    if contact.state == WAITING:
                        break

    def _arm_blends(self) -> None:
        unripe = self._l.index.unripe
        if unripe:
            for agent in unripe:
                self._l.arm(agent.blend_at_ms, "blend", agent.id, agent.idle_order)
            unripe.clear()

    def blend(self, agent_id: str) -> None:
        agent = self._l.t.agents[agent_id]
        agent.blend_at_ms = 0
        self.serve(agent)

    def rematch(self) -> None:
        """Everybody who waits, in order: the policy or skills have changed."""
        for contact in self._l.in_order(lambda c: c.state == WAITING and not c.held_until_ms):
            if contact.state == WAITING:
                self.match(contact)

    def bar_lifted(self, key: str) -> None:
        """The agent may get the contact again; several bars that end together go by deadline."""
        contact_id, _, barred = key.partition("\0")
        contact, agent = self._l.t.contacts[contact_id], self._l.t.agents.get(barred)
        if contact.barred is not None:
            del contact.barred[barred]
        if agent is not None and agent.free:
            self.serve(agent)

    # --- what it needs, over time ------------------------------------------------------------------

    def _again(self, contact: Contact) -> None:
        """What the contact needs, or its class, has changed."""
        if contact.state != WAITING or contact.held_until_ms:
            return
        if contact.prefers:
            queue = self._l.policy.queues.get(contact.queue)
            if not self._able(self._l.t.agents[contact.prefers], contact, queue):
                self.forget_preference(contact)
        self._l.index.add_waiting(contact)
        self.match(contact)

    def ring_due(self, contact_id: str) -> None:
        contact = self._l.t.contacts[contact_id]
        ring = self._l.policy.queues[contact.queue].rings[contact.ring]
        contact.ring += 1
        contact.needs = ring.needs
        if not contact.share:
            contact.teams = ring.teams
        self._l.say(RelaxContact(contact.id, contact.ring, ring.needs, ring.teams))
        self._next(contact, "ring")
        self._again(contact)

    def share_due(self, contact_id: str) -> None:
        contact = self._l.t.contacts[contact_id]
        self._unshare(contact)
        self._again(contact)

    def _unshare(self, contact: Contact) -> None:
        contact.share, contact.share_until_ms = "", 0
        contact.teams = self._ring(contact)[1] if contact.queue in self._l.policy.queues else ()

    def _ring(self, contact: Contact) -> tuple[Skills, tuple[str, ...]]:
        """Needs and teams of the ring it has come to."""
        queue = self._l.policy.queues.get(contact.queue)
        if queue is None:
            return contact.needs, contact.teams
        contact.ring = min(contact.ring, len(queue.rings))
        ring = queue.rings[contact.ring - 1] if contact.ring else Ring(0, queue.skills, queue.teams)
        return ring.needs, ring.teams

    def prefer_due(self, contact_id: str) -> None:
        contact = self._l.t.contacts[contact_id]
        self.forget_preference(contact)
        self._again(contact)

    def forget_preference(self, contact: Contact) -> None:
        contact.prefers, contact.prefers_until_ms = "", 0

    def lapse(self, agent: Agent) -> None:
        """Nobody waits for this agent any more."""
        for contact in self._l.index.reserved_for(agent.id):
            self.forget_preference(contact)
            self._again(contact)

    def promote_due(self, contact_id: str) -> None:
        contact = self._l.t.contacts[contact_id]
        self._l.step_out(contact)
        contact.rank = FRONT
        self._l.stand(contact)
        self._again(contact)

    def late_due(self, contact_id: str) -> None:
        """Its target has passed: those who are still in time go first, but not for ever."""
        contact = self._l.t.contacts[contact_id]
        self._l.step_out(contact)
        contact.late = True
        contact.deadline_ms += self._l.policy.queues[contact.queue].late_ms
        self._l.stand(contact)
        self._l.say(TargetMissed(contact.id, contact.deadline_ms))
        self._again(contact)

    def _next(self, contact: Contact, kind: str) -> None:
        for timer in self._l.deadlines(contact):
            if timer[1] == kind:
                self._l.arm(*timer)

    # --- announcements and overflow ----------------------------------------------------------------

    def announce_due(self, contact_id: str) -> None:
        contact = self._l.t.contacts[contact_id]
        queue = self._l.policy.queues[contact.queue]
        every, now = queue.announce_every_ms, self._l.now
        first = contact.arrived_at_ms + queue.announce_first_ms
        contact.announce_at_ms = first + ((now - first) // every + 1) * every if every else 0
        if contact.state == WAITING and not contact.held_until_ms and not contact.callback:
            told = self.estimated(contact)
            wait_ms = told.wait_ms if told.confident else -1
            self._l.say(Announce(contact.id, self._l.place(contact), wait_ms))
        self._next(contact, "announce")

    def estimated(self, contact: Contact, now_ms: int | None = None) -> estimate.Estimate:
        """Those who ring at an agent already are not before it any more."""
        queue = contact.queue
        ringing = len(self._l.lines.get(queue, ())) - self._l.t.waiting.get(queue, 0)
        place = max(1, self._l.place(contact) - ringing)
        return estimate.estimate(self._l.t.stats.get(queue), place, self._l.now if now_ms is None else now_ms)

    def overflow_due(self, contact_id: str) -> None:
        contact = self._l.t.contacts[contact_id]
        rule = self._l.policy.queues[contact.queue].overflow[contact.overflowed]
        contact.overflowed += 1
        wait_ms = self.estimated(contact).wait_ms
        if rule.min_estimate_ms and wait_ms < rule.min_estimate_ms:
            self._next(contact, "overflow")
        elif rule.to == "queue":
            target = self._l.policy.queues[rule.target]
            if self._turned_away(target) or target.medium != self._l.policy.queues[contact.queue].medium:
                self._next(contact, "overflow")
            else:
                self._move(contact, target, "max_wait")
                self._enter(contact)
        else:
            self._l.say(OverflowTo(contact.id, contact.queue, rule.to, rule.target))
            if rule.to == "callback":
                self._next(contact, "overflow")
            else:
                self.remove(contact)

    # --- moves, holds, callbacks, by hand ----------------------------------------------------------

    def moved(self, fact: f.ContactMoved) -> None:
        contact = self._l.contact(fact, fact.contact)
        if contact is None:
            return
        target = self._l.policy.queues.get(fact.queue)
        old = self._l.policy.queues.get(contact.queue)
        if target is None:
            self._l.reject(fact, fact.contact, "unknown_queue")
        elif old is not None and old.medium != target.medium:
            self._l.reject(fact, fact.contact, "other_medium")
        elif contact.state != CONNECTED and contact.queue == target.name:
            self._l.reject(fact, fact.contact, "there_already")
        elif reason := self._turned_away(target):
            self._l.reject(fact, fact.contact, reason)
        else:
            self._hand_over(contact)
            self._move(contact, target, "moved")
            self._enter(contact)

    def _hand_over(self, contact: Contact) -> None:
        """Out of whosever hands it is in."""
        if contact.state == OFFERED:
            self.withdraw(contact, "moved")
        elif contact.state == CONNECTED:
            self._seats.after_contact(self._l.t.agents[contact.agent], contact.id)

    def queue_moved(self, fact: f.QueueMoved) -> None:
        source, target = (self._l.policy.queues.get(name) for name in (fact.queue, fact.to))
        reason = ""
        if source is None or target is None:
            reason = "unknown_queue"
        elif source is target:
            reason = "there_already"
        elif source.medium != target.medium:
            reason = "other_medium"
        elif self._l.t.closed.get(target.name):
            reason = "closed"
        if reason or target is None:
            self._l.reject(fact, fact.queue, reason)
            return
        contacts = self._l.in_order(lambda c: c.queue == fact.queue and c.state == WAITING)
        for contact in contacts:
            self._move(contact, target, "moved")
        for contact in contacts:
            self._enter(contact)

    def _move(self, contact: Contact, target: QueuePolicy, reason: str) -> None:
        """Into another line, with the age and the credit it has. It stands there, unmatched."""
        ledger, source = self._l, contact.queue
        self.leave(contact)
        self.forget_preference(contact)
        contact.share, contact.share_until_ms, contact.explored = "", 0, False
        contact.queue, contact.ring, contact.overflowed, contact.late = target.name, 0, 0, False
        contact.needs, contact.teams, contact.rank = target.skills, target.teams, -target.strict_class
        contact.deadline_ms = ledger.policy.deadline_ms(target, contact.arrived_at_ms, contact.credit_ms)
        contact.announce_at_ms = 0
        if target.announce_first_ms:
            first, every = contact.arrived_at_ms + target.announce_first_ms, target.announce_every_ms
            late = max(0, ledger.now - first)
            contact.announce_at_ms = first + -(-late // every) * every if every else first
        contact.state, contact.offer, contact.agent, contact.line = WAITING, "", "", None
        contact.promised_ms = -1
        ledger.stand(contact)
        self._count(target.name, 1)
        ledger.say(MoveContact(contact.id, source, target.name, reason))

    def _enter(self, contact: Contact) -> None:
        self._l.arm_deadlines(contact)
        self._again(contact)
        self._begin_line(contact)

    def held(self, fact: f.ContactHeld) -> None:
        contact = self._l.contact(fact, fact.contact)
        if contact is None:
            return
        if fact.until_ms <= self._l.now:
            self._l.reject(fact, fact.contact, "not_later")
            return
        if contact.state == CONNECTED and not contact.callback:
            self._l.reject(fact, fact.contact, "connected")
            return
        before = contact.state
        if before == OFFERED:
            self.withdraw(contact, "held")
            self._count(contact.queue, 1)
        elif before == CONNECTED:
            self._seats.drop(self._l.t.agents[contact.agent], contact.id)
            self._l.stand(contact)
            self._count(contact.queue, 1)
        contact.state, contact.offer, contact.agent, contact.line = WAITING, "", "", None
        contact.held_until_ms, contact.promised_ms = fact.until_ms, -1
        self.forget_preference(contact)
        self._l.arm_deadlines(contact)

    def released(self, fact: f.ContactReleased) -> None:
        contact = self._l.contact(fact, fact.contact)
        if contact is None:
            return
        if not contact.held_until_ms:
            self._l.reject(fact, fact.contact, "not_held")
            return
        self.hold_due(contact.id)

    def hold_due(self, contact_id: str) -> None:
        contact = self._l.t.contacts[contact_id]
        contact.held_until_ms = 0
        self._l.arm_deadlines(contact)
        self._again(contact)

    def callback_asked(self, fact: f.CallbackAsked) -> None:
        contact = self._l.contact(fact, fact.contact)
        if contact is None:
            return
        if contact.state == CONNECTED or contact.callback:
            reason = "known_already" if contact.callback else "connected"
            self._l.reject(fact, fact.contact, reason)
            return
        contact.callback = True

    def assigned(self, fact: f.ContactAssigned) -> None:
        contact = self._l.contact(fact, fact.contact)
        if contact is None:
            return
        agent = self._l.agent(fact, fact.agent)
        if agent is None:
            return
        queue = self._l.policy.queues.get(contact.queue)
        medium = queue.medium if queue is not None else VOICE
        if contact.state != WAITING:
            self._l.reject(fact, fact.contact, "not_waiting")
        elif medium not in agent.free:
            self._l.reject(fact, agent.id, "agent_not_ready")
        else:
            contact.held_until_ms = 0
            self.offer(contact, agent, "chosen", ((agent.id, agent.idle_since_ms),), ())

    # --- policy ------------------------------------------------------------------------------------

    def requalify(self) -> None:
        """Needs and teams anew, by the ring each contact has come to; preferences that cannot be kept lapse."""
        for contact in self._l.t.contacts.values():
            queue = self._l.policy.queues.get(contact.queue)
            if queue is not None:
                contact.needs, teams = self._ring(contact)
                contact.teams = (contact.share,) if contact.share else teams
            if contact.prefers:
                agent = self._l.t.agents.get(contact.prefers)
                if agent is None or not agent.there or not self._able(agent, contact, queue):
                    self.forget_preference(contact)
