"""A call from its first ring to the saved wrap-up, and every place where it may end before."""

from __future__ import annotations

import pytest

from callcenter.kernel.errors import NotAllowed
from callcenter.live.book import IN_FLOW, RINGING, TALKING, WAITING, WRAPPING, Interaction
from routing import AgentPolicy, QueuePolicy
from routing import facts as rf
from tests.callcenter.centre import ANN, BOB, COMPLAINTS, SERVICE, START_MS, Centre
from tests.callcenter.sim_worker import invite


@pytest.fixture
def centre() -> Centre:
    made = Centre()
    made.ready("ann")
    return made


def last(centre: Centre, kind: str) -> dict[str, object]:
    found = centre.journalled(kind)
    assert found, f"no {kind} in the journal"
    return found[-1]


# --- from end to end -----------------------------------------------------------------------------------


def test_a_call_from_ring_to_wrap_up(centre: Centre) -> None:
    interaction = centre.ring()
    assert (interaction.state, interaction.node, interaction.number) == (IN_FLOW, "notice", "95519")
    assert [sent.op for sent in centre.worker.sent] == ["answer", "play"]
    assert centre.heard(interaction) == ["zh/notice"]

    centre.listen_through(interaction)
    centre.press(interaction, "1")
    centre.press(interaction, "0")
    assert (interaction.state, interaction.queue, interaction.agent) == (RINGING, "service", "ann")
    assert centre.agent("ann") == "reserved"
    assert centre.worker.legs[interaction.leg].music

    centre.wait(3)
    centre.pick_up(interaction)
    assert (interaction.state, centre.agent("ann")) == (TALKING, "talking")
    assert interaction.answered_at_ms == START_MS + 3_000
    assert centre.worker.legs[interaction.leg].peer == interaction.agent_leg

    centre.wait(60)
    centre.caller_leaves(interaction)
    assert (interaction.state, centre.agent("ann")) == (WRAPPING, "wrap_up")
    assert centre.worker.legs == {}
    ended = last(centre, "InteractionEnded")
    assert (ended["outcome"], ended["by"], ended["cause"]) == ("answered", "caller", "normal")

    centre.agents.wrap_up("ann", interaction.id, "enquiry_answered", "问保单状态", interaction.party_ref)
    centre.settle()
    assert centre.agent("ann") == "idle"
    saved = last(centre, "WrapUpSaved")
    assert (saved["agent"], saved["code"]) == ("ann", "enquiry_answered")
    assert centre.private.get(str(saved["note_ref"])) == "问保单状态"


def test_the_journal_tells_the_story_in_order(centre: Centre) -> None:
    interaction = centre.talk()
    centre.caller_leaves(interaction)
    story = [
        fact["k"] for fact in centre.journalled()
        if fact["k"] in ("InteractionStarted", "InteractionQueued", "AgentDialled", "InteractionAnswered", "RecordingStarted",
                         "InteractionEnded")
    ]  # fmt: skip
    assert story == [
        "InteractionStarted", "InteractionQueued", "AgentDialled", "InteractionAnswered", "RecordingStarted", "InteractionEnded",
    ]  # fmt: skip


def test_no_number_no_digit_and_no_text_is_in_the_journal(centre: Centre) -> None:
    interaction = centre.ring(caller="13800138000")
    centre.listen_through(interaction)
    centre.press(interaction, "1")
    centre.press(interaction, "2")
    centre.press(interaction, "10001#")
    centre.press(interaction, "0")
    centre.pick_up(interaction)
    centre.agents.wrap_up("ann", interaction.id, "enquiry_answered", "王芳来电", interaction.party_ref)
    centre.caller_leaves(interaction)
    text = repr([(entry.facts, entry.commands) for entry in centre.journal.entries])
    for personal in ("13800138000", "8613800138000", "10001", "陈静", "王芳"):
        assert personal not in text
    assert centre.private.get(f"{interaction.id}.party") == "+8613800138000"
    assert '"agent_number": "10001"' in centre.private.get(f"{interaction.id}.vars")


def test_what_a_far_end_says_when_it_hangs_up_is_not_journalled_as_it_stands(centre: Centre) -> None:
    """A Reason header is the peer's free text."""
    interaction = centre.talk()
    centre.worker.leave(interaction.leg)
    ended = next(
        fact for fact in centre.worker.facts if fact["kind"] == "ended" and fact["leg"] == interaction.leg
    )
    ended["reason"] = 'SIP;cause=200;text="elsewhere by +8613900139000 王芳"'
    centre.settle()
    text = repr([entry.facts for entry in centre.journal.entries])
    assert "13900139000" not in text
    assert "王芳" not in text
    assert "200" in str(last(centre, "LegClosed")) or "SIP" in str(centre.journalled("LegClosed")), (
        "the code is worth keeping"
    )


def test_a_withheld_number_is_an_ordinary_call(centre: Centre) -> None:
    interaction = centre.queue_up(caller="")
    assert interaction.party_ref == ""
    assert "P-Asserted-Identity" not in centre.worker.ops("dial")[-1]["headers"]
    centre.pick_up(interaction)
    centre.agents.wrap_up("ann", interaction.id, "enquiry_answered", "不愿留号码", interaction.party_ref)
    assert centre.private.get(f"{interaction.id}.note") == "不愿留号码"


def test_who_calls_is_recognised_once(centre: Centre) -> None:
    interaction = centre.ring(caller="13800138000")
    assert centre.answers.recognised == [(interaction.id, "+8613800138000")]
    centre.ring(caller="")
    assert len(centre.answers.recognised) == 1


@pytest.mark.parametrize("called", ["95520", "", "9551", "955190", "+8695519"])
def test_a_number_that_is_not_ours_is_refused(called: str) -> None:
    centre = Centre()
    centre.worker.ring(called)
    centre.settle()
    (rejected,) = centre.worker.ops("reject")
    assert rejected["code"] == 404
    assert centre.host.book.interactions == {}
    assert centre.worker.legs == {}
    assert centre.desk.counts["unknown_number"] == 1


def test_garbage_from_the_network_is_refused_like_any_unknown_number() -> None:
    centre = Centre()
    leg = centre.worker.ring()
    centre.worker.facts[-1]["message"] = "\x00\udcff garbage"
    centre.settle()
    assert centre.worker.ops("reject", leg)


def test_the_leg_carries_its_place(centre: Centre) -> None:
    first = centre.talk()
    interaction = centre.queue_up(caller="13900139000", keys="13")
    tag = centre.worker.legs[interaction.leg].tag
    view = centre.host.engine.contact_view(interaction.contact)
    assert view is not None
    assert tag == {
        "interaction": interaction.id, "role": "caller", "number": "95519", "contact": interaction.contact,
        "queue": "complaints", "arrived_at_ms": view.arrived_at_ms, "deadline_ms": view.deadline_ms,
    }  # fmt: skip
    assert first.id != interaction.id


def test_calls_are_bounded(centre: Centre) -> None:
    interaction = centre.queue_up()
    assert centre.worker.ops("answer", interaction.leg)[0]["max_s"] == 14_400
    assert centre.worker.ops("dial")[0]["max_s"] == 14_400


# --- the caller leaves -----------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize(
    ("stage", "outcome"),
    [
        ("notice", "left_in_flow"), ("menu", "left_in_flow"), ("collecting", "left_in_flow"), ("asking", "left_in_flow"),
        ("waiting", "abandoned"), ("ringing", "abandoned"), ("talking", "answered"),
    ],
)  # fmt: skip
def test_a_caller_may_leave_at_any_moment(stage: str, outcome: str, lost: bool) -> None:
    centre = Centre()
    if stage in ("ringing", "talking"):
        centre.ready("ann")
    interaction = reach(centre, stage)
    centre.wait(2)
    centre.caller_leaves(interaction, lost=lost)
    centre.answers.later()
    centre.wait(120)
    ended = centre.journalled("InteractionEnded")
    assert [(fact["outcome"], fact["by"]) for fact in ended] == [(outcome, "caller")]
    assert ended[0]["cause"] == ("lost" if lost else "normal")
    assert centre.worker.legs == {}
    assert centre.host.engine.contact_view(interaction.contact) is None
    assert centre.flows._runs == {}
    assert centre.agent("ann") in ("idle", "logged_out")


def reach(centre: Centre, stage: str) -> Interaction:
    interaction = centre.ring()
    if stage == "notice":
        return interaction
    centre.listen_through(interaction)
    if stage == "menu":
        return interaction
    centre.press(interaction, "1")
    if stage in ("collecting", "asking"):
        centre.press(interaction, "2")
        centre.worker.key(interaction.leg, "100")
        centre.settle()
        if stage == "asking":
            centre.answers.hold = True
            centre.worker.key(interaction.leg, "01#")
            centre.settle()
        return interaction
    centre.press(interaction, "0")
    if stage == "talking":
        centre.pick_up(interaction)
    return interaction


def test_a_caller_who_leaves_while_it_rings_stops_the_ringing_at_once(centre: Centre) -> None:
    interaction = centre.queue_up()
    centre.caller_leaves(interaction)
    assert centre.worker.agent_legs() == []
    assert centre.agent("ann") == "idle"
    assert centre.host.engine.offer_views() == []


def test_a_caller_who_left_gives_the_agent_their_place_back() -> None:
    centre = Centre()
    centre.ready("ann")
    centre.wait(10)
    centre.ready("bob")
    first = centre.queue_up()
    assert first.agent == "ann"
    centre.caller_leaves(first)
    assert centre.queue_up(caller="13900139000").agent == "ann", "still the longest idle"


def test_abandoning_says_how_long_was_waited() -> None:
    centre = Centre()
    interaction = centre.queue_up()
    centre.wait(7)
    centre.caller_leaves(interaction)
    ended = last(centre, "InteractionEnded")
    assert (ended["queue"], int(str(ended["occurred_at_ms"])) - int(str(ended["queued_at_ms"]))) == (
        "service",
        7_000,
    )


# --- the agent ends it -------------------------------------------------------------------------------------


def test_the_agent_hangs_up_the_phone(centre: Centre) -> None:
    interaction = centre.talk()
    centre.agent_leaves(interaction)
    (ended,) = centre.journalled("InteractionEnded")
    assert (ended["outcome"], ended["by"]) == ("answered", "agent")
    assert centre.worker.legs == {}, "the caller is hung up too"
    assert centre.agent("ann") == "wrap_up"
    assert centre.flows._runs == {}


def test_the_agent_hangs_up_at_the_panel(centre: Centre) -> None:
    interaction = centre.talk()
    centre.desk.hang_up(interaction)
    centre.settle()
    (ended,) = centre.journalled("InteractionEnded")
    assert (ended["outcome"], ended["by"], ended["cause"]) == ("answered", "agent", "agent")
    assert centre.worker.legs == {}


def test_both_hang_up_at_the_same_moment(centre: Centre) -> None:
    interaction = centre.talk()
    centre.worker.leave(interaction.leg)
    centre.desk.hang_up(interaction)
    centre.settle()
    assert len(centre.journalled("InteractionEnded")) == 1
    assert len(centre.journalled("LegClosed")) == 2
    assert centre.agent("ann") == "wrap_up"


def test_the_phone_drops_out_and_the_caller_keeps_the_place() -> None:
    centre = Centre()
    centre.ready("ann")
    interaction = centre.talk()
    centre.wait(30)
    later = centre.queue_up(caller="13900139000")
    centre.agent_leaves(interaction, lost=True)
    assert interaction.state == WAITING
    assert centre.worker.legs[interaction.leg].music
    assert centre.agent("ann") == "not_ready"
    centre.ready("bob")
    assert (interaction.agent, interaction.state) == ("bob", RINGING), "before who came later"
    assert later.state == WAITING
    centre.pick_up(interaction)
    assert interaction.state == TALKING
    assert [fact["agent"] for fact in centre.journalled("InteractionAnswered")] == ["ann", "bob"]


# --- queues that do not take a caller ----------------------------------------------------------------------


def test_a_closed_queue_leads_back_into_the_flow(centre: Centre) -> None:
    centre.host.submit(rf.QueueClosed("service"))
    interaction = centre.queue_up()
    assert "zh/busy" in [
        file for sent in centre.worker.ops("play", interaction.leg) for file in sent["files"]
    ]
    assert centre.heard(interaction) == ["zh/leave_message"]
    centre.worker.finish_play(interaction.leg)
    centre.settle()
    centre.wait(6)
    assert interaction.id not in centre.host.book.interactions
    ended = last(centre, "InteractionEnded")
    assert ended["by"] == "system"
    assert centre.worker.legs == {}


def test_a_full_queue_leads_back_into_the_flow() -> None:
    centre = Centre(QueuePolicy("service", max_waiting=1), ANN)
    waiting = centre.queue_up()
    refused = centre.queue_up(caller="13900139000")
    assert waiting.state == WAITING
    assert centre.heard(refused) == ["zh/leave_message"]
    centre.worker.finish_play(refused.leg)
    centre.settle()
    centre.wait(6)
    assert refused.id not in centre.host.book.interactions
    assert last(centre, "InteractionEnded")["outcome"] == "overflowed", "it was not closed, it was full"


def test_a_queue_that_does_not_exist_costs_nobody_the_call() -> None:
    """The documented example has one queue; key 3 of the hotline asks for `complaints`."""
    centre = Centre(SERVICE, ANN)
    centre.ready("ann")
    interaction = centre.queue_up(keys="13")
    assert (interaction.state, interaction.queue, interaction.agent) == (RINGING, "service", "ann")
    centre.caller_leaves(interaction)
    assert centre.host.book.by_contact == {}


def test_a_flow_that_fails_puts_the_caller_through_to_a_person() -> None:
    centre = broken_centre()
    centre.ready("ann")
    interaction = centre.ring("1")
    assert (interaction.state, interaction.queue) == (RINGING, "service")
    assert centre.flows.errors == 1


@pytest.mark.parametrize("reason", ["closed", "full", "none"])
def test_a_flow_that_fails_where_nobody_takes_the_caller_ends_the_call(reason: str) -> None:
    """Music for hours would be worse."""
    centre = broken_centre(max_waiting=1, default_queue="nowhere" if reason == "none" else "service")
    if reason == "closed":
        centre.host.submit(rf.QueueClosed("service"))
    elif reason == "full":
        centre.ring("1", "13900139000")
    leg = centre.worker.ring("1")
    centre.settle()
    centre.wait(60)
    assert leg not in centre.worker.legs
    assert last(centre, "InteractionEnded")["by"] == "system"


def broken_centre(max_waiting: int = 0, default_queue: str = "service") -> Centre:
    from ivr_flows.schema import Flow

    nodes = {"a": {"branch": {"value": "{{ nothing }}", "cases": {}, "otherwise": "b"}}, "b": {"end": {}}}
    flow = Flow.model_validate({"flow": "broken", "start": "a", "nodes": nodes})
    return Centre(
        QueuePolicy("service", max_waiting=max_waiting), ANN, numbers={"1": ("broken", "zh")}, flows={"broken": flow},
        default_queue=default_queue,
    )  # fmt: skip


def test_a_caller_with_higher_priority_is_served_first() -> None:
    centre = Centre(SERVICE, QueuePolicy("complaints", priority=2), ANN)
    first = centre.queue_up(keys="10")
    urgent = centre.queue_up(caller="13900139000", keys="13")
    centre.ready("ann")
    assert (urgent.state, first.state) == (RINGING, WAITING)


# --- facts of workers ----------------------------------------------------------------------------------


def test_a_fact_that_comes_twice_is_dealt_with_once(centre: Centre) -> None:
    leg = centre.worker.ring()
    facts = [dict(centre.worker.facts[-1])]
    centre.settle()
    interaction = centre.host.book.of_leg(leg)
    assert interaction is not None
    centre.listen_through(interaction)
    centre.worker.key(leg, "1")
    facts += [dict(fact) for fact in centre.worker.facts]
    centre.settle()
    for fact in facts * 2:
        centre.adoption.worker_fact(centre.worker.boot, dict(fact))
    centre.settle()
    assert interaction.node == "main", "the key was pressed once"
    assert len(centre.journalled("InteractionStarted")) == 1
    assert len(centre.worker.ops("answer", leg)) == 1


def test_facts_are_acknowledged_after_they_are_committed(centre: Centre) -> None:
    centre.journal.stuck = True
    centre.worker.ring()
    centre.settle()
    assert centre.worker.unacknowledged
    centre.journal.flush()
    centre.settle()
    assert centre.worker.acked == 1


def test_every_fact_is_acknowledged_in_the_end(centre: Centre) -> None:
    """Also those that change nothing: a worker must not keep them for ever."""
    interaction = centre.ring()
    centre.listen_through(interaction)
    centre.caller_leaves(interaction)
    centre.wait(10)
    assert list(centre.worker.unacknowledged) == []


def test_two_workers_count_for_themselves(centre: Centre) -> None:
    for boot in ("bbbb0001", "cccc0001"):
        message = invite("95519", "13900139000")
        fact = {
            "n": 1,
            "at_ms": START_MS,
            "kind": "incoming",
            "leg": f"{boot}-1",
            "message": message,
            "source": "",
        }
        centre.adoption.worker_fact(boot, fact)
    assert len(centre.journalled("InteractionStarted")) == 2


def test_a_fact_from_the_future_happened_now(centre: Centre) -> None:
    centre.worker.ring()
    centre.worker.facts[-1]["at_ms"] = START_MS + 3_600_000
    centre.settle()
    assert last(centre, "InteractionStarted")["occurred_at_ms"] == START_MS


@pytest.mark.parametrize("kind", ["failed", "refused", "ringing", "unbridged", "something_new"])
def test_other_facts_are_counted_or_pass_by(centre: Centre, kind: str) -> None:
    interaction = centre.talk()
    centre.worker._fact(kind, interaction.leg, op="play", reason="prompt_unusable", other="", code=0)
    centre.settle()
    assert interaction.state == TALKING
    if kind in ("failed", "refused"):
        assert sum(centre.desk.counts.values()) == 1


# --- recordings ----------------------------------------------------------------------------------------


def test_a_conversation_is_recorded_and_merged_when_it_ends(centre: Centre) -> None:
    interaction = centre.talk()
    caller_file, agent_file = interaction.recording
    assert interaction.id in caller_file
    assert caller_file.startswith("rec/")
    centre.caller_leaves(interaction)
    assert centre.files.merged == [(interaction.id, caller_file, agent_file)]


def test_without_recording_nothing_is_recorded() -> None:
    centre = Centre(record=False)
    centre.ready("ann")
    interaction = centre.talk()
    assert interaction.recording == []
    assert centre.worker.ops("dial")[0]["on_answer"]["record"] is None


def test_two_conversations_of_one_call_are_two_recordings() -> None:
    centre = Centre()
    centre.ready("ann", "bob")
    interaction = centre.talk()
    first = list(interaction.recording)
    centre.wait(5)
    centre.agent_leaves(interaction, lost=True)
    centre.wait(1)
    centre.pick_up(interaction)
    assert interaction.recording
    assert interaction.recording != first
    centre.caller_leaves(interaction)
    assert len({caller for _, caller, _ in centre.files.merged}) == 2


def test_a_recorder_that_fails_is_said(centre: Centre) -> None:
    interaction = centre.talk()
    centre.worker._fact("failed", interaction.leg, op="record", reason="OSError")
    centre.settle()
    assert last(centre, "RecordingFailed")["reason"] == "OSError"
    assert interaction.state == TALKING


# --- wrap-up ---------------------------------------------------------------------------------------------


def test_wrap_up_may_be_saved_during_the_call_and_again_later(centre: Centre) -> None:
    interaction = centre.talk()
    centre.agents.wrap_up("ann", interaction.id, "complaint_taken", "", interaction.party_ref)
    assert interaction.state == TALKING
    centre.caller_leaves(interaction)
    assert centre.agent("ann") == "wrap_up"
    centre.agents.wrap_up("ann", interaction.id, "enquiry_answered", "", interaction.party_ref)
    assert centre.agent("ann") == "idle"
    assert [fact["code"] for fact in centre.journalled("WrapUpSaved")] == [
        "complaint_taken",
        "enquiry_answered",
    ]


def test_wrap_up_ends_by_itself(centre: Centre) -> None:
    interaction = centre.talk()
    centre.caller_leaves(interaction)
    centre.wait(31)
    assert centre.agent("ann") == "idle"
    assert interaction.agent == "", "nothing more will be asked of the agent"


def test_wrap_up_is_not_cut_short_by_a_form_of_an_older_call(centre: Centre) -> None:
    older = centre.talk()
    centre.caller_leaves(older)
    centre.wait(31)
    newer = centre.talk("13900139000")
    centre.caller_leaves(newer)
    assert centre.agent("ann") == "wrap_up"
    centre.agents.wrap_up("ann", older.id, "enquiry_answered", "", older.party_ref)
    assert centre.agent("ann") == "wrap_up"


@pytest.mark.parametrize("code", ["", "nonsense", "Enquiry_answered"])
def test_a_code_that_is_none_is_refused(centre: Centre, code: str) -> None:
    interaction = centre.talk()
    with pytest.raises(NotAllowed, match="unknown_code"):
        centre.agents.wrap_up("ann", interaction.id, code, "", interaction.party_ref)
    assert centre.journalled("WrapUpSaved") == []


def test_a_note_is_kept_under_the_callers_key_and_bounded(centre: Centre) -> None:
    interaction = centre.talk()
    centre.agents.wrap_up(
        "ann", interaction.id, "enquiry_answered", "  " + "长" * 5_000, interaction.party_ref
    )
    assert centre.private.get(f"{interaction.id}.note") == "长" * 2_000
    person = centre.private.person_of("+8613800138000")
    rows = centre.journal.connection.execute("SELECT DISTINCT person FROM private").fetchall()
    assert rows == [(person,)]


def test_no_wrap_up_time_means_the_next_call_at_once() -> None:
    centre = Centre(SERVICE, AgentPolicy("ann", wrap_up_ms=0))
    centre.ready("ann")
    first = centre.talk()
    second = centre.queue_up(caller="13900139000")
    centre.caller_leaves(first)
    assert (second.state, second.agent) == (RINGING, "ann")
    assert first.agent == ""


# --- people at the seats -----------------------------------------------------------------------------------


def test_who_is_ready_at_the_start_is_ready_once_a_day() -> None:
    centre = Centre(SERVICE, ANN, BOB)
    centre.people["bob"].ready_at_start = False
    centre.agents.start_of_day()
    assert (centre.agent("ann"), centre.agent("bob")) == ("idle", "logged_out")
    centre.agents.not_ready("ann", "meal")
    centre.restart()
    centre.agents.start_of_day()
    assert centre.agent("ann") == "not_ready", "the journal knows better"


def test_who_went_home_stays_at_home_when_the_core_restarts() -> None:
    centre = Centre(SERVICE, ANN)
    centre.agents.start_of_day()
    centre.agents.log_out("ann")
    centre.restart()
    centre.agents.start_of_day()
    assert centre.agent("ann") == "logged_out", "the journal knows better"


def test_at_the_end_of_the_day_nobody_is_left_ready() -> None:
    centre = Centre()
    centre.ready("ann", "bob")
    centre.agents.end_of_day()
    assert {centre.agent("ann"), centre.agent("bob")} == {"logged_out"}
    before = len(centre.journal.entries)
    centre.agents.end_of_day()
    assert len(centre.journal.entries) == before


def test_logging_in_does_not_make_ready(centre: Centre) -> None:
    centre.agents.log_in("bob")
    assert centre.agent("bob") == "not_ready"
    centre.agents.log_in("ann")
    assert centre.agent("ann") == "idle", "who is there already is left alone"


@pytest.mark.parametrize("reason", ["", "smoke", "Meal"])
def test_reasons_are_from_the_list(centre: Centre, reason: str) -> None:
    with pytest.raises(NotAllowed, match="unknown_reason"):
        centre.agents.not_ready("ann", reason)
    assert centre.agent("ann") == "idle"


def test_not_ready_during_a_call_takes_effect_after_the_work(centre: Centre) -> None:
    interaction = centre.talk()
    centre.agents.not_ready("ann", "meal")
    assert centre.agent("ann") == "talking"
    centre.caller_leaves(interaction)
    assert centre.agent("ann") == "wrap_up"
    centre.agents.wrap_up("ann", interaction.id, "enquiry_answered", "", interaction.party_ref)
    assert centre.agent("ann") == "not_ready"


def test_a_waiting_caller_gets_the_first_who_is_ready() -> None:
    centre = Centre(SERVICE, COMPLAINTS, ANN, BOB)
    interaction = centre.queue_up()
    centre.wait(40)
    assert interaction.state == WAITING
    centre.ready("bob")
    assert (interaction.state, interaction.agent) == (RINGING, "bob")
