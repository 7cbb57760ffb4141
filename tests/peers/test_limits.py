"""Many calls: one after another, at once, and one too many."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.centre import Centre, agent, queue
from tests.peers.phones import Baresip, Sipp, free_port, until

pytestmark = pytest.mark.peer("sipp", "baresip")

NUMBER, NOBODY = "95520", "95522"
CALLS, CALLS_A_SECOND = 300, 7
KEPT_S = 33
"""SIP remembers a transaction for 64 * T1 = 32 s (RFC 3261 §17): what memory that takes is taken by then"""
AT_ONCE = 50
Start = Callable[..., Centre]


def resident_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def test_three_hundred_calls_in_a_row_leave_nothing_behind(start_centre: Start, tmp_path: Path) -> None:
    port = free_port()
    centre = start_centre(
        numbers=[{"number": NUMBER, "queue": "service"}],
        queues=[queue("service")],
        agents=[agent("1001", port)],
    )
    worker = centre.status()["workers"][0]

    def ended() -> int:
        return int(centre.metric("callcenter_interactions_ended_total", outcome="answered"))

    began = time.monotonic()
    with (
        Sipp("agent", tmp_path / "seat", port=port, calls=CALLS, hold_s=0.05, timeout_s=100) as seat,
        Sipp(
            "caller",
            tmp_path / "callers",
            remote=centre.sip,
            number=NUMBER,
            calls=CALLS,
            rate=CALLS_A_SECOND,
            at_once=2,
            hold_s=20,
            timeout_s=100,
        ) as callers,
    ):
        until(lambda: time.monotonic() > began + KEPT_S, KEPT_S + 5, "the longest a transaction is kept", 0.2)
        calls, memory_kb = ended(), resident_kb(worker["pid"])
        assert calls < CALLS - 30, "nothing left to measure"
        callers.wait(60)
        seat.wait(5)
    until(lambda: ended() == CALLS, 5, "all ended")
    grown_kb = resident_kb(worker["pid"]) - memory_kb
    assert grown_kb < memory_kb * 0.1
    assert grown_kb / (CALLS - calls) < 10, "kB for ever with each call"
    centre.wait_no_legs()
    after = centre.status()["workers"][0]
    assert after["pid"] == worker["pid"]
    assert (after["refused"], after["malformed"], after["unacknowledged"]) == (0, 0, 0)
    rows = centre.report()
    assert len(rows) == CALLS
    assert {(row["outcome"], row["agent"]) for row in rows} == {("answered", "1001")}
    assert centre.agents()["1001"]["state"] == "idle"


def test_one_caller_too_many_is_told_when_to_try_again(start_centre: Start, tmp_path: Path) -> None:
    centre = start_centre(
        numbers=[{"number": NOBODY, "queue": "nobody"}], queues=[queue("nobody")], agents=[]
    )
    with (
        Baresip(tmp_path / "first", "13800138001") as first,
        Baresip(tmp_path / "second", "13800138002") as second,
    ):
        for phone in (first, second):
            phone.dial(NOBODY, centre.sip)
            phone.event("CALL_ESTABLISHED")
        with Sipp("caller_refused", tmp_path / "third", remote=centre.sip, number=NOBODY) as third:
            third.wait()
            [refusal] = third.received("SIP/2.0 5")
        assert refusal.first_line.startswith("SIP/2.0 503 ")
        assert refusal.header("Retry-After") == "7"  # as configured
        assert centre.waiting("nobody") == 2
        assert centre.legs() == (4, 4)
        first.hang_up()
        until(lambda: centre.legs() == (2, 4), 5, "room again", 0.05)
        with Sipp("caller", tmp_path / "fourth", remote=centre.sip, number=NOBODY, hold_s=0.2) as fourth:
            fourth.wait()
        second.hang_up()
        centre.wait_no_legs()
    assert len(centre.report()) == 3
    until(
        lambda: centre.metric("callcenter_edge_messages_total", what="refused_full") == 1,
        5,
        "it is counted",
        0.1,
    )


@pytest.mark.dense
def test_fifty_at_once_are_served(start_centre: Start, tmp_path: Path) -> None:
    ports = [free_port() for _ in range(2)]
    seats = [agent(str(2001 + n), ports[n % len(ports)]) for n in range(AT_ONCE)]
    centre = start_centre(
        numbers=[{"number": NUMBER, "queue": "service"}],
        queues=[queue("service")],
        agents=seats,
        library="dense",
    )
    assert centre.status()["workers"][0]["library"] == "dense"
    phones = [
        Sipp("agent", tmp_path / f"seats{n}", port=port, calls=AT_ONCE // len(ports), hold_s=60)
        for n, port in enumerate(ports)
    ]
    try:
        with Sipp(
            "caller", tmp_path / "callers", remote=centre.sip, number=NUMBER, calls=AT_ONCE, rate=25, hold_s=6
        ) as callers:
            until(
                lambda: centre.metric("callcenter_agents", state="talking") == AT_ONCE,
                20,
                "all talk at once",
                0.05,
            )
            assert centre.legs()[0] == 2 * AT_ONCE
            callers.wait()
        for phone in phones:
            phone.wait(5)
    finally:
        for phone in phones:
            phone.stop()
    centre.wait_no_legs()
    worker = centre.status()["workers"][0]
    assert worker["free"] == worker["capacity"]
    assert worker["refused"] == 0
    until(
        lambda: all(row["recordings"][0]["state"] == "saved" for row in centre.report()),
        40,
        "all recordings",
        0.2,
    )
    rows = centre.report()
    assert len(rows) == AT_ONCE
    assert {row["outcome"] for row in rows} == {"answered"}
    assert len({row["agent"] for row in rows}) == AT_ONCE
