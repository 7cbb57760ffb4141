"""The engine. One mutator, told the time, asked for its next deadline; see `state.py` for the table.

Rules.
1. Facts of an activation are applied in order, then deadlines that are due, in order of due time.
2. An offer is a lease: it ends by an answer, a refusal, a failure, the contact's leaving, or its
   deadline, whichever fact comes first; whatever comes after is rejected by its id.
3. A contact's key (virtual deadline, order of arrival) is fixed when it arrives and survives offers
   that came to nothing, so it returns to its old place.
4. An agent's key (idle since, order) is fixed when they become idle; an offer whose customer left
   gives it back.
5. Matching happens on two events only: a contact begins to wait, or an agent becomes idle.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from routing import facts as f
from routing.commands import (
    AgentChanged,
    Command,
    OfferContact,
    Overflow,
    RecordDecision,
    RejectFact,
    WithdrawOffer,
)
from routing.index import Index
from routing.policy import Policy, satisfies
from routing.snapshot import STATE_VERSION, EngineState, tables_from_plain, tables_to_plain
from routing.state import (
    AGENT_TRANSITIONS,
    CONNECTED,
    IDLE,
    LOGGED_OUT,
    NOT_READY,
    OFFERED,
    RESERVED,
    TALKING,
    WAITING,
    WRAP_UP,
    Agent,
    Contact,
    Offer,
    Tables,
)

_CONSIDERED = 10
_BUSY = frozenset({RESERVED, TALKING, WRAP_UP})


@dataclass(frozen=True, slots=True)
class Activation:
    """`seq` counts from 1 without gaps; `now_ms` never decreases; no facts is a tick."""

    seq: int
    now_ms: int
    facts: tuple[f.Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    seq: int
    commands: tuple[Command, ...]
    next_deadline_ms: int | None


class RoutingEngine:
    """Misuse by the host raises ValueError; a peer's bad fact becomes `RejectFact`."""

    def __init__(self, policy: Policy | None = None) -> None:
        self._policy = policy or Policy()
        self._t = Tables()
        self._index = Index()
        self._seq = 0
        self._now = 0
        self._order = 0
        self._timers: list[tuple[int, str, str, int]] = []
        self._commands: list[Command] = []
        self._offers_made = 0
        self._apply: dict[type[f.Fact], Callable[[Any], None]] = {
            f.PolicyReplaced: lambda fact: self._replace_policy(fact.policy),
            f.QueueOpened: lambda fact: self._set_closed(fact.queue, False),
            f.QueueClosed: lambda fact: self._set_closed(fact.queue, True),
            f.AgentLoggedIn: self._logged_in,
            f.AgentLoggedOut: self._logged_out,
            f.AgentReady: self._ready,
            f.AgentNotReady: self._not_ready,
            f.ContactArrived: self._arrived,
            f.ContactAbandoned: self._abandoned,
            f.ContactEnded: self._ended,
            f.ContactRequeued: self._requeued,
            f.ContactAdopted: self._adopted,
            f.OfferAnswered: self._answered,
            f.OfferDeclined: self._declined,
            f.OfferFailed: self._failed,
            f.WrapUpEnded: self._wrap_up_ended,
        }
        self._due: dict[str, Callable[[str], None]] = {
            "offer": self._offer_expired,
            "agent": self._agent_due,
            "bar": self._bar_lifted,
        }
        self._adopt_agents()

    # --- the contract ------------------------------------------------------------------------------

    def activate(self, activation: Activation) -> Completion:
        if activation.seq != self._seq + 1:
            raise ValueError(f"activation {activation.seq} after {self._seq}")
        if activation.now_ms < self._now:
            raise ValueError(f"time went back from {self._now} to {activation.now_ms}")
        for fact in activation.facts:
            if type(fact) not in self._apply:
                raise ValueError(f"not a fact of this engine: {fact!r}")
        self._seq, self._now = activation.seq, activation.now_ms
        self._offers_made = 0
        self._commands = []
        for fact in activation.facts:
            self._apply[type(fact)](fact)
        self._run_timers()
        return Completion(self._seq, tuple(self._commands), self.next_deadline_ms)

    @property
    def next_deadline_ms(self) -> int | None:
        while self._timers and not self._timer_holds(self._timers[0]):
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def snapshot(self) -> EngineState:
        return {
            "version": STATE_VERSION,
            "policy": self._policy.digest(),
            "seq": self._seq,
            "now_ms": self._now,
            "order": self._order,
            **tables_to_plain(self._t),
        }

    @classmethod
    def restore(cls, state: EngineState, policy: Policy) -> RoutingEngine:
        """An engine that goes on exactly where `snapshot` was taken. ValueError when they do not fit."""
        if state["version"] != STATE_VERSION:
            raise ValueError(f"snapshot version {state['version']}, this engine reads {STATE_VERSION}")
        if state["policy"] != policy.digest():
            raise ValueError("snapshot was taken under another policy")
        engine = cls(policy)
        engine._seq, engine._now, engine._order = state["seq"], state["now_ms"], state["order"]
        engine._t = tables_from_plain(state)
        engine._rearm()
        engine._index.rebuild(engine._t.contacts, engine._t.agents)
        return engine

    def _rearm(self) -> None:
        """Timers follow from the tables, and are totally ordered by value: nothing else is kept of them."""
        for contact in self._t.contacts.values():
            for agent, until in contact.barred.items():
                self._arm(until, "bar", f"{contact.id}\0{agent}", 0)
        for offer in self._t.offers.values():
            self._arm(offer.expires_at_ms, "offer", offer.id, 0)
        for agent_state in self._t.agents.values():
            if agent_state.until_ms:
                self._arm(agent_state.until_ms, "agent", agent_state.id, agent_state.token)

    # --- queries -----------------------------------------------------------------------------------

    @property
    def seq(self) -> int:
        return self._seq

    @property
    def policy(self) -> Policy:
        return self._policy

    def contact_view(self, contact: str) -> Contact | None:
        return self._t.contacts.get(contact)

    def agent_view(self, agent: str) -> Agent | None:
        return self._t.agents.get(agent)

    def agent_views(self) -> list[Agent]:
        return list(self._t.agents.values())

    def offer_view(self, offer: str) -> Offer | None:
        return self._t.offers.get(offer)

    def offer_views(self) -> list[Offer]:
        return list(self._t.offers.values())

    def queue_view(self, queue: str, now_ms: int | None = None) -> tuple[int, int]:
        """(contacts not yet with an agent, ms since the oldest of them arrived), as of `now_ms` or of the last
        activation."""
        waiting = (c for c in self._t.contacts.values() if c.queue == queue and c.state != CONNECTED)
        arrivals = [contact.arrived_at_ms for contact in waiting]
        at_ms = self._now if now_ms is None else now_ms
        return len(arrivals), at_ms - min(arrivals) if arrivals else 0

    def is_open(self, queue: str) -> bool:
        return not self._t.closed.get(queue, False)

    def position(self, contact: str) -> int:
        """1 for the next of its queue; 0 for one that does not wait."""
        mine = self._t.contacts.get(contact)
        if mine is None or mine.state == CONNECTED:
            return 0
        return 1 + sum(
            1
            for other in self._t.contacts.values()
            if other.queue == mine.queue and other.state != CONNECTED and other.key < mine.key
        )

    # --- policy and queues -------------------------------------------------------------------------

    def _replace_policy(self, policy: Policy) -> None:
        self._policy = policy
        for contact in self._t.contacts.values():
            queue = policy.queues.get(contact.queue)
            if queue is not None:
                contact.needs = queue.skills
        self._adopt_agents()
        waiting = sorted((c for c in self._t.contacts.values() if c.state == WAITING), key=lambda c: c.key)
        for contact in waiting:
            self._match_contact(contact)

    def _adopt_agents(self) -> None:
        """Agents of the policy join the table; one that left it goes when its work is done."""
        agents = self._t.agents
        for known in list(agents.values()):
            if known.id not in self._policy.agents and known.state not in _BUSY:
                if known.state != LOGGED_OUT:
                    self._set_agent(known, LOGGED_OUT)
                del agents[known.id]
        for settings in self._policy.agents.values():
            agent = agents.setdefault(settings.agent, Agent(settings.agent, settings.skills))
            agent.skills = settings.skills
        self._index.rebuild(self._t.contacts, agents)

    def _set_closed(self, queue: str, closed: bool) -> None:
        self._t.closed[queue] = closed

    # --- agents ------------------------------------------------------------------------------------

    def _logged_in(self, fact: f.AgentLoggedIn) -> None:
        agent = self._known_agent(fact, fact.agent)
        if agent is None:
            return
        if agent.state == LOGGED_OUT:
            self._set_agent(agent, NOT_READY, reason="logged_in")
        elif agent.next_state == LOGGED_OUT:
            agent.next_state = agent.next_reason = ""

    def _logged_out(self, fact: f.AgentLoggedOut) -> None:
        agent = self._known_agent(fact, fact.agent)
        if agent is None or agent.state == LOGGED_OUT:
            return
        agent.next_state, agent.next_reason = LOGGED_OUT, fact.reason
        if agent.state == RESERVED:
            self._end_offer(self._t.offers[agent.offer], "agent_left")
        elif agent.state != TALKING:
            self._finish_work(agent)

    def _ready(self, fact: f.AgentReady) -> None:
        agent = self._known_agent(fact, fact.agent)
        if agent is None:
            return
        if agent.id not in self._policy.agents:
            self._reject(fact, agent.id, "left_policy")
            return
        agent.next_state = agent.next_reason = ""
        if agent.state in (LOGGED_OUT, NOT_READY, WRAP_UP):
            self._become_idle(agent)

    def _not_ready(self, fact: f.AgentNotReady) -> None:
        agent = self._known_agent(fact, fact.agent)
        if agent is None:
            return
        if agent.state in _BUSY:
            agent.next_state, agent.next_reason = NOT_READY, fact.reason
        else:
            self._set_agent(agent, NOT_READY, reason=fact.reason)

    def _wrap_up_ended(self, fact: f.WrapUpEnded) -> None:
        agent = self._known_agent(fact, fact.agent)
        if agent is not None and agent.state == WRAP_UP:
            self._finish_work(agent)

    def _agent_due(self, agent_id: str) -> None:
        self._finish_work(self._t.agents[agent_id])

    def _finish_work(self, agent: Agent, keep_place: bool = False) -> None:
        """Wrap-up, a pause or an offer is over: what was asked for meanwhile takes effect.

        `keep_place`: the agent did nothing and stays as long idle as before."""
        wanted, reason = agent.next_state, agent.next_reason
        agent.next_state = agent.next_reason = ""
        if agent.id not in self._policy.agents:
            self._set_agent(agent, LOGGED_OUT)
            del self._t.agents[agent.id]
            self._index.rebuild(self._t.contacts, self._t.agents)
        elif wanted:
            self._set_agent(agent, wanted, reason=reason)
        else:
            self._become_idle(agent, keep_place)

    def _leaves_after_this(self, agent: Agent) -> bool:
        return bool(agent.next_state) or agent.id not in self._policy.agents

    def _become_idle(self, agent: Agent, keep_place: bool = False) -> None:
        if not keep_place:
            self._order += 1
            agent.idle_since_ms, agent.idle_order = self._now, self._order
        self._set_agent(agent, IDLE)
        self._serve(agent)

    def _serve(self, agent: Agent) -> None:
        """An idle agent takes the contact whose deadline is the earliest, if any waits for them."""
        best = self._index.best_waiting(agent, self._now, _CONSIDERED)
        if best:
            considered = tuple((contact.id, contact.deadline_ms) for contact in best)
            others = sum(self._t.waiting.values()) - len(best)
            rest = (("later_or_other_skill", others),) if others else ()
            self._make_offer(best[0], agent, "earliest_deadline", considered, rest)

    def _set_agent(
        self,
        agent: Agent,
        state: str,
        reason: str = "",
        until_ms: int = 0,
        contact: str = "",
        offer: str = "",
    ) -> None:
        before = agent.state
        if state not in AGENT_TRANSITIONS[before] and state != before:
            raise ValueError(f"agent {agent.id}: {before} -> {state}")
        self._order += 1
        agent.state, agent.since_ms, agent.reason = state, self._now, reason
        agent.until_ms, agent.contact, agent.offer, agent.token = until_ms, contact, offer, self._order
        if until_ms:
            self._arm(until_ms, "agent", agent.id, agent.token)
        self._index.agent_changed(agent, before)
        self._commands.append(AgentChanged(agent.id, state, reason, self._now, until_ms, contact))

    # --- contacts ----------------------------------------------------------------------------------

    def _arrived(self, fact: f.ContactArrived) -> None:
        if fact.contact in self._t.contacts:
            self._reject(fact, fact.contact, "known_already")
            return
        queue = self._policy.queues.get(fact.queue)
        if queue is None:
            self._commands.append(Overflow(fact.contact, fact.queue, "unknown_queue"))
            return
        chosen = self._t.agents.get(fact.agent) if fact.agent else None
        if fact.agent and (chosen is None or chosen.state != IDLE):
            self._commands.append(Overflow(fact.contact, queue.name, "agent_not_ready"))
            return
        if chosen is None and self._t.closed.get(queue.name):
            self._commands.append(Overflow(fact.contact, queue.name, "closed"))
            return
        if chosen is None and queue.max_waiting and self._t.waiting.get(queue.name, 0) >= queue.max_waiting:
            self._commands.append(Overflow(fact.contact, queue.name, "full"))
            return
        arrived_at_ms = min(fact.occurred_at_ms, self._now)
        deadline_ms = self._policy.deadline_ms(queue, arrived_at_ms, fact.credit_ms)
        self._admit(fact.contact, queue.name, queue.skills, arrived_at_ms, deadline_ms, chosen)

    def _admit(
        self,
        contact_id: str,
        queue: str,
        needs: tuple[tuple[str, int], ...],
        arrived_at_ms: int,
        deadline_ms: int,
        chosen: Agent | None = None,
    ) -> None:
        self._order += 1
        contact = Contact(contact_id, queue, needs, arrived_at_ms, deadline_ms, self._order)
        self._t.contacts[contact_id] = contact
        self._wait(contact, chosen)

    def _wait(self, contact: Contact, chosen: Agent | None = None) -> None:
        contact.state, contact.offer, contact.agent = WAITING, "", ""
        self._count_waiting(contact.queue, 1)
        self._index.add_waiting(contact)
        if chosen is not None:
            self._make_offer(contact, chosen, "chosen", ((chosen.id, chosen.idle_since_ms),), ())
        else:
            self._match_contact(contact)

    def _match_contact(self, contact: Contact) -> None:
        first = self._index.first_idle(contact, self._now, _CONSIDERED)
        agent = self._index.take_idle(contact, self._now)
        if agent is None:
            return
        signature = self._index.signature(contact.needs)
        considered = tuple((candidate.id, candidate.idle_since_ms) for candidate in first)
        barred = self._barred_idle(contact)
        rest = [("barred", barred), ("idle", signature.states[IDLE] - len(considered) - barred)]
        rest += [(state, count) for state, count in sorted(signature.states.items()) if state != IDLE]
        rest.append(("skill", len(self._t.agents) - signature.eligible))
        counted = tuple((reason, count) for reason, count in rest if count > 0)
        self._make_offer(contact, agent, "longest_idle", considered, counted)

    def _barred_idle(self, contact: Contact) -> int:
        """Idle agents who declined this contact a moment ago."""
        views = (self._t.agents.get(agent) for agent, until in contact.barred.items() if until > self._now)
        return sum(
            1
            for agent in views
            if agent is not None and agent.state == IDLE and satisfies(agent.skills, contact.needs)
        )

    def _abandoned(self, fact: f.ContactAbandoned) -> None:
        contact = self._known_contact(fact, fact.contact)
        if contact is None:
            return
        if contact.state == CONNECTED:
            self._reject(fact, fact.contact, "connected")
            return
        self._remove(contact)
        if contact.state == OFFERED:
            offer = self._t.offers.pop(contact.offer)
            agent = self._t.agents[offer.agent]
            self._commands.append(WithdrawOffer(offer.id, contact.id, agent.id, "abandoned"))
            self._finish_work(agent, keep_place=True)

    def _ended(self, fact: f.ContactEnded) -> None:
        contact = self._known_contact(fact, fact.contact)
        if contact is None:
            return
        if contact.state != CONNECTED:
            self._abandoned(f.ContactAbandoned(fact.contact, fact.occurred_at_ms))
            return
        self._remove(contact)
        self._after_contact(self._t.agents[contact.agent], contact)

    def _after_contact(self, agent: Agent, contact: Contact) -> None:
        settings = self._policy.agents.get(agent.id)
        wrap_up_ms = settings.wrap_up_ms if settings else 0
        if wrap_up_ms:
            self._set_agent(agent, WRAP_UP, until_ms=self._now + wrap_up_ms, contact=contact.id)
        else:
            self._finish_work(agent)

    def _requeued(self, fact: f.ContactRequeued) -> None:
        contact = self._known_contact(fact, fact.contact)
        if contact is None:
            return
        if contact.state != CONNECTED:
            self._reject(fact, fact.contact, "not_connected")
            return
        self._pause_device(self._t.agents[contact.agent], fact.cause)
        self._wait(contact)

    def _adopted(self, fact: f.ContactAdopted) -> None:
        contact = self._t.contacts.get(fact.contact)
        queue = self._policy.queues.get(fact.queue)
        needs = queue.skills if queue else ()
        arrived_at_ms = min(fact.occurred_at_ms, self._now)
        if contact is not None and (not fact.agent or contact.state == CONNECTED):
            self._reject(fact, fact.contact, "known_already")
        elif not fact.agent:
            self._admit(fact.contact, fact.queue, needs, arrived_at_ms, fact.deadline_ms)
        else:
            agent = self._known_agent(fact, fact.agent)
            if agent is None:
                return
            if agent.state == TALKING:
                self._reject(fact, fact.agent, "agent_busy")
                return
            if contact is None:
                self._order += 1
                contact = Contact(
                    fact.contact, fact.queue, needs, arrived_at_ms, fact.deadline_ms, self._order, CONNECTED
                )
                self._t.contacts[contact.id] = contact
            self._adopt_conversation(contact, agent)

    def _adopt_conversation(self, contact: Contact, agent: Agent) -> None:
        """They talk already: offers that say otherwise are withdrawn, on both sides."""
        if contact.state == OFFERED and contact.agent == agent.id:
            self._answered(f.OfferAnswered(contact.offer, self._now))
            return
        bystander = displaced = None
        if contact.state == OFFERED:
            bystander = self._withdraw(self._t.offers[contact.offer])[1]
        self._leave_waiting(contact)
        if agent.state == RESERVED:
            displaced = self._withdraw(self._t.offers[agent.offer])[0]
        contact.state, contact.offer, contact.agent = CONNECTED, "", agent.id
        self._set_agent(agent, TALKING, contact=contact.id)
        if bystander is not None:
            self._finish_work(bystander, keep_place=True)
        if displaced is not None:
            self._wait(displaced)

    def _withdraw(self, offer: Offer) -> tuple[Contact, Agent]:
        del self._t.offers[offer.id]
        self._commands.append(WithdrawOffer(offer.id, offer.contact, offer.agent, "adopted"))
        return self._t.contacts[offer.contact], self._t.agents[offer.agent]

    # --- offers ------------------------------------------------------------------------------------

    def _make_offer(
        self,
        contact: Contact,
        agent: Agent,
        rule: str,
        considered: tuple[tuple[str, int], ...],
        rest: tuple[tuple[str, int], ...],
    ) -> None:
        self._offers_made += 1
        offer_id = f"o{self._seq}-{self._offers_made}"
        queue = self._policy.queues.get(contact.queue)
        ring_ms = queue.ring_ms if queue else 20_000
        offer = Offer(offer_id, contact.id, agent.id, self._now + ring_ms)
        self._t.offers[offer_id] = offer
        self._count_waiting(contact.queue, -1)
        contact.state, contact.offer, contact.agent = OFFERED, offer_id, agent.id
        self._set_agent(agent, RESERVED, contact=contact.id, offer=offer_id)
        self._arm(offer.expires_at_ms, "offer", offer_id, 0)
        self._commands.append(RecordDecision(offer_id, contact.id, agent.id, rule, considered, rest))
        self._commands.append(
            OfferContact(offer_id, contact.id, agent.id, contact.queue, offer.expires_at_ms, ring_ms)
        )

    def _answered(self, fact: f.OfferAnswered) -> None:
        offer = self._open_offer(fact, fact.offer)
        if offer is None:
            return
        del self._t.offers[offer.id]
        contact, agent = self._t.contacts[offer.contact], self._t.agents[offer.agent]
        contact.state, contact.offer = CONNECTED, ""
        self._set_agent(agent, TALKING, contact=contact.id)

    def _declined(self, fact: f.OfferDeclined) -> None:
        offer = self._open_offer(fact, fact.offer)
        if offer is None:
            return
        contact = self._t.contacts[offer.contact]
        pause_ms = self._policy.decline_pause_ms
        if pause_ms:
            contact.barred[offer.agent] = self._now + pause_ms
            self._arm(self._now + pause_ms, "bar", f"{contact.id}\0{offer.agent}", 0)
        self._release(offer, self._finish_work)

    def _failed(self, fact: f.OfferFailed) -> None:
        offer = self._open_offer(fact, fact.offer)
        if offer is None:
            return
        if fact.cause == "no_answer":
            self._release(offer, self._missed)
        else:
            self._release(offer, lambda agent: self._pause_device(agent, fact.cause))

    def _offer_expired(self, offer_id: str) -> None:
        offer = self._t.offers[offer_id]
        self._commands.append(WithdrawOffer(offer.id, offer.contact, offer.agent, "no_answer"))
        self._release(offer, self._missed)

    def _end_offer(self, offer: Offer, reason: str) -> None:
        self._commands.append(WithdrawOffer(offer.id, offer.contact, offer.agent, reason))
        self._release(offer, self._finish_work)

    def _release(self, offer: Offer, settle: Callable[[Agent], None]) -> None:
        """The offer came to nothing. The agent is settled first, so that the contact, back in its old
        place, is not offered to the one who just did not take it."""
        del self._t.offers[offer.id]
        contact, agent = self._t.contacts[offer.contact], self._t.agents[offer.agent]
        settle(agent)
        self._wait(contact)

    def _missed(self, agent: Agent) -> None:
        if self._policy.missed_action == "not_ready" and not self._leaves_after_this(agent):
            self._set_agent(agent, NOT_READY, reason="missed")
        else:
            self._finish_work(agent)

    def _pause_device(self, agent: Agent, cause: str) -> None:
        if self._leaves_after_this(agent) or not self._policy.device_pause_ms:
            self._finish_work(agent)
            return
        until_ms = self._now + self._policy.device_pause_ms
        self._set_agent(agent, NOT_READY, reason=f"device_{cause}", until_ms=until_ms)

    def _bar_lifted(self, key: str) -> None:
        """The agent may get the contact again; several bars that end together go by deadline."""
        contact_id, _, barred = key.partition("\0")
        contact, agent = self._t.contacts[contact_id], self._t.agents.get(barred)
        del contact.barred[barred]
        if agent is not None and agent.state == IDLE:
            self._serve(agent)

    # --- small things ------------------------------------------------------------------------------

    def _remove(self, contact: Contact) -> None:
        self._leave_waiting(contact)
        del self._t.contacts[contact.id]

    def _leave_waiting(self, contact: Contact) -> None:
        if contact.state == WAITING:
            self._count_waiting(contact.queue, -1)

    def _count_waiting(self, queue: str, change: int) -> None:
        self._t.waiting[queue] = self._t.waiting.get(queue, 0) + change

    def _known_agent(self, fact: f.Fact, agent: str) -> Agent | None:
        found = self._t.agents.get(agent)
        if found is None:
            self._reject(fact, agent, "unknown_agent")
        return found

    def _known_contact(self, fact: f.Fact, contact: str) -> Contact | None:
        found = self._t.contacts.get(contact)
        if found is None:
            self._reject(fact, contact, "unknown_contact")
        return found

    def _open_offer(self, fact: f.Fact, offer: str) -> Offer | None:
        found = self._t.offers.get(offer)
        if found is None:
            self._reject(fact, offer, "offer_over")
        return found

    def _reject(self, fact: f.Fact, subject: str, reason: str) -> None:
        self._commands.append(RejectFact(type(fact).__name__, subject, reason))

    def _arm(self, due_ms: int, kind: str, subject: str, token: int) -> None:
        heapq.heappush(self._timers, (due_ms, kind, subject, token))

    def _timer_holds(self, timer: tuple[int, str, str, int]) -> bool:
        due_ms, kind, subject, token = timer
        if kind == "offer":
            return subject in self._t.offers
        if kind == "agent":
            agent = self._t.agents.get(subject)
            return agent is not None and agent.token == token
        contact_id, _, barred = subject.partition("\0")
        contact = self._t.contacts.get(contact_id)
        return contact is not None and contact.barred.get(barred) == due_ms

    def _run_timers(self) -> None:
        while self._timers and self._timers[0][0] <= self._now:
            timer = heapq.heappop(self._timers)
            if self._timer_holds(timer):
                self._due[timer[1]](timer[2])
