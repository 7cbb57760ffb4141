"""Taking workers over: the table of `callcenter/live/adoption.py`, row by row."""

from __future__ import annotations

from typing import Any

import pytest

from callcenter.live.book import IN_FLOW, RINGING, TALKING, WAITING, WRAPPING, Interaction
from routing import QueuePolicy
from routing import facts as rf
from tests.callcenter.centre import ANN, BOB, COMPLAINTS, SERVICE, START_MS, Centre


def again(centre: Centre, interaction: Interaction) -> Interaction:
    """The same interaction in the book of the next core."""
    return centre.host.book.interactions[interaction.id]


def start(centre: Centre) -> None:
    centre.revive()
    centre.attach()
    centre.adoption.give_up_missing()
    centre.settle()


@pytest.fixture
def centre() -> Centre:
    made = Centre()
    made.ready("ann")
    return made


# --- log says: any state; the worker has no caller leg -----------------------------------------------------


@pytest.mark.parametrize("stage", ["flow", "waiting", "ringing", "talking"])
@pytest.mark.parametrize("told", [True, False])
def test_a_caller_who_left_while_the_core_was_away(stage: str, told: bool) -> None:
    """`told`: the worker still holds the fact; else it was lost with an earlier core's commit."""
    centre = Centre()
    if stage != "waiting":
        centre.ready("ann")
    interaction = centre.ring() if stage == "flow" else centre.queue_up()
    if stage == "talking":
        centre.pick_up(interaction)
    centre.crash()
    centre.worker.leave(interaction.leg)
    if not told:
        centre.worker.unacknowledged.clear()
    centre.stay_away(3_000)
    start(centre)
    (ended,) = centre.journalled("InteractionEnded")
    outcomes = {"flow": "left_in_flow", "waiting": "abandoned", "ringing": "abandoned", "talking": "answered"}
    assert ended["outcome"] == outcomes[stage]
    if told:
        assert ended["occurred_at_ms"] == START_MS, "it happened then, not now"
    assert centre.host.book.by_leg == {}
    assert centre.host.engine.contact_view(interaction.contact) is None
    assert centre.agent("ann") == {"waiting": "logged_out", "talking": "wrap_up"}.get(stage, "idle")
    assert centre.worker.legs == {}


# --- log says: ringing ---------------------------------------------------------------------------------


def test_ringing_and_the_phone_rings_on(centre: Centre) -> None:
    interaction = centre.queue_up()
    dialled = len(centre.worker.ops("dial"))
    centre.restart(away_ms=2_000)
    interaction = again(centre, interaction)
    assert interaction.state == RINGING
    assert len(centre.worker.ops("dial")) == dialled, "it is not dialled twice"
    centre.pick_up(interaction)
    assert interaction.state == TALKING


def test_ringing_without_an_agent_leg_the_offer_failed_and_the_contact_keeps_its_place(
    centre: Centre,
) -> None:
    interaction = centre.queue_up()
    later = centre.queue_up(caller="13900139000")
    centre.crash()
    centre.worker.legs.pop(interaction.agent_leg)
    start(centre)
    interaction, later = again(centre, interaction), again(centre, later)
    assert (interaction.state, later.state) == (WAITING, WAITING)
    assert [fact["cause"] for fact in centre.journalled("OfferEnded")] == ["error"]
    centre.ready("bob")
    assert interaction.state == RINGING


def test_ringing_at_the_panel_waits_for_the_agent_as_before() -> None:
    centre = Centre(answer="panel")
    centre.ready("ann")
    interaction = centre.queue_up()
    centre.restart(away_ms=2_000)
    interaction = again(centre, interaction)
    assert (interaction.state, interaction.agent_leg) == (RINGING, "")
    assert centre.offers.accept("ann", interaction.offer)
    centre.settle()
    centre.pick_up(interaction)
    assert interaction.state == TALKING


def test_an_offer_whose_dialling_was_lost_is_dialled(centre: Centre) -> None:
    """The engine's offer was committed, the core died before the phone was dialled."""
    interaction = centre.queue_up()
    index = next(
        n for n, e in enumerate(centre.journal.entries) if any(f["k"] == "AgentDialled" for f in e.facts)
    )
    centre.crash()
    for entry in centre.journal.entries[index:]:
        centre.journal.connection.execute("DELETE FROM activations WHERE seq = ?", (entry.seq,))
    del centre.journal.entries[index:]
    centre.worker.legs.pop(interaction.agent_leg)
    start(centre)
    interaction = again(centre, interaction)
    assert (interaction.state, interaction.agent) == (RINGING, "ann")
    centre.pick_up(interaction)
    assert interaction.state == TALKING


@pytest.mark.parametrize("away_ms", [1_000, 15_000, 40_000, 3_600_000])
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(
    "also", ["nothing", "another caller leaves", "new configuration", "another phone rings out"]
)
def test_ringing_and_answered_while_the_core_was_away(away_ms: int, told: bool, also: str) -> None:
    """However long that was: nobody tears a conversation apart because a ring time ran out."""
    centre = Centre(SERVICE, COMPLAINTS, ANN, BOB)
    centre.ready("ann", "bob")
    interaction = centre.queue_up()
    other = (
        centre.queue_up(caller="13900139000")
        if also == "another phone rings out"
        else centre.ring(caller="13900139000")
    )
    assert interaction.agent == "ann"
    centre.crash()
    if also == "another caller leaves":
        centre.worker.leave(other.leg)
    if also == "new configuration":
        centre.policy = Centre(QueuePolicy("service", ring_ms=5_000), COMPLAINTS, ANN, BOB).policy
    centre.worker.pick_up(interaction.agent_leg)
    if not told:
        centre.worker.unacknowledged.clear()
    centre.stay_away(away_ms)
    start(centre)
    interaction = again(centre, interaction)
    assert (interaction.state, interaction.agent, centre.agent("ann")) == (TALKING, "ann", "talking")
    assert centre.worker.legs[interaction.leg].peer == interaction.agent_leg
    assert centre.worker.ops("unbridge") == []
    (answered,) = centre.journalled("InteractionAnswered")
    assert answered["occurred_at_ms"] == START_MS, "answered then, not now"


def test_ringing_out_while_the_core_was_away_offers_to_the_next(centre: Centre) -> None:
    interaction = centre.queue_up()
    centre.ready("bob")
    centre.restart(away_ms=60_000)
    interaction = again(centre, interaction)
    assert (interaction.state, interaction.agent, centre.agent("ann")) == (RINGING, "bob", "not_ready")
    assert centre.agent("bob") == "reserved"
    (leg,) = centre.worker.agent_legs()
    assert leg.id == interaction.agent_leg
    centre.pick_up(interaction)
    assert interaction.state == TALKING


# --- log says: talking ---------------------------------------------------------------------------------


def test_talking_goes_on(centre: Centre) -> None:
    interaction = centre.talk()
    before = len(centre.worker.sent)
    centre.restart(away_ms=60_000)
    assert again(centre, interaction).state == TALKING
    assert [sent.op for sent in centre.worker.sent[before:]] == []
    centre.caller_leaves(again(centre, interaction))
    assert centre.agent("ann") == "wrap_up"


@pytest.mark.parametrize("told", [True, False])
def test_talking_without_an_agent_leg_the_caller_waits_again(centre: Centre, told: bool) -> None:
    interaction = centre.talk()
    centre.wait(30)
    later = centre.queue_up(caller="13900139000")
    centre.crash()
    centre.worker.leave(interaction.agent_leg, lost=True)
    if not told:
        centre.worker.unacknowledged.clear()
        centre.worker.legs[interaction.leg].music = False
    start(centre)
    interaction, later = again(centre, interaction), again(centre, later)
    assert interaction.state == WAITING
    assert centre.worker.legs[interaction.leg].music
    assert centre.agent("ann") == "not_ready"
    centre.ready("bob")
    assert (interaction.state, later.state) == (RINGING, WAITING), "the old place"


def test_talking_with_both_legs_but_parted(centre: Centre) -> None:
    """A core died between un-bridging and what it wanted to do next."""
    interaction = centre.talk()
    centre.crash()
    agent_leg = interaction.agent_leg
    centre.worker.legs[interaction.leg].room = centre.worker.legs[agent_leg].room = None
    start(centre)
    interaction = again(centre, interaction)
    assert agent_leg not in centre.worker.legs
    assert interaction.state == WAITING
    assert centre.worker.legs[interaction.leg].music


# --- log says: in a flow, waiting ------------------------------------------------------------------------


def test_in_a_flow_it_resumes_at_its_node(centre: Centre) -> None:
    interaction = centre.ring()
    centre.listen_through(interaction)
    centre.press(interaction, "1")
    centre.worker.finish_play(interaction.leg)
    centre.settle()
    centre.restart(away_ms=2_000)
    interaction = again(centre, interaction)
    assert (interaction.state, interaction.node, centre.heard(interaction)) == (IN_FLOW, "main", ["zh/main"])
    centre.press(interaction, "0")
    assert interaction.state == RINGING


@pytest.mark.parametrize("music", [True, False])
def test_waiting_hears_music_and_keeps_the_place(music: bool) -> None:
    centre = Centre()
    interaction = centre.queue_up()
    centre.wait(10)
    other = centre.queue_up(caller="13900139000")
    centre.crash()
    centre.worker.legs[interaction.leg].music = music
    begun = len(centre.worker.ops("music"))
    start(centre)
    assert centre.worker.legs[interaction.leg].music
    assert len(centre.worker.ops("music")) == begun + (not music), "music that plays is left alone"
    view = centre.host.engine.contact_view(interaction.contact)
    assert view is not None
    assert view.arrived_at_ms == START_MS
    centre.ready("ann")
    assert (again(centre, interaction).state, again(centre, other).state) == (RINGING, WAITING)


# --- log says: nothing -----------------------------------------------------------------------------------


def lose_everything(centre: Centre) -> None:
    """The journal's file is gone, or its tail with the whole call."""
    for table in ("activations", "snapshots", "worker_acks"):
        centre.journal.connection.execute(f"DELETE FROM {table}")
    centre.journal.entries.clear()
    centre.worker.unacknowledged.clear()


def test_a_waiting_caller_whom_nobody_knows_is_adopted_in_place() -> None:
    centre = Centre()
    interaction = centre.queue_up(keys="13")
    deadline = centre.worker.legs[interaction.leg].tag["deadline_ms"]
    centre.wait(40)
    centre.crash()
    lose_everything(centre)
    start(centre)
    adopted = again(centre, interaction)
    assert (adopted.state, adopted.queue, adopted.contact) == (WAITING, "complaints", interaction.contact)
    view = centre.host.engine.contact_view(interaction.contact)
    assert view is not None
    assert (view.arrived_at_ms, view.deadline_ms) == (START_MS, deadline)
    assert centre.worker.legs[adopted.leg].music
    newcomer = centre.queue_up(caller="13900139000", keys="13")
    centre.ready("ann")
    assert (adopted.state, newcomer.state) == (RINGING, WAITING)
    centre.pick_up(adopted)
    centre.caller_leaves(adopted)
    assert centre.journalled("InteractionEnded")[-1]["outcome"] == "answered"


def test_a_caller_in_the_menu_whom_nobody_knows_gets_to_a_person() -> None:
    centre = Centre()
    interaction = centre.ring()
    centre.listen_through(interaction)
    centre.crash()
    lose_everything(centre)
    start(centre)
    adopted = again(centre, interaction)
    assert (adopted.state, adopted.queue, adopted.number) == (WAITING, "service", "95519")
    assert centre.worker.legs[adopted.leg].music


def test_a_conversation_that_nobody_knows_goes_on() -> None:
    """Both legs say who they are: the live call wins over the log."""
    centre = Centre()
    centre.ready("ann")
    interaction = centre.talk()
    centre.crash()
    lose_everything(centre)
    start(centre)
    adopted = again(centre, interaction)
    assert centre.worker.legs[interaction.leg].peer == interaction.agent_leg
    assert (adopted.state, adopted.agent, centre.agent("ann")) == (TALKING, "ann", "talking")
    centre.caller_leaves(adopted)
    assert centre.journalled("InteractionEnded")[-1]["outcome"] == "answered"


@pytest.mark.parametrize("committed", ["nothing", "menu", "queued"])
def test_a_conversation_whose_beginning_was_not_committed_goes_on(committed: str) -> None:
    """The disk was full while the caller got through, and then the core died."""
    centre = Centre()
    centre.ready("ann")
    centre.journal.stuck = committed == "nothing"
    interaction = centre.ring()
    centre.listen_through(interaction)
    centre.journal.stuck = committed in ("nothing", "menu")
    centre.press(interaction, "1")
    centre.press(interaction, "0")
    centre.journal.stuck = True
    centre.pick_up(interaction)
    centre.crash()
    start(centre)
    assert centre.worker.legs[interaction.leg].peer == interaction.agent_leg
    adopted = again(centre, interaction)
    assert (adopted.state, adopted.agent, centre.agent("ann")) == (TALKING, "ann", "talking")


@pytest.mark.parametrize(
    "tag", [{}, {"role": "agent", "interaction": "i1-1"}, {"role": "agent"}, {"interaction": "i1-1"}]
)
def test_any_other_leg_that_nobody_knows_is_hung_up(tag: dict[str, Any]) -> None:
    from tests.callcenter.sim_worker import SimLeg

    centre = Centre()
    centre.crash()
    centre.worker.legs["stray"] = SimLeg("stray", "out", START_MS, tag=tag)
    start(centre)
    assert "stray" not in centre.worker.legs


def test_a_call_that_came_while_nobody_was_there(centre: Centre) -> None:
    centre.crash()
    leg = centre.worker.ring(caller="13900139000")
    centre.stay_away(10_000)
    start(centre)
    interaction = centre.host.book.of_leg(leg)
    assert interaction is not None
    assert (interaction.node, interaction.arrived_at_ms) == ("notice", START_MS)
    assert centre.worker.legs[leg].state == "answered"


# --- workers that are gone ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["flow", "waiting", "ringing", "talking"])
@pytest.mark.parametrize("core", ["lives", "starts"])
def test_a_worker_that_died_ends_its_calls_and_frees_its_agents(stage: str, core: str) -> None:
    centre = Centre()
    if stage != "waiting":
        centre.ready("ann")
    interaction = centre.ring() if stage == "flow" else centre.queue_up()
    if stage == "talking":
        centre.pick_up(interaction)
    files = list(interaction.recording)
    dead, centre.worker.boot = centre.worker.boot, "bbbb0001"
    if core == "lives":
        centre.worker.die()
        centre.worker.restart()
        centre.adoption.worker_lost(dead)
    else:
        centre.crash()
        centre.worker.die()
        centre.worker.restart()
        start(centre)
    centre.settle()
    (ended,) = centre.journalled("InteractionEnded")
    assert (ended["outcome"], ended["by"], ended["cause"]) == ("cut_off", "worker", "worker_lost")
    assert centre.agent("ann") == {"waiting": "logged_out", "talking": "wrap_up"}.get(stage, "idle")
    assert [[caller, agent] for _, caller, agent in centre.files.merged] == (
        [files] if stage == "talking" else []
    )
    assert centre.flows._runs == {}
    centre.wait(40)
    assert centre.agent("ann") in ("idle", "logged_out")


def test_calls_of_another_worker_are_not_touched(centre: Centre) -> None:
    interaction = centre.talk()
    centre.adoption.worker_lost("some-other")
    assert interaction.state == TALKING


def test_a_worker_that_answers_is_not_given_up(centre: Centre) -> None:
    interaction = centre.talk()
    centre.restart()
    centre.adoption.give_up_missing()
    assert again(centre, interaction).state == TALKING


def test_the_same_worker_reconnects_within_a_cores_life(centre: Centre) -> None:
    """A broken connection is not a death: nothing is begun again."""
    talking = centre.talk()
    menu = centre.ring(caller="13900139000")
    centre.listen_through(menu)
    node, plays = menu.node, len(centre.worker.ops("play"))
    centre.attach()
    assert (talking.state, menu.node, len(centre.worker.ops("play"))) == (TALKING, node, plays)
    centre.press(menu, "1")
    assert menu.node == "main"


def test_wrapping_up_is_not_disturbed_by_a_restart(centre: Centre) -> None:
    interaction = centre.talk()
    centre.caller_leaves(interaction)
    centre.restart(away_ms=5_000)
    assert (again(centre, interaction).state, centre.agent("ann")) == (WRAPPING, "wrap_up")
    centre.agents.wrap_up("ann", interaction.id, "enquiry_answered", "", "")
    assert centre.agent("ann") == "idle"
    assert len(centre.journalled("InteractionEnded")) == 1


def test_a_late_word_of_the_callers_leg_does_not_end_a_call_twice() -> None:
    """The agent hung up, a snapshot was taken, the core died, and then the caller's leg ended."""
    centre = Centre(snapshot_every=1)
    centre.ready("ann")
    interaction = centre.talk()
    caller = centre.worker.legs[interaction.leg]
    centre.worker.legs[interaction.agent_leg].room = None
    caller.room = None
    centre.agent_leaves(interaction)
    centre.crash()
    centre.worker.leave(caller.id)
    start(centre)
    assert len(centre.journalled("InteractionEnded")) == 1
    assert (again(centre, interaction).state, again(centre, interaction).agent) == (WRAPPING, "ann")


def test_a_newer_core_reigns(centre: Centre) -> None:
    centre.adoption.superseded(9)
    assert centre.superseded == [9]


def test_taking_over_is_itself_a_fact(centre: Centre) -> None:
    centre.talk()
    centre.restart()
    taken = centre.journalled("WorkerTaken")[-1]
    assert (taken["worker"], taken["slot"], taken["legs"]) == (centre.worker.boot, 0, 2)


def test_recordings_left_over_are_picked_up(centre: Centre) -> None:
    interaction = centre.talk()
    centre.caller_leaves(interaction)
    centre.crash()
    centre.revive()
    centre.attach()
    centre.adoption.give_up_missing()
    assert centre.files.picked_up == [[]]


def test_closing_the_queue_meanwhile_does_not_lose_who_waited() -> None:
    centre = Centre()
    interaction = centre.queue_up()
    centre.host.submit(rf.QueueClosed("service"))
    centre.restart()
    assert again(centre, interaction).state == WAITING
    centre.ready("ann")
    assert again(centre, interaction).state == RINGING
