"""Parts of the centre die without a word, and the calls go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.centre import Centre, Row, agent, moment, queue
from tests.peers.phones import Baresip, Sipp, free_port, until
from tests.peers.sound import assert_no_silence, assert_tone, length_s, loudness

pytestmark = pytest.mark.peer("sipp", "baresip")

HOTLINE, DIRECT = "95519", "95520"
SEAT, FIRST, SECOND = "1001", "13800138001", "13800138002"
CALLER_HZ, SEAT_HZ = 440, 880
OUTCOMES = {"flow": "left_in_flow", "waiting": "abandoned", "ringing": "abandoned", "talking": "answered"}
Start = Callable[..., Centre]


@pytest.fixture
def port() -> int:
    """Of the one seat's telephone."""
    return free_port()


@pytest.fixture
def start(start_centre: Start, port: int) -> Start:
    """A centre with one seat; `ready`: from the start, `ring_s`: how long it is rung."""

    def started(ready: bool = True, ring_s: int = 20) -> Centre:
        return start_centre(
            numbers=[{"number": HOTLINE, "flow": "hotline"}, {"number": DIRECT, "queue": "service"}],
            queues=[queue("service", ring_timeout_s=ring_s)],
            agents=[agent(SEAT, port, ready_at_start=ready)],
            prompts={"to_agent": 0.5},  # five seconds that cannot be cut short
        )

    return started


def call(centre: Centre, phone: Baresip, number: str) -> float:
    """Dial and wait for the answer; its moment."""
    phone.dial(number, centre.sip)
    phone.event("CALL_ESTABLISHED")
    return time.time()


def assert_same(before: Row, after: Row) -> None:
    """The interaction went on as the one it was."""
    for name in ("id", "arrived_at", "number", "caller"):
        assert after[name] == before[name], name


# --- in the flow -------------------------------------------------------------------------------------


def test_the_prompt_goes_on_and_the_flow_too(start: Start, port: int, tmp_path: Path) -> None:
    centre = start()
    with (
        Sipp("agent", tmp_path / "seat", port=port, hold_s=0.5) as seat,
        Baresip(tmp_path / "caller", FIRST) as phone,
    ):
        answered = call(centre, phone, HOTLINE)
        until(lambda: phone.heard_s() > 0.5, 5, "the notice")
        [before] = centre.report()
        centre.kill_core()
        centre.wait_ready()
        phone.press("10")
        phone.event("CALL_CLOSED", 20)
        call_s = time.time() - answered
        seat.wait(2)
        after = centre.ended(HOTLINE)
    assert_same(before, after)
    assert (after["outcome"], after["agent"]) == ("answered", SEAT)
    # SIPp's seat is mute, so only the length says something of the whole call
    assert length_s(phone.heard()) == pytest.approx(call_s, abs=1)
    prompt = loudness(phone.heard())[
        3 : round((moment(after["queued_at"]) - moment(after["arrived_at"])) * 10) - 5
    ]
    assert_no_silence(prompt, longest_s=1)  # speech has its pauses


@pytest.mark.parametrize("pressed", ["while nobody reigns", "afterwards"])
def test_the_flow_goes_on_at_its_node(start: Start, port: int, tmp_path: Path, pressed: str) -> None:
    centre = start()
    with (
        Sipp("agent", tmp_path / "seat", port=port, hold_s=0.5) as seat,
        Baresip(tmp_path / "caller", FIRST) as phone,
    ):
        call(centre, phone, HOTLINE)
        phone.press("1")  # of the first menu; 0 is a choice of the second one only
        until(lambda: phone.heard_s() > 2, 8, "the second menu")
        [before] = centre.report()
        with centre.without_supervisor():
            centre.kill_core()
            if pressed == "while nobody reigns":
                phone.press("0")
                at = phone.heard_s()
                until(lambda: phone.heard_s() > at + 0.5, 5, "the key is out")
        centre.wait_ready()
        if pressed == "afterwards":
            phone.press("0")
        phone.event("CALL_CLOSED", 12)
        seat.wait(2)
        after = centre.ended(HOTLINE)
    assert_same(before, after)
    assert (after["outcome"], after["agent"]) == ("answered", SEAT)


# --- waiting -----------------------------------------------------------------------------------------


def test_those_who_wait_hear_music_and_keep_their_order(start: Start, port: int, tmp_path: Path) -> None:
    centre = start(ready=False)
    person = centre.person(SEAT)
    with (
        Sipp("agent", tmp_path / "seat", port=port, hold_s=0.5, calls=2) as seat,
        Baresip(tmp_path / "first", FIRST) as first,
        Baresip(tmp_path / "second", SECOND) as second,
    ):
        answered = call(centre, first, DIRECT)
        until(lambda: centre.waiting("service") == 1, 5, "the first waits")
        call(centre, second, DIRECT)
        until(lambda: centre.waiting("service") == 2, 5, "both wait")
        before = {row["caller"]: row for row in centre.report()}
        centre.kill_core()
        centre.wait_ready()
        until(lambda: centre.waiting("service") == 2, 5, "both wait again")
        heard_s = first.heard_s()
        assert heard_s == pytest.approx(time.time() - answered, abs=0.7), "RTP stopped for a while"
        person.ready()
        first.event("CALL_CLOSED")
        second.event("CALL_CLOSED")
        seat.wait(2)
        asked_for = [invite.header("P-Asserted-Identity") for invite in seat.received("INVITE")]
        after = {caller: centre.ended(DIRECT, caller) for caller in (FIRST, SECOND)}
    assert [FIRST in asked_for[0], SECOND in asked_for[1]] == [True, True]
    assert after[FIRST]["answered_at"] < after[SECOND]["answered_at"]
    for row in after.values():
        assert_same(before[row["caller"]], row)
        assert row["queued_at"] == before[row["caller"]]["queued_at"]
        assert row["outcome"] == "answered"
    assert_no_silence(loudness(first.heard())[3 : round(heard_s * 10)], longest_s=1.5)  # music fades


# --- ringing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ring_s", "answer_s"),
    [
        pytest.param(20, 6.0, id="answers-the-new-core"),
        pytest.param(20, 1.5, id="answers-while-nobody-reigns"),
        pytest.param(3, 4.0, id="answers-when-its-time-was-up"),
    ],
)
def test_a_ringing_offer_connects_once_or_is_withdrawn(
    start: Start, port: int, tmp_path: Path, ring_s: int, answer_s: float
) -> None:
    centre = start(ring_s=ring_s)
    pid = centre.status()["core"]["pid"]
    ring = {"ring": round(answer_s * 1000)}
    with (
        Sipp("agent", tmp_path / "seat", port=port, hold_s=60, calls=2, variables=ring) as seat,
        Baresip(tmp_path / "caller", FIRST) as phone,
    ):
        answered = call(centre, phone, DIRECT)
        until(lambda: seat.sent("SIP/2.0 180"), 5, "ringing")
        with centre.without_supervisor():
            centre.kill(pid)
            if answer_s < 5:
                until(lambda: seat.received("ACK"), answer_s + 3, "the seat answered")
        connected_at = time.time()
        centre.wait_ready()
        until(lambda: seat.received("ACK"), 10, "the seat answered")
        centre.wait_agents("talking", 1)
        heard_s = phone.heard_s()
        until(lambda: phone.heard_s() > heard_s + 1, 5, "talk")
        [row] = centre.report()
        assert row["outcome"] is None
        phone.hang_up()
        call_s = time.time() - answered
        after = centre.ended(DIRECT)
        until(lambda: seat.received("BYE"), 5, "the seat is told")
        messages = seat.messages()
    assert after["outcome"] == "answered"
    assert after["agent"] == SEAT
    taken = {
        m.header("call-id")
        for m in messages
        if m.sent and m.first_line.startswith("SIP/2.0 200") and m.header("cseq").endswith("INVITE")
    }
    withdrawn = {m.header("call-id") for m in messages if not m.sent and m.text.startswith("CANCEL")}
    assert len(taken) == 1, "connected more than once"
    assert not taken & withdrawn
    if answer_s < 5:
        assert moment(after["answered_at"]) == pytest.approx(connected_at, abs=0.5)
    assert length_s(phone.heard()) == pytest.approx(call_s, abs=1), "RTP stopped for a while"
    centre.wait_agents("idle", 1)
    centre.wait_no_legs()


# --- talking -----------------------------------------------------------------------------------------


def test_talk_and_its_recording_go_on(start: Start, port: int, tmp_path: Path) -> None:
    centre = start()
    with (
        Baresip(tmp_path / "seat", SEAT, port=port, answer="auto", hertz=SEAT_HZ) as seat,
        Baresip(tmp_path / "caller", FIRST, hertz=CALLER_HZ) as phone,
    ):
        answered = call(centre, phone, DIRECT)
        until(lambda: seat.heard_s() > 0.5, 5, "talk")
        [before] = centre.report()
        centre.kill_core()
        centre.wait_ready()
        centre.wait_agents("talking", 1, 3)
        heard_s = seat.heard_s()
        until(lambda: seat.heard_s() > heard_s + 0.5, 5, "talk under the new core")
        seat.hang_up()
        hung_up = time.time()
        phone.event("CALL_CLOSED", 2)
        centre.wait_agents("idle", 1, 2)
        after = centre.recorded(DIRECT)
    assert_same(before, after)
    assert (after["outcome"], after["agent"], after["answered_at"]) == (
        "answered",
        SEAT,
        before["answered_at"],
    )
    assert moment(after["ended_at"]) == pytest.approx(hung_up, abs=0.5)
    talk_s = hung_up - moment(after["answered_at"])
    assert length_s(phone.heard()) == pytest.approx(hung_up - answered, abs=0.6)
    assert_tone(phone.heard(), SEAT_HZ, talk_s)
    assert_tone(seat.heard(), CALLER_HZ, talk_s)
    recording = centre.sound(after)
    assert_tone(recording, CALLER_HZ, talk_s, channel=0)
    assert_tone(recording, SEAT_HZ, talk_s, channel=1)
    centre.wait_no_legs()


# --- the end comes while nobody reigns ---------------------------------------------------------------


@pytest.mark.parametrize("together", [("talking", "waiting"), ("ringing", "flow")], ids="+".join)
def test_calls_that_ended_meanwhile_are_closed_at_their_true_time(
    start: Start, port: int, tmp_path: Path, together: tuple[str, str]
) -> None:
    """Two callers, at different places, hang up while there is no core."""
    with_seat, other = together
    centre = start()
    answer = "auto" if with_seat == "talking" else "manual"
    with (
        Baresip(tmp_path / "seat", SEAT, port=port, answer=answer, hertz=SEAT_HZ) as seat,
        Baresip(tmp_path / "first", FIRST, hertz=CALLER_HZ) as first,
        Baresip(tmp_path / "second", SECOND, hertz=CALLER_HZ) as second,
    ):
        call(centre, first, DIRECT)
        if with_seat == "ringing":
            seat.event("CALL_INCOMING")
        else:
            until(lambda: seat.heard_s() > 0.5, 5, "talk")
        call(centre, second, HOTLINE if other == "flow" else DIRECT)
        until(lambda: second.heard_s() > 0.3, 5, "sound")
        before = {place: by_caller(centre, who) for place, who in zip(together, (FIRST, SECOND), strict=True)}
        hung_up = {}
        with centre.without_supervisor():
            centre.kill_core()
            for place, phone in ((with_seat, first), (other, second)):
                phone.hang_up()
                hung_up[place] = time.time()
            seat.event("CALL_CLOSED", 2)  # without a core
            until(lambda: time.time() > hung_up[other] + 1.5, 3, "some time without a core")
        centre.wait_ready()
        until(lambda: centre.metric("callcenter_interactions_ended_total") == 2, 5, "both ended")
        centre.wait_agents("idle", 1, 2)
        after = {place: centre.ended(row["number"], row["caller"]) for place, row in before.items()}
    for place, row in after.items():
        assert_same(before[place], row)
        assert (row["outcome"], row["ended_by"]) == (OUTCOMES[place], "caller")
        assert moment(row["ended_at"]) == pytest.approx(hung_up[place], abs=0.5)
        assert (row["answered_at"] is not None) == (place == "talking")
    if with_seat == "talking":
        assert centre.recorded(DIRECT, FIRST)["recordings"]
    assert centre.waiting("service") == 0
    centre.wait_no_legs()


def test_calls_that_came_meanwhile_are_taken_or_closed(start: Start, port: int, tmp_path: Path) -> None:
    """One waits for an answer until there is a core again, one gives up ringing."""
    centre = start()
    with (
        Sipp("agent", tmp_path / "seat", port=port, hold_s=0.5) as seat,
        Baresip(tmp_path / "first", FIRST) as patient,
    ):
        with centre.without_supervisor():
            centre.kill_core()
            came = time.time()
            patient.dial(DIRECT, centre.sip)
            patient.event("CALL_RINGING", 2)
            with Sipp(
                "caller_cancel",
                tmp_path / "second",
                remote=centre.sip,
                number=DIRECT,
                caller=SECOND,
                hold_s=0.5,
            ) as hasty:
                hasty.wait()
            gone = time.time()
            until(lambda: time.time() > gone + 1, 3, "some time without a core")
        patient.event("CALL_CLOSED", 20)
        seat.wait(2)
        centre.wait_ready()
        taken, given_up = centre.ended(DIRECT, FIRST), centre.ended(DIRECT, SECOND)
    assert (taken["outcome"], taken["agent"]) == ("answered", SEAT)
    assert moment(taken["arrived_at"]) == pytest.approx(came, abs=0.5)
    assert given_up["answered_at"] is None
    assert given_up["ended_by"] == "caller"
    assert moment(given_up["ended_at"]) == pytest.approx(gone, abs=0.5)
    centre.wait_no_legs()


def by_caller(centre: Centre, caller: str) -> Row:
    [row] = [row for row in centre.report() if row["caller"].endswith(caller)]
    return row


# --- the worker dies ---------------------------------------------------------------------------------


def test_a_dead_worker_cuts_its_calls_off_and_is_replaced(start: Start, port: int, tmp_path: Path) -> None:
    centre = start()
    old = centre.status()["workers"][0]["pid"]
    with (
        Baresip(tmp_path / "seat", SEAT, port=port, answer="auto", hertz=SEAT_HZ) as seat,
        Baresip(tmp_path / "caller", FIRST, hertz=CALLER_HZ) as phone,
    ):
        call(centre, phone, DIRECT)
        until(lambda: seat.heard_s() > 2, 5, "talk")
        killed = centre.kill(old)
        centre.wait_agents("idle", 1, 2 - (time.time() - killed))
        row = centre.recorded(DIRECT)
    assert (row["outcome"], row["ended_by"], row["agent"]) == ("cut_off", "worker", SEAT)
    assert moment(row["ended_at"]) == pytest.approx(killed, abs=1)
    assert length_s(centre.sound(row)) == pytest.approx(killed - moment(row["answered_at"]), abs=1)
    status = until(lambda: (found := centre.status())["workers"] and found, 10, "a new worker", 0.1)
    assert status["workers"][0]["pid"] != old
    assert status["restarts"] == {"edge": 0, "worker-0": 1, "core": 0}
    centre.wait_ready()
    with Sipp("agent", tmp_path / "seat2", port=port, hold_s=0.3) as taking:
        with Sipp(
            "caller", tmp_path / "next", remote=centre.sip, number=DIRECT, caller=SECOND, hold_s=20
        ) as calling:
            calling.wait()
            taking.wait()
        assert centre.ended(DIRECT, SECOND)["outcome"] == "answered"
    centre.wait_no_legs()


# --- the stop ----------------------------------------------------------------------------------------


def test_a_stop_hangs_up_and_closes_the_records(start: Start, port: int, tmp_path: Path) -> None:
    centre = start()
    with (
        Baresip(tmp_path / "seat", SEAT, port=port, answer="auto", hertz=SEAT_HZ) as seat,
        Baresip(tmp_path / "caller", FIRST, hertz=CALLER_HZ) as phone,
        Baresip(tmp_path / "second", SECOND) as waiting,
    ):
        call(centre, phone, DIRECT)
        until(lambda: seat.heard_s() > 0.5, 5, "talk")
        call(centre, waiting, DIRECT)
        centre.stop()
        for told in (seat, phone, waiting):
            told.event("CALL_CLOSED", 1)
    rows = centre.report()
    assert [row["outcome"] for row in rows] == ["answered", "abandoned"]
    assert all(row["ended_at"] for row in rows)


def test_a_stop_right_after_a_kill_leaves_nothing(start: Start) -> None:
    centre = start()
    centre.kill_core()
    centre.stop()
