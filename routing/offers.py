"""Offers: leases with an id and a deadline. Whatever comes after their end is rejected by id."""

from __future__ import annotations

from collections.abc import Callable

from routing import facts as f
from routing.commands import OfferContact, RecordDecision, WithdrawOffer
from routing.ledger import Ledger
from routing.lines import Considered, Lines
from routing.policy import VOICE
from routing.seats import Seats
from routing.state import CONNECTED, OFFERED, TALKING, Agent, Contact, Offer, Work


class Offers:
    def __init__(self, ledger: Ledger, seats: Seats, lines: Lines) -> None:
        self._l, self._seats, self._lines = ledger, seats, lines

    def make(
        self, contact: Contact, agent: Agent, rule: str, considered: Considered, rest: Considered
    ) -> None:
        ledger = self._l
        ledger.offers_made += 1
        offer_id = f"o{ledger.seq}-{ledger.offers_made}"
        queue = ledger.policy.queues.get(contact.queue)
        ring_ms = queue.ring_ms if queue else 20_000
        offer = Offer(offer_id, contact.id, agent.id, ledger.now + ring_ms)
        ledger.t.offers[offer_id] = offer
        self._lines.rings_at_somebody(contact)
        contact.state, contact.offer, contact.agent = OFFERED, offer_id, agent.id
        self._seats.take(agent, Work(contact.id, queue.medium if queue else VOICE, OFFERED, offer_id))
        ledger.arm(offer.expires_at_ms, "offer", offer_id)
        ledger.say(RecordDecision(offer_id, contact.id, agent.id, rule, considered, rest))
        ledger.say(OfferContact(offer_id, contact.id, agent.id, contact.queue, offer.expires_at_ms, ring_ms))

    # --- how it ends -------------------------------------------------------------------------------

    def answered(self, fact: f.OfferAnswered) -> None:
        offer = self._open(fact, fact.offer)
        if offer is None:
            return
        del self._l.t.offers[offer.id]
        contact, agent = self._l.t.contacts[offer.contact], self._l.t.agents[offer.agent]
        self._lines.leave(contact)
        contact.state, contact.offer = CONNECTED, ""
        self._seats.answered(agent, contact.id)

    def declined(self, fact: f.OfferDeclined) -> None:
        offer = self._open(fact, fact.offer)
        if offer is None:
            return
        contact = self._l.t.contacts[offer.contact]
        pause_ms = self._l.policy.decline_pause_ms
        if pause_ms:
            if contact.barred is None:
                contact.barred = {}
            contact.barred[offer.agent] = self._l.now + pause_ms
            self._l.arm(self._l.now + pause_ms, "bar", f"{contact.id}\0{offer.agent}")
        self._release(offer, self._drop)

    def failed(self, fact: f.OfferFailed) -> None:
        offer = self._open(fact, fact.offer)
        if offer is None:
            return
        if fact.cause == "no_answer":
            self._release(offer, self._seats.missed)
        else:
            self._release(offer, lambda agent, contact: self._seats.device_failed(agent, contact, fact.cause))

    def expired(self, offer_id: str) -> None:
        offer = self._l.t.offers[offer_id]
        self._l.say(WithdrawOffer(offer.id, offer.contact, offer.agent, "no_answer"))
        self._release(offer, self._seats.missed)

    def end(self, offer_id: str, reason: str) -> None:
        offer = self._l.t.offers[offer_id]
        self._l.say(WithdrawOffer(offer.id, offer.contact, offer.agent, reason))
        self._release(offer, self._drop)

    def withdraw(self, contact: Contact, reason: str) -> None:
        """The contact is wanted elsewhere; the agent did nothing and keeps their place."""
        offer = self._l.t.offers.pop(contact.offer)
        agent = self._l.t.agents[offer.agent]
        self._l.say(WithdrawOffer(offer.id, contact.id, agent.id, reason))
        self._seats.drop(agent, contact.id, keep_place=True)

    def _drop(self, agent: Agent, contact: str) -> None:
        self._seats.drop(agent, contact)

    def _release(self, offer: Offer, settle: Callable[[Agent, str], None]) -> None:
        """The offer came to nothing. The agent is settled first, so that the contact, back in its old
        place, is not offered to the one who just did not take it."""
        del self._l.t.offers[offer.id]
        contact, agent = self._l.t.contacts[offer.contact], self._l.t.agents[offer.agent]
        settle(agent, contact.id)
        self._lines.wait(contact)

    # --- the contact's side ------------------------------------------------------------------------

    def abandoned(self, fact: f.ContactAbandoned) -> None:
        contact = self._l.contact(fact, fact.contact)
        if contact is None:
            return
        if contact.state == CONNECTED:
            self._l.reject(fact, fact.contact, "connected")
            return
        self._lines.remove(contact)
        if contact.state == OFFERED:
            self.withdraw(contact, "abandoned")

    def ended(self, fact: f.ContactEnded) -> None:
        contact = self._l.contact(fact, fact.contact)
        if contact is None:
            return
        if contact.state != CONNECTED:
            self.abandoned(f.ContactAbandoned(fact.contact, fact.occurred_at_ms))
            return
        self._lines.remove(contact)
        self._seats.after_contact(self._l.t.agents[contact.agent], contact.id)

    def requeued(self, fact: f.ContactRequeued) -> None:
        contact = self._l.contact(fact, fact.contact)
        if contact is None:
            return
        if contact.state != CONNECTED:
            self._l.reject(fact, fact.contact, "not_connected")
            return
        self._seats.device_failed(self._l.t.agents[contact.agent], contact.id, fact.cause)
        self._lines.wait(contact)

    # --- live calls that the log does not know -----------------------------------------------------

    def adopted(self, fact: f.ContactAdopted) -> None:
        contact = self._l.t.contacts.get(fact.contact)
        if contact is not None and (not fact.agent or contact.state == CONNECTED):
            self._l.reject(fact, fact.contact, "known_already")
        elif not fact.agent:
            self._lines.wait(self._lines.adopt(fact))
        else:
            agent = self._l.agent(fact, fact.agent)
            if agent is None:
                return
            if agent.state == TALKING:
                self._l.reject(fact, fact.agent, "agent_busy")
                return
            if contact is None:
                contact = self._lines.adopt(fact)
                contact.state = CONNECTED
            self._adopt_conversation(contact, agent)

    def _adopt_conversation(self, contact: Contact, agent: Agent) -> None:
        """They talk already: offers that say otherwise are withdrawn, on both sides."""
        if contact.state == OFFERED and contact.agent == agent.id:
            self.answered(f.OfferAnswered(contact.offer, self._l.now))
            return
        bystander = displaced = None
        if contact.state == OFFERED:
            bystander = self._take_back(contact.offer)[1]
        self._lines.leave(contact)
        if agent.offer:
            displaced = self._take_back(agent.offer)[0]
            del agent.works[displaced.id]
        contact.state, contact.offer, contact.agent = CONNECTED, "", agent.id
        contact.held_until_ms = 0
        queue = self._l.policy.queues.get(contact.queue)
        self._seats.adopt_conversation(agent, contact, queue.medium if queue else VOICE)
        if bystander is not None:
            self._seats.drop(bystander, contact.id, keep_place=True)
        if displaced is not None:
            self._lines.wait(displaced)

    def _take_back(self, offer_id: str) -> tuple[Contact, Agent]:
        offer = self._l.t.offers.pop(offer_id)
        self._l.say(WithdrawOffer(offer.id, offer.contact, offer.agent, "adopted"))
        return self._l.t.contacts[offer.contact], self._l.t.agents[offer.agent]

    def _open(self, fact: f.Fact, offer: str) -> Offer | None:
        found = self._l.t.offers.get(offer)
        if found is None:
            self._l.reject(fact, offer, "offer_over")
        return found
