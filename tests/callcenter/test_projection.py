"""History as a fold over the journal: what a day looks like in rows."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, text

from callcenter.history import HistoryFollower, rebuild
from callcenter.journal import store
from callcenter.journal.writer import Entry
from callcenter.live import facts as f
from callcenter.live.facts import CODEC
from callcenter.projection import (
    AUDIT_COLUMNS,
    INTERACTION_COLUMNS,
    RECORDING_COLUMNS,
    SEGMENT_COLUMNS,
    Projection,
)
from routing import facts as rf
from tests.callcenter.centre import Centre

T0 = 1_767_600_000_000
Fact = Any
Row = dict[str, Any]


def plain(fact: Fact) -> Row:
    made = rf.to_plain(fact) if isinstance(fact, rf.Fact) else CODEC.to_plain(fact)
    unpacked: Row = store.unpack(store.pack(made))
    return unpacked


def moved_on(agent: str, state: str = "idle") -> Row:
    return {
        "k": "AgentChanged",
        "agent": agent,
        "state": state,
        "reason": "",
        "since_ms": 0,
        "until_ms": 0,
        "contact": "",
    }


Activation = tuple[int, list[Fact], list[Row]]
"""(seconds since the beginning, facts, commands)"""

ANSWERED: list[Activation] = [
    (0, [f.InteractionStarted("i1-1", "voice", "in", "95519", "w", "l1", "i1-1.party", T0)], []),
    (0, [f.FlowMoved("i1-1", "hotline", "notice", "zh", 0)], []),
    (1, [f.CustomerMatched("i1-1", 7)], []),
    (5, [f.FlowMoved("i1-1", "hotline", "main", "en", 0, "i1-1.vars", ("language", "english", "main"))], []),
    (8, [f.InteractionQueued("i1-1", "c1-1", "service", T0 + 8_000), rf.ContactArrived("c1-1", "service", T0 + 8_000)], []),
    (9, [f.AgentDialled("i1-1", "c1-1", "o1-1", "ann", "l2", T0 + 9_000)], []),
    (29, [f.OfferEnded("i1-1", "o1-1", "ann", "no_answer", T0 + 29_000)], []),
    (29, [f.AgentDialled("i1-1", "c1-1", "o2-1", "bob", "l3", T0 + 29_000)], []),
    (33, [rf.OfferAnswered("o2-1", T0 + 33_000), f.InteractionAnswered("i1-1", "c1-1", "o2-1", "bob", "l3", T0 + 33_000)], []),
    (33, [f.RecordingStarted("i1-1", "rec/i1-1-9-caller.wav", "rec/i1-1-9-agent.wav", T0 + 33_000)], []),
    (90, [f.LegClosed("i1-1", "l1", "caller", 200, "normal", "remote", T0 + 90_000, "PCMA", 100, 1, 99, 2, 30, 40)], []),
    (90, [f.InteractionEnded("i1-1", "answered", "normal", "caller", T0 + 90_000, "service", T0 + 8_000),
          rf.ContactEnded("c1-1", T0 + 90_000)], [moved_on("bob", "wrap_up")]),
    (91, [f.LegClosed("i1-1", "l3", "agent", 200, "peer_gone", "local", T0 + 91_000, "PCMU", 90, 0, 90, 0, 5, 6)], []),
    (95, [f.RecordingSaved("i1-1", "rec/i1-1-9.sealed", 57_000, "abc", 99)], []),
    (110, [f.WrapUpSaved("i1-1", "bob", "enquiry_answered", "i1-1.note", T0 + 110_000), rf.WrapUpEnded("bob", T0 + 110_000)],
     [moved_on("bob")]),
]  # fmt: skip


class Log:
    """A synthetic journal in memory."""

    def __init__(self, *days: list[Activation]) -> None:
        self.connection: sqlite3.Connection = store.connect(Path(":memory:"))
        self.entries: list[Entry] = []
        for day in days:
            self.add(day)

    def add(self, day: list[Activation]) -> list[Entry]:
        fresh = []
        for second, facts, commands in day:
            seq, now_ms = len(self.entries) + 1, T0 + second * 1000
            entry = Entry(seq, 1, now_ms, [plain(fact) for fact in facts], commands)
            self.connection.execute(
                "INSERT INTO activations VALUES (?, 1, ?, ?, ?)",
                (seq, now_ms, store.pack(entry.facts), store.pack(commands)),
            )
            self.entries.append(entry)
            fresh.append(entry)
        return fresh


def folded(*days: list[Activation]) -> tuple[dict[str, Row], list[tuple[Any, ...]]]:
    """Rows by interaction; segments as (interaction, kind, agent, from, to, result) in seconds."""
    projection = Projection(lambda _interaction: None)
    for entry in Log(*days).entries:
        projection.apply(entry.seq, entry.now_ms, entry.facts, entry.commands)
    rows = {key: record.row for key, record in projection.records.items()}
    segments = [
        (s["interaction_id"], s["kind"], s["agent"], _s(s["started_at_ms"]), _s(s["ended_at_ms"]), s["result"])
        for record in projection.records.values() for s in record.segments
    ]  # fmt: skip
    return rows, segments


def recordings(*days: list[Activation]) -> list[Row]:
    projection = Projection(lambda _interaction: None)
    for entry in Log(*days).entries:
        projection.apply(entry.seq, entry.now_ms, entry.facts, entry.commands)
    return [dict(one) for record in projection.records.values() for one in record.recordings]


def _s(moment_ms: int | None) -> float | None:
    return None if moment_ms is None else (moment_ms - T0) / 1000


def tables(engine: Engine) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        rows = [
            tuple(row)
            for row in connection.execute(
                text(f"SELECT {', '.join(INTERACTION_COLUMNS)} FROM interactions ORDER BY id")
            )
        ]
        for table, columns, order in (
            ("segments", SEGMENT_COLUMNS, "interaction_id, n"),
            ("recordings", RECORDING_COLUMNS, "id"),
            ("audit", AUDIT_COLUMNS, "seq, n"),
        ):
            query = text(f"SELECT {', '.join(columns)} FROM {table} ORDER BY {order}")
            rows += [tuple(row) for row in connection.execute(query)]
        return rows


# --- the golden day ------------------------------------------------------------------------------------


def test_an_answered_call_in_rows() -> None:
    rows, segments = folded(ANSWERED)
    row = dict(rows["i1-1"])
    quality = json.loads(row.pop("quality"))
    assert row == {
        "id": "i1-1", "org_id": 1, "medium": "voice", "direction": "in", "number": "95519", "party_ref": "i1-1.party",
        "customer_id": 7, "flow": "hotline", "path": "notice,language,english,main", "language": "en", "queue": "service",
        "agent": "bob", "arrived_at_ms": T0, "queued_at_ms": T0 + 8_000, "answered_at_ms": T0 + 33_000,
        "ended_at_ms": T0 + 90_000, "outcome": "answered", "cause": "normal", "ended_by": "caller",
        "wrap_up_code": "enquiry_answered", "note_ref": "i1-1.note",
        "last_seq": 15, "stars": 0,
    }  # fmt: skip
    assert quality["caller"] == {
        "codec": "PCMA", "rx": 100, "rx_lost": 1, "tx": 99, "tx_lost": 2, "jitter_us": 30, "rtt_us": 40,
    }  # fmt: skip
    assert quality["agent"]["codec"] == "PCMU"
    assert segments == [
        ("i1-1", "flow", "", 0, 8, ""),
        ("i1-1", "queued", "", 8, 9, ""),
        ("i1-1", "ringing", "ann", 9, 29, "no_answer"),
        ("i1-1", "queued", "", 29, 29, ""),
        ("i1-1", "ringing", "bob", 29, 33, "answered"),
        ("i1-1", "talking", "bob", 33, 90, "answered"),
        ("i1-1", "wrapping", "bob", 90, 110, "done"),
    ]


START = (0, [f.InteractionStarted("i1-1", "voice", "in", "95519", "w", "l1", "", T0)], [])
QUEUED = (8, [f.InteractionQueued("i1-1", "c1-1", "service", T0 + 8_000)], [])
DIALLED = (9, [f.AgentDialled("i1-1", "c1-1", "o1-1", "ann", "l2", T0 + 9_000)], [])
ANSWER = (12, [f.InteractionAnswered("i1-1", "c1-1", "o1-1", "ann", "l2", T0 + 12_000)], [])


def end(second: int, outcome: str, by: str = "caller") -> Activation:
    return (second, [f.InteractionEnded("i1-1", outcome, "normal", by, T0 + second * 1000)], [])


def test_left_in_the_menu() -> None:
    rows, segments = folded([START, end(4, "left_in_flow")])
    row = rows["i1-1"]
    assert (row["outcome"], row["queued_at_ms"], row["answered_at_ms"], row["agent"]) == (
        "left_in_flow",
        None,
        None,
        "",
    )
    assert segments == [("i1-1", "flow", "", 0, 4, "left_in_flow")]


def test_abandoned_while_it_rang() -> None:
    rows, segments = folded([START, QUEUED, DIALLED, end(15, "abandoned")])
    assert (rows["i1-1"]["outcome"], rows["i1-1"]["agent"]) == ("abandoned", "")
    assert segments[-1] == ("i1-1", "ringing", "ann", 9, 15, "abandoned")


def test_at_the_panel_an_offer_is_one_ringing() -> None:
    presented = (9, [f.AgentDialled("i1-1", "c1-1", "o1-1", "ann", "", T0 + 9_000)], [])
    taken = (11, [f.AgentDialled("i1-1", "c1-1", "o1-1", "ann", "l2", T0 + 11_000)], [])
    _, segments = folded([START, QUEUED, presented, taken, ANSWER, end(20, "answered")])
    assert [s[1:5] for s in segments if s[1] == "ringing"] == [("ringing", "ann", 9, 12)]


def test_the_phone_dropped_out_and_another_took_it() -> None:
    rows, segments = folded(
        [
            START, QUEUED, DIALLED, ANSWER,
            (40, [f.AgentLost("i1-1", "ann", T0 + 40_000)], []),
            (41, [f.AgentDialled("i1-1", "c1-1", "o2-1", "bob", "l3", T0 + 41_000)], []),
            (45, [f.InteractionAnswered("i1-1", "c1-1", "o2-1", "bob", "l3", T0 + 45_000)], []),
            end(60, "answered", "agent"),
        ]
    )  # fmt: skip
    row = rows["i1-1"]
    assert (row["agent"], row["answered_at_ms"], row["ended_by"]) == ("bob", T0 + 12_000, "agent")
    assert [(s[1], s[2], s[5]) for s in segments[3:]] == [
        ("talking", "ann", "agent_lost"), ("queued", "", ""), ("ringing", "bob", "answered"),
        ("talking", "bob", "answered"), ("wrapping", "bob", ""),
    ]  # fmt: skip


def test_without_wrap_up_time_the_wrap_up_takes_none() -> None:
    ended = (60, [f.InteractionEnded("i1-1", "answered", "normal", "caller", T0 + 60_000)], [moved_on("ann")])
    _, segments = folded([START, QUEUED, DIALLED, ANSWER, ended])
    assert segments[-1] == ("i1-1", "wrapping", "ann", 60, 60, "done")


def test_another_agents_state_ends_nobody_elses_wrap_up() -> None:
    _, segments = folded([START, QUEUED, DIALLED, ANSWER, end(60, "answered"), (61, [], [moved_on("bob")])])
    assert segments[-1][4] is None
    _, segments = folded(
        [START, QUEUED, DIALLED, ANSWER, end(60, "answered"), (75, [], [moved_on("ann", "not_ready")])]
    )
    assert segments[-1][3:] == (60, 75, "done")


def test_a_wrap_up_saved_later_changes_the_code_and_nothing_else() -> None:
    late = (500, [f.WrapUpSaved("i1-1", "bob", "complaint_taken", "", T0 + 500_000)], [])
    rows, segments = folded([*ANSWERED, late])
    before, segments_before = folded(ANSWERED)
    assert segments == segments_before
    changed = {name for name, value in rows["i1-1"].items() if before["i1-1"][name] != value}
    assert changed == {"wrap_up_code", "note_ref", "last_seq"}


def test_a_second_end_changes_nothing() -> None:
    rows, _ = folded([START, end(4, "left_in_flow"), end(9, "cut_off", "worker")])
    assert (rows["i1-1"]["outcome"], rows["i1-1"]["ended_at_ms"]) == ("left_in_flow", T0 + 4_000)


def test_what_happened_at_the_edge_may_be_older_than_its_neighbour() -> None:
    """The core was away: ends are never before beginnings."""
    rows, segments = folded(
        [START, QUEUED, (20, [f.InteractionEnded("i1-1", "abandoned", "lost", "caller", T0 + 3_000)], [])]
    )
    assert all(s[4] is None or s[4] >= s[3] for s in segments)
    assert rows["i1-1"]["ended_at_ms"] >= rows["i1-1"]["arrived_at_ms"]


def test_facts_of_unknown_interactions_and_kinds_pass_by() -> None:
    strangers = [
        f.CustomerMatched("i9-9", 1), f.FlowMoved("i9-9", "x", "y", "zh", 0), f.InteractionQueued("i9-9", "c", "q", T0),
        f.AgentDialled("i9-9", "c", "o", "a", "l", T0), f.OfferEnded("i9-9", "o", "a", "busy", T0),
        f.InteractionAnswered("i9-9", "c", "o", "a", "l", T0), f.AgentLost("i9-9", "a", T0), f.RecordingSaved("i9-9", "f", 1),
        f.InteractionEnded("i9-9", "answered", "", "caller", T0), f.LegClosed("i9-9", "l", "caller", 200, "", "remote", T0, "PCMA"),
        f.WrapUpSaved("i9-9", "a", "c", "", T0), f.WorkerTaken("w", 0, 1, 1), f.WorkerLost("w", T0), rf.AgentReady("a"),
    ]  # fmt: skip
    rows, segments = folded([(0, strangers, [])])
    assert (rows, segments) == ({}, [])


def test_every_millisecond_of_a_call_is_in_exactly_one_segment() -> None:
    _, segments = folded(ANSWERED)
    for before, after in zip(segments, segments[1:], strict=False):
        assert before[4] == after[3]


def test_erasing_a_person_changes_no_row(records: Engine) -> None:
    """Rows hold references; what they point to is destroyed elsewhere."""
    log = Log(ANSWERED)
    rebuild(records, log.connection, lambda _done: None)
    assert "13800138000" not in repr(tables(records))


# --- follower and rebuild --------------------------------------------------------------------------------


class Follower:
    """A follower on a thread; `wait(seq)` until it saved that far."""

    def __init__(self, engine: Engine, journal: sqlite3.Connection) -> None:
        self._saved = threading.Condition()
        self.seq = 0
        self.follower = HistoryFollower(engine, journal, self._on_saved)

    def _on_saved(self, seq: int) -> None:
        with self._saved:
            self.seq = seq
            self._saved.notify_all()

    def wait(self, seq: int) -> None:
        with self._saved:
            assert self._saved.wait_for(lambda: self.seq >= seq, 10)

    def put(self, *batches: list[Entry]) -> None:
        for batch in batches:
            self.follower.put(batch)

    def close(self) -> None:
        self.follower.close()


def rebuilt(engine: Engine, log: Log) -> list[tuple[Any, ...]]:
    rebuild(engine, log.connection, lambda _done: None)
    return tables(engine)


def busy_day() -> Log:
    """A day of the real core, with every kind of call, as a journal."""
    centre = Centre(snapshot_every=50)
    centre.ready("ann", "bob")
    first, second = centre.talk(), centre.talk("13900139000")
    waiting = centre.queue_up(caller="", keys="13")
    centre.wait(12)
    centre.agent_leaves(first, lost=True)
    centre.caller_leaves(second)
    centre.agents.wrap_up("bob", second.id, "enquiry_answered", "x", second.party_ref)
    centre.settle()
    centre.offers.decline(waiting.agent, waiting.offer)
    centre.wait(40)
    menu = centre.ring(caller="13700137000")
    centre.restart(away_ms=30_000)
    centre.agents.ready("ann")
    centre.wait(45)
    for interaction in list(centre.host.book.interactions.values()):
        if interaction.leg in centre.worker.legs:
            centre.caller_leaves(interaction)
    centre.host.submit(f.RecordingSaved(first.id, "rec/a.wav", 12_000))
    centre.wait(60)
    centre.agents.wrap_up("ann", first.id, "complaint_taken", "", "")
    assert menu.id
    log = Log()
    log.connection, log.entries = centre.journal.connection, centre.journal.entries
    return log


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_following_and_rebuilding_give_the_same_tables(fresh: Callable[[], Engine], batch: int) -> None:
    log, followed, anew = busy_day(), fresh(), fresh()
    follower = Follower(followed, store.connect(Path(":memory:")))
    for start in range(0, len(log.entries), batch):
        follower.put(log.entries[start : start + batch])
    follower.wait(len(log.entries))
    follower.close()
    assert tables(followed) == rebuilt(anew, log)
    assert len(tables(anew)) > 20


@pytest.mark.parametrize("cut", [1, 7, 20, 33, 45, 57])
def test_a_core_that_stops_in_between_makes_no_difference(fresh: Callable[[], Engine], cut: int) -> None:
    """The follower goes on from what it had saved, and reads what it missed from the journal."""
    log, followed, anew = busy_day(), fresh(), fresh()
    follower = Follower(followed, store.connect(Path(":memory:")))
    follower.put(log.entries[:cut])
    follower.wait(cut)
    follower.close()
    follower = Follower(followed, log.connection)
    assert follower.follower.seq == len(log.entries)
    follower.close()
    assert tables(followed) == rebuilt(anew, log)


def test_a_stop_at_any_point_of_a_call_makes_no_difference(fresh: Callable[[], Engine]) -> None:
    """In the middle of a wrap-up, too: the next follower knows who wraps up what."""
    log, anew = Log(ANSWERED), fresh()
    wanted = rebuilt(anew, log)
    for cut in range(1, len(ANSWERED)):
        followed = fresh()
        for entries in (log.entries[:cut], log.entries[cut:]):
            follower = Follower(followed, store.connect(Path(":memory:")))
            follower.put(entries)
            follower.wait(entries[-1].seq)
            follower.close()
        assert tables(followed) == wanted, f"stopped after {cut}"


def test_a_stop_saves_what_was_told(fresh: Callable[[], Engine]) -> None:
    """The calls that the stop itself ended are in the report."""
    log, followed, anew = Log(ANSWERED), fresh(), fresh()
    for _ in range(5):
        follower = HistoryFollower(followed, store.connect(Path(":memory:")), lambda _seq: None)
        follower.put(log.entries)
        follower.close()
        assert tables(followed) == rebuilt(anew, log)


def test_rebuilding_replaces_whatever_was_there(fresh: Callable[[], Engine]) -> None:
    log, engine, clean = Log(ANSWERED), fresh(), fresh()
    rebuilt(engine, log)
    with engine.begin() as connection:
        connection.execute(text("UPDATE interactions SET outcome = 'nonsense', agent = 'nobody'"))
        connection.execute(text("DELETE FROM segments WHERE n = 2"))
        connection.execute(
            text(
                "INSERT INTO segments SELECT 'ghost', n, org_id, kind, queue, agent, 1, 2, '' FROM segments LIMIT 1"
            )
        )
    assert rebuilt(engine, log) == rebuilt(clean, log)
    assert rebuilt(engine, log) == rebuilt(engine, log)


def test_rebuilding_says_how_far_it_is_and_how_much_it_was(records: Engine) -> None:
    log = Log(ANSWERED, [START, end(4, "left_in_flow")])
    facts, rows, seconds = rebuild(records, log.connection, lambda _done: None)
    assert (facts, rows) == (sum(len(entry.facts) for entry in log.entries), 1)
    assert seconds > 0


def test_the_follower_goes_on_behind_a_rebuild(fresh: Callable[[], Engine]) -> None:
    log, engine, clean = Log(ANSWERED[:9]), fresh(), fresh()
    rebuilt(engine, log)
    follower = Follower(engine, log.connection)
    follower.put(log.add(ANSWERED[9:]))
    follower.wait(len(log.entries))
    follower.close()
    assert tables(engine) == rebuilt(clean, log)


def test_a_database_that_refuses_is_tried_again_and_said(
    fresh: Callable[[], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callcenter.history._RETRY_S", 0.01)
    log, engine, clean = Log(ANSWERED), fresh(), fresh()
    follower = Follower(engine, store.connect(Path(":memory:")))
    failed = threading.Event()
    refuse = threading.Event()
    refuse.set()

    def full(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if refuse.is_set() and statement.startswith("INSERT"):
            failed.set()
            raise engine.dialect.loaded_dbapi.OperationalError("database or disk is full")

    event.listen(engine, "before_cursor_execute", full)
    follower.put(log.entries)
    assert failed.wait(10)
    assert follower.seq == 0
    refuse.clear()
    follower.wait(len(log.entries))
    assert follower.follower.error == ""
    follower.close()
    assert tables(engine) == rebuilt(clean, log)


def test_what_is_over_cannot_be_read_again_for_a_while(
    fresh: Callable[[], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is away just then costs time, and nothing else."""
    monkeypatch.setattr("callcenter.history._RETRY_S", 0.01)
    log, engine, clean = Log(ANSWERED), fresh(), fresh()
    follower = Follower(engine, store.connect(Path(":memory:")))
    follower.put(log.entries)
    follower.wait(len(log.entries))
    tried = threading.Semaphore(0)
    away = threading.Event()
    away.set()

    def refuse(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if away.is_set() and statement.startswith("SELECT id, org_id"):
            tried.release()
            raise engine.dialect.loaded_dbapi.OperationalError("server closed the connection")

    event.listen(engine, "before_cursor_execute", refuse)
    follower.put(log.add([(200, [f.RecordingDeleted("i1-1", "i1-1-9", "retention", T0 + 200_000)], [])]))
    assert all(tried.acquire(timeout=10) for _ in range(3))
    assert follower.follower.error == "OperationalError"
    away.clear()
    follower.wait(len(log.entries))
    assert follower.follower.error == ""
    follower.close()
    assert tables(engine) == rebuilt(clean, log)


LONG, BY = "q" * 64, "supervisor.of.the.night@branch"


@pytest.mark.parametrize(
    "facts",
    [
        [f.InteractionQueued("i1-1", "c1-1", f"{LONG}@chat", T0)],
        [f.InteractionQueued("i1-1", "c1-1", "a", T0), f.QueueChanged("i1-1", "c1-1", LONG, T0)],
        [f.FlowMoved("i1-1", f"direct_{LONG}_{'p' * 49}", "wait", "zh", 0)],
        [f.InteractionEnded("i1-1", "cancelled", "cancelled", BY, T0)],
        [f.ActionTaken("8001", "close_queue", f"{LONG}@chat", "", T0)],
        [f.InteractionStarted("i1-2", "email", "in", f"{LONG}@insurance.example", "", "", "", T0)],
    ],
    ids=["line of a queue", "sent on", "direct flow", "cancelled by", "audit", "address"],
)
def test_history_takes_whatever_names_there_are(records: Engine, facts: list[Any]) -> None:
    """One row that does not fit would stop all history for good."""
    started = f.InteractionStarted("i1-1", "voice", "in", "95519", "w", "l1", "", T0)
    log = Log([(0, [started], []), (1, facts, [])])
    rebuild(records, log.connection, lambda _done: None)


def test_open_calls_are_found_again_after_the_follower_forgot_what_is_over(
    fresh: Callable[[], Engine],
) -> None:
    """A recording that is merged and a form that is saved long after the call."""
    log, engine, clean = Log(ANSWERED[:13]), fresh(), fresh()
    follower = Follower(engine, store.connect(Path(":memory:")))
    follower.put(log.entries)
    follower.wait(len(log.entries))
    for activation in ANSWERED[13:]:
        follower.put(log.add([activation]))
        follower.wait(len(log.entries))
    follower.close()
    assert tables(engine) == rebuilt(clean, log)


def test_every_part_of_a_call_keeps_its_recording() -> None:
    second = [
        (100, [f.RecordingStarted("i1-1", "rec/i1-1-11-caller.wav", "rec/i1-1-11-agent.wav", T0 + 100_000)], []),
        (101, [f.RecordingPaused("i1-1", T0 + 101_000)], []),
        (102, [f.RecordingResumed("i1-1", T0 + 102_000)], []),
        (103, [f.RecordingFailed("i1-1", "OSError", "i1-1-11", T0 + 103_000)], []),
        (104, [f.RecordingsHeld("i1-1", "8001", "note", T0 + 104_000)], []),
        (105, [f.RecordingDeleted("i1-1", "i1-1-9", "retention", T0 + 105_000)], []),
        (106, [f.RecordingsFreed("i1-1", "8001", T0 + 106_000)], []),
    ]  # fmt: skip
    first, other = recordings(ANSWERED, second)
    assert (first["id"], first["state"], first["reason"], first["deleted_at_ms"]) == (
        "i1-1-9", "deleted", "retention", T0 + 105_000,
    )  # fmt: skip
    assert (first["file"], first["duration_ms"], first["sha256"], first["size"]) == (
        "rec/i1-1-9.sealed",
        57_000,
        "abc",
        99,
    )
    assert (other["id"], other["state"], other["reason"]) == ("i1-1-11", "failed", "OSError")
    assert json.loads(other["marks"]) == [["paused", T0 + 101_000], ["resumed", T0 + 102_000]]
    held = recordings(ANSWERED, second[:5])
    assert [(one["held"], one["note_ref"]) for one in held] == [(1, "note"), (1, "note")]
    assert [(one["held"], one["note_ref"]) for one in (first, other)] == [(0, ""), (0, "")]


def test_one_that_could_not_begin_has_a_row_that_says_so() -> None:
    full = f.RecordingFailed("i1-1", "disk_full", "i1-1-34", T0 + 34_000)
    *_, failed = recordings([*ANSWERED[:10], (34, [full], [])])
    assert (failed["id"], failed["state"], failed["reason"]) == ("i1-1-34", "failed", "disk_full")
    assert failed["started_at_ms"] == T0 + 34_000


def test_recordings_of_older_journals_are_read() -> None:
    """Before files were sealed a fact said neither digest nor size, and the stereo file lay in clear."""
    older = {"k": "RecordingSaved", "interaction": "i1-1", "file": "rec/i1-1-9.wav", "duration_ms": 57_000}
    projection = Projection(lambda _interaction: None)
    for entry in Log(ANSWERED[:13]).entries:
        projection.apply(entry.seq, entry.now_ms, entry.facts, entry.commands)
    projection.apply(99, T0, [older], [])
    (one,) = projection.records["i1-1"].recordings
    assert (one["id"], one["state"], one["file"], one["sha256"]) == ("i1-1-9", "saved", "rec/i1-1-9.wav", "")


def test_the_audit_keeps_every_action() -> None:
    projection = Projection(lambda _interaction: None)
    acted = [plain(f.ActionTaken("8001", action, "i1-1", "ann", T0)) for action in ("listen", "barge")]
    projection.apply(7, T0, acted, [])
    assert [(one["seq"], one["n"], one["actor"], one["action"]) for one in projection.actions] == [
        (7, 0, "8001", "listen"), (7, 1, "8001", "barge"),
    ]  # fmt: skip


FACTS = st.one_of(
    st.builds(lambda i, t: f.InteractionStarted(i, "voice", "in", "1", "w", f"l{i}", "", t), st.sampled_from("ab"), st.integers(T0, T0 + 99)),
    st.builds(lambda i, n: f.FlowMoved(i, "hotline", n, "zh", 0), st.sampled_from("ab"), st.sampled_from(["x", "y"])),
    st.builds(lambda i, t: f.InteractionQueued(i, f"c{i}", "q", t), st.sampled_from("ab"), st.integers(T0, T0 + 99)),
    st.builds(lambda i, a, t: f.AgentDialled(i, f"c{i}", "o", a, "l", t), st.sampled_from("ab"), st.sampled_from("pq"), st.integers(T0, T0 + 99)),
    st.builds(lambda i, a, t: f.InteractionAnswered(i, f"c{i}", "o", a, "l", t), st.sampled_from("ab"), st.sampled_from("pq"), st.integers(T0, T0 + 99)),
    st.builds(lambda i, a, t: f.OfferEnded(i, "o", a, "busy", t), st.sampled_from("ab"), st.sampled_from("pq"), st.integers(T0, T0 + 99)),
    st.builds(lambda i, a, t: f.AgentLost(i, a, t), st.sampled_from("ab"), st.sampled_from("pq"), st.integers(T0, T0 + 99)),
    st.builds(lambda i, t: f.InteractionEnded(i, "answered", "", "caller", t), st.sampled_from("ab"), st.integers(T0, T0 + 99)),
    st.builds(lambda i, a, t: f.WrapUpSaved(i, a, "c", "", t), st.sampled_from("ab"), st.sampled_from("pq"), st.integers(T0, T0 + 99)),
    st.builds(lambda i: f.RecordingSaved(i, "file", 5), st.sampled_from("ab")),
    st.builds(lambda i, r: f.LegClosed(i, "l", r, 200, "", "remote", T0, "PCMA"), st.sampled_from("ab"), st.sampled_from(["caller", "agent"])),
)  # fmt: skip
ACTIVATIONS = st.lists(
    st.tuples(st.lists(FACTS, max_size=3), st.lists(st.sampled_from([moved_on("p"), moved_on("q"), moved_on("p", "wrap_up")]), max_size=2)),
    max_size=25,
)  # fmt: skip


@settings(max_examples=150)
@given(ACTIVATIONS, st.data())
def test_whatever_the_journal_says_the_fold_does_not_depend_on_where_it_was_interrupted(
    activations: list[tuple[list[Fact], list[Row]]], data: st.DataObject
) -> None:
    """Saving, forgetting and reading back between any two activations changes no cell."""
    day = [(n, facts, commands) for n, (facts, commands) in enumerate(activations)]
    started: set[str] = set()
    for _, facts, _ in day:  # an id is started once
        facts[:] = [
            fact
            for fact in facts
            if not isinstance(fact, f.InteractionStarted) or fact.interaction not in started
        ]
        for fact in list(facts):
            if isinstance(fact, f.InteractionStarted):
                if fact.interaction in started:
                    facts.remove(fact)
                started.add(fact.interaction)
    whole = Projection(lambda _interaction: None)
    saved: dict[str, Any] = {}
    pieces = Projection(lambda interaction: _stored(saved, interaction))
    for entry in Log(day).entries:
        whole.apply(entry.seq, entry.now_ms, entry.facts, entry.commands)
        pieces.apply(entry.seq, entry.now_ms, entry.facts, entry.commands)
        how = data.draw(st.sampled_from(["go on", "save", "restart"]))
        if how != "go on":
            _save(saved, pieces)
            pieces.put_away()
        if how == "restart":
            pieces = Projection(lambda interaction: _stored(saved, interaction))
            pieces.resume([record for key in sorted(saved) if _unfinished(record := _stored(saved, key))])
    _save(saved, pieces)
    assert {key: (record.row, record.segments) for key, record in whole.records.items()} == {
        key: (_stored(saved, key).row, _stored(saved, key).segments) for key in saved
    }
    for record in whole.records.values():
        for segment in record.segments:
            assert segment["ended_at_ms"] is None or segment["ended_at_ms"] >= segment["started_at_ms"]
        assert sum(segment["ended_at_ms"] is None for segment in record.segments) <= 1


def _save(saved: dict[str, Any], projection: Projection) -> None:
    for key, record in projection.dirty.items():
        saved[key] = json.dumps([record.row, record.segments])
    projection.dirty.clear()


def _stored(saved: dict[str, Any], key: str) -> Any:
    from callcenter.projection import Record

    return Record(*json.loads(saved[key])) if key in saved else None


def _unfinished(record: Any) -> bool:
    return record.row["ended_at_ms"] is None or any(s["ended_at_ms"] is None for s in record.segments)
