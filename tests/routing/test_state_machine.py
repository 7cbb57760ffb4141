"""The engine against the naive centre, step by step, with a twin restored from a snapshot beside it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from routing import (
    Activation,
    AgentChanged,
    AgentPolicy,
    Command,
    OfferContact,
    Overflow,
    Policy,
    QueuePolicy,
    RecordDecision,
    RejectFact,
    RoutingEngine,
    WithdrawOffer,
)
from routing import facts as f
from routing.policy import skills_of
from routing.state import AGENT_TRANSITIONS
from tests.routing.naive import NaiveCentre

AGENTS = ("ann", "bob", "cyd", "dee")
QUEUES = ("claims", "sales", "vip")
ANY = st.integers(0, 30)
"""An index into whatever there is at that moment."""

waits = st.sampled_from((0, 0, 1, 700, 3_000, 10_000, 31_000))
skills = st.dictionaries(st.sampled_from(("en", "fr")), st.integers(1, 3), max_size=2).map(skills_of)
queue_policies = st.builds(
    QueuePolicy,
    name=st.sampled_from(QUEUES),
    skills=skills,
    target_ms=st.sampled_from((0, 20_000)),
    priority=st.integers(0, 1),
    ring_ms=st.sampled_from((3_000, 20_000)),
    max_waiting=st.sampled_from((0, 0, 1, 3)),
)
agent_policies = st.tuples(
    *(st.builds(AgentPolicy, st.just(agent), skills, st.sampled_from((0, 10_000))) for agent in AGENTS)
)
policies = st.builds(
    Policy,
    queues=st.lists(queue_policies, min_size=1, max_size=4).map(lambda qs: {q.name: q for q in qs}),
    agents=agent_policies.map(lambda all_: {a.agent: a for a in all_}),
    missed_action=st.sampled_from(("not_ready", "stay_ready")),
    decline_pause_ms=st.sampled_from((0, 10_000)),
    device_pause_ms=st.sampled_from((0, 30_000)),
)

queues = st.sampled_from((*QUEUES, "nowhere"))
agents = st.sampled_from((*AGENTS, "ghost"))
arriving = st.tuples(queues, st.sampled_from((-5, 0, 2_000)), st.sampled_from((0, 0, 5_000)))
about_agents = st.one_of(
    *(st.builds(kind, agent=agents) for kind in (f.AgentLoggedIn, f.AgentLoggedOut, f.AgentReady)),
    st.builds(f.AgentReady, agent=agents),
    st.builds(f.AgentNotReady, agent=agents, reason=st.just("")),
    st.builds(f.WrapUpEnded, agent=agents, occurred_at_ms=st.just(0)),
)
about_offers = st.sampled_from(
    (f.OfferAnswered, f.OfferAnswered, f.OfferDeclined, "busy", "no_answer", "unreachable")
)
about_contacts = st.sampled_from((f.ContactAbandoned, f.ContactEnded, f.ContactEnded, f.ContactRequeued))


def plain(command: Command) -> tuple[Any, ...]:
    """A command in the words of the naive centre, which does not name offers."""
    match command:
        case AgentChanged(agent, state, reason, since_ms, until_ms, contact):
            return ("agent", agent, state, reason, since_ms, until_ms, contact)
        case RecordDecision(_, contact, agent, how, _, _):
            return ("decision", contact, agent, how)
        case OfferContact(_, contact, agent, queue, expires_at_ms, _):
            return ("offer", contact, agent, queue, expires_at_ms)
        case WithdrawOffer(_, contact, agent, reason):
            return ("withdraw", contact, agent, reason)
        case Overflow(contact, queue, reason):
            return ("overflow", contact, queue, reason)
        case RejectFact(kind, subject, reason):
            return ("reject", kind, subject, reason)
        case _:
            raise AssertionError(command)


def unexplained(commands: tuple[Command, ...]) -> list[Command]:
    return [command for command in commands if not isinstance(command, RecordDecision)]


class RoutingMachine(RuleBasedStateMachine):
    @initialize(policy=policies)
    def start(self, policy: Policy) -> None:
        self.engine, self.naive = RoutingEngine(policy), NaiveCentre(policy)
        self.twin = RoutingEngine(policy)
        self.seq = self.now = 0
        self.contacts, self.offers = ["nobody"], ["o0-0"]
        self.skilled = True
        self.act(0, *(f.AgentReady(agent) for agent in policy.agents))

    # --- what happens --------------------------------------------------------------------------

    def act(self, wait_ms: int, *facts: f.Fact) -> None:
        self.seq, self.now = self.seq + 1, self.now + wait_ms
        activation = Activation(self.seq, self.now, tuple(facts))
        done = self.engine.activate(activation)
        twin = self.twin.activate(activation)
        assert twin.next_deadline_ms == done.next_deadline_ms
        assert unexplained(twin.commands) == unexplained(done.commands)
        said = self.naive.activate(self.now, list(facts))
        assert [plain(command) for command in done.commands] == said
        offered = {o.contact: o.id for o in self.engine.offer_views()}
        for ring in self.naive.ringing:
            ring.id = offered[ring.caller.id]
        self.offers += [command.offer for command in done.commands if isinstance(command, OfferContact)]
        assert done.next_deadline_ms == min((timer[0] for timer in self.naive.timers()), default=None)
        assert done.next_deadline_ms is None or done.next_deadline_ms > self.now

    def contact(self, index: int) -> str:
        recent = self.contacts[-12:]
        return recent[index % len(recent)]

    def offer(self, index: int) -> str:
        open_or_recent = [ring.id for ring in self.naive.ringing] * 2 + self.offers[-3:]
        return open_or_recent[index % len(open_or_recent)]

    def arrival(self, queue: str, late_ms: int, credit_ms: int) -> f.Fact:
        self.contacts.append(f"c{len(self.contacts)}")
        return f.ContactArrived(self.contacts[-1], queue, self.now - late_ms, credit_ms)

    def offer_fact(self, kind: Any, index: int) -> f.Fact:
        if isinstance(kind, str):
            return f.OfferFailed(self.offer(index), self.now, kind)
        return kind(self.offer(index), self.now)

    @rule(wait_ms=waits, arriving=arriving)
    def a_contact_arrives(self, wait_ms: int, arriving: tuple[str, int, int]) -> None:
        self.act(wait_ms, self.arrival(*arriving))

    @rule(wait_ms=waits, fact=about_agents)
    def something_about_an_agent(self, wait_ms: int, fact: f.Fact) -> None:
        self.act(wait_ms, fact)

    @rule(wait_ms=waits, kind=about_offers, index=ANY)
    def something_about_an_offer(self, wait_ms: int, kind: Any, index: int) -> None:
        self.act(wait_ms, self.offer_fact(kind, index))

    @rule(wait_ms=waits, kind=about_contacts, index=ANY)
    def something_about_a_contact(self, wait_ms: int, kind: Any, index: int) -> None:
        self.act(wait_ms, kind(self.contact(index), self.now))

    @rule(wait_ms=waits, queue=queues, agent=st.sampled_from((*AGENTS, "")), index=ANY, new=st.booleans())
    def a_live_call_is_adopted(self, wait_ms: int, queue: str, agent: str, index: int, new: bool) -> None:
        if new:
            self.contacts.append(f"c{len(self.contacts)}")
        contact = self.contacts[-1] if new else self.contact(index)
        self.act(wait_ms, f.ContactAdopted(contact, queue, self.now, self.now - 1_000 * index, agent))

    @rule(
        wait_ms=waits,
        arrivals=st.lists(arriving, max_size=3),
        agents=st.lists(about_agents, max_size=2),
        offers=st.lists(st.tuples(about_offers, ANY), max_size=2),
        contacts=st.lists(st.tuples(about_contacts, ANY), max_size=2),
        shuffle=st.randoms(use_true_random=False),
    )
    def several_things_at_once(
        self, wait_ms: int, arrivals: Any, agents: Any, offers: Any, contacts: Any, shuffle: Any
    ) -> None:
        facts = [self.arrival(*arriving) for arriving in arrivals] + agents
        facts += [self.offer_fact(kind, index) for kind, index in offers]
        facts += [kind(self.contact(index), self.now) for kind, index in contacts]
        shuffle.shuffle(facts)
        self.act(wait_ms, *facts)

    @rule(late_ms=st.sampled_from((-1, 0, 0, 0, 9_000)))
    def the_next_deadline_comes(self, late_ms: int) -> None:
        due = self.engine.next_deadline_ms
        self.act(0 if due is None else max(0, due - self.now + late_ms))

    @rule(wait_ms=waits, queue=queues, kind=st.sampled_from((f.QueueOpened, f.QueueOpened, f.QueueClosed)))
    def a_queue_opens_or_closes(self, wait_ms: int, queue: str, kind: Any) -> None:
        self.act(wait_ms, kind(queue))

    @rule(wait_ms=waits, policy=policies)
    def the_policy_is_replaced(self, wait_ms: int, policy: Policy) -> None:
        self.skilled = False
        self.act(wait_ms, f.PolicyReplaced(policy))

    @rule()
    def a_twin_is_restored(self) -> None:
        state = json.loads(json.dumps(self.engine.snapshot()))
        self.twin = RoutingEngine.restore(state, self.engine.policy)
        assert json.loads(json.dumps(self.twin.snapshot())) == state
        assert self.twin.next_deadline_ms == self.engine.next_deadline_ms

    # --- what always holds ---------------------------------------------------------------------

    @invariant()
    def states_are_those_of_the_naive_centre(self) -> None:
        agents = [(a.id, a.state, a.until_ms, a.contact) for a in self.engine.agent_views()]
        assert sorted(agents) == sorted((s.id, s.state, s.until, s.contact) for s in self.naive.seats)
        for contact in self.contacts:
            mine = next((caller for caller in self.naive.callers if caller.id == contact), None)
            view = self.engine.contact_view(contact)
            assert (view is None) == (mine is None)
            if view and mine:
                assert (view.state, view.agent) == (mine.state, mine.agent)
        offers = [(o.contact, o.agent, o.expires_at_ms) for o in self.engine.offer_views()]
        assert sorted(offers) == sorted((r.caller.id, r.seat.id, r.expires) for r in self.naive.ringing)

    @invariant()
    def places_are_those_of_the_naive_centre(self) -> None:
        for queue in QUEUES:
            here = [c for c in self.naive.callers if c.queue == queue and c.state != "connected"]
            here.sort(key=lambda caller: (caller.deadline, caller.place))
            assert [self.engine.position(caller.id) for caller in here] == list(range(1, len(here) + 1))
            assert self.engine.queue_view(queue)[0] == len(here)

    @invariant()
    def nobody_is_offered_twice(self) -> None:
        offers = self.engine.offer_views()
        assert len({offer.agent for offer in offers}) == len(offers)
        assert len({offer.contact for offer in offers}) == len(offers)

    @invariant()
    def an_offered_agent_has_the_skills(self) -> None:
        """As long as the policy stays; a new one does not stop what rings."""
        for ring in self.naive.ringing if self.skilled else ():
            assert ring.seat.can(ring.caller)

    @invariant()
    def nobody_waits_for_an_idle_agent(self) -> None:
        for caller in self.naive.callers:
            for seat in self.naive.seats:
                if caller.state == "waiting" and seat.state == "idle" and seat.can(caller):
                    assert caller.bars.get(seat.id, 0) > self.now

    @invariant()
    def every_state_has_a_way_out(self) -> None:
        offers = {offer.agent: offer for offer in self.engine.offer_views()}
        for agent in self.engine.agent_views():
            assert agent.state in AGENT_TRANSITIONS
            contact = self.engine.contact_view(agent.contact)
            if agent.state == "reserved":
                assert offers[agent.id].id == agent.offer and offers[agent.id].expires_at_ms > self.now
                assert contact and (contact.state, contact.agent) == ("offered", agent.id)
            elif agent.state == "talking":
                assert contact and (contact.state, contact.agent) == ("connected", agent.id)
            elif agent.state == "wrap_up":
                assert agent.until_ms > self.now


TestRoutingMachine = RoutingMachine.TestCase
TestRoutingMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
