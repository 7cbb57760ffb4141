"""Days at random: whatever callers, agents, disks and processes do, nobody is lost, nobody is stuck, and the
next core holds what the last one held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from callcenter.journal import store
from callcenter.live.book import IN_FLOW, RINGING, TALKING, WAITING, WRAPPING, Interaction
from callcenter.live.facts import RecordingSaved
from callcenter.live.host import Host
from routing import AgentPolicy, QueuePolicy
from tests.callcenter.centre import Centre
from tests.callcenter.sim_worker import SimLeg

QUEUES = (QueuePolicy("service", max_waiting=3), QueuePolicy("complaints", priority=1))
AGENTS = (AgentPolicy("ann", wrap_up_ms=20_000), AgentPolicy("bob", wrap_up_ms=0))


class Day(RuleBasedStateMachine):
    centre: Centre

    @initialize(
        answer=st.sampled_from(["phone", "panel"]),
        snapshot_every=st.sampled_from([7, 40, 5_000]),
        missed=st.sampled_from(["not_ready", "stay_ready"]),
    )
    def open(self, answer: str, snapshot_every: int, missed: str) -> None:
        self.centre = Centre(
            *QUEUES, *AGENTS, answer=answer, snapshot_every=snapshot_every, rules={"missed_action": missed}
        )
        self.centre.ready("ann")
        self.crossing = False

    # --- callers -----------------------------------------------------------------------------------

    @rule(last=st.integers(0, 4), withheld=st.booleans())
    def call(self, last: int, withheld: bool) -> None:
        if len(self.callers) < 5:
            self.centre.worker.ring("95519", "" if withheld else f"1380013800{last}")
        self.pass_on()

    @precondition(lambda self: self.live(IN_FLOW))
    @rule(data=st.data(), keys=st.sampled_from(["10", "11", "13", "23", "1210001#0"]))
    def go_to_a_queue(self, data: st.DataObject, keys: str) -> None:
        interaction = data.draw(st.sampled_from(self.live(IN_FLOW)))
        self.centre.settle()
        self.centre.listen_through(interaction)
        for key in keys:
            if interaction.state == IN_FLOW and interaction.leg in self.centre.worker.legs:
                self.centre.press(interaction, key)

    @precondition(lambda self: self.callers)
    @rule(data=st.data(), key=st.sampled_from("0123456789*#"))
    def press(self, data: st.DataObject, key: str) -> None:
        self.centre.worker.key(data.draw(st.sampled_from(self.callers)).id, key)
        self.pass_on()

    @precondition(lambda self: self.callers)
    @rule(data=st.data())
    def hear_out(self, data: st.DataObject) -> None:
        self.centre.worker.finish_play(data.draw(st.sampled_from(self.callers)).id)
        self.pass_on()

    @precondition(lambda self: self.callers)
    @rule(data=st.data(), lost=st.booleans())
    def leave(self, data: st.DataObject, lost: bool) -> None:
        self.centre.worker.leave(data.draw(st.sampled_from(self.callers)).id, lost=lost)
        self.pass_on()

    @rule(agent=st.sampled_from(["ann", "bob"]), talk=st.booleans())
    def call_and_get_through(self, agent: str, talk: bool) -> None:
        """What most of a day is made of."""
        centre = self.centre
        self.settle()
        centre.agents.ready(agent)
        interaction = centre.queue_up(caller="13800138009")
        if talk and interaction.state == RINGING:
            centre.offers.accept(interaction.agent, interaction.offer)
            centre.settle()
            centre.pick_up(interaction)

    # --- agents ------------------------------------------------------------------------------------

    @precondition(lambda self: self.ringing)
    @rule(data=st.data())
    def pick_up(self, data: st.DataObject) -> None:
        self.centre.worker.pick_up(data.draw(st.sampled_from(self.ringing)).id)
        self.pass_on()

    @precondition(lambda self: self.ringing)
    @rule(data=st.data(), code=st.sampled_from([404, 408, 480, 486, 500, 503, 603]), ours=st.booleans())
    def refuse(self, data: st.DataObject, code: int, ours: bool) -> None:
        leg = data.draw(st.sampled_from(self.ringing)).id
        self.centre.worker.leave(leg, code, why="capacity" if ours and code == 503 else "")
        self.pass_on()

    @precondition(lambda self: self.talking)
    @rule(data=st.data(), lost=st.booleans())
    def agent_leaves(self, data: st.DataObject, lost: bool) -> None:
        self.centre.worker.leave(data.draw(st.sampled_from(self.talking)).id, lost=lost)
        self.pass_on()

    @precondition(lambda self: self.live(TALKING))
    @rule(data=st.data())
    def hang_up_at_the_panel(self, data: st.DataObject) -> None:
        self.centre.desk.hang_up(data.draw(st.sampled_from(self.live(TALKING))))
        self.pass_on()

    @precondition(lambda self: self.live(RINGING))
    @rule(data=st.data(), take=st.booleans())
    def answer_at_the_panel(self, data: st.DataObject, take: bool) -> None:
        interaction = data.draw(st.sampled_from(self.live(RINGING)))
        act = self.centre.offers.accept if take else self.centre.offers.decline
        assert act(interaction.agent, interaction.offer)
        self.pass_on()

    @rule(
        agent=st.sampled_from(["ann", "bob"]),
        what=st.sampled_from(["ready", "ready", "log_in", "log_out", "break"]),
    )
    def say(self, agent: str, what: str) -> None:
        desk = self.centre.agents
        if what == "break":
            desk.not_ready(agent, "break")
        else:
            {"ready": desk.ready, "log_in": desk.log_in, "log_out": desk.log_out}[what](agent)
        self.pass_on()

    @precondition(lambda self: self.live(TALKING, WRAPPING))
    @rule(data=st.data())
    def wrap_up(self, data: st.DataObject) -> None:
        interaction = data.draw(st.sampled_from(self.live(TALKING, WRAPPING)))
        if interaction.agent:
            self.centre.agents.wrap_up(
                interaction.agent, interaction.id, "enquiry_answered", "x", interaction.party_ref
            )
        self.pass_on()

    # --- the world ---------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.5, 3, 8, 25, 45]))
    def time_passes(self, seconds: float) -> None:
        self.settle()
        self.centre.wait(seconds)

    @rule(data=st.data())
    def a_little_happens(self, data: st.DataObject) -> None:
        """Commands and facts cross on their way."""
        self.crossing = True
        if data.draw(st.booleans()):
            self.centre.worker.work(1)
        else:
            self.centre.deliver(1)

    @rule()
    def settle(self) -> None:
        self.crossing = False
        self.centre.settle()

    @rule()
    def the_records_are_slow(self) -> None:
        self.centre.answers.hold = not self.centre.answers.hold
        if not self.centre.answers.hold:
            self.centre.answers.later()
        self.pass_on()

    @rule()
    def the_disk_is_full(self) -> None:
        if self.centre.journal.stuck:
            self.centre.journal.flush()
        else:
            self.centre.journal.stuck = True

    @rule(away_ms=st.sampled_from([0, 1_000, 15_000, 60_000]))
    def the_core_dies(self, away_ms: int) -> None:
        lost = self.centre.journal.stuck
        self.centre.answers.forget()
        self.centre.crash()
        self.centre.stay_away(away_ms)
        joined = set() if lost else self.pairs()
        self.centre.revive()
        self.centre.attach()
        self.centre.adoption.give_up_missing()
        self.settle()
        assert joined <= self.pairs(), "a conversation was torn apart by the start"

    @precondition(lambda self: self.callers)
    @rule(away=st.booleans())
    def the_worker_dies(self, away: bool) -> None:
        """With every call on it; its successor is another process."""
        centre = self.centre
        if away:
            centre.answers.forget()
            centre.crash()
        centre.worker.die()
        before, centre.worker.boot = (
            centre.worker.boot,
            f"bbbb{centre.clock.now_ms() % 10_000:04d}{len(centre.worker.sent)}",
        )
        centre.worker.restart()
        if away:
            centre.revive()
        else:
            centre.adoption.worker_lost(before)
        centre.attach()
        centre.adoption.give_up_missing()
        self.settle()

    # --- what holds at rest --------------------------------------------------------------------------

    @invariant()
    def nobody_is_lost(self) -> None:
        if not hasattr(self, "centre") or self.crossing:
            return
        for interaction in self.live(IN_FLOW, WAITING, RINGING, TALKING):
            self.check(interaction)
        for leg in self.centre.worker.legs.values():
            owner = self.centre.host.book.of_leg(leg.id)
            assert owner is not None, f"nobody knows {leg}"
            assert owner.state != WRAPPING, f"{leg} goes on after the end of {owner}"
        for agent in self.centre.host.engine.agent_views():
            if agent.state in ("reserved", "talking"):
                mine = self.centre.host.book.of_contact(agent.contact)
                assert mine is not None, f"{agent} is busy with nobody"
                assert mine.state == (RINGING if agent.state == "reserved" else TALKING)

    @invariant()
    def the_next_core_would_hold_the_same(self) -> None:
        if not hasattr(self, "centre") or self.crossing or self.centre.journal.stuck:
            return
        same_as_the_journal(self.centre)

    def check(self, interaction: Interaction) -> None:
        leg = self.centre.worker.legs.get(interaction.leg)
        assert leg is not None, f"{interaction} has no leg"
        view = self.centre.host.engine.contact_view(interaction.contact) if interaction.contact else None
        if interaction.state == IN_FLOW:
            run = self.centre.flows._runs.get(interaction.id)
            assert run is not None, f"no flow runs for {interaction}"
            assert leg.play or run.timer or self.centre.answers.open, f"dead air for {interaction}"
            return
        assert view is not None, f"the engine does not know {interaction}"
        if interaction.state == TALKING:
            assert (view.state, view.agent, leg.peer) == (
                "connected",
                interaction.agent,
                interaction.agent_leg,
            )
            assert not leg.music
            return
        wanted = "waiting" if interaction.state == WAITING else "offered"
        assert view.state == wanted
        assert leg.music, f"silence for {interaction}"
        assert leg.peer is None

    def teardown(self) -> None:
        """Everybody goes home; nothing is left of the day."""
        if not hasattr(self, "centre"):
            return
        centre = self.centre
        centre.answers.hold = False
        centre.answers.later()
        centre.journal.flush()
        self.settle()
        for leg in self.callers:
            centre.worker.leave(leg.id)
        centre.settle()
        centre.wait(70)
        for interaction in list(centre.host.book.interactions.values()):
            for name in list(interaction.recordings):
                centre.host.submit(RecordingSaved(interaction.id, f"rec/{name}.sealed", 1))
        book = centre.host.book
        assert centre.worker.legs == {}
        assert (book.interactions, book.by_leg, book.by_contact, book.by_offer) == ({}, {}, {}, {})
        assert centre.host.engine.snapshot()["contacts"] == []
        assert centre.host.engine.snapshot()["offers"] == []
        assert centre.flows._runs == {}
        assert {agent.state for agent in centre.host.engine.agent_views()} <= {
            "idle",
            "not_ready",
            "logged_out",
        }
        assert not centre.worker.unacknowledged or centre.worker.unacknowledged[0]["n"] > centre.worker.acked
        text = repr([entry.facts for entry in centre.journal.entries])
        assert "1380013800" not in text, "no number of a caller in the journal"

    # --- words ---------------------------------------------------------------------------------------

    def pass_on(self) -> None:
        if not self.crossing:
            self.centre.settle()

    def live(self, *states: str) -> list[Interaction]:
        return [one for one in self.centre.host.book.interactions.values() if one.state in states]

    def pairs(self) -> set[tuple[str, str]]:
        return {(leg.id, leg.peer) for leg in self.centre.worker.legs.values() if leg.peer}

    def legs(self, holds: Callable[[SimLeg], bool]) -> list[SimLeg]:
        return [leg for leg in self.centre.worker.legs.values() if holds(leg)]

    @property
    def callers(self) -> list[SimLeg]:
        return self.legs(lambda leg: leg.direction == "in")

    @property
    def ringing(self) -> list[SimLeg]:
        return self.legs(lambda leg: leg.direction == "out" and leg.state != "answered")

    @property
    def talking(self) -> list[SimLeg]:
        return self.legs(lambda leg: leg.direction == "out" and leg.state == "answered")


def same_as_the_journal(centre: Centre) -> None:
    """A host that reads the journal, from its beginning or from the newest snapshot, equals the live one."""
    live = _all_of(centre.host)
    assert _all_of(read_again(centre, None)) == live
    snapshot = store.newest_snapshot(centre.journal.connection)
    if snapshot is not None:
        assert _all_of(read_again(centre, snapshot)) == live


def read_again(centre: Centre, snapshot: dict[str, Any] | None) -> Host:
    host = Host(99, centre.clock, centre.scheduler, centre.journal, centre.private)
    host.recover(snapshot, centre.journal.rows(snapshot["seq"] if snapshot else 0))
    return host


def _all_of(host: Host) -> dict[str, Any]:
    book = host.book
    return {
        "book": book.snapshot(),
        "engine": host.engine.snapshot(),
        "policy": host.engine.policy,
        "indexes": (book.by_leg, book.by_contact, book.by_offer),
        "deadline": host.engine.next_deadline_ms,
    }


Day.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    deadline=None,
)
TestDay = Day.TestCase


def test_the_same_at_every_point_of_a_day() -> None:
    """One busy stretch, compared after every single activation, with snapshots at every seventh."""
    centre = Centre(snapshot_every=7)
    compared = 0

    def compare(_facts: Any, _commands: Any) -> None:
        nonlocal compared
        if not centre.journal.stuck and centre.journal.entries:
            compared += 1

    centre.host.listeners.append(compare)
    centre.ready("ann", "bob")
    first = centre.talk()
    same_as_the_journal(centre)
    second = centre.queue_up(caller="13900139000")
    same_as_the_journal(centre)
    third = centre.queue_up(caller="", keys="13")
    same_as_the_journal(centre)
    centre.offers.decline(second.agent, second.offer)
    centre.settle()
    same_as_the_journal(centre)
    centre.agent_leaves(first, lost=True)
    same_as_the_journal(centre)
    for _ in range(8):
        centre.wait(10)
        same_as_the_journal(centre)
    centre.agents.log_in("ann")
    centre.agents.ready("bob")
    centre.settle()
    same_as_the_journal(centre)
    for interaction in (third, second, first):
        centre.caller_leaves(interaction)
        same_as_the_journal(centre)
    assert compared > 40
