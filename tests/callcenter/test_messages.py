"""Messages that callers leave: taken down, kept for their queue, seen to once."""

from __future__ import annotations

import pytest

from callcenter.kernel.errors import NotAllowed
from callcenter.live import facts as f
from callcenter.live.book import Interaction
from callcenter.live.messages import Messages
from tests.callcenter.centre import Centre


@pytest.fixture
def centre() -> Centre:
    made = Centre()
    made.answers.results["hours"] = {"open": "no"}
    return made


def at_the_tone(centre: Centre) -> Interaction:
    """Somebody who chose to leave a message and has heard the tone."""
    interaction = centre.queue_up(keys="11")
    centre.listen_through(interaction)
    assert centre.heard(interaction) == ["zh/leave_message"]
    centre.press(interaction, "1")
    centre.listen_through(interaction)
    return interaction


def sealed(centre: Centre, interaction: Interaction, ms: int = 8_000) -> str:
    (name,) = interaction.recordings or [
        centre.files.merged[-1][1].split("/")[-1].removesuffix("-caller.wav")
    ]
    centre.host.submit(f.RecordingSaved(interaction.id, f"rec/{name}.sealed", ms, "d", 9))
    centre.settle()
    return name


def test_a_key_ends_it_and_thanks_are_said(centre: Centre) -> None:
    live = at_the_tone(centre)
    (started,) = centre.journalled("RecordingStarted")
    assert (started["kind"], started["queue"], started["agent_file"]) == ("voicemail", "service", "")
    centre.press(live, "5")
    assert centre.heard(live) == ["zh/message_kept"]
    assert centre.journalled("InteractionEnded")[-1]["outcome"] == "message"
    assert centre.files.merged[-1][2] == ""


def test_hanging_up_ends_it_too(centre: Centre) -> None:
    live = at_the_tone(centre)
    centre.caller_leaves(live)
    assert centre.journalled("InteractionEnded")[-1]["outcome"] == "message"
    name = sealed(centre, live)
    assert centre.messages.open[name].queue == "service"


def test_nothing_is_taken_down_before_the_tone(centre: Centre) -> None:
    live = centre.queue_up(keys="11")
    centre.listen_through(live)
    centre.worker.key(live.leg, "1")
    centre.settle()
    assert centre.heard(live) == ["zh/speak_now", "zh/beep"]
    assert centre.worker.ops("message") == []
    centre.caller_leaves(live)
    assert centre.journalled("InteractionEnded")[-1]["outcome"] == "left_in_flow"


def test_where_nothing_can_be_recorded_it_is_said() -> None:
    centre = Centre(record=False)
    centre.answers.results["hours"] = {"open": "no"}
    live = at_the_tone(centre)
    assert centre.heard(live) == ["zh/no_message"]


def test_a_worker_that_fails_leads_on(centre: Centre) -> None:
    live = at_the_tone(centre)
    centre.worker._fact("failed", live.leg, op="message", reason="OSError", command=[1, 1])
    centre.settle()
    assert centre.heard(live) == ["zh/no_message"]


def test_a_core_that_dies_meanwhile_changes_nothing(centre: Centre) -> None:
    live = at_the_tone(centre)
    plays = len(centre.worker.ops("play"))
    centre.restart()
    live = centre.host.book.interactions[live.id]
    assert len(centre.worker.ops("play")) == plays, "nothing is said into the message"
    centre.press(live, "#")
    assert centre.heard(live) == ["zh/message_kept"]
    name = sealed(centre, live)
    assert name in centre.messages.open


def test_a_message_is_seen_to_by_one(centre: Centre) -> None:
    live = at_the_tone(centre)
    centre.caller_leaves(live)
    name = sealed(centre, live)
    centre.messages.take("ann", name)
    for attempt in (centre.messages.take, centre.messages.done, centre.messages.give_back):
        with pytest.raises(NotAllowed, match="message_taken"):
            attempt("bob", name)
    centre.messages.give_back("ann", name)
    centre.messages.take("bob", name)
    centre.messages.done("bob", name)
    assert centre.messages.open == {}
    with pytest.raises(NotAllowed, match="message_done"):
        centre.messages.take("ann", name)
    assert [fact["agent"] for fact in centre.journalled("MessageTaken")] == ["ann", "", "bob"]


def test_a_breath_is_no_message(centre: Centre) -> None:
    live = at_the_tone(centre)
    centre.caller_leaves(live)
    sealed(centre, live, ms=400)
    assert centre.messages.open == {}


def test_one_not_sealed_yet_when_a_core_starts_is_not_forgotten(centre: Centre) -> None:
    live = at_the_tone(centre)
    centre.caller_leaves(live)
    centre.restart()
    live = centre.host.book.interactions[live.id]
    name = sealed(centre, live)
    assert centre.messages.open[name].party_ref == live.party_ref


def test_what_history_holds_is_there_from_the_start(centre: Centre) -> None:
    live = at_the_tone(centre)
    centre.caller_leaves(live)
    name = sealed(centre, live)
    again = Messages(centre.host, centre.messages.open.values())
    again.take("ann", name)
    assert again.open[name].taken_by == "ann"


def test_a_core_that_starts_after_the_message_says_thanks(centre: Centre) -> None:
    """The key came, the file is not sealed, and the thanks were being said when the core died."""
    live = at_the_tone(centre)
    centre.worker.key(live.leg, "5")
    centre.settle()
    assert centre.heard(live) == ["zh/message_kept"]
    centre.restart()
    live = centre.host.book.interactions[live.id]
    centre.listen_through(live)
    assert centre.journalled("InteractionEnded")[-1]["outcome"] == "message"


def test_a_message_that_ended_while_no_core_reigned_leads_on(centre: Centre) -> None:
    live = at_the_tone(centre)
    centre.crash()
    centre.worker._stop_record(centre.worker.legs[live.leg])
    centre.revive()
    centre.attach()
    live = centre.host.book.interactions[live.id]
    assert centre.heard(live) == ["zh/message_kept"]


def test_a_key_pressed_while_no_core_reigned_ends_it(centre: Centre) -> None:
    live = at_the_tone(centre)
    centre.crash()
    centre.worker.key(live.leg, "5")
    centre.revive()
    centre.attach()
    live = centre.host.book.interactions[live.id]
    assert centre.heard(live) == ["zh/message_kept"]
