"""What carriers and telephones do to audio: keys as sound, other codecs, strangers' packets."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.centre import LIBRARIES, Centre, agent, queue
from tests.peers.phones import Baresip, free_port, until
from tests.peers.rawphone import RawPhone, Sender, dtmf, linear, tone
from tests.peers.sound import assert_tone, tone_share, write_samples

pytestmark = pytest.mark.peer("baresip")

HOTLINE, NUMBER = "95519", "95520"
Start = Callable[..., Centre]


@pytest.mark.parametrize("library", LIBRARIES)
def test_keys_that_come_as_sound_are_heard(start_centre: Start, library: str) -> None:
    """1 for service, 0 for a person: the hotline's own menu, without telephone events."""
    centre = start_centre(
        numbers=[{"number": HOTLINE, "flow": "hotline"}],
        queues=[queue("service")],
        agents=[],
        library=library,
        prompts={"welcome": 0.2},
    )

    with RawPhone(centre.sip, HOTLINE, "13800138001") as phone:
        phone.say([0.0] * 800)
        for _ in range(12):
            phone.say(dtmf("0") + [0.0] * 8000)
            if centre.waiting("service"):
                break
        assert centre.waiting("service") == 1


@pytest.mark.parametrize("codec", ["PCMA/8000/1", "PCMU/8000/1", "G722/16000/1"])
def test_every_codec_sounds_as_it_was_spoken(start_centre: Start, tmp_path: Path, codec: str) -> None:
    """The tone keeps its pitch and its length, whichever codec each side speaks."""
    port = free_port()
    centre = start_centre(
        numbers=[{"number": NUMBER, "queue": "service"}],
        queues=[queue("service")],
        agents=[agent("1001", port)],
    )
    with (
        Baresip(tmp_path / "seat", "1001", port=port, hertz=880, answer="auto", codec="PCMU/8000/1") as seat,
        Baresip(tmp_path / "caller", "13800138001", hertz=440, codec=codec) as caller,
    ):
        caller.dial(NUMBER, centre.sip)
        seat.event("CALL_ESTABLISHED")
        began = time.monotonic()
        until(lambda: seat.heard_s() > 4, 15, "four seconds of talk")
        talked_s = time.monotonic() - began
        caller.hang_up()
        seat.event("CALL_CLOSED")
        caller.event("CALL_CLOSED")
        assert_tone(seat.heard(), 440, talked_s)
        assert_tone(caller.heard(), 880, talked_s)


@pytest.mark.dense
def test_a_third_partys_audio_is_not_let_in(start_centre: Start, tmp_path: Path) -> None:
    """Once the caller's audio came from where the caller said, packets from elsewhere are dropped, however
    many; and the caller goes on hearing what is meant for them."""
    port = free_port()
    centre = start_centre(
        numbers=[{"number": NUMBER, "queue": "service"}],
        queues=[queue("service")],
        agents=[agent("1001", port)],
        library="dense",
    )
    with Baresip(tmp_path / "seat", "1001", port=port, hertz=880, answer="auto") as seat:
        with RawPhone(centre.sip, NUMBER, "13800138001") as phone:
            seat.event("CALL_ESTABLISHED")
            phone.say(tone(0.5, 440))
            stranger = Sender()
            stranger.send(tone(3, 1200), phone.media)
            stranger.socket.close()
            phone.say(tone(1, 440))
            until(lambda: len(phone.audio.heard) > 3 * 8000, 5, "audio for the caller")
            heard = bytes(phone.audio.heard)
        seat.event("CALL_CLOSED")
    assert max(tone_share(seat.heard(), 1200)) < 0.1
    assert max(tone_share(seat.heard(), 440)) > 0.9
    write_samples(tmp_path / "caller.wav", linear(heard))
    assert sum(share > 0.9 for share in tone_share(tmp_path / "caller.wav", 880)) > 10
