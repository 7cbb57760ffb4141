"""The core's side of the worker protocol, on a transport in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.testing import StringTransport

from channels.voice.adapter import WorkerLink, WorkerPool
from channels.voice.protocol import MAX_FRAME, PROTOCOL, FrameBuffer, Message, pack


class Heard:
    """The application's ear (the VoiceEvents port)."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, Message]] = []
        self.facts: list[tuple[str, Message]] = []
        self.lost: list[str] = []
        self.newer: list[int] = []

    def worker_taken(self, boot: str, welcome: Message) -> None:
        self.taken.append((boot, welcome))

    def worker_fact(self, boot: str, fact: Message) -> None:
        self.facts.append((boot, fact))

    def worker_lost(self, boot: str) -> None:
        self.lost.append(boot)

    def superseded(self, epoch: int) -> None:
        self.newer.append(epoch)


class Line:
    """One connection; what the core wrote on it."""

    def __init__(self, pool: WorkerPool, boot: str = "aaaa0001", slot: int = 0) -> None:
        self.boot, self.slot = boot, slot
        self.link = WorkerLink(pool, Path(f"w-{slot}-{boot}.sock"), "", 0)
        self.transport = StringTransport()
        self.link.makeConnection(self.transport)

    def written(self) -> list[Message]:
        found = FrameBuffer().feed(self.transport.value())
        self.transport.clear()
        return found

    def say(self, message: Message) -> None:
        self.link.dataReceived(pack(message))

    def welcome(self, facts: list[Message] | None = None) -> None:
        if facts:
            self.say({"t": "held", "facts": facts})
        self.say(
            {
                "t": "welcome", "proto": PROTOCOL, "boot": self.boot, "slot": self.slot, "pid": 5, "library": "stock",
                "legs": 0, "inventory": [],
            }
        )  # fmt: skip


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def pool(heard: Heard, tmp_path: Path) -> WorkerPool:
    return WorkerPool(tmp_path, 7, heard)


def test_the_core_greets_with_its_epoch(pool: WorkerPool) -> None:
    assert Line(pool).written() == [{"t": "hello", "role": "core", "epoch": 7, "proto": PROTOCOL}]


def test_a_worker_is_taken_with_the_facts_it_held_in_order(pool: WorkerPool, heard: Heard) -> None:
    line = Line(pool)
    line.say({"t": "held", "facts": [{"n": 1}, {"n": 2}]})
    line.welcome([{"n": 3}])
    ((boot, welcome),) = heard.taken
    assert boot == "aaaa0001"
    assert welcome["facts"] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert heard.facts == []


def test_facts_arrive_in_order_whatever_the_segments(pool: WorkerPool, heard: Heard) -> None:
    line = Line(pool)
    line.welcome()
    stream = b"".join(pack({"t": "fact", "n": n, "kind": "key"}) for n in range(50))
    for start in range(0, len(stream), 7):
        line.link.dataReceived(stream[start : start + 7])
    assert [(boot, fact["n"]) for boot, fact in heard.facts] == [("aaaa0001", n) for n in range(50)]


def test_commands_carry_the_epoch_and_count(pool: WorkerPool) -> None:
    line = Line(pool)
    line.welcome()
    line.written()
    pool.command("aaaa0001", "play", "l1", files=["a.wav"], play="p1")
    pool.command("aaaa0001", "hangup", "l1")
    pool.acknowledge("aaaa0001", 9)
    first, second, ack = line.written()
    assert first == {"t": "cmd", "id": [7, 1], "op": "play", "leg": "l1", "files": ["a.wav"], "play": "p1"}
    assert second["id"] == [7, 2]
    assert ack == {"t": "ack", "n": 9}


def test_nothing_is_sent_to_a_worker_that_is_not_there(pool: WorkerPool) -> None:
    line = Line(pool)
    line.welcome()
    line.written()
    pool.command("bbbb0002", "hangup", "l1")
    pool.acknowledge("bbbb0002", 1)
    assert line.written() == []


def test_commands_go_to_the_worker_that_holds_the_leg(pool: WorkerPool) -> None:
    one, other = Line(pool, "aaaa0001", 0), Line(pool, "bbbb0002", 1)
    one.welcome()
    other.welcome()
    one.written()
    other.written()
    pool.command("bbbb0002", "hangup", "l1")
    assert (one.written(), len(other.written())) == ([], 1)


def test_what_workers_last_said_of_themselves(pool: WorkerPool) -> None:
    line = Line(pool)
    line.welcome()
    assert [status["legs"] for status in pool.statuses()] == [0]
    line.say({"t": "status", "boot": "aaaa0001", "legs": 3})
    (status,) = pool.statuses()
    assert (status["legs"], status["pid"]) == (3, 5)


def test_a_newer_core_reigns(pool: WorkerPool, heard: Heard) -> None:
    Line(pool).say({"t": "superseded", "epoch": 8})
    assert heard.newer == [8]


def test_a_new_worker_in_a_slot_means_the_old_one_is_dead(pool: WorkerPool, heard: Heard) -> None:
    Line(pool, "aaaa0001", 0).welcome()
    Line(pool, "bbbb0002", 0).welcome()
    assert heard.lost == ["aaaa0001"]
    assert [boot for boot, _ in heard.taken] == ["aaaa0001", "bbbb0002"]
    assert [status["boot"] for status in pool.statuses()] == ["bbbb0002"]


@pytest.mark.parametrize("body", [b"\xc1", b"\x05", b"\x80", b"\x81\xa1t\x05"])
def test_what_is_no_message_ends_the_connection(pool: WorkerPool, heard: Heard, body: bytes) -> None:
    line = Line(pool)
    line.link.dataReceived(len(body).to_bytes(4, "big") + body)
    assert line.transport.disconnecting
    assert heard.facts == []


def test_a_frame_beyond_the_limit_ends_the_connection(pool: WorkerPool) -> None:
    line = Line(pool)
    line.link.dataReceived((MAX_FRAME + 1).to_bytes(4, "big"))
    assert line.transport.disconnecting


@pytest.mark.parametrize(
    "message",
    [
        {"t": "status", "boot": "aaaa0001", "legs": 1},
        {"t": "fact", "n": 1, "kind": "key"},
        {"t": "held"},
        {"t": "welcome"},
        {"t": "superseded"},
        {"t": "dance"},
    ],
)
def test_a_worker_that_talks_out_of_turn_does_not_hurt_the_core(
    pool: WorkerPool, heard: Heard, message: dict[str, Any]
) -> None:
    line = Line(pool)
    line.say(message)
    assert heard.facts == []
    assert (heard.taken, heard.newer) == ([], [])


def test_letting_go_leaves_the_worker_alone(pool: WorkerPool, heard: Heard) -> None:
    line = Line(pool)
    line.welcome()
    pool.stop()
    assert line.transport.disconnecting
    line.link.connectionLost()
    assert heard.lost == [], "its calls go on"
