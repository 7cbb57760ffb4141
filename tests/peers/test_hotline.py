"""The hotline from the first prompt to the closed record, against SIPp and baresip."""

from __future__ import annotations

import sqlite3
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.centre import LIBRARIES, Centre, Row, agent, moment, queue
from tests.peers.phones import Baresip, Sipp, kept_port, until
from tests.peers.sound import length_s

pytestmark = pytest.mark.peer("sipp", "baresip")

RING_S = 3
HOTLINE, DIRECT, GREETED, NOBODY, UNKNOWN = "95519", "95520", "95521", "95522", "95599"
TROUBLES = ("busy", "declined", "not_found", "no_answer", "silent", "dropped")
"""a queue each, with a number, a first seat where that happens, and a second that answers"""
NUMBERS = {trouble: str(95530 + n) for n, trouble in enumerate(TROUBLES)}
SEATS = {trouble: (f"2{n}1", f"2{n}2") for n, trouble in enumerate(TROUBLES)}
PORTS = {login: kept_port() for login in ("1001", *(login for pair in SEATS.values() for login in pair))}
WELCOME = Path(__file__).parents[2] / "ivr_flows" / "prompts" / "zh" / "welcome.wav"


@pytest.fixture(scope="module", params=LIBRARIES)
def centre(request: pytest.FixtureRequest) -> Iterator[Centre]:
    made = Centre(
        library=request.param,
        numbers=[
            {"number": HOTLINE, "flow": "hotline"},
            {"number": DIRECT, "queue": "service"},
            {"number": GREETED, "queue": "service", "prompt": "welcome"},
            {"number": NOBODY, "queue": "nobody"},
            *({"number": NUMBERS[trouble], "queue": trouble} for trouble in TROUBLES),
        ],
        queues=[
            queue("service"),
            queue("complaints"),
            queue("nobody"),
            *(queue(trouble, ring_timeout_s=RING_S) for trouble in TROUBLES),
        ],
        agents=[
            agent("1001", PORTS["1001"], "service"),
            *(agent(login, PORTS[login], trouble) for trouble in TROUBLES for login in SEATS[trouble]),
        ],
        voice={"silence_probe_s": 2},
        prompts={"to_agent": 0.5},  # five seconds that cannot be cut short
        sample=True,
    )
    try:
        made.wait_ready()
        yield made
        made.stop()
    finally:
        made.close()


def in_order(row: Row) -> bool:
    return bool(row["arrived_at"] <= row["queued_at"] <= row["answered_at"] <= row["ended_at"])


# --- keys --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [pytest.param("rfc4733", marks=pytest.mark.peer("raw")), "info"])
def test_keys_lead_to_an_agent_and_the_record_is_complete(centre: Centre, tmp_path: Path, how: str) -> None:
    caller = {"rfc4733": "13800138001", "info": "13800138002"}[how]
    with Sipp("agent", tmp_path / "agent", port=PORTS["1001"], hold_s=2) as seat:
        called_at = time.time()
        if how == "rfc4733":
            phone = Sipp(
                "caller_pcap",
                tmp_path / "caller",
                remote=centre.sip,
                caller=caller,
                hold_s=60,
                digits=[(0.5, "1"), (1.2, "0")],
            )
        else:
            phone = Sipp(
                "caller_info",
                tmp_path / "caller",
                remote=centre.sip,
                caller=caller,
                hold_s=60,
                variables={"before": 500, "between": 700},
                key1="1",
                key2="0",
            )
        with phone:
            phone.wait()
            seat.wait()
        gone_at = time.time()
        invites = seat.received("INVITE")
    assert len(invites) == 1
    row = centre.recorded(HOTLINE, caller)
    assert row["caller"] == f"+86{caller}"
    assert (row["queue"], row["agent"], row["outcome"], row["ended_by"]) == (
        "service",
        "1001",
        "answered",
        "agent",
    )
    assert in_order(row)
    assert called_at - 0.1 <= moment(row["arrived_at"]) < called_at + 5
    assert gone_at - 1 < moment(row["ended_at"]) <= gone_at + 0.1
    talked_s = moment(row["ended_at"]) - moment(row["answered_at"])
    assert talked_s == pytest.approx(2, abs=0.5)
    recording = centre.sound(row)
    with wave.open(str(recording)) as sound:
        assert (sound.getnchannels(), sound.getframerate(), sound.getsampwidth()) == (2, 8000, 2)
    assert length_s(recording) == pytest.approx(talked_s, abs=0.5)
    assert row["recordings"][0]["duration_ms"] / 1000 == pytest.approx(length_s(recording), abs=0.05)
    centre.wait_agent("1001", "idle")
    centre.wait_no_legs()


def test_checks_of_sales_agents_are_recorded_with_their_results(centre: Centre, tmp_path: Path) -> None:
    caller = "13900139003"  # nobody's number
    with Baresip(tmp_path / "caller", caller) as phone:
        phone.dial(HOTLINE, centre.sip)
        phone.event("CALL_ESTABLISHED")
        phone.press("12")
        for done, number in enumerate(("10001", "10006", "10008", "99999")):
            phone.press(f"1{number}#" if done else f"{number}#")  # each key cuts short what is being said
            wait_checks(centre, done + 1)
        phone.hang_up()
    row = centre.ended(HOTLINE, caller)
    assert [result for _, result in checks(centre)] == ["active", "suspended", "left", "unknown"]
    assert {interaction for interaction, _ in checks(centre)} == {row["id"]}
    assert (row["queue"], row["agent"], row["answered_at"]) == (None, None, None)
    centre.wait_no_legs()


def wait_checks(centre: Centre, count: int) -> None:
    until(lambda: len(checks(centre)) >= count, 20, f"{count} checks", 0.05)


def checks(centre: Centre) -> list[tuple[str, str]]:
    """(interaction, result) of every check of a sales agent so far."""
    records = sqlite3.connect(f"file:{centre.var / 'callcenter.db'}?mode=ro", uri=True)
    try:
        return records.execute("SELECT interaction_id, result FROM sales_agent_checks ORDER BY id").fetchall()
    finally:
        records.close()


# --- the caller hangs up -----------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["prompt", "menu"])
def test_caller_leaves_in_the_flow(centre: Centre, tmp_path: Path, where: str) -> None:
    caller = {"prompt": "13800138010", "menu": "13800138011"}[where]
    with Baresip(tmp_path / "caller", caller) as phone:
        phone.dial(HOTLINE, centre.sip)
        phone.event("CALL_ESTABLISHED")
        until(lambda: phone.heard_s() > 0.5, 5, "the notice")
        if where == "menu":
            phone.press("1")  # cuts the notice short and chooses the language
            until(lambda: phone.heard_s() > 2.5, 10, "the menu")
        phone.hang_up()
        gone_at = time.time()
        row = centre.ended(HOTLINE, caller)
    assert (row["outcome"], row["ended_by"], row["queue"], row["answered_at"]) == (
        "left_in_flow",
        "caller",
        None,
        None,
    )
    assert moment(row["ended_at"]) == pytest.approx(gone_at, abs=0.5)
    centre.wait_no_legs()


def test_caller_leaves_while_waiting(centre: Centre, tmp_path: Path) -> None:
    caller = "13800138012"
    before = centre.metric("callcenter_contacts_abandoned_total", queue="nobody")
    with Baresip(tmp_path / "caller", caller) as phone:
        phone.dial(NOBODY, centre.sip)
        until(lambda: centre.waiting("nobody") == 1, 5, "waiting")
        phone.event("CALL_ESTABLISHED")
        phone.hang_up()
        gone_at = time.time()
        until(lambda: centre.waiting("nobody") == 0, 2, "nobody waiting")
        row = centre.ended(NOBODY, caller)
    assert (row["outcome"], row["ended_by"], row["queue"], row["agent"]) == (
        "abandoned",
        "caller",
        "nobody",
        None,
    )
    assert row["answered_at"] is None
    assert moment(row["ended_at"]) == pytest.approx(gone_at, abs=0.5)
    assert centre.metric("callcenter_contacts_abandoned_total", queue="nobody") == before + 1
    centre.wait_no_legs()


def test_caller_leaves_while_the_agent_rings(centre: Centre, tmp_path: Path) -> None:
    caller = "13800138013"
    with Sipp("agent_noanswer", tmp_path / "agent", port=PORTS["1001"]) as seat:
        with Baresip(tmp_path / "caller", caller) as phone:
            phone.dial(DIRECT, centre.sip)
            phone.event("CALL_ESTABLISHED")
            until(lambda: seat.sent("SIP/2.0 180"), 5, "ringing")
            assert centre.wait_agent("1001", "reserved")
            phone.hang_up()
            centre.wait_agent("1001", "idle", 2)
            seat.wait(5)  # succeeds once it got CANCEL and its 487 was acknowledged
        row = centre.ended(DIRECT, caller)
    assert (row["outcome"], row["ended_by"], row["answered_at"]) == ("abandoned", "caller", None)
    assert row["recordings"] == []
    centre.wait_no_legs()


# --- numbers -----------------------------------------------------------------------------------------


def test_a_number_that_is_not_ours_is_refused(centre: Centre, tmp_path: Path) -> None:
    with Sipp("caller_refused", tmp_path / "caller", remote=centre.sip, number=UNKNOWN) as phone:
        phone.wait()
        final = [
            m.first_line for m in phone.messages() if not m.sent and not m.first_line.startswith("SIP/2.0 1")
        ]
    assert set(final) == {"SIP/2.0 404 Not Found"}
    centre.wait_no_legs()
    assert centre.records(UNKNOWN) == []


def test_a_number_may_go_straight_to_a_queue(centre: Centre, tmp_path: Path) -> None:
    caller = "13800138020"
    with (
        Sipp("agent", tmp_path / "agent", port=PORTS["1001"], hold_s=0.3) as seat,
        Sipp(
            "caller", tmp_path / "caller", remote=centre.sip, number=DIRECT, caller=caller, hold_s=20
        ) as phone,
    ):
        phone.wait()
        seat.wait()
    row = centre.ended(DIRECT, caller)
    assert (row["outcome"], row["queue"], row["agent"]) == ("answered", "service", "1001")
    assert moment(row["queued_at"]) - moment(row["arrived_at"]) < 0.5


def test_a_prompt_is_said_before_a_direct_queue(centre: Centre, tmp_path: Path) -> None:
    caller = "13800138021"
    with (
        Sipp("agent", tmp_path / "agent", port=PORTS["1001"], hold_s=0.3) as seat,
        Sipp(
            "caller", tmp_path / "caller", remote=centre.sip, number=GREETED, caller=caller, hold_s=20
        ) as phone,
    ):
        phone.wait()
        seat.wait()
    row = centre.ended(GREETED, caller)
    assert (row["outcome"], row["queue"], row["agent"]) == ("answered", "service", "1001")
    assert moment(row["queued_at"]) - moment(row["arrived_at"]) == pytest.approx(length_s(WELCOME), abs=0.7)


# --- the first seat does not take the call -----------------------------------------------------------


@pytest.mark.parametrize(("trouble", "status"), [("busy", 486), ("declined", 603), ("not_found", 404)])
def test_a_refused_offer_moves_on_to_the_next_seat(
    centre: Centre, tmp_path: Path, trouble: str, status: int
) -> None:
    caller, (first, second) = f"138001380{status}"[:11], SEATS[trouble]
    numbers = {"ring": 1500, "status": status}
    with (
        Sipp("agent_refuse", tmp_path / "first", port=PORTS[first], variables=numbers) as refusing,
        Sipp("agent", tmp_path / "second", port=PORTS[second], hold_s=0.5) as taking,
    ):
        called_at = time.time()
        with Baresip(tmp_path / "caller", caller) as phone:
            phone.dial(NUMBERS[trouble], centre.sip)
            phone.event("CALL_CLOSED")
        refusing.wait()
        taking.wait()
        assert len(refusing.received("INVITE")) == len(taking.received("INVITE")) == 1
    assert_moved_on(centre, trouble, caller, called_at, waited_s=1.4)
    if trouble != "declined":
        assert centre.agents()[first]["state"] == "not_ready"
    centre.wait_agent(second, "idle")
    centre.wait_no_legs()


def test_an_unanswered_offer_moves_on_and_the_seat_is_not_ready(centre: Centre, tmp_path: Path) -> None:
    caller, (first, second) = "13800138030", SEATS["no_answer"]
    with (
        Sipp("agent_noanswer", tmp_path / "first", port=PORTS[first]) as ringing,
        Sipp("agent", tmp_path / "second", port=PORTS[second], hold_s=0.5) as taking,
    ):
        called_at = time.time()
        with Baresip(tmp_path / "caller", caller) as phone:
            phone.dial(NUMBERS["no_answer"], centre.sip)
            phone.event("CALL_CLOSED")
        ringing.wait()
        taking.wait()
        assert len(ringing.received("INVITE")) == len(taking.received("INVITE")) == 1
    row = assert_moved_on(centre, "no_answer", caller, called_at, waited_s=RING_S - 0.2)
    assert moment(row["answered_at"]) - moment(row["arrived_at"]) < RING_S + 1
    left = centre.agents()[first]
    assert (left["state"], left["reason"]) == ("not_ready", "missed")
    centre.wait_agent(second, "idle")
    centre.wait_no_legs()


@pytest.mark.parametrize("trouble", ["dropped", "silent"])
def test_a_seat_that_vanishes_after_answering_is_replaced(
    centre: Centre, tmp_path: Path, trouble: str
) -> None:
    """`dropped`: a phone that talked and lost its power; `silent`: one that never said anything after its 200."""
    caller, (first, second) = {"dropped": "13800138040", "silent": "13800138041"}[trouble], SEATS[trouble]
    with Baresip(tmp_path / "caller", caller) as phone:
        called_at = time.time()
        if trouble == "dropped":
            vanishing: Baresip | Sipp = Baresip(
                tmp_path / "first", first, port=PORTS[first], answer="auto", hertz=880
            )
        else:
            vanishing = Sipp(
                "agent_vanish", tmp_path / "first", port=PORTS[first], hold_s=60, variables={"ring": 0}
            )
        with vanishing, Sipp("agent", tmp_path / "second", port=PORTS[second], hold_s=0.5) as taking:
            phone.dial(NUMBERS[trouble], centre.sip)
            centre.wait_agent(first, "talking")
            if isinstance(vanishing, Baresip):
                until(lambda: vanishing.heard_s() > 1, 5, "talking")
                vanishing.kill()
            phone.event("CALL_CLOSED", 25)
            taking.wait()
            assert len(taking.received("INVITE")) == 1
    assert_moved_on(centre, trouble, caller, called_at, waited_s=0)
    assert centre.agents()[first]["state"] == "not_ready"
    centre.wait_agent(second, "idle")


def assert_moved_on(centre: Centre, trouble: str, caller: str, called_at: float, waited_s: float) -> Row:
    """One interaction, which the second seat answered, and which arrived when the call came."""
    row = centre.ended(NUMBERS[trouble], caller)
    assert (row["outcome"], row["queue"], row["agent"]) == ("answered", trouble, SEATS[trouble][1])
    assert called_at - 0.1 <= moment(row["arrived_at"]) < called_at + 5
    assert moment(row["answered_at"]) - moment(row["arrived_at"]) >= waited_s
    assert in_order(row)
    return row
