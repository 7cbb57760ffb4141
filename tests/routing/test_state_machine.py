"""The engine against the naive centre, step by step, with a twin restored from a snapshot beside it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from routing import AgentPolicy, OfferContact, Policy, QueuePolicy, RoutingEngine
from routing import facts as f
from routing.policy import skills_of
from routing.state import AGENT_TRANSITIONS
from tests.routing.pair import Pair

AGENTS = ("ann", "bob", "cyd", "dee")
QUEUES = ("claims", "sales", "vip")
CONTACT_FACTS = (f.ContactAbandoned, f.ContactEnded, f.ContactRequeued)
ANY = st.integers(0, 30)
"""An index into whatever there is at that moment."""

waits = st.sampled_from((0, 0, 0, 1, 700, 2_000, 4_000))
needs = st.sampled_from(({}, {}, {"en": 1}, {"en": 3}, {"fr": 2}, {"en": 2, "fr": 2})).map(skills_of)
skills = st.sampled_from(({}, {"en": 2}, {"en": 3}, {"fr": 3}, {"en": 2, "fr": 3}, {"en": 3, "fr": 2}))
queue_policies = st.tuples(
    *(
        st.builds(
            QueuePolicy,
            name=st.just(name),
            skills=needs,
            target_ms=st.sampled_from((0, 20_000)),
            priority=st.sampled_from((0, 0, 1)),
            ring_ms=st.sampled_from((5_000, 20_000)),
            max_waiting=st.sampled_from((0, 0, 1, 3)),
        )
        for name in QUEUES
    )
)
agent_policies = st.tuples(
    *(
        st.builds(AgentPolicy, st.just(name), skills.map(skills_of), st.sampled_from((0, 10_000)))
        for name in AGENTS
    )
)
policies = st.builds(
    Policy,
    queues=st.builds(
        lambda all_, gone: {queue.name: queue for queue in all_ if queue.name != gone},
        queue_policies,
        st.sampled_from(("", "", *QUEUES)),
    ),
    agents=st.builds(
        lambda all_, gone: {agent.agent: agent for agent in all_ if agent.agent not in gone},
        agent_policies,
        st.sampled_from(((), (), *((agent,) for agent in AGENTS), AGENTS[:2], AGENTS[1:])),
    ),
    missed_action=st.sampled_from(("not_ready", "stay_ready")),
    decline_pause_ms=st.sampled_from((0, 7_000, 10_000)),
    device_pause_ms=st.sampled_from((0, 30_000)),
)

queues = st.sampled_from((*QUEUES, *QUEUES, *QUEUES, "nowhere"))
agents = st.sampled_from((*AGENTS, *AGENTS, "ghost"))
arriving = st.tuples(queues, st.sampled_from((-5, 0, 2_000)), st.sampled_from((0, 0, 5_000)))
about_agents = st.one_of(
    *(st.builds(kind, agent=agents) for kind in (f.AgentLoggedIn, f.AgentLoggedOut, f.AgentReady)),
    st.builds(f.AgentReady, agent=agents),
    st.builds(f.AgentNotReady, agent=agents, reason=st.sampled_from(("", "lunch"))),
    st.builds(f.WrapUpEnded, agent=agents, occurred_at_ms=st.just(0)),
)
about_offers = st.sampled_from((f.OfferAnswered, f.OfferAnswered, f.OfferDeclined, "busy", "no_answer"))
about_contacts = st.sampled_from(CONTACT_FACTS)
adoptions = st.tuples(queues, st.sampled_from((*AGENTS, *AGENTS, "ghost", "")), ANY, st.booleans())
happenings = st.one_of(
    arriving, about_agents, about_agents, st.tuples(about_offers, ANY), st.tuples(about_contacts, ANY)
)


class RoutingMachine(RuleBasedStateMachine):
    @initialize(policy=policies)
    def start(self, policy: Policy) -> None:
        self.pair, self.twin = Pair(policy), RoutingEngine(policy)
        self.engine, self.naive = self.pair.engine, self.pair.naive
        self.now = 0
        self.contacts, self.offers = ["nobody"], ["o0-0"]
        self.skilled = True
        self.act(0, *(f.AgentReady(agent) for agent in policy.agents))

    # --- what happens --------------------------------------------------------------------------

    def act(self, wait_ms: int, *facts: f.Fact) -> None:
        self.now += wait_ms
        activation, done = self.pair.act(self.now, facts)
        assert self.twin.activate(activation) == done
        self.offers += [command.offer for command in done.commands if isinstance(command, OfferContact)]
        assert done.next_deadline_ms is None or done.next_deadline_ms > self.now
        self.states_are_those_of_the_naive_centre()
        self.places_are_those_of_the_naive_centre()
        self.nobody_is_offered_twice()
        self.an_offered_agent_has_the_skills()
        self.nobody_waits_for_an_idle_agent()
        self.every_state_has_a_way_out()

    def contact(self, index: int) -> str:
        known = [caller.id for caller in self.naive.callers] * 2 + self.contacts[-3:]
        return known[index % len(known)]

    def offer(self, index: int) -> str:
        known = [ring.id for ring in self.naive.ringing] * 2 + self.offers[-3:]
        return known[index % len(known)]

    def arrival(self, queue: str, late_ms: int, credit_ms: int) -> f.Fact:
        self.contacts.append(f"c{len(self.contacts)}")
        return f.ContactArrived(self.contacts[-1], queue, self.now - late_ms, credit_ms)

    def about_offer(self, kind: Any, offer: str) -> f.Fact:
        if isinstance(kind, str):
            return f.OfferFailed(offer, self.now, kind)
        return kind(offer, self.now)

    def seats(self, *states: str) -> list[str]:
        return [seat.id for seat in self.naive.seats if seat.state in states]

    def callers(self, *states: str) -> list[str]:
        return [caller.id for caller in self.naive.callers if caller.state in states]

    @rule(wait_ms=waits, arriving=st.lists(arriving, min_size=1, max_size=3))
    def contacts_arrive(self, wait_ms: int, arriving: list[tuple[str, int, int]]) -> None:
        self.act(wait_ms, *(self.arrival(*one) for one in arriving))

    @precondition(lambda self: self.naive.ringing)
    @rule(wait_ms=waits, index=ANY)
    def an_offer_is_answered(self, wait_ms: int, index: int) -> None:
        ring = self.naive.ringing[index % len(self.naive.ringing)]
        self.act(wait_ms, f.OfferAnswered(ring.id, self.now))

    @precondition(lambda self: self.naive.ringing)
    @rule(
        wait_ms=waits,
        kind=st.sampled_from((f.OfferDeclined, f.OfferDeclined, "busy", "no_answer")),
        index=ANY,
    )
    def an_offer_comes_to_nothing(self, wait_ms: int, kind: Any, index: int) -> None:
        ring = self.naive.ringing[index % len(self.naive.ringing)]
        self.act(wait_ms, self.about_offer(kind, ring.id))

    @precondition(lambda self: self.callers("connected"))
    @rule(wait_ms=waits, index=ANY, lost=st.sampled_from((False, False, False, True)))
    def a_conversation_ends(self, wait_ms: int, index: int, lost: bool) -> None:
        talking = self.callers("connected")
        kind = f.ContactRequeued if lost else f.ContactEnded
        self.act(wait_ms, kind(talking[index % len(talking)], self.now))

    @precondition(lambda self: self.callers("waiting", "offered"))
    @rule(wait_ms=waits, index=ANY)
    def a_contact_gives_up(self, wait_ms: int, index: int) -> None:
        unserved = self.callers("waiting", "offered")
        self.act(wait_ms, f.ContactAbandoned(unserved[index % len(unserved)], self.now))

    @precondition(lambda self: self.seats("not_ready", "logged_out", "wrap_up"))
    @rule(wait_ms=waits, index=ANY)
    def an_agent_becomes_ready(self, wait_ms: int, index: int) -> None:
        seats = self.seats("not_ready", "logged_out", "wrap_up")
        self.act(wait_ms, f.AgentReady(seats[index % len(seats)]))

    @precondition(lambda self: self.seats("reserved", "talking", "wrap_up"))
    @rule(wait_ms=waits, index=ANY, kind=st.sampled_from((f.AgentNotReady, f.AgentLoggedOut)))
    def a_busy_agent_wants_to_leave(self, wait_ms: int, index: int, kind: Any) -> None:
        seats = self.seats("reserved", "talking", "wrap_up")
        self.act(wait_ms, kind(seats[index % len(seats)]))

    @rule(wait_ms=waits, happenings=st.lists(happenings, min_size=1, max_size=5))
    def several_things_happen(self, wait_ms: int, happenings: Any) -> None:
        """Fitting or not: offers that are over, contacts that are gone, agents nobody knows."""
        self.act(wait_ms, *(self.fact(happening) for happening in happenings))

    def fact(self, happening: Any) -> f.Fact:
        match happening:
            case f.Fact():
                return happening
            case kind, index if kind in CONTACT_FACTS:
                return kind(self.contact(index), self.now)
            case kind, index:
                return self.about_offer(kind, self.offer(index))
            case _:
                return self.arrival(*happening)

    @rule(late_ms=st.sampled_from((-1, 0, 0, 0, 9_000)))
    def the_next_deadline_comes(self, late_ms: int) -> None:
        due = self.engine.next_deadline_ms
        self.act(0 if due is None else max(0, due - self.now + late_ms))

    @rule(wait_ms=waits, data=st.data(), what=st.sampled_from(("adopt", "policy", "queue", "twin", "twin")))
    def something_rare_happens(self, wait_ms: int, data: st.DataObject, what: str) -> None:
        if what == "adopt":
            self.a_live_call_is_adopted(wait_ms, *data.draw(adoptions))
        elif what == "policy":
            self.skilled = False
            self.act(wait_ms, f.PolicyReplaced(data.draw(policies)))
        elif what == "queue":
            kind = data.draw(st.sampled_from((f.QueueOpened, f.QueueOpened, f.QueueClosed)))
            self.act(wait_ms, kind(data.draw(queues)))
        else:
            self.a_twin_is_restored()

    def a_live_call_is_adopted(self, wait_ms: int, queue: str, agent: str, index: int, new: bool) -> None:
        if new:
            self.contacts.append(f"c{len(self.contacts)}")
        contact = self.contacts[-1] if new else self.contact(index)
        self.act(wait_ms, f.ContactAdopted(contact, queue, self.now, self.now - 1_000 * index, agent))

    def a_twin_is_restored(self) -> None:
        state = json.loads(json.dumps(self.engine.snapshot()))
        self.twin = RoutingEngine.restore(state, self.engine.policy)
        assert json.loads(json.dumps(self.twin.snapshot())) == state
        assert self.twin.next_deadline_ms == self.engine.next_deadline_ms

    # --- what always holds ---------------------------------------------------------------------

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

    def places_are_those_of_the_naive_centre(self) -> None:
        for queue in QUEUES:
            here = [c for c in self.naive.callers if c.queue == queue and c.state != "connected"]
            here.sort(key=lambda caller: (caller.deadline, caller.place))
            assert [self.engine.position(caller.id) for caller in here] == list(range(1, len(here) + 1))
            assert self.engine.queue_view(queue)[0] == len(here)

    def nobody_is_offered_twice(self) -> None:
        offers = self.engine.offer_views()
        assert len({offer.agent for offer in offers}) == len(offers)
        assert len({offer.contact for offer in offers}) == len(offers)

    def an_offered_agent_has_the_skills(self) -> None:
        """As long as the policy stays; a new one does not stop what rings."""
        for ring in self.naive.ringing if self.skilled else ():
            assert ring.seat.can(ring.caller)

    def nobody_waits_for_an_idle_agent(self) -> None:
        for caller in self.naive.callers:
            for seat in self.naive.seats:
                if caller.state == "waiting" and seat.state == "idle" and seat.can(caller):
                    assert caller.bars.get(seat.id, 0) > self.now

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
TestRoutingMachine.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
