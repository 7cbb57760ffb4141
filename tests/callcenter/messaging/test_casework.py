"""What agents do with conversations beside answering: each of it once, refused with a reason, and remembered by every
core that comes after; and days at random on which no message is lost, doubled or shown in two places."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import replace
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from callcenter.journal import store
from callcenter.journal.writer import Entry
from callcenter.kernel.errors import NotAllowed
from callcenter.kernel.schedule import VirtualScheduler
from callcenter.live.host import Host
from callcenter.messaging.conversations import Conversation
from callcenter.messaging.mail_desk import Known
from channels.email.relay import LATER, REFUSED, SENT, Result
from routing import AgentPolicy
from routing import facts as rf
from tests.callcenter.messaging.test_mail_desk import (
    ANN,
    BOB,
    CHAT,
    COMPLAINTS,
    HANDS,
    LI,
    SERVICE,
    ZHANG,
    Post,
    bounded,
    came_back,
    words,
)

DAY_MS = 86_400_000
PARTS = (SERVICE, COMPLAINTS, CHAT, replace(CHAT, name="complaints@chat"), ANN, BOB)


class _NoJournal:
    def put(self, _entry: Entry) -> None:
        raise AssertionError("nothing happens here")


class Works(Post):
    """A post where agents do more than answer."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*(parts or PARTS), snapshot_every=9)

    @property
    def casework(self) -> Any:
        return self.centre.casework

    @property
    def now_ms(self) -> int:
        return self.centre.clock.now_ms()

    def do(self, what: str, *args: Any) -> Any:
        """An agent does it, and every later core knows."""
        done = getattr(self.casework, what)(*args)
        self.remembered()
        return done

    def refused(self, code: str, what: str, *args: Any) -> None:
        """It is refused, and nothing has happened."""
        self.centre.settle()
        before, seq = self.centre.host.book.snapshot(), self.centre.host.engine.seq
        with pytest.raises(NotAllowed, match=code):
            getattr(self.casework, what)(*args)
        assert self.centre.host.book.snapshot() == before and self.centre.host.engine.seq == seq
        self.centre.host.submit()
        assert self.centre.journal.entries[-1].private == (), "not even a word in the store"

    def remembered(self) -> None:
        """The next core holds the same book, from any snapshot and from the whole journal."""
        self.centre.settle()
        host, connection = self.centre.host, self.centre.journal.connection
        for snapshot in (*store.snapshots(connection), None):
            again = Host(99, host.clock, VirtualScheduler(self.centre.clock), _NoJournal(), host.private)
            again.recover(snapshot, store.rows_after(connection, snapshot["seq"] if snapshot else 0))
            assert again.book.snapshot() == host.book.snapshot()

    def chat(self, agent: str = "ann") -> str:
        """A visitor whom this agent has taken."""
        self.centre.ready(agent)
        visit: str = self.centre.written.begin("chat", "chat", "hotline", "zh")
        self.centre.settle()
        self.centre.written.receive(visit, "c1", "人工")
        self.centre.settle()
        self.accept(visit)
        return visit

    def age(self, interaction: str) -> int:
        """Since when the engine has it wait: what comes to be served first."""
        engine = self.centre.host.engine
        view = engine.contact_view(self.open(interaction).contact)
        assert view is not None
        return view.deadline_ms - engine.policy.queues[view.queue].target_ms

    def waits(self, queue: str = "service@email") -> int:
        return int(self.centre.host.engine.queue_view(queue)[0])

    def state(self, text: str) -> str:
        """Of the letter that begins like this, wherever it stands."""
        (found,) = [
            message.state
            for one in self.all_open.values()
            for message in one.messages
            if message.by == "ann" and self.centre.private.get(message.ref) == text
        ]
        return found


@pytest.fixture
def works() -> Works:
    return Works()


# --- notes -------------------------------------------------------------------------------------------


def test_a_note_is_for_colleagues_and_no_customer_sees_it(works: Works) -> None:
    interaction = works.talk(text="question")
    before = works.said(interaction)
    works.do("note", "ann", interaction, "  he is lying\x00  ")
    (note,) = works.open(interaction).notes
    assert (note.by, works.centre.private.get(note.ref)) == ("ann", "he is lying")
    assert works.said(interaction) == before
    letter = works.reply(interaction, "We will see.")
    assert "lying" not in letter.as_string() and "lying" not in words(letter)
    assert "lying" not in repr([works.centre.outbox.mail(one) for one in works.letters.outbox.values()])
    assert "lying" not in repr(works.centre.journalled())


def test_a_note_is_in_nothing_that_a_visitor_is_told(works: Works) -> None:
    visit = works.chat()
    heard: list[str] = []
    works.centre.written.watch(visit, heard.append)
    before, standing = works.said(visit), works.centre.written.standing(visit)
    works.do("note", "ann", visit, "he is lying")
    works.do("park", "ann", visit, works.now_ms + DAY_MS, "and rude")
    assert works.said(visit) == before
    assert set(works.centre.written.standing(visit)) == set(standing)
    assert "lying" not in repr(works.centre.written.standing(visit))
    assert [works.centre.private.get(note.ref) for note in works.open(visit).notes] == [
        "he is lying",
        "and rude",
    ]


def test_notes_go_on_with_the_conversation_and_go_with_the_person(works: Works) -> None:
    interaction = works.talk()
    works.do("note", "ann", interaction, "one")
    works.centre.ready("bob")
    works.do("hand_on", "ann", interaction, "bob", "", "two")
    works.accept(interaction)
    works.do("note", "bob", interaction, "three")
    works.end(interaction, wrapped=False)
    works.do("note", "bob", interaction, "four")
    texts = [works.centre.private.get(note.ref) for note in works.open(interaction).notes]
    assert texts == ["one", "two", "three", "four"]
    works.erase(ZHANG)
    assert {works.centre.private.get(note.ref) for note in works.open(interaction).notes} == {""}


@pytest.mark.parametrize(
    ("agent", "text", "code"),
    [
        ("ann", " \n", "empty"),
        ("ann", "\x00", "empty"),
        ("ann", "x" * 2_001, "too_long"),
        ("bob", "x", "not_yours"),
    ],
)
def test_a_note_that_is_none_is_refused(works: Works, agent: str, text: str, code: str) -> None:
    interaction = works.talk()
    works.refused(code, "note", agent, interaction, text)
    works.refused("not_yours", "note", "ann", "i9-9", "x")


def test_nobody_does_anything_with_what_still_rings(works: Works) -> None:
    works.centre.ready("ann")
    interaction = works.write()
    assert (works.open(interaction).state, works.open(interaction).agent) == ("ringing", "ann")
    works.refused("not_yours", "note", "ann", interaction, "x")
    works.refused("not_yours", "park", "ann", interaction, works.now_ms + 1_000)
    works.refused("not_yours", "unpark", "ann", interaction)
    works.refused("not_yours", "hand_on", "ann", interaction, "bob", "", "")
    works.refused("not_yours", "split", "ann", interaction, 2)
    works.refused("not_yours", "link", "ann", interaction, 7)


# --- putting aside -----------------------------------------------------------------------------------


def test_what_is_put_aside_frees_the_hands_and_comes_back_at_its_time(works: Works) -> None:
    interaction = works.talk()
    works.do("park", "ann", interaction, works.now_ms + 3_600_000, "wait for the doctor")
    conversation = works.open(interaction)
    assert (conversation.state, conversation.agent, conversation.until_ms) == (
        "parked",
        "ann",
        works.now_ms + 3_600_000,
    )
    works.centre.wait(30)
    assert works.centre.agent("ann") == "idle" and works.waits() == 0
    works.centre.wait(3_560)
    assert conversation.state == "parked"
    works.centre.ready("bob")
    works.centre.wait(20)
    works.remembered()
    assert (works.open(interaction).state, works.open(interaction).agent) == ("ringing", "ann")
    works.accept(interaction)
    assert works.open(interaction).until_ms == 0


def test_what_was_put_aside_by_who_is_not_there_goes_to_somebody_else(works: Works) -> None:
    interaction = works.talk()
    works.do("park", "ann", interaction, works.now_ms + 60_000)
    works.centre.agents.log_out("ann")
    works.centre.settle()
    works.centre.ready("bob")
    works.centre.wait(70)
    assert (works.open(interaction).state, works.open(interaction).agent) == ("ringing", "bob")


def test_who_put_it_aside_is_waited_for_an_hour() -> None:
    works = Works(SERVICE, replace(ANN, capacity=(("email", 1),)), BOB)
    interaction = works.talk()
    works.do("park", "ann", interaction, works.now_ms + 600_000)
    works.centre.wait(30)
    works.talk(sender=LI)
    works.centre.ready("bob")
    works.centre.wait(600)
    assert works.open(interaction).state == "waiting", "ann has her hands full"
    works.centre.wait(3_560)
    assert works.open(interaction).state == "waiting"
    works.centre.wait(30)
    assert (works.open(interaction).state, works.open(interaction).agent) == ("ringing", "bob")


@pytest.mark.parametrize("away_s", [10, 7_200])
def test_what_was_put_aside_comes_back_over_cores(works: Works, away_s: int) -> None:
    interaction = works.talk()
    works.do("park", "ann", interaction, works.now_ms + 3_600_000)
    works.centre.restart(away_ms=away_s * 1000)
    works.centre.wait(10)
    assert (works.open(interaction).state == "parked") == (away_s == 10)
    works.centre.wait(3_700)
    works.remembered()
    assert works.open(interaction).state in ("ringing", "waiting")


def test_what_was_put_aside_stays_while_the_agent_wraps_up_other_things(works: Works) -> None:
    interaction, other = works.talk(), works.talk(sender=LI)
    works.do("park", "ann", interaction, works.now_ms + DAY_MS)
    works.end(other)
    works.centre.agents.wrap_up("ann", interaction, "enquiry_answered", "", "")
    works.remembered()
    assert works.open(interaction).state == "parked"


def test_a_visitor_who_writes_brings_it_back(works: Works) -> None:
    visit = works.chat()
    works.do("park", "ann", visit, works.now_ms + DAY_MS)
    works.centre.ready("ann", "bob")
    works.centre.written.receive(visit, "c2", "still here")
    works.remembered()
    assert (works.open(visit).state, works.open(visit).agent) == ("ringing", "ann")
    assert works.said(visit)[-1] == ("customer", "still here")


def test_a_visitor_who_leaves_while_put_aside_has_left(works: Works) -> None:
    visit = works.chat()
    works.do("park", "ann", visit, works.now_ms + DAY_MS)
    works.centre.written.leave(visit)
    works.remembered()
    assert visit not in works.all_open


def test_an_agent_takes_back_what_they_put_aside(works: Works) -> None:
    interaction = works.talk()
    works.do("park", "ann", interaction, works.now_ms + DAY_MS)
    works.centre.ready("ann", "bob")
    works.do("unpark", "ann", interaction)
    assert (works.open(interaction).state, works.open(interaction).agent) == ("ringing", "ann")
    works.accept(interaction)
    works.centre.wait(90_000)
    assert works.open(interaction).state == "talking", "its time means nothing now"


def test_what_is_taken_back_by_who_has_no_hand_free_waits(works: Works) -> None:
    interaction = works.talk()
    works.do("park", "ann", interaction, works.now_ms + DAY_MS)
    works.centre.wait(30)
    works.centre.agents.not_ready("ann", "break")
    works.do("unpark", "ann", interaction)
    assert works.open(interaction).state == "waiting"


@pytest.mark.parametrize("ms", [-1, 0, 90 * DAY_MS + 1, 10**15])
def test_nothing_is_put_aside_for_ever_or_for_yesterday(works: Works, ms: int) -> None:
    works.refused("bad_time", "park", "ann", works.talk(), works.now_ms + ms)


def test_putting_aside_is_refused(works: Works) -> None:
    interaction = works.talk()
    later = works.now_ms + DAY_MS
    works.refused("too_long", "park", "ann", interaction, later, "x" * 2_001)
    works.refused("not_yours", "park", "bob", interaction, later)
    works.refused("not_yours", "park", "ann", "i9-9", later)
    works.refused("not_yours", "unpark", "ann", interaction)
    works.do("park", "ann", interaction, later, " ")
    assert works.open(interaction).notes == ()
    works.refused("not_yours", "park", "ann", interaction, later)
    works.refused("not_yours", "unpark", "bob", interaction)
    with pytest.raises(NotAllowed, match="not_yours"):
        works.desk.reply("ann", interaction, "r", "hello")


def test_what_comes_back_at_night_waits_for_the_morning(works: Works) -> None:
    interaction = works.talk()
    works.do("park", "ann", interaction, works.now_ms + 60_000)
    queues = [one.name for one in PARTS if hasattr(one, "medium")]
    works.centre.host.submit(*(rf.QueueClosed(queue) for queue in queues))
    bounded(works)
    works.centre.wait(70)
    assert works.open(interaction).state in ("waiting", "ringing", "parked")


# --- handing on --------------------------------------------------------------------------------------


def test_a_colleague_is_asked_first_and_has_the_note_and_the_age(works: Works) -> None:
    interaction = works.talk()
    since = works.age(interaction)
    works.centre.wait(60)
    works.centre.ready("bob")
    works.do("hand_on", "ann", interaction, "bob", "", "she speaks no Chinese")
    conversation = works.open(interaction)
    assert (conversation.state, conversation.agent, conversation.queue) == ("ringing", "bob", "service@email")
    assert works.age(interaction) == since
    works.accept(interaction)
    assert works.centre.private.get(conversation.notes[-1].ref) == "she speaks no Chinese"
    for refused in (
        lambda: works.desk.reply("ann", interaction, "late", "still me"),
        lambda: works.casework.note("ann", interaction, "still me"),
    ):
        with pytest.raises(NotAllowed, match="not_yours"):
            refused()


@pytest.mark.parametrize("how", ["declined", "not_taken", "not_there", "not_ready", "full"])
def test_what_a_colleague_does_not_take_waits_with_its_age(works: Works, how: str) -> None:
    interaction = works.talk()
    since = works.age(interaction)
    works.centre.wait(60)
    works.centre.agents.not_ready("ann", "break")
    if how not in ("not_there", "not_ready"):
        works.centre.ready("bob")
    if how == "not_ready":
        works.centre.agents.log_in("bob")
    if how == "full":
        for n in range(6):
            works.accept(works.write(sender=f"{n}@x.example"))
    works.do("hand_on", "ann", interaction, "bob", "", "")
    if how == "declined":
        works.centre.written.decline("bob", works.open(interaction).offer)
    if how == "not_taken":
        works.centre.wait(46)
    works.remembered()
    assert (works.open(interaction).state, works.open(interaction).queue) == ("waiting", "service@email")
    assert works.age(interaction) == since


def test_who_is_handed_on_twice_keeps_the_age_of_the_first_time(works: Works) -> None:
    interaction = works.talk()
    since = works.age(interaction)
    for agent, to in (("ann", "bob"), ("bob", "ann"), ("ann", "bob")):
        works.centre.wait(60)
        works.centre.ready(to)
        works.do("hand_on", agent, interaction, to, "", "")
        assert works.age(interaction) == since
        works.accept(interaction)


def test_another_queue_gets_it_with_its_age(works: Works) -> None:
    interaction = works.talk()
    since = works.age(interaction)
    works.centre.wait(60)
    works.centre.agents.not_ready("ann", "break")
    works.do("hand_on", "ann", interaction, "", "complaints@email", "")
    assert (works.open(interaction).state, works.open(interaction).queue) == ("waiting", "complaints@email")
    assert works.age(interaction) == since and works.waits("complaints@email") == 1


def test_what_was_put_aside_can_be_handed_on(works: Works) -> None:
    interaction = works.talk()
    works.do("park", "ann", interaction, works.now_ms + DAY_MS)
    works.centre.ready("bob")
    works.do("hand_on", "ann", interaction, "bob", "complaints@email", "")
    assert (works.open(interaction).agent, works.open(interaction).queue) == ("bob", "complaints@email")


@pytest.mark.parametrize(
    ("to", "queue", "note", "code"),
    [
        ("", "", "", "no_such_queue"),
        ("", "service", "", "no_such_queue"),
        ("", "service@chat", "", "no_such_queue"),
        ("", "nowhere@email", "", "no_such_queue"),
        ("bob", "nowhere@email", "", "no_such_queue"),
        ("ann", "", "", "no_such_agent"),
        ("nobody", "", "", "no_such_agent"),
        ("nobody", "", "a word for nobody", "no_such_agent"),
        ("bob", "", "x" * 2_001, "too_long"),
    ],
)
def test_handing_on_to_nobody_is_refused(works: Works, to: str, queue: str, note: str, code: str) -> None:
    interaction = works.talk()
    works.refused(code, "hand_on", "ann", interaction, to, queue, note)
    works.refused("not_yours", "hand_on", "bob", interaction, "ann", "", "")


@pytest.mark.parametrize("to", ["", "bob"])
@pytest.mark.parametrize("there", [False, True])
def test_a_visitor_who_is_handed_on_to_a_closed_queue_is_not_thrown_out(
    works: Works, to: str, there: bool
) -> None:
    """Whoever hands somebody on does not end it for them."""
    visit = works.chat()
    if there:
        works.centre.ready("bob")
    works.centre.host.submit(rf.QueueClosed("complaints@chat"))
    bounded(works)
    with contextlib.suppress(NotAllowed):
        works.casework.hand_on("ann", visit, to, "complaints@chat", "")
    works.remembered()
    assert works.centre.written.standing(visit)["state"] != "over"


def test_a_mail_that_is_handed_on_to_a_closed_queue_is_not_lost(works: Works) -> None:
    interaction = works.talk()
    works.centre.agents.not_ready("ann", "break")
    works.centre.host.submit(rf.QueueClosed("complaints@email"))
    bounded(works)
    works.do("hand_on", "ann", interaction, "", "complaints@email", "")
    assert works.open(interaction).state == "waiting"


# --- joining -----------------------------------------------------------------------------------------


def two(works: Works, agent: str = "ann") -> tuple[str, str]:
    """Two mails of one customer, a minute apart, in the hands of one agent."""
    first = works.talk(agent, text="first")
    works.centre.wait(60)
    second = works.talk(agent, text="second")
    works.carry()
    return first, second


@pytest.mark.parametrize("swap", [False, True])
def test_what_is_joined_stands_in_one_conversation_in_the_order_of_time(works: Works, swap: bool) -> None:
    first, second = two(works)
    works.centre.wait(60)
    works.reply(first, "answer to the first")
    works.centre.wait(60)
    works.reply(second, "answer to the second")
    source, target = (second, first) if swap else (first, second)
    works.do("merge", "ann", source, target)
    said = [text for by, text in works.said(target) if by != "flow"]
    assert said == ["first", "second", "answer to the first", "answer to the second"]
    assert works.said(source) == [] and works.open(source).messages == []
    assert (works.open(source).state, works.open(source).agent) == ("merged", "")
    assert works.open(target).state == "talking"
    assert [one.id for one in works.centre.host.book.written.of_agent("ann")] == [target]
    works.centre.restart()
    works.remembered()
    assert [text for by, text in works.said(target) if by != "flow"] == said


def test_who_was_joined_from_the_queue_waits_there_no_more(works: Works) -> None:
    first = works.talk(text="first")
    works.centre.agents.not_ready("ann", "break")
    second = works.write("second")
    assert (works.open(second).state, works.waits()) == ("waiting", 1)
    works.do("merge", "ann", second, first)
    assert works.waits() == 0
    works.centre.ready("bob")
    assert works.open(second).state == "merged", "it rings at nobody"


def test_what_was_put_aside_can_be_joined_and_does_not_come_back_by_itself(works: Works) -> None:
    first, second = two(works)
    works.do("park", "ann", first, works.now_ms + 60_000)
    works.do("merge", "ann", first, second)
    works.centre.wait(120)
    works.remembered()
    assert works.open(first).state == "merged"
    assert works.wrote(second) == ["first", "second"]


def test_nobody_has_read_what_came_between(works: Works) -> None:
    first, second = two(works)
    for interaction in (first, second):
        works.centre.written.agent_read("ann", interaction, 99)
        assert works.open(interaction).unread == 0
    works.do("merge", "ann", second, first)
    assert works.open(first).unread == 1 and works.open(first).read["ann"] == 2
    works.centre.written.agent_read("ann", first, 99)
    works.do("unmerge", "ann", second)
    assert all(n <= len(one.messages) for one in works.all_open.values() for n in one.read.values())
    assert works.open(first).unread == 0


def test_joining_what_is_later_leaves_what_was_read_before_as_read(works: Works) -> None:
    first, second = two(works)
    works.centre.written.agent_read("ann", first, 99)
    works.do("merge", "ann", second, first)
    assert [works.open(first).messages[n].by for n in range(2)] == ["", "flow"]
    assert works.open(first).read["ann"] == 2


@pytest.mark.parametrize("restarted", [False, True])
def test_mails_of_both_threads_come_to_the_joined_one_until_it_ends(works: Works, restarted: bool) -> None:
    first, second = two(works)
    letters = [works.reply(one) for one in (first, second)]
    works.do("merge", "ann", first, second)
    if restarted:
        works.centre.restart()
    assert [works.answer(letter, "more") for letter in letters] == [second, second]
    works.end(second, wrapped=False)
    works.remembered()
    again = [works.answer(letter, "later") for letter in letters]
    assert set(again).isdisjoint({first, second}) and len(set(again)) == 2
    assert [works.open(one).thread for one in again] == [first, second]


def test_the_end_of_the_joined_one_is_the_end_of_both(works: Works) -> None:
    first, second = two(works)
    works.do("merge", "ann", first, second)
    works.end(second, wrapped=False)
    works.remembered()
    assert list(works.all_open) == [second]
    assert works.wrote(second) == ["first", "second"]
    works.centre.agents.wrap_up("ann", second, "enquiry_answered", "", "")
    works.remembered()
    assert not works.all_open


def test_what_became_of_a_letter_is_shown_where_it_stands_now(works: Works) -> None:
    first, second = two(works)
    for client, text in (("r1", "gone"), ("r2", "refused")):
        works.desk.reply("ann", first, client, text)
    works.centre.settle()
    works.do("merge", "ann", first, second)
    one, other = works.centre.outbox.due()
    works.centre.outbox.tried(one, Result(SENT))
    works.centre.outbox.tried(other, Result(REFUSED, "550"))
    works.remembered()
    assert (works.state("gone"), works.state("refused")) == ("sent", "dead")
    works.centre.outbox.resend("sue", other.message, [ZHANG], "s", "mended")
    works.remembered()
    assert works.state("mended") == "waiting"


def test_letters_of_one_customer_with_two_addresses_go_where_the_last_mail_came_from(works: Works) -> None:
    works.known = {ZHANG: Known(7, "张三"), LI: Known(7, "张三")}
    first = works.talk(text="first")
    works.centre.wait(1)
    second = works.talk(text="second", sender=LI)
    works.do("merge", "ann", first, second)
    letter = works.reply(second)
    assert letter["To"] == LI
    assert works.answer(letter) == second


@pytest.mark.parametrize("to", [ZHANG, LI])
def test_an_answer_to_a_letter_of_the_joined_one_comes_back_to_it(works: Works, to: str) -> None:
    """Whichever of the customer's addresses it went to."""
    works.known = {ZHANG: Known(7, "张三"), LI: Known(7, "张三")}
    first, second = works.talk(text="first"), works.talk(text="second", sender=LI)
    works.do("merge", "ann", first, second)
    works.centre.wait(1)
    assert works.write("P.S.", to, References=f"<{1 if to == ZHANG else 2}@mail.example>") == second
    letter = works.reply(second)
    assert letter["To"] == to
    assert works.answer(letter, "and more", References="", In_Reply_To="<unknown@x.example>") == second


@pytest.mark.parametrize("known", [(0, 0), (7, 8), (7, 0), (0, 7)])
def test_two_customers_are_not_joined(works: Works, known: tuple[int, int]) -> None:
    works.known = {ZHANG: Known(known[0]), LI: Known(known[1])}
    works.known = {address: one for address, one in works.known.items() if one.customer}
    first, second = works.talk(), works.talk(sender=LI)
    works.refused("cannot_merge", "merge", "ann", first, second)
    works.refused("cannot_merge", "merge", "ann", second, first)


def test_whom_the_agent_knows_as_one_may_be_joined(works: Works) -> None:
    first, second = works.talk(text="first"), works.talk(text="second", sender=LI)
    for interaction in (first, second):
        works.do("link", "ann", interaction, 7)
        assert (works.open(interaction).customer, works.open(interaction).linked) == (7, "agent")
    works.do("merge", "ann", first, second)
    works.do("unmerge", "ann", first)
    works.do("link", "ann", second, 0)
    assert (works.open(second).customer, works.open(second).linked) == (0, "undone")
    works.refused("not_yours", "link", "bob", second, 7)


def test_joining_is_refused(works: Works) -> None:
    works.centre.ready("bob")
    theirs = works.write()
    works.accept(theirs)
    works.centre.agents.not_ready("bob", "break")
    mine, other = two(works)
    visit = works.chat()
    works.refused("cannot_merge", "merge", "ann", theirs, mine)
    works.refused("not_yours", "merge", "ann", mine, theirs)
    works.refused("cannot_merge", "merge", "ann", mine, mine)
    works.refused("cannot_merge", "merge", "ann", visit, mine)
    works.refused("cannot_merge", "merge", "ann", mine, visit)
    works.refused("cannot_merge", "merge", "ann", "i9-9", mine)
    works.refused("not_yours", "merge", "ann", mine, "i9-9")
    rings = works.write()
    assert works.open(rings).state == "ringing"
    works.refused("cannot_merge", "merge", "ann", rings, mine)
    works.refused("not_yours", "merge", "ann", mine, rings)
    works.do("park", "ann", other, works.now_ms + DAY_MS)
    works.refused("cannot_merge", "merge", "ann", mine, other)
    works.refused("cannot_merge", "merge", "bob", other, theirs)
    works.do("merge", "ann", other, mine)
    works.refused("cannot_merge", "merge", "ann", other, mine)
    works.refused("not_yours", "merge", "ann", mine, other)
    works.refused("not_yours", "note", "ann", other, "x")
    works.refused("not_yours", "split", "ann", other, 2)
    works.end(mine, wrapped=False)
    works.refused("cannot_merge", "merge", "ann", rings, mine)


def test_an_erased_person_is_joined_with_nobody(works: Works) -> None:
    first, second = two(works)
    works.erase(ZHANG)
    works.refused("cannot_merge", "merge", "ann", first, second)


# --- chains of joined ones ---------------------------------------------------------------------------


def three(works: Works) -> tuple[list[str], list[EmailMessage]]:
    """Three conversations, joined one after the other, and a letter of each."""
    names = []
    for n in range(3):
        names.append(works.talk(text=f"mail {n}"))
        works.centre.wait(1)
    works.carry()
    letters = [works.reply(one, f"letter {n}") for n, one in enumerate(names)]
    works.do("merge", "ann", names[0], names[1])
    works.do("merge", "ann", names[1], names[2])
    return names, letters


@pytest.mark.parametrize("restarted", [False, True])
def test_mails_find_the_end_of_a_chain(works: Works, restarted: bool) -> None:
    (_a, _b, last), letters = three(works)
    if restarted:
        works.centre.restart()
    assert works.wrote(last) == ["mail 0", "mail 1", "mail 2"]
    assert [works.answer(letter, "more") for letter in letters] == [last] * 3
    assert came_back(works, letters[0]) == last
    assert works.state("letter 0") == "bounced"


def test_the_end_of_a_chain_ends_all_of_it(works: Works) -> None:
    names, _letters = three(works)
    works.end(names[-1])
    works.remembered()
    assert not works.all_open
    assert sorted(fact["interaction"] for fact in works.centre.journalled("InteractionEnded")) == names


def test_a_chain_is_parted_from_its_end(works: Works) -> None:
    (first, middle, last), _letters = three(works)
    works.refused("not_yours|not_merged", "unmerge", "ann", first)
    works.do("unmerge", "ann", middle)
    assert works.wrote(last) == ["mail 2"] and works.wrote(middle) == ["mail 0", "mail 1"]
    works.accept(middle)
    works.do("unmerge", "ann", first)
    assert [works.wrote(one) for one in (first, middle, last)] == [["mail 0"], ["mail 1"], ["mail 2"]]


# --- parting -----------------------------------------------------------------------------------------


def test_what_was_joined_is_parted_again_and_comes_to_the_agent(works: Works) -> None:
    first, second = two(works)
    letters = [works.reply(one, f"answer {n}") for n, one in enumerate((first, second))]
    before = [works.said(one) for one in (first, second)]
    works.do("merge", "ann", first, second)
    works.centre.ready("bob")
    works.do("unmerge", "ann", first)
    assert [works.said(one) for one in (first, second)] == before
    assert (works.open(first).state, works.open(first).agent) == ("ringing", "ann")
    works.accept(first)
    assert [works.answer(letter) for letter in letters] == [first, second]
    works.centre.restart()
    works.remembered()


def test_what_came_after_they_were_joined_stays_where_it_came(works: Works) -> None:
    first, second = two(works)
    letter = works.reply(first)
    works.do("merge", "ann", first, second)
    assert works.answer(letter, "meanwhile") == second
    works.do("unmerge", "ann", first)
    assert works.wrote(first) == ["first"] and works.wrote(second) == ["second", "meanwhile"]


def test_whoever_has_the_joined_one_may_part_it(works: Works) -> None:
    first, second = two(works)
    works.do("merge", "ann", first, second)
    works.centre.ready("bob")
    works.do("hand_on", "ann", second, "bob", "", "")
    works.refused("not_yours", "unmerge", "ann", first)
    works.accept(second)
    works.refused("not_yours", "unmerge", "ann", first)
    works.do("unmerge", "bob", first)
    assert works.wrote(first) == ["first"]


def test_parting_is_refused(works: Works) -> None:
    first, second = two(works)
    works.refused("not_merged", "unmerge", "ann", first)
    works.refused("not_merged", "unmerge", "ann", "i9-9")
    works.do("merge", "ann", first, second)
    works.refused("not_yours", "unmerge", "bob", first)
    works.end(second, wrapped=False)
    works.refused("not_merged", "unmerge", "ann", first)


# --- splitting ---------------------------------------------------------------------------------------


def long(works: Works) -> str:
    """mail, acknowledgement, answer, second mail, its answer, third mail."""
    interaction = works.talk(text="about my car", subject="Car")
    letter = works.reply(interaction, "answer one")
    works.centre.wait(60)
    works.answer(letter, "and my house")
    works.reply(interaction, "answer two")
    works.answer(letter, "and my boat")
    assert [by for by, _text in works.said(interaction)] == [
        "customer",
        "flow",
        "agent",
        "customer",
        "agent",
        "customer",
    ]
    return interaction


def test_a_message_and_what_came_after_it_become_a_conversation_of_their_own(works: Works) -> None:
    works.known = {ZHANG: Known(7, "张三", "vip")}
    interaction = long(works)
    works.centre.ready("bob")
    new = works.do("split", "ann", interaction, 4)
    assert [text for _by, text in works.said(new)] == ["and my house", "answer two", "and my boat"]
    assert works.wrote(interaction) == ["about my car"] and len(works.open(interaction).messages) == 3
    conversation = works.open(new)
    assert (conversation.state, conversation.agent, conversation.queue) == ("ringing", "ann", "service@email")
    assert (conversation.customer, conversation.thread, conversation.number) == (
        7,
        new,
        works.open(interaction).number,
    )
    assert works.centre.private.get(conversation.subject_ref) == "Car"
    works.accept(new)
    letter = works.reply(new, "about the house")
    assert letter["To"] == ZHANG
    assert works.answer(letter, "thanks") == new
    works.centre.restart()
    works.remembered()


def test_joining_undoes_a_split(works: Works) -> None:
    interaction = long(works)
    before = works.said(interaction)
    new = works.do("split", "ann", interaction, 4)
    works.accept(new)
    works.do("merge", "ann", new, interaction)
    assert works.said(interaction) == before
    works.end(interaction)
    works.remembered()
    assert not works.all_open


@pytest.mark.parametrize("n", [-1, 0, 1, 2, 3, 5, 7, 10**9])
def test_only_a_later_message_of_the_customer_begins_a_new_one(works: Works, n: int) -> None:
    works.refused("cannot_split", "split", "ann", long(works), n)


def test_splitting_is_refused(works: Works) -> None:
    interaction, visit = long(works), works.chat()
    works.centre.written.receive(visit, "c2", "more")
    works.refused("not_yours", "split", "bob", interaction, 4)
    works.refused("not_yours", "split", "ann", "i9-9", 4)
    works.refused("cannot_split", "split", "ann", visit, len(works.open(visit).messages))


def test_what_becomes_of_a_letter_that_was_split_off_is_shown_where_it_stands(works: Works) -> None:
    interaction = works.talk(text="one")
    letter = works.reply(interaction, "answer")
    works.answer(letter, "two")
    for client in ("r1", "r2", "r3"):
        works.desk.reply("ann", interaction, client, f"letter {client}")
    works.centre.settle()
    new = works.do("split", "ann", interaction, 4)
    sent, later, refused = works.centre.outbox.due()
    works.centre.outbox.tried(sent, Result(SENT))
    works.centre.outbox.tried(later, Result(LATER, "451"))
    works.centre.outbox.tried(refused, Result(REFUSED, "550"))
    works.remembered()
    assert [works.state(f"letter r{n}") for n in (1, 2, 3)] == ["sent", "waiting", "dead"]
    works.centre.outbox.resend("sue", refused.message, [ZHANG], "s", "mended")
    works.remembered()
    assert works.state("mended") == "waiting"
    assert [text for _by, text in works.said(new)][-1] == "mended"


def test_a_letter_that_was_split_off_comes_back_to_where_it_stands(works: Works) -> None:
    interaction = works.talk(text="one")
    works.answer(works.reply(interaction, "answer"), "two")
    letter = works.reply(interaction, "letter")
    new = works.do("split", "ann", interaction, 4)
    came_back(works, letter)
    assert works.state("letter") == "bounced"
    assert works.open(new).messages[1].state == "bounced"


# --- nothing twice, nothing too early ----------------------------------------------------------------


@pytest.mark.parametrize("what", ["merge", "split", "unmerge"])
def test_an_answer_that_is_sent_again_after_messages_moved_is_one_letter(works: Works, what: str) -> None:
    """The agent's page was not told that the first was safe."""
    first, second = two(works)
    works.answer(works.reply(second), "third")
    if what == "unmerge":
        works.do("merge", "ann", first, second)
    works.desk.reply("ann", second, "same", "only once")
    works.centre.settle()
    if what == "merge":
        works.do("merge", "ann", first, second)
    elif what == "split":
        works.do("split", "ann", second, len(works.open(second).messages) - 1)
    else:
        works.do("unmerge", "ann", first)
    if what != "split":  # there it stands elsewhere now
        works.desk.reply("ann", second, "same", "only once")
        works.centre.settle()
    everything = [text for one in works.all_open for _by, text in works.said(one)]
    assert everything.count("only once") == 1
    assert len(works.carry()) == 1


def test_what_the_agent_just_sent_is_told_its_place_also_after_it_moved(works: Works) -> None:
    first, second = two(works)
    places: list[int] = []
    works.centre.journal.stuck = True
    works.desk.reply("ann", first, "r1", "hello", committed=places.append)
    works.casework.merge("ann", first, second)
    works.centre.journal.flush()
    works.remembered()
    assert len(places) == 1
    assert works.said(second)[-1] == ("agent", "hello")


@pytest.mark.parametrize("what", ["split", "unmerge", "merge"])
def test_what_comes_after_messages_moved_is_shown_once_it_is_safe(works: Works, what: str) -> None:
    first, second = two(works)
    letter = works.reply(second)
    works.answer(letter, "third")
    kept = second
    if what == "split":
        works.do("split", "ann", second, len(works.open(second).messages))
    else:
        works.do("merge", "ann", first, second)
    if what == "unmerge":
        works.do("unmerge", "ann", first)
    before = works.said(kept)
    works.centre.journal.stuck = True
    works.arrive(works.raw("safe?", subject=str(letter["Subject"])))
    works.read()
    assert works.said(kept) == before
    works.centre.journal.flush()
    works.centre.settle()
    assert works.said(kept) == [*before, ("customer", "safe?")]


def test_a_message_that_comes_while_the_joining_is_written_is_shown_with_its_own_commit(works: Works) -> None:
    first, second = two(works)
    letter = works.reply(second)
    works.centre.journal.stuck = True
    works.casework.merge("ann", first, second)
    works.centre.journal.flush()
    works.centre.journal.stuck = True
    works.arrive(works.raw("safe?", subject=str(letter["Subject"])))
    works.read()
    assert works.wrote(second) == ["first", "second"]
    works.centre.journal.flush()
    works.centre.settle()
    assert works.wrote(second) == ["first", "second", "safe?"]


def test_a_joining_that_died_with_the_core_has_not_happened(works: Works) -> None:
    first, second = two(works)
    works.centre.journal.stuck = True
    works.casework.merge("ann", first, second)
    works.centre.restart()
    assert (works.wrote(first), works.wrote(second)) == (["first"], ["second"])
    works.do("merge", "ann", first, second)
    assert works.wrote(second) == ["first", "second"]


# --- days at random ----------------------------------------------------------------------------------

TALKING, PARKED, MERGED, WAITING, RINGING, WRAPPING = (
    *("talking", "parked", "merged", "waiting", "ringing", "wrapping"),
)


class Days(RuleBasedStateMachine):
    """Two customers (one with two addresses), two agents, and everything that they may do."""

    works: Works

    @initialize(wrap_up_ms=st.sampled_from([0, 20_000]))
    def open(self, wrap_up_ms: int) -> None:
        agents = [
            AgentPolicy(name, capacity=HANDS, total_load=600, wrap_up_ms=wrap_up_ms)
            for name in ("ann", "bob")
        ]
        self.works = Works.__new__(Works)
        Post.__init__(self.works, SERVICE, COMPLAINTS, CHAT, *agents, snapshot_every=13)
        self.works.known = {ZHANG: Known(7), "zhang@home.example": Known(7), LI: Known(8)}
        self.works.centre.ready("ann", "bob")
        self.expected: Counter[str] = Counter()
        """texts that stand somewhere"""
        self.threads: list[EmailMessage] = []
        self.n = 0

    # --- customers -------------------------------------------------------------------------------

    @rule(
        sender=st.sampled_from([ZHANG, ZHANG, "zhang@home.example", LI]),
        taken=st.sampled_from([True, True, False]),
    )
    def write(self, sender: str, taken: bool) -> None:
        if len(self.works.all_open) < 6:
            interaction = self.works.write(self.text("new"), sender)
            self.received(interaction)
            self.threads += self.works.carry()
            if taken and self.works.open(interaction).state == RINGING:
                self.works.accept(interaction)

    @precondition(lambda self: self.threads)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        self.received(self.works.answer(data.draw(st.sampled_from(self.threads[-6:])), self.text("answer")))

    # --- agents ----------------------------------------------------------------------------------

    @precondition(lambda self: self.those(RINGING))
    @rule(data=st.data())
    def accept(self, data: st.DataObject) -> None:
        self.works.accept(self.pick(data, RINGING).id)

    @precondition(lambda self: self.those(TALKING))
    @rule(
        data=st.data(),
        result=st.sampled_from([Result(SENT), Result(LATER, "451"), Result(REFUSED, "550"), None]),
    )
    def reply(self, data: st.DataObject, result: Result | None) -> None:
        one = self.pick(data, TALKING)
        self.works.desk.reply(one.agent, one.id, f"r{self.n}", self.text("reply"))
        self.received(one.id)
        if result is not None:
            self.threads += self.works.carry(result)

    @rule(result=st.sampled_from([Result(SENT), Result(LATER, "451")]))
    def carry(self, result: Result) -> None:
        self.works.carry(result)

    @precondition(lambda self: self.those(TALKING, PARKED))
    @rule(data=st.data())
    def note(self, data: st.DataObject) -> None:
        one = self.pick(data, TALKING, PARKED)
        self.works.casework.note(one.agent, one.id, "note")

    @precondition(lambda self: self.those(TALKING))
    @rule(data=st.data(), seconds=st.sampled_from([5, 600, 90_000]))
    def park(self, data: st.DataObject, seconds: int) -> None:
        one = self.pick(data, TALKING)
        self.works.casework.park(one.agent, one.id, self.works.now_ms + seconds * 1000)

    @precondition(lambda self: self.those(PARKED))
    @rule(data=st.data())
    def unpark(self, data: st.DataObject) -> None:
        one = self.pick(data, PARKED)
        self.works.casework.unpark(one.agent, one.id)

    @precondition(lambda self: self.those(TALKING, PARKED))
    @rule(data=st.data(), to=st.sampled_from(["ann", "bob", ""]))
    def hand_on(self, data: st.DataObject, to: str) -> None:
        one = self.pick(data, TALKING, PARKED)
        self.works.casework.hand_on(one.agent, one.id, "" if to == one.agent else to, "complaints@email", "")

    @precondition(lambda self: self.those(TALKING) and len(self.works.all_open) > 1)
    @rule(data=st.data())
    def merge_anything(self, data: st.DataObject) -> None:
        """It fits, or is refused."""
        target = self.pick(data, TALKING)
        source = self.pick(data, TALKING, PARKED, WAITING, RINGING, WRAPPING, MERGED)
        with contextlib.suppress(NotAllowed):
            self.works.casework.merge(target.agent, source.id, target.id)

    @precondition(lambda self: self.pairs())
    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        source, target = data.draw(st.sampled_from(self.pairs()))
        self.works.casework.merge(target.agent, source.id, target.id)

    @precondition(lambda self: self.those(MERGED))
    @rule(data=st.data())
    def unmerge(self, data: st.DataObject) -> None:
        one = self.pick(data, MERGED)
        target = self.works.open(one.into)
        with contextlib.suppress(NotAllowed):
            self.works.casework.unmerge(target.agent, one.id)

    @precondition(lambda self: self.seams() and len(self.works.all_open) < 8)
    @rule(data=st.data(), taken=st.booleans())
    def split(self, data: st.DataObject, taken: bool) -> None:
        one, n = data.draw(st.sampled_from(self.seams()))
        new = self.works.casework.split(one.agent, one.id, n)
        self.works.centre.settle()
        if taken and self.works.open(new).state == RINGING:
            self.works.accept(new)

    @precondition(lambda self: self.those(TALKING))
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        one = self.pick(data, TALKING)
        self.works.centre.written.agent_read(one.agent, one.id, 99)

    @precondition(lambda self: self.those(TALKING))
    @rule(data=st.data(), wrapped=st.booleans())
    def end(self, data: st.DataObject, wrapped: bool) -> None:
        one = self.pick(data, TALKING)
        agent, centre = one.agent, self.works.centre
        centre.written.end(agent, one.id)
        centre.settle()
        if wrapped:
            centre.agents.wrap_up(agent, one.id, "enquiry_answered", "", "")
            centre.settle()
        self.over()

    @rule(seconds=st.sampled_from([3, 30, 700]))
    def wait(self, seconds: int) -> None:
        self.works.centre.wait(seconds)
        self.works.centre.ready("ann", "bob")
        self.over()

    @rule()
    def next_core(self) -> None:
        self.works.centre.settle()
        self.works.centre.restart()
        self.over()

    @rule(data=st.data(), what=st.sampled_from(["write", "reply", "park", "merge", "split", "end"]))
    def die_over_it(self, data: st.DataObject, what: str) -> None:
        """What was not committed has not happened."""
        centre, works = self.works.centre, self.works
        centre.settle()
        centre.journal.stuck = True
        if what == "write":
            works.arrive(works.raw("lost with the core"))
            works.read()
        elif what == "merge" and self.pairs():
            source, target = data.draw(st.sampled_from(self.pairs()))
            works.casework.merge(target.agent, source.id, target.id)
        elif what == "split" and self.seams():
            one, n = data.draw(st.sampled_from(self.seams()))
            works.casework.split(one.agent, one.id, n)
        elif what in ("reply", "park", "end") and self.those(TALKING):
            one = self.pick(data, TALKING)
            if what == "reply":
                works.desk.reply(one.agent, one.id, "lost", "lost with the core")
            elif what == "park":
                works.casework.park(one.agent, one.id, works.now_ms + 1_000)
            else:
                centre.written.end(one.agent, one.id)
        centre.restart()

    # --- what holds ------------------------------------------------------------------------------

    @invariant()
    def every_message_stands_in_one_place(self) -> None:
        if not hasattr(self, "expected"):
            return
        self.works.centre.settle()
        self.over()
        assert Counter(self.standing()) == self.expected
        ids = [message.id for one in self.works.all_open.values() for message in one.messages]
        assert len(ids) == len(set(ids))
        for one in self.works.all_open.values():
            assert [m.at_ms for m in one.messages] == sorted(m.at_ms for m in one.messages)
            assert all(0 <= n <= len(one.messages) for n in one.read.values())
            assert all(1 <= n <= len(one.messages) for n in one.clients.values())
            assert self.works.centre.written.committed(one.id) == len(one.messages), one.id
            assert len(self.works.said(one.id)) == len(one.messages)

    @invariant()
    def everybody_is_somewhere(self) -> None:
        engine = self.works.centre.host.engine if hasattr(self, "expected") else None
        for one in self.works.all_open.values() if engine is not None else ():
            assert engine is not None
            view = engine.contact_view(one.contact)
            if one.state in (WAITING, RINGING, TALKING):
                assert view is not None and self.works.centre.host.book.written.of_contact(one.contact) is one
            else:
                assert view is None or view.state not in ("waiting", "offered")
            assert (one.state == MERGED) == bool(one.into) and (one.state != MERGED or not one.messages)
            assert not one.into or one.into in self.works.all_open, "what was joined ends with the other"
            goes_to = self.works.centre.host.book.written.of_thread(one.thread)
            end = one
            while end.into:
                end = self.works.open(end.into)
            assert end.state == WRAPPING or goes_to is not None

    @invariant()
    def every_letter_is_shown_as_it_stands(self) -> None:
        if not hasattr(self, "expected"):
            return
        for one in self.works.all_open.values():
            for message in one.messages:
                letter = self.works.letters.outbox.get(message.id)
                if letter is not None:
                    assert message.state == letter.state
                elif message.by:
                    assert message.state in ("sent", "bounced", "dropped")

    @invariant()
    def the_next_core_holds_the_same(self) -> None:
        if hasattr(self, "expected"):
            self.works.remembered()

    # --- words of the machine --------------------------------------------------------------------

    def text(self, kind: str) -> str:
        self.n += 1
        return f"{kind} {self.n}"

    def received(self, interaction: str) -> None:
        assert interaction in self.works.all_open
        self.works.centre.settle()
        self.expected[self.texts(self.works.open(interaction))[-1]] += 1

    def over(self) -> None:
        """What ended and was wrapped up took its messages with it; nothing else did."""
        lost = self.expected - Counter(self.standing())
        ended = {fact["interaction"] for fact in self.works.centre.journalled("InteractionEnded")}
        closed = [self.at_the_end.get(name, []) for name in ended if name not in self.works.all_open]
        for texts in closed:
            for text in texts:
                if lost[text]:
                    lost[text] -= 1
                    del self.expected[text]
        self.at_the_end = {one.id: self.texts(one) for one in self.works.all_open.values()}

    at_the_end: dict[str, list[str]] = {}  # noqa: RUF012  replaced, never changed

    def texts(self, one: Conversation) -> list[str]:
        """Of people; the acknowledgement of a flow is alike everywhere."""
        return [
            self.works.centre.private.get(message.ref) for message in one.messages if message.by != "flow"
        ]

    def standing(self) -> list[str]:
        return [text for one in self.works.all_open.values() for text in self.texts(one)]

    def pairs(self) -> list[tuple[Conversation, Conversation]]:
        """(source, target) that may be merged."""
        return [
            (source, target)
            for target in self.those(TALKING)
            for source in self.those(TALKING, PARKED, WAITING)
            if source is not target
            and (source.agent == target.agent or source.state == WAITING)
            and source.customer == target.customer
        ]

    def seams(self) -> list[tuple[Conversation, int]]:
        """Where what is in hand may be split."""
        return [
            (one, n)
            for one in self.those(TALKING, PARKED)
            for n, message in enumerate(one.messages, 1)
            if n > 1 and not message.by
        ]

    def those(self, *states: str) -> list[Conversation]:
        return [one for one in self.works.all_open.values() if one.state in states]

    def pick(self, data: st.DataObject, *states: str) -> Conversation:
        return data.draw(st.sampled_from(self.those(*states)))


TestDays = Days.TestCase
TestDays.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
