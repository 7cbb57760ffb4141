"""Two workers behind the edge: calls spread, parts die one by one, new code comes without a dropped call."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.centre import Centre, Row, agent, moment, queue
from tests.peers.phones import Sipp, free_port, until

pytestmark = [pytest.mark.peer("sipp"), pytest.mark.dense]

NUMBER = "95520"
TALKING, WAITING = 20, 10
Start = Callable[..., Centre]


def pool(start_centre: Start, port: int, seats: int, **voice: object) -> Centre:
    return start_centre(
        numbers=[{"number": NUMBER, "queue": "service"}],
        queues=[queue("service")],
        agents=[agent(f"{1001 + n}", port) for n in range(seats)],
        library="dense",
        voice={"workers": 2, "record": False, "source_rate": 0, "max_legs": 60, **voice},
    )


def legs(centre: Centre) -> list[int]:
    return [worker["legs"] for worker in sorted(centre.status()["workers"], key=lambda w: w["slot"])]


def answered(centre: Centre) -> list[Row]:
    rows = [row for row in centre.records(NUMBER) if row["answered_at"]]
    return sorted(rows, key=lambda row: moment(row["answered_at"]))


def test_a_worker_dies_alone_and_its_callers_come_first(start_centre: Start, tmp_path: Path) -> None:
    port = free_port()
    centre = pool(start_centre, port, TALKING)
    with (
        Sipp("agent", tmp_path / "seats", port=port, calls=1000, hold_s=60, timeout_s=100),
        Sipp(
            "caller_many",
            tmp_path / "callers",
            remote=centre.sip,
            number=NUMBER,
            calls=TALKING,
            rate=20,
            hold_s=60,
        ),
    ):
        centre.wait_agents("talking", TALKING, 20)
        assert legs(centre) == [TALKING, TALKING], "calls are spread evenly"
        dead, alive = sorted(centre.status()["workers"], key=lambda w: w["slot"])
        at = centre.kill(dead["pid"])
        centre.wait_agents("idle", TALKING // 2, 3)
        assert time.time() - at < 2.5, "agents are free within two seconds"
        time.sleep(1)
        assert centre.metric("callcenter_agents", state="talking") == TALKING // 2
        assert len([row for row in centre.records(NUMBER) if row["outcome"] == "cut_off"]) == TALKING // 2
        until(lambda: len(centre.status()["workers"]) == 2, 15, "another worker", 0.1)
        now = {worker["slot"]: worker["pid"] for worker in centre.status()["workers"]}
        assert now[alive["slot"]] == alive["pid"]
        assert now[dead["slot"]] != dead["pid"]


def test_who_was_cut_off_is_put_first(start_centre: Start, tmp_path: Path) -> None:
    port = free_port()
    centre = pool(start_centre, port, 1)
    with Sipp("agent", tmp_path / "seat", port=port, calls=3, hold_s=2, timeout_s=60):

        def call(caller: str, hold_s: float) -> Sipp:
            return Sipp(
                "caller", tmp_path / caller, remote=centre.sip, number=NUMBER, caller=caller, hold_s=hold_s
            )

        with call("13800138001", 30):
            centre.wait_agents("talking", 1)
            (worker,) = [w for w in centre.status()["workers"] if w["legs"]]
            centre.kill(worker["pid"])
            centre.ended(NUMBER, "13800138001")
        until(lambda: len(centre.status()["workers"]) == 2, 15, "another worker", 0.1)
        with call("13800138002", 30):
            centre.wait_agents("talking", 1)
            with call("13800138003", 40) as patient:
                until(lambda: centre.waiting("service") == 1, 5, "one waiting")
                patient.directory.joinpath("again").mkdir()
                with Sipp(
                    "caller",
                    patient.directory / "again",
                    remote=centre.sip,
                    number=NUMBER,
                    caller="13800138001",
                    hold_s=40,
                ):
                    until(lambda: len(answered(centre)) >= 3, 15, "the second of them answered", 0.1)
                    assert answered(centre)[2]["caller"].endswith("13800138001")


def test_the_core_dies_and_nobody_drops_or_loses_their_place(start_centre: Start, tmp_path: Path) -> None:
    port = free_port()
    centre = pool(start_centre, port, TALKING)
    with (
        Sipp("agent", tmp_path / "seats", port=port, calls=1000, hold_s=15, timeout_s=100) as seats,
        Sipp(
            "caller_many",
            tmp_path / "callers",
            remote=centre.sip,
            number=NUMBER,
            calls=TALKING + WAITING,
            rate=20,
            hold_s=60,
        ) as callers,
    ):
        until(lambda: centre.waiting("service") == WAITING, 20, "all of them there", 0.05)
        at = centre.kill_core()
        centre.wait_ready(10)
        until(lambda: centre.waiting("service") == WAITING, 5, "all of them there again", 0.05)
        assert time.time() - at < 6
        until(lambda: len(answered(centre)) == TALKING + WAITING, 30, "everybody answered", 0.2)
        assert not callers.received("BYE sip") or seats.sent("BYE"), "only agents hung up"
    rows = answered(centre)
    arrived = [moment(row["arrived_at"]) for row in rows[TALKING:]]
    assert arrived == sorted(arrived), "first come, first served"
    waits = [moment(row["answered_at"]) - moment(row["arrived_at"]) for row in rows[TALKING:]]
    assert min(waits) > 10, "waiting times include what was before the core died"


def test_new_code_part_by_part_without_a_dropped_call(start_centre: Start, tmp_path: Path) -> None:
    port = free_port()
    centre = pool(start_centre, port, 12)
    before = centre.status()
    with (
        Sipp("agent", tmp_path / "seats", port=port, calls=1000, hold_s=60, timeout_s=100),
        Sipp(
            "caller_many", tmp_path / "callers", remote=centre.sip, number=NUMBER, calls=24, rate=2, hold_s=3
        ) as callers,
    ):
        centre.wait_agents("talking", 1)
        said = centre.restart()
        callers.wait(40)
    after = centre.status()
    for part in ("core", "edge"):
        assert after[part]["pid"] != before[part]["pid"]
    pids = [{worker["pid"] for worker in status["workers"]} for status in (before, after)]
    assert not pids[0] & pids[1]
    assert said.count("->") == 4
    rows = centre.records(NUMBER)
    assert len(rows) == 24
    assert {row["outcome"] for row in rows} == {"answered"}


def test_more_calls_than_admitted_are_refused_at_once(start_centre: Start, tmp_path: Path) -> None:
    port = free_port()
    centre = pool(start_centre, port, TALKING, calls_per_s=5)
    with Sipp("agent", tmp_path / "seats", port=port, calls=1000, hold_s=60, timeout_s=60):
        with Sipp(
            "caller_or_503",
            tmp_path / "callers",
            remote=centre.sip,
            number=NUMBER,
            calls=60,
            rate=10,
            hold_s=1,
        ) as callers:
            callers.wait(40)
            refused = callers.received("SIP/2.0 503")
        assert refused
        assert all(message.header("retry-after") == "7" for message in refused)
        until(
            lambda: len([r for r in centre.records(NUMBER) if r["ended_at"]]) == 60 - len(refused),
            10,
            "records",
        )
    assert {row["outcome"] for row in centre.records(NUMBER)} == {"answered"}
    assert 20 <= len(refused) <= 35, "half of them"
