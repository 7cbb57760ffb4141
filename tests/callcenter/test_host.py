"""The host: one activation after another, whole in the journal, and the next core holds the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from callcenter.journal import store
from callcenter.live import facts as f
from callcenter.live.facts import CODEC, LIVE_KINDS
from routing import AgentPolicy, Command, Policy, QueuePolicy
from routing import facts as rf
from tests.callcenter.centre import ANN, SERVICE, START_MS, Centre

Heard = list[tuple[list[str], list[str]]]


def listen(centre: Centre) -> Heard:
    heard: Heard = []

    def ear(facts: Sequence[Any], commands: Sequence[Command]) -> None:
        heard.append(
            ([type(fact).__name__ for fact in facts], [type(command).__name__ for command in commands])
        )

    centre.host.listeners.append(ear)
    return heard


def started(centre: Centre, interaction: str = "i9-1") -> f.InteractionStarted:
    return f.InteractionStarted(
        interaction, "voice", "in", "95519", centre.worker.boot, "leg", "", centre.clock.now_ms()
    )


def test_an_activation_is_one_entry_with_its_facts_commands_and_moment() -> None:
    centre = Centre(SERVICE, ANN)
    before = len(centre.journal.entries)
    centre.scheduler.advance(1234)
    centre.host.submit(rf.AgentReady("ann"), started(centre))
    (entry,) = centre.journal.entries[before:]
    assert (entry.epoch, entry.now_ms, entry.seq) == (1, START_MS + 1234, before + 1)
    assert [fact["k"] for fact in entry.facts] == ["AgentReady", "InteractionStarted"], (
        "in the order they were given"
    )
    assert [command["k"] for command in entry.commands] == ["AgentChanged"]


def test_sequence_numbers_have_no_gaps_whatever_happens() -> None:
    centre = Centre()
    centre.ready("ann", "bob")
    centre.talk()
    centre.queue_up(caller="13900139000")
    centre.wait(90)
    centre.restart(away_ms=30_000)
    centre.wait(30)
    assert [entry.seq for entry in centre.journal.entries] == list(range(1, len(centre.journal.entries) + 1))


def test_listeners_hear_before_the_commit() -> None:
    """Commands to live media must not wait for a disk."""
    centre = Centre(SERVICE, ANN)
    heard = listen(centre)
    centre.journal.stuck = True
    centre.host.submit(rf.AgentReady("ann"))
    assert heard == [(["AgentReady"], ["AgentChanged"])]


def test_effects_elsewhere_wait_for_the_commit_and_come_in_order() -> None:
    centre = Centre(SERVICE, ANN)
    done: list[int] = []
    centre.journal.stuck = True
    for number in (1, 2, 3):
        centre.host.submit(after_commit=lambda n=number: done.append(n))  # type: ignore[misc]
    centre.tell_commits()
    assert done == []
    centre.journal.flush()
    centre.tell_commits()
    assert done == [1, 2, 3]
    centre.host.committed(centre.host.engine.seq)
    assert done == [1, 2, 3], "once"


def test_an_effect_waits_for_its_own_activation_only() -> None:
    centre = Centre(SERVICE, ANN)
    done: list[str] = []
    centre.host.submit(after_commit=lambda: done.append("first"))
    first = centre.host.engine.seq
    centre.host.submit(after_commit=lambda: done.append("second"))
    centre.host.committed(first)
    assert done == ["first"]
    centre.host.committed(first + 1)
    assert done == ["first", "second"]


def test_what_a_listener_submits_runs_after_the_present_activation() -> None:
    centre = Centre(SERVICE, ANN)
    order: list[str] = []

    def ear(facts: Sequence[Any], _commands: Sequence[Command]) -> None:
        names = [type(fact).__name__ for fact in facts]
        order.append(f"heard {names}")
        if "AgentReady" in names:
            centre.host.submit(rf.AgentNotReady("ann", "meal"))
            order.append(f"seq {centre.host.engine.seq}")

    centre.host.listeners.append(ear)
    centre.host.submit(rf.AgentReady("ann"))
    first = centre.host.engine.seq - 1
    assert order == ["heard ['AgentReady']", f"seq {first}", "heard ['AgentNotReady']"]
    assert centre.agent("ann") == "not_ready"


def test_a_listener_that_fails_stops_neither_the_others_nor_the_journal() -> None:
    centre = Centre(SERVICE, ANN)

    def broken(_facts: Sequence[Any], _commands: Sequence[Command]) -> None:
        raise KeyError("a page's fault")

    centre.host.listeners.append(broken)
    heard = listen(centre)
    before = len(centre.journal.entries)
    centre.host.submit(rf.AgentReady("ann"))
    centre.host.submit(rf.AgentNotReady("ann", "meal"))
    assert len(heard) == 2
    assert len(centre.journal.entries) == before + 2
    centre.restart()
    assert centre.agent("ann") == "not_ready"


def test_one_timer_runs_the_engines_deadlines() -> None:
    centre = Centre(SERVICE, AgentPolicy("ann", wrap_up_ms=30_000), rules={"missed_action": "not_ready"})
    centre.ready("ann")
    interaction = centre.talk()
    centre.caller_leaves(interaction)
    assert centre.agent("ann") == "wrap_up"
    centre.scheduler.advance(29_999)
    assert centre.agent("ann") == "wrap_up"
    centre.scheduler.advance(2)
    assert centre.agent("ann") == "idle"


def test_after_close_no_timer_fires() -> None:
    centre = Centre(SERVICE, ANN)
    centre.ready("ann")
    centre.queue_up()
    before = len(centre.journal.entries)
    centre.host.close()
    centre.scheduler.advance(3_600_000)
    assert len(centre.journal.entries) == before


def test_a_fact_that_does_not_fit_is_rejected_and_journalled() -> None:
    centre = Centre(SERVICE, ANN)
    centre.host.submit(rf.OfferAnswered("o99-1", START_MS))
    assert centre.journal.entries[-1].commands == [
        {"k": "RejectFact", "kind": "OfferAnswered", "subject": "o99-1", "reason": "offer_over"}
    ]


# --- facts in the journal ------------------------------------------------------------------------------

SAMPLES: dict[str, Any] = {"int": 5, "bool": True, "str": "x", "tuple[str, ...]": ("a", "b")}


@pytest.mark.parametrize("kind", LIVE_KINDS, ids=lambda kind: kind.__name__)
def test_every_live_fact_is_read_back_from_the_journal(kind: type) -> None:
    fact = kind(**{name: SAMPLES[field.type] for name, field in kind.__dataclass_fields__.items()})
    plain = store.unpack(store.pack(CODEC.to_plain(fact)))
    back = CODEC.from_plain(plain)
    assert {**plain, **CODEC.to_plain(back)} == plain
    assert type(back) is kind


POLICY = Policy(
    {"q": QueuePolicy("q", (("fr", 3),), 5_000, 2, 10_000, 7)},
    {"ann": AgentPolicy("ann", (("fr", 5),), 100)},
    "stay_ready",
    1,
    2,
    3,
)
ROUTING = [
    rf.PolicyReplaced(POLICY),
    rf.QueueOpened("q"),
    rf.QueueClosed("q"),
    rf.AgentLoggedIn("a"),
    rf.AgentLoggedOut("a"),
    rf.AgentReady("a"),
    rf.AgentNotReady("a", "meal"),
    rf.ContactArrived("c", "q", 5, 7),
    rf.ContactAbandoned("c", 5),
    rf.ContactEnded("c", 5),
    rf.ContactRequeued("c", 5, "agent_lost"),
    rf.ContactAdopted("c", "q", 5, 6, "a"),
    rf.OfferAnswered("o", 5),
    rf.OfferDeclined("o", 5),
    rf.OfferFailed("o", 5, "busy"),
    rf.WrapUpEnded("a", 5),
    rf.ContactMoved("c", "p", 5),
    rf.QueueMoved("q", "p"),
    rf.ContactHeld("c", 6),
    rf.ContactReleased("c"),
    rf.CallbackAsked("c"),
    rf.ContactAssigned("c", "a", "s"),
    rf.AgentsReskilled((("a", (("fr", 3),)),), 6),
    rf.AgentsLearned((("a", "q", 90_000),)),
    rf.WrapUpExtended("a", 7, 5),
]


@pytest.mark.parametrize("fact", ROUTING, ids=lambda fact: type(fact).__name__)
def test_every_routing_fact_is_read_back_from_the_journal(fact: rf.Fact) -> None:
    assert rf.from_plain(store.unpack(store.pack(rf.to_plain(fact)))) == fact


def test_no_routing_fact_is_missing_here() -> None:
    assert {type(fact).__name__ for fact in ROUTING} == set(rf.KINDS)


# --- recovery ------------------------------------------------------------------------------------------


def test_a_new_core_reads_what_the_old_one_wrote() -> None:
    centre = Centre()
    centre.ready("ann")
    interaction = centre.talk()
    recovered = centre.restart()
    assert recovered.seq == len(centre.journal.entries) - 1, "the take-over itself is the next activation"
    assert recovered.facts > 10
    assert not recovered.from_snapshot
    live = centre.host.book.interactions[interaction.id]
    assert (live.state, live.agent, live.queue) == ("talking", "ann", "service")
    assert centre.agent("ann") == "talking"


def test_an_empty_journal_is_an_empty_centre() -> None:
    centre = Centre(SERVICE, ANN)
    fresh = Centre(SERVICE, ANN)
    assert fresh.host.book.snapshot()["interactions"] == []
    assert fresh.host.engine.snapshot()["agents"] == centre.host.engine.snapshot()["agents"]


@pytest.mark.parametrize("every", [10, 13, 40])
def test_a_snapshot_every_so_many_activations(every: int) -> None:
    centre = Centre(snapshot_every=every)
    centre.ready("ann")
    centre.talk()
    snapshot = store.newest_snapshot(centre.journal.connection)
    newest = len(centre.journal.entries) // every * every
    assert (snapshot["seq"] if snapshot else 0) == newest
    recovered = centre.restart()
    assert recovered.from_snapshot == bool(newest)


def test_a_snapshot_that_does_not_fit_this_engine_is_passed_over() -> None:
    """Written by a version with another form of state: the journal still has everything."""
    centre = Centre(snapshot_every=10)
    centre.ready("ann")
    interaction = centre.talk()
    snapshot = store.newest_snapshot(centre.journal.connection)
    assert snapshot is not None
    snapshot["engine"]["version"] = 99
    centre.journal.connection.execute("DELETE FROM snapshots")
    row = store.snapshot_row(snapshot["seq"], START_MS, snapshot)
    centre.journal.connection.execute("INSERT INTO snapshots VALUES (?, ?, ?, ?, ?)", row)
    centre.restart()
    assert centre.host.book.interactions[interaction.id].state == "talking"


def test_time_never_runs_back_over_a_restart() -> None:
    centre = Centre()
    centre.ready("ann")
    centre.talk()
    centre.restart(away_ms=5_000)
    moments = [entry.now_ms for entry in centre.journal.entries]
    assert moments == sorted(moments)


def test_private_rows_and_acknowledgements_go_with_the_activation() -> None:
    centre = Centre()
    interaction = centre.ring()
    entry = next(
        e for e in centre.journal.entries if any(fact["k"] == "InteractionStarted" for fact in e.facts)
    )
    assert [ref for ref, _, _ in entry.private] == [f"{interaction.id}.party"]
    assert len(entry.person_keys) == 1
    assert entry.acks == ((centre.worker.boot, 1),)
