"""What the parts of the engine share: tables, index, timers, the moment, and the commands of this activation."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable

from routing import facts as f
from routing.commands import Command, RejectFact
from routing.index import Index
from routing.policy import Policy
from routing.state import CONNECTED, FRONT, NOT_READY, OFFERED, WRAP_UP, Agent, Contact, Tables

Timer = tuple[int, str, str, int]
"""due, kind, subject, token: totally ordered by value"""
Place = tuple[int, int, int, str]
_SLACK = 1_024


class Ledger:
    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.t = Tables()
        self.index = Index(policy, self.t)
        self.seq = 0
        self.now = 0
        self.order = 0
        self.commands: list[Command] = []
        self.offers_made = 0
        self.timers: list[Timer] = []
        self._sweep_at = _SLACK
        self.timed: set[str] = set()
        """queues whose contacts have deadlines of their own"""
        self.lines: dict[str, list[Place]] = {}
        """by queue, everybody who is not with an agent, in the total order"""
        self.take_policy(policy)

    def take_policy(self, policy: Policy) -> None:
        self.policy = policy
        self.timed = {
            queue.name
            for queue in policy.queues.values()
            if queue.rings or queue.overflow or queue.promote_ms or queue.late_ms or queue.announce_first_ms
        }

    def stand(self, contact: Contact) -> None:
        """The contact stands in its queue's line from now on."""
        insort(self.lines.setdefault(contact.queue, []), (*contact.key, contact.id))

    def step_out(self, contact: Contact) -> None:
        line = self.lines.get(contact.queue, [])
        place = (*contact.key, contact.id)
        at = bisect_left(line, place)
        if at < len(line) and line[at] == place:
            del line[at]

    def place(self, contact: Contact) -> int:
        """1 for the next of its queue."""
        return bisect_left(self.lines.get(contact.queue, []), (*contact.key, contact.id)) + 1

    def say(self, command: Command) -> None:
        self.commands.append(command)

    def next_order(self) -> int:
        self.order += 1
        return self.order

    def reject(self, fact: f.Fact, subject: str, reason: str) -> None:
        self.say(RejectFact(type(fact).__name__, subject, reason))

    def agent(self, fact: f.Fact, agent: str) -> Agent | None:
        found = self.t.agents.get(agent)
        if found is None:
            self.reject(fact, agent, "unknown_agent")
        return found

    def contact(self, fact: f.Fact, contact: str) -> Contact | None:
        found = self.t.contacts.get(contact)
        if found is None:
            self.reject(fact, contact, "unknown_contact")
        return found

    def rebuild(self) -> None:
        self.index.rebuild(self.policy, self.t)

    def in_order(self, chosen: Callable[[Contact], bool]) -> list[Contact]:
        return sorted((c for c in self.t.contacts.values() if chosen(c)), key=lambda c: c.key)

    # --- timers ------------------------------------------------------------------------------------

    def arm(self, due_ms: int, kind: str, subject: str, token: int = 0) -> None:
        heapq.heappush(self.timers, (due_ms, kind, subject, token))
        if len(self.timers) > self._sweep_at:
            self.timers[:] = sorted(timer for timer in set(self.timers) if self.holds(timer))
            self._sweep_at = _SLACK + 2 * len(self.timers)

    @property
    def next_deadline_ms(self) -> int | None:
        while self.timers and not self.holds(self.timers[0]):
            heapq.heappop(self.timers)
        return self.timers[0][0] if self.timers else None

    def due(self) -> Timer | None:
        """The next timer that is due and still holds, taken off."""
        while self.timers and self.timers[0][0] <= self.now:
            timer = heapq.heappop(self.timers)
            if self.holds(timer):
                return timer
        return None

    def holds(self, timer: Timer) -> bool:
        due_ms, kind, subject, token = timer
        if kind == "offer":
            return subject in self.t.offers
        if kind == "agent":
            agent_id, _, contact = subject.partition("\0")
            agent = self.t.agents.get(agent_id)
            if agent is None:
                return False
            if not contact:
                return agent.token == token
            work = agent.works.get(contact)
            return work is not None and work.state == WRAP_UP and work.until_ms == due_ms
        if kind in ("limit", "blend"):
            agent = self.t.agents.get(subject)
            if kind == "limit":
                return agent is not None and agent.token == token
            return agent is not None and agent.blend_at_ms == due_ms and agent.idle_order == token
        if kind == "reskill":
            return int(subject) in self.t.reskills
        contact_id, _, barred = subject.partition("\0")
        found = self.t.contacts.get(contact_id)
        if found is None:
            return False
        return found.bar(barred) == due_ms if kind == "bar" else self._due_of(found, kind) == due_ms

    def deadlines(self, contact: Contact) -> list[Timer]:
        """All that is to come for a contact, but for bars."""
        kinds = ("announce", "hold", "late", "overflow", "prefer", "promote", "ring", "share")
        dues = ((self._due_of(contact, kind), kind) for kind in kinds)
        return [(due_ms, kind, contact.id, 0) for due_ms, kind in dues if due_ms is not None]

    def _due_of(self, contact: Contact, kind: str) -> int | None:
        """When the next of this kind is to happen to a contact; None: never, or not as things are."""
        if contact.state == CONNECTED:
            return None
        queue = self.policy.queues.get(contact.queue)
        if kind == "hold":
            return contact.held_until_ms or None
        if kind == "prefer":
            return contact.prefers_until_ms if contact.prefers else None
        if kind == "share":
            return contact.share_until_ms if contact.share else None
        if queue is None:
            return None
        if kind == "ring":
            rings = queue.rings
            if contact.ring >= len(rings):
                return None
            return contact.arrived_at_ms + rings[contact.ring].after_ms
        if kind == "promote":
            waits = queue.promote_ms and contact.rank != FRONT
            return contact.arrived_at_ms + queue.promote_ms if waits else None
        if kind == "late":
            waits = queue.late_ms and not contact.late and contact.rank != FRONT
            return contact.arrived_at_ms + queue.target_ms if waits else None
        if kind == "announce":
            return contact.announce_at_ms or None if queue.announce_first_ms else None
        rules = queue.overflow
        stays = contact.state == OFFERED or contact.held_until_ms or contact.callback
        if kind != "overflow" or stays or contact.overflowed >= len(rules):
            return None
        return contact.arrived_at_ms + rules[contact.overflowed].after_ms

    def arm_deadlines(self, contact: Contact) -> None:
        if contact.queue not in self.timed and not (
            contact.prefers or contact.share or contact.held_until_ms
        ):
            return
        for timer in self.deadlines(contact):
            self.arm(*timer)

    def rearm(self) -> None:
        """Timers follow from the tables: nothing else is kept of them."""
        self.timers.clear()
        for contact in self.t.contacts.values():
            for agent, until in (contact.barred or {}).items():
                self.arm(until, "bar", f"{contact.id}\0{agent}")
            self.arm_deadlines(contact)
        for offer in self.t.offers.values():
            self.arm(offer.expires_at_ms, "offer", offer.id)
        for number, (at_ms, _changes) in self.t.reskills.items():
            self.arm(at_ms, "reskill", str(number))
        for held in self.t.agents.values():
            self.rearm_agent(held)

    def rearm_agent(self, agent: Agent) -> None:
        for work in agent.works.values():
            if work.state == WRAP_UP:
                self.arm(work.until_ms, "agent", f"{agent.id}\0{work.contact}")
        if agent.until_ms and not agent.works:
            self.arm(agent.until_ms, "agent", agent.id, agent.token)
        reason = self.policy.reasons.get(agent.reason)
        if reason is not None and reason.limit_ms and agent.state == NOT_READY and not agent.limit_said:
            self.arm(agent.since_ms + reason.limit_ms, "limit", agent.id, agent.token)
        if agent.blend_at_ms:
            self.arm(agent.blend_at_ms, "blend", agent.id, agent.idle_order)
