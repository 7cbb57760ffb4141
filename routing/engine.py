"""The engine. One mutator, told the time, asked for its next deadline. The rules are in docs/routing.md.

Parts: `seats` (agents), `lines` (contacts that wait, matching), `offers` (leases); what they share is in `ledger`.
Facts of an activation are applied in order, then deadlines that are due, by (time, kind, subject).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from routing import facts as f
from routing.commands import Command
from routing.estimate import Estimate, estimate
from routing.ledger import Ledger
from routing.lines import Lines
from routing.offers import Offers
from routing.policy import Policy, Skills
from routing.seats import Seats
from routing.snapshot import STATE_VERSION, EngineState, tables_from_plain, tables_to_plain
from routing.state import CONNECTED, Agent, Contact, Offer


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
        self._l = ledger = Ledger(policy or Policy())
        if wrong := ledger.policy.problem():
            raise ValueError(wrong)
        self._seats = seats = Seats(ledger)
        self._lines = lines = Lines(ledger, seats)
        self._offers = offers = Offers(ledger, seats, lines)
        seats.serve, seats.lapse, seats.end_offer = lines.serve, lines.lapse, offers.end
        lines.offer, lines.withdraw = offers.make, offers.withdraw
        self._apply: dict[type[f.Fact], Callable[[Any], None]] = {
            f.PolicyReplaced: self._replace_policy,
            f.QueueOpened: lambda fact: self._set_closed(fact.queue, False),
            f.QueueClosed: lambda fact: self._set_closed(fact.queue, True),
            f.AgentLoggedIn: seats.logged_in,
            f.AgentLoggedOut: seats.logged_out,
            f.AgentReady: seats.ready,
            f.AgentNotReady: seats.not_ready,
            f.AgentsReskilled: self._reskilled,
            f.AgentsLearned: self._learned,
            f.WrapUpExtended: seats.wrap_up_extended,
            f.WrapUpEnded: seats.wrap_up_ended,
            f.ContactArrived: lines.arrived,
            f.ContactMoved: lines.moved,
            f.QueueMoved: lines.queue_moved,
            f.ContactHeld: lines.held,
            f.ContactReleased: lines.released,
            f.CallbackAsked: lines.callback_asked,
            f.ContactAssigned: lines.assigned,
            f.ContactAbandoned: offers.abandoned,
            f.ContactEnded: offers.ended,
            f.ContactRequeued: offers.requeued,
            f.ContactAdopted: offers.adopted,
            f.OfferAnswered: offers.answered,
            f.OfferDeclined: offers.declined,
            f.OfferFailed: offers.failed,
        }
        self._due: dict[str, Callable[[str], None]] = {
            "agent": seats.due,
            "announce": lines.announce_due,
            "bar": lines.bar_lifted,
            "blend": lines.blend,
            "hold": lines.hold_due,
            "limit": seats.limit_passed,
            "offer": offers.expired,
            "overflow": lines.overflow_due,
            "prefer": lines.prefer_due,
            "late": lines.late_due,
            "promote": lines.promote_due,
            "reskill": self._reskill_due,
            "ring": lines.ring_due,
            "share": lines.share_due,
        }
        seats.adopt()

    # --- the contract ------------------------------------------------------------------------------

    def activate(self, activation: Activation) -> Completion:
        ledger = self._l
        if activation.seq != ledger.seq + 1:
            raise ValueError(f"activation {activation.seq} after {ledger.seq}")
        if activation.now_ms < ledger.now:
            raise ValueError(f"time went back from {ledger.now} to {activation.now_ms}")
        for fact in activation.facts:
            if type(fact) not in self._apply:
                raise ValueError(f"not a fact of this engine: {fact!r}")
        ledger.seq, ledger.now = activation.seq, activation.now_ms
        ledger.offers_made = 0
        ledger.commands = []
        for fact in activation.facts:
            self._apply[type(fact)](fact)
        while timer := ledger.due():
            self._due[timer[1]](timer[2])
        return Completion(ledger.seq, tuple(ledger.commands), ledger.next_deadline_ms)

    @property
    def next_deadline_ms(self) -> int | None:
        return self._l.next_deadline_ms

    def snapshot(self) -> EngineState:
        return {
            "version": STATE_VERSION,
            "policy": self._l.policy.digest(),
            "seq": self._l.seq,
            "now_ms": self._l.now,
            "order": self._l.order,
            **tables_to_plain(self._l.t),
        }

    @classmethod
    def restore(cls, state: EngineState, policy: Policy) -> RoutingEngine:
        """An engine that goes on exactly where `snapshot` was taken. ValueError when they do not fit."""
        if state["version"] != STATE_VERSION:
            raise ValueError(f"snapshot version {state['version']}, this engine reads {STATE_VERSION}")
        if state["policy"] != policy.digest():
            raise ValueError("snapshot was taken under another policy")
        engine = cls(policy)
        ledger = engine._l
        ledger.seq, ledger.now, ledger.order = state["seq"], state["now_ms"], state["order"]
        ledger.commands = []
        tables_from_plain(state, ledger.t)
        ledger.rearm()
        ledger.rebuild()
        for contact in ledger.t.contacts.values():
            if contact.state != CONNECTED:
                ledger.stand(contact)
        return engine

    # --- queries -----------------------------------------------------------------------------------

    @property
    def seq(self) -> int:
        return self._l.seq

    @property
    def policy(self) -> Policy:
        return self._l.policy

    def contact_view(self, contact: str) -> Contact | None:
        return self._l.t.contacts.get(contact)

    def agent_view(self, agent: str) -> Agent | None:
        return self._l.t.agents.get(agent)

    def agent_views(self) -> list[Agent]:
        return list(self._l.t.agents.values())

    def offer_view(self, offer: str) -> Offer | None:
        return self._l.t.offers.get(offer)

    def offer_views(self) -> list[Offer]:
        return list(self._l.t.offers.values())

    def queue_view(self, queue: str, now_ms: int | None = None) -> tuple[int, int]:
        """(contacts not yet with an agent, ms since the oldest of them arrived), as of `now_ms` or of the last
        activation."""
        contacts = self._l.t.contacts
        arrivals = [contacts[place[3]].arrived_at_ms for place in self._l.lines.get(queue, ())]
        at_ms = self._l.now if now_ms is None else now_ms
        return len(arrivals), at_ms - min(arrivals) if arrivals else 0

    def is_open(self, queue: str) -> bool:
        return not self._l.t.closed.get(queue, False)

    def position(self, contact: str) -> int:
        """1 for the next of its queue; 0 for one that does not wait."""
        mine = self._l.t.contacts.get(contact)
        return 0 if mine is None or mine.state == CONNECTED else self._l.place(mine)

    def estimate(self, queue: str, contact: str = "", now_ms: int | None = None) -> Estimate:
        """Of a contact that waits there, or of a newcomer to the end of its line."""
        at_ms = self._l.now if now_ms is None else now_ms
        mine = self._l.t.contacts.get(contact)
        if mine is not None and mine.state != CONNECTED:
            return self._lines.estimated(mine, at_ms)
        return estimate(self._l.t.stats.get(queue), self._l.t.waiting.get(queue, 0) + 1, at_ms)

    # --- policy and queues -------------------------------------------------------------------------

    def _replace_policy(self, fact: f.PolicyReplaced) -> None:
        if wrong := fact.policy.problem():
            self._l.reject(fact, "policy", wrong)
            return
        self._l.take_policy(fact.policy)
        self._l.t.dealt.clear()
        self._seats.adopt()
        self._requalify()

    def _requalify(self) -> None:
        self._lines.requalify()
        self._l.rebuild()
        self._l.rearm()
        self._lines.rematch()

    def _set_closed(self, queue: str, closed: bool) -> None:
        self._l.t.closed[queue] = closed

    def _reskilled(self, fact: f.AgentsReskilled) -> None:
        unknown = [agent for agent, _skills in fact.changes if agent not in self._l.t.agents]
        if unknown:
            self._l.reject(fact, unknown[0], "unknown_agent")
        elif fact.at_ms > self._l.now:
            tables = self._l.t
            tables.numbered += 1
            tables.reskills[tables.numbered] = (fact.at_ms, fact.changes)
            self._l.arm(fact.at_ms, "reskill", str(tables.numbered))
        else:
            self._reskill(fact.changes)

    def _reskill_due(self, number: str) -> None:
        self._reskill(self._l.t.reskills.pop(int(number))[1])

    def _reskill(self, changes: tuple[tuple[str, Skills], ...]) -> None:
        agents = dict(self._l.policy.agents)
        for name, skills in changes:
            if name in agents:
                agents[name] = replace(agents[name], skills=skills)
        self._l.take_policy(replace(self._l.policy, agents=agents))
        self._seats.adopt()
        self._requalify()

    def _learned(self, fact: f.AgentsLearned) -> None:
        self._l.t.learned.clear()
        self._l.t.learned.update({(agent, queue): cost for agent, queue, cost in fact.costs})
        self._l.rebuild()
