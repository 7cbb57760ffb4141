"""The fold of written conversations: what it keeps, and what passes by."""

from __future__ import annotations

from callcenter.live import facts as f
from callcenter.live.book import Book


def begun(medium: str = "chat") -> Book:
    book = Book()
    book.apply(f.InteractionStarted("i1", medium, "in", "chat", "", "", "", 1_000))
    return book


def test_calls_and_conversations_are_apart() -> None:
    assert list(begun().written.open) == ["i1"] and not begun().interactions
    call = begun("voice")
    assert list(call.interactions) == ["i1"] and not call.written.open


def test_a_conversation_waits_since_the_oldest_message_without_a_persons_answer() -> None:
    book = begun()
    conversation = book.written.open["i1"]
    assert conversation.waits_since_ms() == 0
    book.apply(f.MessageReceived("i1", "m1", "a", "m1", 2_000))
    book.apply(f.MessageSent("i1", "m2", "flow", "", "m2", 2_100))
    book.apply(f.MessageReceived("i1", "m3", "b", "m3", 3_000))
    assert conversation.waits_since_ms() == 2_000
    book.apply(f.MessageSent("i1", "m4", "ann", "x", "m4", 4_000))
    assert conversation.waits_since_ms() == 0


def test_unread_counts_the_customers_messages_behind_what_the_agent_has_read() -> None:
    book = begun()
    for n in range(3):
        book.apply(f.MessageReceived("i1", f"m{n}", f"c{n}", f"m{n}", 2_000 + n))
    book.apply(f.InteractionQueued("i1", "c1", "service@chat", 2_500))
    book.apply(f.AgentDialled("i1", "c1", "o1", "ann", "", 2_600))
    book.apply(f.InteractionAnswered("i1", "c1", "o1", "ann", "", 2_700))
    conversation = book.written.open["i1"]
    assert conversation.unread == 3
    book.apply(f.MessagesRead("i1", "ann", 2, 2_800))
    book.apply(f.MessagesRead("i1", "ann", 1, 2_900))
    assert conversation.unread == 1


def test_a_late_word_about_another_offer_changes_nothing() -> None:
    book = begun()
    book.apply(f.InteractionQueued("i1", "c1", "service@chat", 2_500))
    book.apply(f.AgentDialled("i1", "c1", "o2", "ann", "", 2_600))
    book.apply(f.OfferEnded("i1", "o1", "bob", "declined", 2_700))
    conversation = book.written.open["i1"]
    assert (conversation.state, conversation.agent, conversation.offer) == ("ringing", "ann", "o2")


def test_facts_of_what_is_over_pass_by() -> None:
    book = begun()
    book.apply(f.InteractionEnded("i1", "left_in_flow", "idle", "system", 3_000))
    assert not book.written.open
    for fact in (
        f.MessageReceived("i1", "m1", "a", "m1", 4_000),
        f.MessagesRead("i1", "ann", 1, 4_000),
        f.InteractionQueued("i1", "c1", "q", 4_000),
    ):
        book.apply(fact)
    assert not book.written.open
