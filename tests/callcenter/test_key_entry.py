"""Keys for the machine alone: compared, never kept; the recording pauses; every way to an end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from callcenter.kernel.errors import NotAllowed
from callcenter.live import facts as f
from callcenter.live.book import Interaction
from callcenter.live.control import Target
from tests.callcenter.centre import Centre


def talking(known: str | None = "01123X") -> tuple[Centre, Interaction]:
    centre = Centre()
    centre.ready("ann")
    live = centre.talk()
    centre.host.submit(f.CustomerMatched(live.id, 7))
    if known is not None:
        centre.id_endings[7] = known
    return centre, live


def keyed(centre: Centre, live: Interaction, digits: str) -> None:
    async def scene() -> None:
        centre.worker.key(live.leg, digits)
        centre.settle()
        while centre.key_entry._tasks:
            await asyncio.sleep(0.001)
        centre.settle()

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("known", "digits", "result", "verified"),
    [
        ("01123X", "01123*", "matched", "id_number"),
        ("01123X", "011234", "differs", ""),
        ("01123X", "01#", "differs", ""),
        (None, "011234", "unknown", ""),
        ("011234", "0112345678", "matched", "id_number"),
    ],
)
def test_what_becomes_of_an_entry(known: str | None, digits: str, result: str, verified: str) -> None:
    centre, live = talking(known)
    centre.key_entry.start("ann", live.id)
    centre.settle()
    assert (live.key_entry, live.recording_paused) == ("id_number", True)
    keyed(centre, live, digits)
    assert (live.key_entry, live.key_result, live.verified) == ("", result, verified)
    assert not live.recording_paused
    kinds = [fact["k"] for fact in centre.journalled() if fact["k"].startswith(("Recording", "KeyEntry"))]
    assert kinds == [
        "RecordingStarted",
        "KeyEntryStarted",
        "RecordingPaused",
        "KeyEntryEnded",
        "RecordingResumed",
    ]
    assert "0112" not in str(centre.journalled()), "no digit is kept"


def test_nobody_hears_the_caller_meanwhile() -> None:
    centre, live = talking()
    centre.key_entry.start("ann", live.id)
    centre.settle()
    assert live.modes == {live.leg: "mute", live.agent_leg: "talk"}
    keyed(centre, live, "01123*")
    assert live.modes == {live.leg: "talk", live.agent_leg: "talk"}
    centre.control.hold("ann", live.id, True)
    centre.settle()
    assert refused(centre.key_entry.start, "ann", live.id) == "customer_held"


def test_a_hold_in_the_middle_stays() -> None:
    centre, live = talking()
    centre.key_entry.start("ann", live.id)
    centre.settle()
    centre.control.hold("ann", live.id, True)
    centre.settle()
    keyed(centre, live, "01123*")
    assert live.modes[live.leg] == "hold"


def test_only_their_number_is_shown() -> None:
    centre, live = talking()
    shown: list[int] = []
    centre.key_entry.changed = lambda one: shown.append(centre.key_entry.count(one.id))
    centre.key_entry.start("ann", live.id)
    centre.worker.key(live.leg, "011")
    centre.settle()
    assert shown == [1, 2, 3]


def test_a_recording_that_the_agent_paused_stays_so() -> None:
    centre, live = talking()
    centre.control.pause_recording("ann", live.id, True)
    centre.settle()
    centre.key_entry.start("ann", live.id)
    keyed(centre, live, "01123*")
    assert live.recording_paused


def test_it_ends_by_itself() -> None:
    centre, live = talking()
    centre.key_entry.start("ann", live.id)
    centre.wait(44)
    assert live.key_entry
    centre.wait(2)
    assert (live.key_entry, live.key_result, live.recording_paused) == ("", "timed_out", False)


def test_the_agent_gives_it_up() -> None:
    centre, live = talking()
    centre.key_entry.start("ann", live.id)
    centre.key_entry.cancel("ann", live.id)
    centre.settle()
    assert (live.key_result, live.recording_paused) == ("cancelled", False)


def test_keys_at_any_other_time_mean_nothing() -> None:
    centre, live = talking()
    centre.worker.key(live.leg, "123456")
    centre.settle()
    assert (live.key_result, live.verified) == ("", "")


def refused(work: Callable[..., Any], *args: Any) -> str:
    with pytest.raises(NotAllowed) as caught:
        work(*args)
    return caught.value.code


def test_who_may_not() -> None:
    centre, live = talking()
    assert refused(centre.key_entry.start, "bob", live.id) == "call_over"
    assert refused(centre.key_entry.cancel, "ann", live.id) == "not_keying"
    centre.key_entry.start("ann", live.id)
    assert refused(centre.key_entry.start, "ann", live.id) == "already_keying"
    stranger = Centre()
    stranger.ready("ann")
    assert refused(stranger.key_entry.start, "ann", stranger.talk().id) == "no_customer"


@pytest.mark.parametrize("way", ["caller", "agent", "transfer"])
def test_the_call_ends_in_the_middle(way: str) -> None:
    centre, live = talking()
    centre.key_entry.start("ann", live.id)
    centre.worker.key(live.leg, "01")
    centre.settle()
    if way == "caller":
        centre.caller_leaves(live)
    elif way == "agent":
        centre.agent_leaves(live)
    else:
        centre.control.park("ann", live.id)
        centre.settle()
    assert centre.key_entry.count(live.id) == 0
    centre.wait(60)
    ended = [fact["result"] for fact in centre.journalled("KeyEntryEnded")]
    assert ended == (["cancelled"] if way == "transfer" else [])
    assert live.key_entry == "" or live.state == "wrapping"


def test_a_new_core_asks_again_and_records_again() -> None:
    centre, live = talking()
    centre.key_entry.start("ann", live.id)
    centre.worker.key(live.leg, "01")
    centre.settle()
    centre.restart()
    live = centre.host.book.interactions[live.id]
    assert (live.key_entry, live.key_result, live.recording_paused) == ("", "cancelled", False)
    assert live.modes[live.leg] == "talk"


def test_a_late_answer_to_an_entry_that_was_given_up_does_not_count() -> None:
    centre, live = talking()

    async def scene() -> None:
        centre.key_entry.start("ann", live.id)
        centre.worker.key(live.leg, "01123*")
        centre.settle()  # the comparison is under way
        centre.key_entry.cancel("ann", live.id)
        centre.settle()
        centre.key_entry.start("ann", live.id)
        centre.settle()
        while centre.key_entry._tasks:
            await asyncio.sleep(0.001)
        centre.settle()

    asyncio.run(scene())
    assert (live.key_entry, live.verified) == ("id_number", "")


def test_a_pause_of_the_agent_s_own_outlives_a_core() -> None:
    centre, live = talking()
    centre.control.pause_recording("ann", live.id, True)
    centre.settle()
    centre.key_entry.start("ann", live.id)
    centre.settle()
    centre.restart()
    assert centre.host.book.interactions[live.id].recording_paused


def test_the_next_agent_may_ask_again() -> None:
    centre, live = talking()
    centre.key_entry.start("ann", live.id)
    centre.settle()
    centre.ready("bob")
    centre.control.transfer("ann", live.id, Target(agent="bob"))
    centre.settle()
    centre.pick_up(live)
    centre.key_entry.start("bob", live.id)
    centre.settle()
    assert live.key_entry == "id_number"
