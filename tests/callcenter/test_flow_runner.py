"""Flows on calls: prompts, keys, silences, look-ups and the place where a caller stands."""

from __future__ import annotations

import pytest

from callcenter.live.book import IN_FLOW, RINGING, Interaction
from ivr_flows.schema import Flow
from tests.callcenter.centre import ANN, COMPLAINTS, SERVICE, Centre


@pytest.fixture
def centre() -> Centre:
    return Centre()


@pytest.fixture
def at_main(centre: Centre) -> Interaction:
    interaction = centre.ring()
    centre.listen_through(interaction)
    centre.press(interaction, "1")
    assert interaction.node == "main"
    return interaction


@pytest.fixture
def at_collect(centre: Centre, at_main: Interaction) -> Interaction:
    centre.press(at_main, "2")
    assert at_main.node == "ask_agent_number"
    return at_main


def asked(centre: Centre, name: str) -> list[dict[str, str]]:
    return [args for _, asked_name, args in centre.answers.asked if asked_name == name]


# --- silence -------------------------------------------------------------------------------------------


def test_silence_is_counted_from_the_end_of_the_prompt(centre: Centre, at_main: Interaction) -> None:
    centre.wait(30)
    assert at_main.tries == 0, "the prompt still plays"
    centre.worker.finish_play(at_main.leg)
    centre.settle()
    centre.wait(4.9)
    assert at_main.tries == 0
    centre.wait(0.2)
    assert at_main.tries == 1
    assert centre.heard(at_main) == ["zh/nothing_heard", "zh/main"]


def test_nobody_there_is_put_through_after_three_silences(centre: Centre, at_main: Interaction) -> None:
    centre.ready("ann")
    for _ in range(3):
        assert (at_main.node, at_main.state) == ("main", IN_FLOW)
        centre.worker.finish_play(at_main.leg)
        centre.settle()
        centre.wait(6)
    centre.listen_through(at_main)
    assert at_main.state == RINGING


def test_a_wrong_key_is_said_to_be_wrong(centre: Centre, at_main: Interaction) -> None:
    centre.press(at_main, "8")
    assert (at_main.node, at_main.tries) == ("main", 1)
    assert centre.heard(at_main) == ["zh/not_known", "zh/main"]


# --- keys ----------------------------------------------------------------------------------------------


def test_a_key_during_the_prompt_is_enough(centre: Centre, at_main: Interaction) -> None:
    assert centre.worker.legs[at_main.leg].play is not None
    centre.press(at_main, "3")
    assert "complaints" in at_main.path


def test_who_knows_the_way_need_not_listen(centre: Centre) -> None:
    """Keys before the menu are kept for it, and its words are not said any more."""
    interaction = centre.ring()
    centre.worker.key(interaction.leg, "2")
    centre.worker.key(interaction.leg, "3")
    centre.settle()
    centre.listen_through(interaction)
    assert interaction.path[:9] == [
        "notice",
        "recognise",
        "which_language",
        "language",
        "english",
        "greet",
        "main",
        "complaints",
        "hours",
    ]
    prompts = [sent["files"] for sent in centre.worker.ops("play", interaction.leg)]
    assert ["zh/choose_language"] not in prompts


def test_a_number_ends_with_its_terminator(centre: Centre, at_collect: Interaction) -> None:
    centre.worker.key(at_collect.leg, "10001#")
    centre.settle()
    assert asked(centre, "sales_agent") == [{"number": "10001"}]


def test_a_number_without_terminator_ends_after_a_pause(centre: Centre, at_collect: Interaction) -> None:
    centre.worker.key(at_collect.leg, "10001")
    centre.settle()
    centre.wait(3.9)
    assert asked(centre, "sales_agent") == []
    centre.wait(0.2)
    assert asked(centre, "sales_agent") == [{"number": "10001"}]


def test_each_key_gives_time_for_the_next(centre: Centre, at_collect: Interaction) -> None:
    for digit in "10001":
        centre.worker.key(at_collect.leg, digit)
        centre.settle()
        centre.wait(3)
    assert asked(centre, "sales_agent") == []
    centre.wait(2)
    assert asked(centre, "sales_agent") == [{"number": "10001"}]


@pytest.mark.parametrize("pause_s", [0, 0.3, 1.0])
def test_the_hash_after_a_number_of_full_length_is_not_taken_for_an_answer(
    centre: Centre, at_collect: Interaction, pause_s: float
) -> None:
    """The prompt asks for it, and licence numbers have twenty digits."""
    centre.worker.key(at_collect.leg, "02001234567890123456")
    centre.settle()
    centre.wait(pause_s)
    centre.worker.key(at_collect.leg, "#")
    centre.settle()
    assert asked(centre, "sales_agent") == [{"number": "02001234567890123456"}]
    centre.listen_through(at_collect)
    assert (at_collect.node, at_collect.tries) == ("after_check", 0)
    heard = [file for sent in centre.worker.ops("play", at_collect.leg) for file in sent["files"]]
    assert "zh/genuine" in heard
    assert "zh/not_known" not in heard


def test_a_number_of_full_length_without_hash_goes_on_by_itself(
    centre: Centre, at_collect: Interaction
) -> None:
    centre.worker.key(at_collect.leg, "02001234567890123456")
    centre.settle()
    centre.wait(4)
    assert asked(centre, "sales_agent") == [{"number": "02001234567890123456"}]


def test_what_is_keyed_behind_the_terminator_is_for_the_next_node(
    centre: Centre, at_collect: Interaction
) -> None:
    centre.worker.key(at_collect.leg, "10001#0")
    centre.settle()
    centre.listen_through(at_collect)
    assert at_collect.path[-1] in ("wait", "to_agent")
    assert "after_check" in at_collect.path


def test_keys_of_the_agents_leg_are_nobodys_choice(centre: Centre) -> None:
    centre.ready("ann")
    interaction = centre.talk()
    before = list(interaction.path)
    centre.worker._fact("key", interaction.agent_leg, digit="1")
    centre.settle()
    assert interaction.path == before


def test_keys_in_the_queue_and_in_the_conversation_do_no_harm(centre: Centre) -> None:
    interaction = centre.queue_up()
    centre.press(interaction, "1234567890*#")
    centre.ready("ann")
    centre.press(interaction, "5")
    centre.pick_up(interaction)
    centre.press(interaction, "5")
    centre.caller_leaves(interaction)
    assert len(centre.journalled("InteractionEnded")) == 1


def test_the_end_of_an_older_prompt_means_nothing(centre: Centre, at_main: Interaction) -> None:
    older = centre.worker.legs[at_main.leg].play
    centre.press(at_main, "8")
    centre.worker._fact("played", at_main.leg, play=older, interrupted=True)
    centre.settle()
    centre.wait(20)
    assert at_main.tries == 1, "the present prompt still plays"


# --- look-ups --------------------------------------------------------------------------------------------


def test_a_late_answer_to_an_older_question_is_not_taken_for_the_present_one(centre: Centre) -> None:
    """Two checks in a row: what the first one says comes when the second is asked."""
    centre.answers.hold = True
    interaction = centre.ring()
    centre.worker.finish_play(interaction.leg)
    centre.settle()
    (first, name) = centre.answers._held.pop()
    assert name == "customer"
    first({"known": "no"})
    centre.settle()
    for keys in ("1", "2", "10001#"):
        centre.press(interaction, keys)
    assert (interaction.node, [name for _, name in centre.answers._held]) == ("check_agent", ["sales_agent"])
    first({"result": "left", "name": "", "branch": ""})
    centre.settle()
    assert (interaction.node, interaction.state, centre.flows.errors) == ("check_agent", IN_FLOW, 0)
    centre.answers.later()
    centre.settle()
    centre.listen_through(interaction)
    assert "genuine" in interaction.path


def test_an_answer_for_a_caller_who_left_is_dropped(centre: Centre) -> None:
    centre.answers.hold = True
    interaction = centre.ring()
    centre.worker.finish_play(interaction.leg)
    centre.settle()
    centre.caller_leaves(interaction)
    centre.answers.later()
    centre.settle()
    assert centre.host.book.interactions == {}


def test_a_question_that_nobody_answers_is_given_up(centre: Centre) -> None:
    """The records' database hangs: the caller must not stand in silence for hours."""
    centre.answers.hold = True
    interaction = centre.ring()
    centre.listen_through(interaction)
    assert interaction.node == "recognise"
    centre.wait(20)
    assert interaction.node == "language"
    centre.answers.later()
    centre.settle()
    assert interaction.node == "language", "the late answer is dropped"


def test_what_cannot_be_had_is_a_failed_lookup(centre: Centre) -> None:
    centre.answers.results.update(customer=None, hours=None, sales_agent=None)
    centre.ready("ann")
    interaction = centre.queue_up(keys="10")
    assert interaction.state == RINGING


# --- where a caller stands ---------------------------------------------------------------------------------


def test_where_a_caller_stands_is_a_fact(centre: Centre, at_collect: Interaction) -> None:
    moved = centre.journalled("FlowMoved")[-1]
    assert (moved["flow"], moved["node"], moved["language"], moved["tries"]) == (
        "hotline",
        "ask_agent_number",
        "zh",
        0,
    )
    assert at_collect.path == [
        "notice",
        "recognise",
        "which_language",
        "language",
        "chinese",
        "greet",
        "main",
        "ask_agent_number",
    ]


@pytest.mark.parametrize("keys", ["", "1", "12", "2", "18", "188", "12_99", "12_10001#"])
def test_a_caller_in_the_menu_goes_on_where_they_were(keys: str) -> None:
    centre = Centre()
    interaction = centre.ring()
    centre.listen_through(interaction)
    for key in keys.replace("_", ""):
        centre.press(interaction, key)
    centre.wait(6)
    before = (
        interaction.node,
        interaction.language,
        interaction.tries,
        list(interaction.path),
        centre.heard(interaction)[-1:],
    )
    centre.worker.finish_play(interaction.leg)
    centre.settle()
    centre.restart(away_ms=500)
    after = centre.host.book.interactions[interaction.id]
    assert (after.node, after.language, after.tries, after.path, centre.heard(after)[-1:]) == before


def test_a_prompt_that_still_plays_is_not_begun_again(centre: Centre, at_main: Interaction) -> None:
    plays = len(centre.worker.ops("play"))
    centre.restart(away_ms=500)
    again = centre.host.book.interactions[at_main.id]
    assert len(centre.worker.ops("play")) == plays
    centre.worker.finish_play(again.leg)
    centre.settle()
    centre.wait(6)
    assert again.tries == 1, "silence counts from its end"


def test_keys_pressed_while_no_core_reigned_count(centre: Centre, at_main: Interaction) -> None:
    centre.ready("ann")
    centre.crash()
    centre.worker.key(at_main.leg, "0")
    centre.stay_away(2_000)
    centre.revive()
    centre.attach()
    interaction = centre.host.book.interactions[at_main.id]
    centre.listen_through(interaction)
    assert interaction.state == RINGING


def test_what_was_keyed_is_known_to_the_next_core(centre: Centre, at_collect: Interaction) -> None:
    centre.worker.key(at_collect.leg, "10001#")
    centre.settle()
    centre.restart()
    interaction = centre.host.book.interactions[at_collect.id]
    centre.listen_through(interaction)
    heard = [file for sent in centre.worker.ops("play", interaction.leg) for file in sent["files"]]
    assert "zh/陈静，北京分公司。" in heard


def test_a_lookup_that_was_under_way_is_asked_again(centre: Centre, at_collect: Interaction) -> None:
    centre.answers.hold = True
    centre.worker.key(at_collect.leg, "10001#")
    centre.settle()
    centre.crash()
    centre.answers.forget()
    centre.revive()
    centre.attach()
    assert asked(centre, "sales_agent") == [{"number": "10001"}] * 2


def test_numbers_with_a_greeting_of_their_own_keep_their_queue_over_a_restart() -> None:
    from callcenter.directory.directory import _direct_flow

    flows = {
        "direct_service_hello": _direct_flow("service", "hello"),
        "direct_complaints_hello": _direct_flow("complaints", "hello"),
    }
    numbers = {"1": ("direct_service_hello", "zh"), "2": ("direct_complaints_hello", "en")}
    centre = Centre(SERVICE, COMPLAINTS, ANN, numbers=numbers, flows=flows)
    interaction = centre.ring("2")
    assert centre.heard(interaction) == ["en/hello"]
    centre.worker.finish_play(interaction.leg)
    centre.crash()
    centre.revive()
    centre.attach()
    interaction = centre.host.book.interactions[interaction.id]
    centre.listen_through(interaction)
    assert (interaction.queue, interaction.language) == ("complaints", "en")


def test_a_flow_that_a_newer_version_lacks_puts_the_caller_through(
    centre: Centre, at_main: Interaction
) -> None:
    centre.ready("ann")
    centre.crash()
    centre.flow_files = {
        "other": Flow.model_validate({"flow": "other", "start": "a", "nodes": {"a": {"end": {}}}})
    }
    centre.directory.numbers = {"95519": ("other", "zh")}
    centre.revive()
    centre.attach()
    assert centre.host.book.interactions[at_main.id].state == RINGING


def test_after_the_end_of_a_call_nothing_is_kept() -> None:
    centre = Centre()
    centre.ready("ann")
    for ends in ("caller", "agent", "panel", "flow"):
        interaction = centre.ring() if ends == "flow" else centre.talk()
        if ends == "caller":
            centre.caller_leaves(interaction)
        elif ends == "agent":
            centre.agent_leaves(interaction)
        elif ends == "panel":
            centre.desk.hang_up(interaction)
            centre.settle()
        else:
            centre.listen_through(interaction)
            for key in ("1", "2", "10001#"):
                centre.press(interaction, key)
            while interaction.leg in centre.worker.legs:
                centre.worker.finish_play(interaction.leg)
                centre.settle()
                centre.wait(6)
        assert interaction.leg not in centre.worker.legs, ends
        assert centre.flows._runs == {}, ends
        centre.wait(31)
    outcomes = [fact["outcome"] for fact in centre.journalled("InteractionEnded")]
    assert outcomes == ["answered", "answered", "answered", "served"]
