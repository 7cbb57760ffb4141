"""The engine against the naive centre, step by step, with a twin restored from a snapshot beside it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from routing import Command, OfferContact, Overflow, Policy, RecordDecision, RejectFact, RoutingEngine
from routing import facts as f
from routing.commands import OverflowTo
from routing.state import AGENT_TRANSITIONS
from tests.routing.draws import (
    AGENTS,
    ANY,
    CONTACT_FACTS,
    QUEUES,
    adoptions,
    arriving,
    by_hand,
    contradicted,
    happenings,
    learned,
    policies,
    queues,
    reskilled,
    waits,
)
from tests.routing.elsewhere import Elsewhere, Journal
from tests.routing.naive_tables import Caller, Seat, able, eligible, fits, load, medium_of
from tests.routing.pair import Pair
from tests.routing.replay import row_of

START = 1_000_000


class RoutingMachine(RuleBasedStateMachine):
    elsewhere: ClassVar[Elsewhere]

    @initialize(policy=policies)
    def start(self, policy: Policy) -> None:
        self.pair, self.twin = Pair(Policy()), RoutingEngine()
        self.journal: Journal = []
        self.engine, self.naive = self.pair.engine, self.pair.naive
        self.now = START
        self.contacts, self.offers = ["nobody"], ["o0-0"]
        self.served: dict[str, int] = {}
        """contact that arrived -> how often it ended"""
        self.undisturbed = True
        """no new policy, no adoption: nobody has more than they may"""
        self.act(0, f.PolicyReplaced(policy), *(f.AgentReady(agent) for agent in policy.agents))

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            assert self.elsewhere.differences(self.journal) == []

    # --- what happens --------------------------------------------------------------------------

    def act(self, wait_ms: int, *facts: f.Fact) -> None:
        self.now += wait_ms
        before, orders = self.picture(), {caller.id: caller.order for caller in self.naive.callers}
        activation, done = self.pair.act(self.now, facts)
        assert self.twin.activate(activation) == done
        self.journal.append(row_of(activation, done))
        self.offers += [command.offer for command in done.commands if isinstance(command, OfferContact)]
        assert done.next_deadline_ms is None or done.next_deadline_ms > self.now
        self.states_are_those_of_the_naive_centre()
        self.places_are_those_of_the_naive_centre()
        self.nobody_is_offered_twice()
        self.no_eligible_pair_survives()
        self.every_state_has_a_way_out()
        self.nobody_has_more_than_they_may()
        self.who_chose_took_the_first(done.commands, before, orders)
        self.every_contact_ends_once(facts, done.commands)

    def contact(self, index: int) -> str:
        known = [caller.id for caller in self.naive.callers] * 2 + self.contacts[-3:]
        return known[index % len(known)]

    def offer(self, index: int) -> str:
        known = [ring.id for ring in self.naive.ringing] * 2 + self.offers[-3:]
        return known[index % len(known)]

    def arrival(self, like: f.ContactArrived) -> f.Fact:
        known = list(self.naive.policy.queues)
        queue = like.queue
        if known and queue in QUEUES and queue not in known:
            queue = known[len(self.contacts) % len(known)]
        self.contacts.append(f"c{len(self.contacts)}")
        occurred_at_ms = self.now - like.occurred_at_ms
        return replace(like, contact=self.contacts[-1], queue=queue, occurred_at_ms=occurred_at_ms)

    def about_offer(self, kind: Any, offer: str) -> f.Fact:
        if isinstance(kind, str):
            return f.OfferFailed(offer, self.now, kind)
        return kind(offer, self.now)

    def seats(self, *states: str) -> list[str]:
        return [seat.id for seat in self.naive.seats if seat.state in states]

    def callers(self, *states: str) -> list[str]:
        return [caller.id for caller in self.naive.callers if caller.state in states]

    @rule(wait_ms=waits, arriving=st.lists(arriving, min_size=1, max_size=3))
    def contacts_arrive(self, wait_ms: int, arriving: list[f.ContactArrived]) -> None:
        self.now += wait_ms
        self.act(0, *(self.arrival(one) for one in arriving))

    @precondition(lambda self: self.naive.ringing)
    @rule(wait_ms=waits, index=ANY)
    def an_offer_is_answered(self, wait_ms: int, index: int) -> None:
        ring = self.naive.ringing[index % len(self.naive.ringing)]
        self.act(wait_ms, f.OfferAnswered(ring.id, self.now))

    @precondition(lambda self: self.naive.ringing)
    @rule(wait_ms=waits)
    def all_offers_are_answered(self, wait_ms: int) -> None:
        self.act(wait_ms, *(f.OfferAnswered(ring.id, self.now) for ring in self.naive.ringing))

    @precondition(lambda self: len(self.seats("idle", "talking")) == len(self.naive.seats))
    @rule(names=st.lists(st.sampled_from(QUEUES), min_size=1, max_size=4), wait_ms=waits)
    def a_rush_is_taken_at_once(self, names: list[str], wait_ms: int) -> None:
        self.act(0, *(self.arrival(f.ContactArrived("", name, 0)) for name in names))
        self.act(wait_ms, *(f.OfferAnswered(ring.id, self.now) for ring in self.naive.ringing))

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

    @precondition(lambda self: self.callers("waiting", "offered", "connected"))
    @rule(wait_ms=waits, happening=by_hand)
    def a_supervisor_intervenes(self, wait_ms: int, happening: Any) -> None:
        self.now += wait_ms
        self.act(0, self.fact(happening))

    @precondition(lambda self: self.callers("waiting", "offered"))
    @rule(
        wait_ms=waits,
        index=ANY,
        kind=st.sampled_from(
            (f.ContactHeld, f.ContactReleased, f.ContactMoved, f.ContactAssigned, f.CallbackAsked)
        ),
        agent=st.sampled_from(AGENTS),
        queue=st.sampled_from(QUEUES),
        hold_ms=st.sampled_from((1, 1_500, 5_000)),
    )
    def something_is_done_about_a_contact(
        self, wait_ms: int, index: int, kind: Any, agent: str, queue: str, hold_ms: int
    ) -> None:
        unserved = self.callers("waiting", "offered")
        contact = unserved[index % len(unserved)]
        self.now += wait_ms
        more = {f.ContactHeld: hold_ms, f.ContactMoved: queue, f.ContactAssigned: agent}.get(kind, index)
        self.act(0, self.about_contact(kind, contact, more))

    @rule(wait_ms=waits, happenings=st.lists(happenings, min_size=1, max_size=5))
    def several_things_happen(self, wait_ms: int, happenings: Any) -> None:
        """Fitting or not: offers that are over, contacts that are gone, agents nobody knows."""
        self.now += wait_ms
        self.act(0, *(self.fact(happening) for happening in happenings))

    def fact(self, happening: Any) -> f.Fact:
        match happening:
            case f.ContactArrived():
                return self.arrival(happening)
            case f.AgentsReskilled(at_ms=at_ms):
                return replace(happening, at_ms=self.now + at_ms if at_ms else 0)
            case f.Fact():
                return happening
            case f.WrapUpExtended, agent, extra_ms:
                return f.WrapUpExtended(agent, extra_ms, self.now)
            case kind, index, more:
                return self.about_contact(kind, self.contact(index), more)
            case kind, index if kind in (*CONTACT_FACTS, f.ContactReleased, f.CallbackAsked):
                return self.about_contact(kind, self.contact(index), None)
            case kind, index:
                return self.about_offer(kind, self.offer(index))
            case _:
                raise AssertionError(happening)

    def about_contact(self, kind: Any, contact: str, more: Any) -> f.Fact:
        if kind is f.ContactHeld:
            return f.ContactHeld(contact, self.now + more)
        if kind is f.ContactMoved:
            return f.ContactMoved(contact, more, self.now)
        if kind is f.ContactAssigned:
            return f.ContactAssigned(contact, more, "sue")
        return kind(contact, self.now) if kind in CONTACT_FACTS else kind(contact)

    @rule(late_ms=st.sampled_from((-1, 0, 0, 0, 9_000)))
    def the_next_deadline_comes(self, late_ms: int) -> None:
        due = self.engine.next_deadline_ms
        self.act(0 if due is None else max(0, due - self.now + late_ms))

    @rule(
        wait_ms=waits,
        data=st.data(),
        what=st.sampled_from(("adopt", "policy", "queue", "twin", "twin", "skills", "learned")),
    )
    def something_rare_happens(self, wait_ms: int, data: st.DataObject, what: str) -> None:
        if what == "adopt":
            self.a_live_call_is_adopted(wait_ms, *data.draw(adoptions))
        elif what == "policy":
            self.the_policy_is_replaced(wait_ms, data.draw(policies), data.draw(ANY))
        elif what == "queue":
            kind = data.draw(st.sampled_from((f.QueueOpened, f.QueueOpened, f.QueueClosed)))
            self.act(wait_ms, kind(data.draw(queues)))
        elif what == "skills":
            self.now += wait_ms
            self.act(0, self.fact(data.draw(reskilled)))
        elif what == "learned":
            self.act(wait_ms, data.draw(learned))
        else:
            self.a_twin_is_restored()

    def the_policy_is_replaced(self, wait_ms: int, policy: Policy, index: int) -> None:
        self.undisturbed = False
        self.act(wait_ms, f.PolicyReplaced(contradicted(policy, index) if index < 6 else policy))

    def a_live_call_is_adopted(self, wait_ms: int, queue: str, agent: str, index: int, new: bool) -> None:
        self.undisturbed = False
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
        views = self.engine.agent_views()
        agents = [(a.id, a.state, a.until_ms, a.contact) for a in views]
        assert sorted(agents) == sorted((s.id, s.state, s.until, s.contact) for s in self.naive.seats)
        works = [(a.id, w.contact, w.medium, w.state, w.paused) for a in views for w in a.works.values()]
        assert sorted(works) == sorted(
            (seat.id, job.contact, job.medium, job.state, bool(job.paused))
            for seat in self.naive.seats
            for job in seat.jobs
        )
        for contact in self.contacts:
            mine = next((caller for caller in self.naive.callers if caller.id == contact), None)
            view = self.engine.contact_view(contact)
            assert (view is None) == (mine is None)
            if view and mine:
                theirs = (view.state, view.agent, view.queue, view.held_until_ms)
                assert theirs == (mine.state, mine.agent, mine.queue, mine.held)
        offers = [(o.contact, o.agent, o.expires_at_ms) for o in self.engine.offer_views()]
        assert sorted(offers) == sorted((r.caller.id, r.seat.id, r.expires) for r in self.naive.ringing)

    def places_are_those_of_the_naive_centre(self) -> None:
        for queue in QUEUES:
            here = [c for c in self.naive.callers if c.queue == queue and c.state != "connected"]
            here.sort(key=lambda caller: caller.order)
            assert [self.engine.position(caller.id) for caller in here] == list(range(1, len(here) + 1))
            assert self.engine.queue_view(queue)[0] == len(here)

    def nobody_is_offered_twice(self) -> None:
        offers = self.engine.offer_views()
        assert len({offer.agent for offer in offers}) == len(offers)
        assert len({offer.contact for offer in offers}) == len(offers)

    def no_eligible_pair_survives(self) -> None:
        for caller in self.naive.callers:
            for seat in self.naive.seats:
                assert not eligible(self.naive.policy, caller, seat, self.now)

    def every_state_has_a_way_out(self) -> None:
        offers = {offer.agent: offer for offer in self.engine.offer_views()}
        for agent in self.engine.agent_views():
            assert agent.state in AGENT_TRANSITIONS
            assert (agent.state in ("idle", "not_ready", "logged_out")) == (not agent.works)
            assert agent.state != "not_ready" or agent.until_ms == 0 or agent.until_ms > self.now
            for work in agent.works.values():
                contact = self.engine.contact_view(work.contact)
                if work.state == "offered":
                    assert offers[agent.id].id == work.offer and offers[agent.id].expires_at_ms > self.now
                    assert contact and (contact.state, contact.agent) == ("offered", agent.id)
                elif work.state == "connected":
                    assert contact and (contact.state, contact.agent) == ("connected", agent.id)
                else:
                    assert work.state == "wrap_up" and work.until_ms > self.now
            assert not agent.works or not all(work.paused for work in agent.works.values())
        for held in (caller.held for caller in self.naive.callers if caller.held):
            assert held > self.now

    def nobody_has_more_than_they_may(self) -> None:
        for seat in self.naive.seats if self.undisturbed else ():
            media = Counter(job.medium for job in seat.jobs)
            assert all(count <= seat.capacity[medium] for medium, count in media.items())
            if all(job.state == "connected" for job in seat.jobs):
                assert load(self.naive.policy, seat) <= seat.total_load

    def picture(self) -> dict[str, str]:
        """What a contact's place and needs were, to find those that nothing happened to."""
        return {one.id: self.traits(one) for one in (*self.naive.callers, *self.naive.seats)}

    def traits(self, one: Caller | Seat) -> str:
        return repr(one) if isinstance(one, Caller) else repr((one.skills, one.teams, one.capacity))

    def who_chose_took_the_first(
        self, commands: tuple[Command, ...], before: dict[str, str], orders: dict[str, tuple[int, int, int]]
    ) -> None:
        """Of those that waited before and wait still, none that the agent could have taken comes earlier."""
        touched = {getattr(command, "contact", "") for command in commands}
        same = [c for c in self.naive.waiting() if before.get(c.id) == self.traits(c)]
        untouched = [c for c in same if c.id not in touched]  # one may come back to where it was
        for command in commands:
            ring = next(
                (ring for ring in self.naive.ringing if ring.caller.id == _chosen_by_agent(command)), None
            )
            if ring is None or before.get(ring.seat.id) != self.traits(ring.seat) or len(ring.seat.jobs) > 1:
                continue
            bare = replace(ring.seat, jobs=[])
            # it may have missed its target since it was chosen
            chosen = min(ring.caller.order, orders.get(ring.caller.id, ring.caller.order))
            for caller in untouched:
                if caller.order < chosen and not caller.held and not caller.prefers:
                    fit = fits(self.naive.policy, bare, medium_of(self.naive.policy, caller.queue))
                    assert not (fit and able(self.naive.policy, bare, caller)) or caller.bars.get(bare.id)

    def every_contact_ends_once(self, facts: tuple[f.Fact, ...], commands: tuple[Command, ...]) -> None:
        rejected = Counter((c.kind, c.subject) for c in commands if isinstance(c, RejectFact))
        ended: Counter[str] = Counter()
        for fact in facts:
            if isinstance(fact, f.ContactArrived):
                self.served[fact.contact] = 0
            elif isinstance(fact, f.ContactAbandoned | f.ContactEnded):
                ended[fact.contact] += 1
            elif isinstance(fact, f.ContactAdopted):
                self.served.pop(fact.contact, None)
        for (kind, subject), count in rejected.items():
            if kind in ("ContactAbandoned", "ContactEnded"):
                ended[subject] -= count
        for command in commands:
            if isinstance(command, Overflow) or (
                isinstance(command, OverflowTo) and command.to != "callback"
            ):
                ended[command.contact] += 1
        here = {caller.id for caller in self.naive.callers}
        for contact in self.served:
            self.served[contact] += ended[contact]
            assert self.served[contact] == (contact not in here)


def _chosen_by_agent(command: Command) -> str:
    by_agent = ("earliest_deadline", "strict_class")
    return command.contact if isinstance(command, RecordDecision) and command.rule in by_agent else ""


def live(lives: int, **more: Any) -> None:
    """So many lives of 50 steps each, each of them replayed under another hash seed at its end."""
    rules = settings(max_examples=lives, stateful_step_count=50, deadline=None, **more)
    with Elsewhere() as RoutingMachine.elsewhere:
        run_state_machine_as_test(RoutingMachine, settings=rules)


@pytest.mark.timeout(900)
def test_the_engine_does_what_the_naive_centre_does() -> None:
    """Always the same 1,050 lives; `python -m tests.routing.test_state_machine 20000` draws others."""
    live(1_050, derandomize=True)


if __name__ == "__main__":
    live(int(sys.argv[1]), database=None)
