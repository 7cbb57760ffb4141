"""The book as a fold over facts: one table, from facts to what is held."""

from __future__ import annotations

from typing import Any

import pytest

from callcenter.live import facts as f
from callcenter.live.book import IN_FLOW, RINGING, TALKING, WAITING, WRAPPING, Book, Interaction

T = 1_000
STARTED = f.InteractionStarted("i1", "voice", "in", "95519", "w1", "l1", "i1.party", T)
MOVED = f.FlowMoved("i1", "hotline", "main", "en", 1, "i1.vars", ("language", "main"))
QUEUED = f.InteractionQueued("i1", "c1", "service", T + 5)
RANG = f.AgentDialled("i1", "c1", "o1", "ann", "l2", T + 6)
OFFERED = f.AgentDialled("i1", "c1", "o1", "ann", "", T + 6)
REFUSED = f.OfferEnded("i1", "o1", "ann", "busy", T + 7)
RANG_BOB = f.AgentDialled("i1", "c1", "o2", "bob", "l3", T + 8)
ANSWERED = f.InteractionAnswered("i1", "c1", "o1", "ann", "l2", T + 9)
LOST = f.AgentLost("i1", "ann", T + 20)
RECORDING = f.RecordingStarted("i1", "ab-caller.wav", "ab-agent.wav", T + 9)
SAVED = f.RecordingSaved("i1", "ab.wav", 5)
ENDED = f.InteractionEnded("i1", "answered", "normal", "caller", T + 30)
FORM = f.WrapUpSaved("i1", "ann", "enquiry_answered", "", T + 40)


def book_of(*facts: Any) -> Book:
    book = Book()
    for fact in facts:
        book.apply(fact)
    return book


def only(book: Book) -> Interaction:
    (interaction,) = book.interactions.values()
    return interaction


@pytest.mark.parametrize(
    ("facts", "state", "agent", "leg", "offer"),
    [
        ([STARTED], IN_FLOW, "", "", ""),
        ([STARTED, MOVED], IN_FLOW, "", "", ""),
        ([STARTED, QUEUED], WAITING, "", "", ""),
        ([STARTED, QUEUED, OFFERED], RINGING, "ann", "", "o1"),
        ([STARTED, QUEUED, OFFERED, RANG], RINGING, "ann", "l2", "o1"),
        ([STARTED, QUEUED, RANG, REFUSED], WAITING, "", "", ""),
        ([STARTED, QUEUED, RANG, REFUSED, RANG_BOB], RINGING, "bob", "l3", "o2"),
        ([STARTED, QUEUED, RANG, RANG_BOB, REFUSED], RINGING, "bob", "l3", "o2"),
        ([STARTED, QUEUED, RANG, ANSWERED], TALKING, "ann", "l2", "o1"),
        ([STARTED, QUEUED, RANG, ANSWERED, LOST], WAITING, "", "", ""),
        ([STARTED, QUEUED, RANG, ANSWERED, ENDED], WRAPPING, "ann", "l2", "o1"),
        ([STARTED, QUEUED, RANG, ANSWERED, FORM], TALKING, "ann", "l2", "o1"),
        ([STARTED, QUEUED, RANG, ANSWERED, RECORDING, ENDED, FORM], WRAPPING, "", "l2", "o1"),
    ],
)
def test_what_is_held_after_which_facts(
    facts: list[Any], state: str, agent: str, leg: str, offer: str
) -> None:
    interaction = only(book_of(*facts))
    assert (interaction.state, interaction.agent, interaction.agent_leg, interaction.offer) == (
        state,
        agent,
        leg,
        offer,
    )


@pytest.mark.parametrize(
    "facts",
    [
        [STARTED, ENDED],
        [STARTED, QUEUED, ENDED],
        [STARTED, QUEUED, RANG, ENDED],
        [STARTED, QUEUED, RANG, ANSWERED, ENDED, FORM],
        [STARTED, QUEUED, RANG, ANSWERED, RECORDING, ENDED, FORM, SAVED],
        [STARTED, QUEUED, RANG, ANSWERED, RECORDING, SAVED, ENDED, FORM],
        [STARTED, QUEUED, RANG, ANSWERED, RECORDING, ENDED, f.RecordingFailed("i1", "OSError"), FORM],
    ],
)
def test_after_the_end_of_everything_nothing_is_held(facts: list[Any]) -> None:
    book = book_of(*facts)
    assert (book.interactions, book.by_leg, book.by_contact, book.by_offer) == ({}, {}, {}, {})


def test_where_a_flow_stands() -> None:
    interaction = only(book_of(STARTED, MOVED))
    assert (interaction.flow, interaction.node, interaction.language, interaction.tries) == (
        "hotline",
        "main",
        "en",
        1,
    )
    assert (interaction.vars_ref, interaction.path) == ("i1.vars", ["language", "main"])
    book = book_of(
        STARTED,
        MOVED,
        f.FlowMoved("i1", "hotline", "main", "en", 2),
        QUEUED,
        f.FlowMoved("i1", "hotline", "busy", "en", 0),
    )
    interaction = only(book)
    assert (interaction.state, interaction.contact, interaction.vars_ref) == (IN_FLOW, "", "i1.vars")
    assert interaction.path == ["language", "main", "busy"]
    assert book.by_contact == {}


def test_finding_by_leg_contact_offer_and_agent() -> None:
    book = book_of(STARTED, QUEUED, RANG)
    interaction = only(book)
    assert (
        book.of_leg("l1") is book.of_leg("l2") is book.of_contact("c1") is book.of_offer("o1") is interaction
    )
    assert book.of_agent("ann") == [interaction]
    book.apply(REFUSED)
    assert (book.of_leg("l2"), book.of_offer("o1"), book.of_agent("ann")) == (None, None, [])
    assert book.of_leg("l1") is book.of_contact("c1") is interaction
    for nobody in ("", "l9"):
        assert book.of_leg(nobody) is None
        assert book.of_contact(nobody) is None
        assert book.of_offer(nobody) is None


def test_the_first_answer_counts_for_the_wait() -> None:
    again = f.InteractionAnswered("i1", "c1", "o2", "bob", "l3", T + 50)
    assert only(book_of(STARTED, QUEUED, RANG, ANSWERED, LOST, RANG_BOB, again)).answered_at_ms == T + 9


@pytest.mark.parametrize("state", ["idle", "not_ready", "logged_out", "reserved"])
def test_the_end_of_wrap_up_time_closes_the_form(state: str) -> None:
    book = book_of(STARTED, QUEUED, RANG, ANSWERED, ENDED)
    changed = {
        "k": "AgentChanged",
        "agent": "ann",
        "state": state,
        "reason": "",
        "since_ms": 0,
        "until_ms": 0,
        "contact": "",
    }
    book.apply_command({**changed, "agent": "bob"})
    book.apply_command({**changed, "state": "wrap_up"})
    book.apply_command({"k": "OfferContact", "agent": "ann"})
    assert only(book).agent == "ann"
    book.apply_command(changed)
    assert book.interactions == {}


def test_a_running_call_is_not_closed_by_its_agents_state() -> None:
    book = book_of(STARTED, QUEUED, RANG)
    book.apply_command({"k": "AgentChanged", "agent": "ann", "state": "reserved"})
    assert only(book).state == RINGING


def test_facts_of_others_pass_by() -> None:
    strangers = [
        MOVED,
        QUEUED,
        RANG,
        REFUSED,
        ANSWERED,
        LOST,
        RECORDING,
        SAVED,
        ENDED,
        FORM,
        f.CustomerMatched("i1", 7),
    ]
    strangers += [
        f.LegAdopted("i1", "w1", "l1", "caller", T),
        f.WorkerTaken("w1", 0, 0, 0),
        f.WorkerLost("w1", T),
        object(),
    ]
    assert book_of(*strangers).interactions == {}


@pytest.mark.parametrize("count", range(1, 9))
def test_a_snapshot_is_the_whole_book(count: int) -> None:
    book = book_of(*[STARTED, MOVED, QUEUED, OFFERED, RANG, ANSWERED, RECORDING, ENDED][:count])
    again = Book()
    again.restore(book.snapshot())
    assert again.snapshot() == book.snapshot()
    assert (again.by_leg, again.by_contact, again.by_offer) == (book.by_leg, book.by_contact, book.by_offer)
    for later in (ANSWERED, ENDED, SAVED, FORM):
        book.apply(later)
        again.apply(later)
        assert again.snapshot() == book.snapshot()
