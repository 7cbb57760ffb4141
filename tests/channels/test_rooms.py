"""Who hears whom, by mode."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.voice.worker.rooms import HOLD, PARTIES, Room, connections, is_mode

CASES: dict[str, tuple[dict[str, str], set[str]]] = {
    "two who talk": ({"c": "talk", "a": "talk"}, {"ca", "ac"}),
    "the agent mute": ({"c": "talk", "a": "mute"}, {"ca"}),
    "the caller held": ({"c": "hold", "a": "talk"}, set()),
    "a consultation": ({"c": "hold", "a": "talk", "x": "talk"}, {"ax", "xa"}),
    "a conference": ({"c": "talk", "a": "talk", "x": "talk"}, {"ca", "ac", "cx", "xc", "ax", "xa"}),
    "one listens": ({"c": "talk", "a": "talk", "s": "listen"}, {"ca", "ac", "cs", "as"}),
    "one whispers to the agent": (
        {"c": "talk", "a": "talk", "s": "whisper:a"},
        {"ca", "ac", "cs", "as", "sa"},
    ),
    "whispering to who left": ({"c": "talk", "s": "whisper:a"}, {"cs"}),
    "whispering to who is held": ({"c": "hold", "a": "talk", "s": "whisper:c"}, {"as"}),
    "alone": ({"c": "talk"}, set()),
}


@pytest.mark.parametrize("case", CASES)
def test_connections(case: str) -> None:
    members, wanted = CASES[case]
    assert {source + sink for source, sink in connections(members)} == wanted


MODES = st.sampled_from(["talk", "mute", "hold", "listen", "whisper:a", "whisper:b"])


@given(st.dictionaries(st.sampled_from("abcdef"), MODES))
def test_whoever_is_held_hears_nobody_and_listeners_are_heard_by_nobody(members: dict[str, str]) -> None:
    pairs = connections(members)
    assert all(source != sink for source, sink in pairs)
    for leg, mode in members.items():
        if mode == HOLD:
            assert not any(leg in pair for pair in pairs)
        if mode in ("listen", "mute"):
            assert not any(source == leg for source, _ in pairs)
        if mode.startswith("whisper:"):
            assert {sink for source, sink in pairs if source == leg} <= {mode[-1]}
        if mode == "talk":
            assert all((leg, other) in pairs for other in members if other != leg and members[other] != HOLD)


@pytest.mark.parametrize(
    ("mode", "good"),
    [
        ("talk", True),
        ("whisper:a", True),
        ("whisper:", False),
        ("whisper", False),
        ("", False),
        ("shout", False),
    ],
)
def test_modes(mode: str, good: bool) -> None:
    assert is_mode(mode) is good


def test_a_room_knows_its_parties() -> None:
    room = Room("c", {"c": "hold", "a": "talk", "s": "listen", "x": "mute"})
    assert room.parties() == ["c", "a", "x"]
    assert room.others() == ["s"]
    assert [room.peer_of(leg) for leg in "casx"] == ["a", "c", "c", "c"]
    room.members.pop("c")
    assert room.peer_of("a") is None
    assert {"talk", "mute", "hold"} == PARTIES
