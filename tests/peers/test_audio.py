"""What is heard: each party the other, waiting callers music, the recording both, a side each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.centre import LIBRARIES, Centre, agent, queue
from tests.peers.phones import Baresip, kept_port, until
from tests.peers.sound import PURE, WINDOW_S, assert_no_silence, assert_tone, length_s, loudness, tone_share

pytestmark = pytest.mark.peer("baresip")

NUMBER, GREETED = "95520", "95521"
CALLER_HZ, SEAT_HZ = 440, 880
TALK_S, WAIT_S = 3.0, 3.0


SEAT_PORT = kept_port()


@pytest.fixture(scope="module", params=LIBRARIES)
def centre(request: pytest.FixtureRequest) -> Iterator[Centre]:
    made = Centre(
        library=request.param,
        numbers=[
            {"number": NUMBER, "queue": "service"},
            {"number": GREETED, "queue": "nobody", "prompt": "welcome"},
        ],
        queues=[queue("service"), queue("nobody")],
        agents=[agent("1001", SEAT_PORT)],
    )
    try:
        made.wait_ready()
        yield made
        made.stop()
    finally:
        made.close()


def test_each_hears_the_other_and_the_recording_has_a_side_each(centre: Centre, tmp_path: Path) -> None:
    with (
        Baresip(tmp_path / "seat", "1001", port=SEAT_PORT, hertz=SEAT_HZ) as seat,
        Baresip(tmp_path / "caller", "13800138001", hertz=CALLER_HZ) as caller,
    ):
        caller.dial(NUMBER, centre.sip)
        seat.event("CALL_INCOMING")
        caller.event("CALL_ESTABLISHED")
        until(lambda: caller.heard_s() > WAIT_S, WAIT_S + 5, "music while the seat rings")
        seat.accept()
        until(lambda: seat.heard_s() > TALK_S, TALK_S + 5, "talk")
        caller.hang_up()
        seat.event("CALL_CLOSED")
        row = centre.recorded(NUMBER)

    assert_tone(caller.heard(), SEAT_HZ, TALK_S)
    began = [share > PURE for share in tone_share(caller.heard(), SEAT_HZ)].index(True)
    assert began * WINDOW_S > WAIT_S - 0.5
    assert_no_silence(loudness(caller.heard())[2 : began - 2], longest_s=1.5)  # music that fades
    assert_tone(seat.heard(), CALLER_HZ, TALK_S)
    assert length_s(seat.heard()) == pytest.approx(TALK_S, abs=0.6)
    recording = centre.sound(row)
    assert_tone(recording, CALLER_HZ, TALK_S, channel=0)
    assert_tone(recording, SEAT_HZ, TALK_S, channel=1)
    assert length_s(recording) == pytest.approx(TALK_S, abs=0.8)


def test_a_caller_hears_the_prompt_and_then_music(centre: Centre, tmp_path: Path) -> None:
    with Baresip(tmp_path / "caller", "13800138002", hertz=CALLER_HZ) as caller:
        caller.dial(GREETED, centre.sip)
        until(lambda: centre.waiting("nobody") == 1, 10, "waiting behind the prompt")
        said_s = caller.heard_s()
        until(lambda: caller.heard_s() > said_s + WAIT_S, WAIT_S + 5, "music")
        caller.hang_up()
        caller.event("CALL_CLOSED")
    levels = loudness(caller.heard())
    prompt, music = levels[: round(said_s * 10)], levels[round(said_s * 10) + 3 :]
    assert max(prompt) > 1000, "no prompt"
    assert_no_silence(music, longest_s=1.5)
    assert max(tone_share(caller.heard(), CALLER_HZ)) < PURE, "hears itself"
