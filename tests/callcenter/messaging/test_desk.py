"""Written conversations through flow, queue and agents, in virtual time, over the death of the core."""

from __future__ import annotations

from typing import Any

import pytest

from callcenter.explain import explain, tell
from callcenter.kernel.errors import NotAllowed
from callcenter.messaging.casework import Casework
from callcenter.messaging.conversations import Conversation
from routing import AgentPolicy, QueuePolicy
from tests.callcenter.centre import Centre

CHAT = QueuePolicy("service@chat", medium="chat", target_ms=60_000, ring_ms=45_000)
COMPLAINTS = QueuePolicy("complaints@chat", medium="chat", target_ms=60_000)
BOTH = (("chat", 2), ("voice", 1))


class Site:
    """A centre that visitors write to."""

    def __init__(self, *parts: Any) -> None:
        parts = parts or (AgentPolicy("ann", capacity=BOTH, wrap_up_ms=20_000),)
        self.centre = Centre(QueuePolicy("service"), CHAT, COMPLAINTS, *parts)
        self.kept: list[int] = []
        self.written = 0

    @property
    def desk(self) -> Any:
        return self.centre.written

    @property
    def work(self) -> Casework:
        return Casework(self.centre.host, self.centre.ids, self.desk)

    def visit(self, party: str = "", language: str = "zh") -> str:
        verified = "signed" if party else ""
        interaction: str = self.desk.begin("chat", "chat", "hotline", language, party, verified)
        self.centre.settle()
        return interaction

    def write(self, visit: str, text: str, client: str = "") -> None:
        self.written += 1
        self.desk.receive(visit, client or f"c{self.written}", text, self.kept.append)
        self.centre.settle()

    def open(self, visit: str) -> Conversation:
        return self.centre.host.book.written.open[visit]

    def said(self, visit: str, after: int = 0) -> list[tuple[str, str]]:
        """(by, text) of what anybody may see."""
        return [(one["by"], one["text"]) for one in self.desk.thread(visit, after)]

    def talk(self, agent: str = "ann") -> str:
        """A visitor whom this agent has taken."""
        self.centre.ready(agent)
        visit = self.visit()
        self.write(visit, "人工")
        self.desk.accept(agent, self.open(visit).offer)
        self.centre.settle()
        assert (self.open(visit).state, self.open(visit).agent) == ("talking", agent)
        return visit


@pytest.fixture
def site() -> Site:
    return Site()


def test_the_hotline_in_writing_offers_choices_and_checks_a_sales_agent(site: Site) -> None:
    visit = site.visit()
    greeting, menu = site.desk.thread(visit, 0)
    assert greeting["text"].startswith("您好，欢迎使用在线客服")
    assert menu["choices"] == ["保单与业务咨询", "核实业务员", "投诉与建议", "保费与缴费", "人工服务"]
    site.write(visit, "核实业务员")
    assert site.said(visit)[-1] == ("flow", "请输入业务员的工号或执业证号。")
    site.write(visit, "ＢＪ-8800 1234")  # full width, with what people put between
    assert site.centre.answers.asked[-1][1:] == ("sales_agent", {"number": "BJ88001234"})
    texts = [text for _by, text in site.said(visit)]
    assert "您查询的号码是 BJ88001234" in texts
    assert "陈静，北京分公司。" in " ".join(texts)


@pytest.mark.parametrize(
    ("text", "queue"),
    [
        ("3", "complaints@chat"),
        ("投诉与建议", "complaints@chat"),
        ("我要投诉与建议！", "complaints@chat"),
        ("人工", "service@chat"),
        ("０", "service@chat"),
    ],
)
def test_a_choice_is_meant_by_key_by_words_or_by_a_part_of_them(site: Site, text: str, queue: str) -> None:
    visit = site.visit()
    site.write(visit, text)
    assert (site.open(visit).state, site.open(visit).queue) == ("waiting", queue)


def test_what_no_choice_means_is_asked_again_and_goes_to_a_person_in_the_end(site: Site) -> None:
    visit = site.visit(language="en")
    for n in range(3):
        site.write(visit, f"blah {n}")
    assert site.said(visit)[-1][1].startswith("One moment please")
    assert site.open(visit).queue == "service@chat"


def test_conversation_from_offer_to_wrap_up(site: Site) -> None:
    visit = site.talk()
    site.desk.send("ann", visit, "a1", "您好")
    site.centre.settle()
    site.write(visit, "我想问保单")
    assert site.said(visit)[-2:] == [("agent", "您好"), ("customer", "我想问保单")]
    assert site.desk.thread(visit, 0)[-2]["name"] == "ANN"
    assert site.open(visit).unread == 1
    site.desk.agent_read("ann", visit, 99)
    assert site.open(visit).unread == 0
    site.desk.end("ann", visit)
    site.centre.settle()
    assert site.desk.standing(visit)["state"] == "over"
    assert site.centre.agent("ann") == "wrap_up"
    with pytest.raises(NotAllowed, match="conversation_over"):
        site.desk.receive(visit, "x", "noch etwas")
    site.centre.agents.wrap_up("ann", visit, "enquiry_answered", "", "")
    site.centre.settle()
    assert site.centre.agent("ann") == "idle"
    assert visit not in site.centre.host.book.written.open


def test_the_same_message_again_is_one_message_and_acknowledged_again(site: Site) -> None:
    visit = site.talk()
    before = len(site.open(visit).messages)
    for _ in range(3):
        site.write(visit, "hello", client="w1")
        site.desk.send("ann", visit, "a1", "hi", site.kept.append)
        site.centre.settle()
    assert len(site.open(visit).messages) == before + 2
    assert site.kept[-6:] == [before + 1, before + 2] * 3


def test_nothing_is_shown_or_acknowledged_before_it_is_safe(site: Site) -> None:
    visit = site.talk()
    before, kept = site.said(visit), list(site.kept)
    site.centre.journal.stuck = True
    site.write(visit, "is it safe?", client="w1")
    assert (site.said(visit), site.kept) == (before, kept)
    site.centre.journal.flush()
    site.centre.settle()
    assert site.said(visit)[-1] == ("customer", "is it safe?")
    assert site.kept[-1] == len(site.open(visit).messages)


def test_what_was_not_committed_when_the_core_died_may_be_sent_again(site: Site) -> None:
    visit = site.talk()
    site.write(visit, "before", client="w1")
    site.centre.journal.stuck = True
    site.desk.receive(visit, "w2", "lost with the core", site.kept.append)
    site.centre.restart()
    assert site.said(visit)[-1] == ("customer", "before")
    for client, text in (("w1", "before"), ("w2", "lost with the core")):
        site.write(visit, text, client=client)
    assert [text for _by, text in site.said(visit)][-2:] == ["before", "lost with the core"]
    assert (site.open(visit).state, site.open(visit).agent) == ("talking", "ann")


def test_a_flow_goes_on_where_it_was_and_says_nothing_twice(site: Site) -> None:
    visit = site.visit()
    site.write(visit, "2")
    said = site.said(visit)
    site.centre.restart()
    assert site.said(visit) == said
    site.write(visit, "88001234")
    assert "您查询的号码是 88001234" in [text for _by, text in site.said(visit)]


def test_a_lookup_that_died_with_the_core_is_asked_again(site: Site) -> None:
    visit = site.visit()
    site.write(visit, "2")
    site.centre.answers.hold = True
    site.write(visit, "88001234")
    site.centre.crash()
    site.centre.answers.forget()
    site.centre.revive()
    site.centre.attach()
    site.centre.settle()
    assert "您查询的号码是 88001234" in [text for _by, text in site.said(visit)]


def test_an_offer_that_died_with_the_core_rings_again(site: Site) -> None:
    site.centre.ready("ann")
    visit = site.visit()
    site.write(visit, "人工")
    offer = site.open(visit).offer
    site.centre.restart()
    assert (site.open(visit).state, site.open(visit).offer) == ("ringing", offer)
    site.desk.accept("ann", offer)
    site.centre.settle()
    assert site.open(visit).state == "talking"


def test_two_conversations_beside_each_other_and_no_third(site: Site) -> None:
    first, second = site.talk(), ""
    second = site.visit()
    site.write(second, "人工")
    site.desk.accept("ann", site.open(second).offer)
    site.centre.settle()
    third = site.visit()
    site.write(third, "人工")
    assert site.open(third).state == "waiting"
    assert site.desk.standing(third)["position"] == 1
    assert {one.id for one in site.centre.host.book.written.of_agent("ann")} == {first, second}
    call = site.centre.queue_up()
    assert call.state == "waiting", "a call does not ring at who writes"


def test_what_ended_beside_another_is_wrapped_up_in_peace(site: Site) -> None:
    first = site.talk()
    second = site.visit()
    site.write(second, "人工")
    site.desk.accept("ann", site.open(second).offer)
    site.centre.settle()
    site.desk.end("ann", first)
    site.centre.wait(60)  # its wrap-up time is long over
    assert site.open(first).state == "wrapping"
    site.centre.agents.wrap_up("ann", first, "enquiry_answered", "asked for a form", "")
    site.centre.settle()
    assert first not in site.centre.host.book.written.open
    assert site.open(second).state == "talking"
    (saved,) = site.centre.journalled("WrapUpSaved")
    assert saved["interaction"] == first


def test_explain_tells_of_what_was_written(site: Site) -> None:
    visit = site.talk()
    site.desk.end("ann", visit)
    site.centre.settle()
    steps = explain(site.centre.journal.connection, visit)
    told = [line.split("  ", 1)[1] for line in tell(steps, "en", str, str, str)]
    assert told[0] == "The customer wrote to us."
    assert "ann answered after 0.0 s." in told
    assert told[-1].startswith("Ended: answered")


def test_a_declined_offer_waits_for_the_next(site: Site) -> None:
    site = Site(AgentPolicy("ann", capacity=BOTH), AgentPolicy("bob", capacity=BOTH))
    site.centre.ready("ann", "bob")
    visit = site.visit()
    site.write(visit, "人工")
    first = site.open(visit).agent
    site.desk.decline(first, site.open(visit).offer)
    site.centre.settle()
    assert {first, site.open(visit).agent} == {"ann", "bob"}
    with pytest.raises(NotAllowed, match="offer_over"):
        site.desk.accept(first, site.open(visit).offer)


def test_an_offer_nobody_takes_goes_back_into_the_queue(site: Site) -> None:
    site.centre.ready("ann")
    visit = site.visit()
    site.write(visit, "人工")
    site.centre.wait(46)
    assert (site.open(visit).state, site.centre.agent("ann")) == ("waiting", "not_ready")


def test_a_transfer_keeps_the_age_and_what_was_said(site: Site) -> None:
    site = Site(AgentPolicy("ann", capacity=BOTH), AgentPolicy("bob", capacity=BOTH))
    visit = site.talk()
    since = site.open(visit).queued_at_ms
    site.centre.wait(30)
    site.centre.ready("bob")
    with pytest.raises(NotAllowed, match="no_such_queue"):
        site.work.hand_on("ann", visit, "", "service", "")
    site.work.hand_on("ann", visit, "", "complaints@chat", "")
    site.centre.settle()
    conversation = site.open(visit)
    assert (conversation.state, conversation.agent, conversation.queue) == (
        "ringing",
        "bob",
        "complaints@chat",
    )
    view = site.centre.host.engine.contact_view(conversation.contact)
    assert view is not None and view.arrived_at_ms == since
    site.desk.accept("bob", conversation.offer)
    assert ("customer", "人工") in site.said(visit)
    with pytest.raises(NotAllowed, match="not_yours"):
        site.desk.send("ann", visit, "late", "still me")


def test_who_leaves_the_page_while_waiting_has_gone_after_a_while(site: Site) -> None:
    visit = site.visit()
    heard: list[str] = []
    unwatch = site.desk.watch(visit, heard.append)
    site.write(visit, "人工")
    site.centre.wait(300)
    assert site.open(visit).state == "waiting", "who is there waits"
    unwatch()
    site.centre.wait(60)
    unwatch = site.desk.watch(visit, heard.append)
    site.centre.wait(120)
    assert site.open(visit).state == "waiting", "and who came back"
    unwatch()
    site.centre.wait(130)
    assert visit not in site.centre.host.book.written.open
    (ended,) = site.centre.journalled("InteractionEnded")
    assert (ended["outcome"], ended["cause"]) == ("abandoned", "gone")
    assert site.centre.host.engine.queue_view("service@chat")[0] == 0


def test_a_menu_that_nobody_answers_ends_in_time(site: Site) -> None:
    visit = site.visit()
    site.desk.watch(visit, lambda _visit: None)
    site.centre.wait(610)
    (ended,) = site.centre.journalled("InteractionEnded")
    assert (ended["interaction"], ended["outcome"], ended["cause"]) == (visit, "left_in_flow", "idle")


@pytest.mark.parametrize(("state", "outcome"), [("flow", "left_in_flow"), ("waiting", "abandoned")])
def test_the_customer_ends_it(site: Site, state: str, outcome: str) -> None:
    visit = site.visit()
    if state == "waiting":
        site.write(visit, "人工")
    site.desk.leave(visit)
    site.centre.settle()
    (ended,) = site.centre.journalled("InteractionEnded")
    assert (ended["outcome"], ended["by"]) == (outcome, "caller")


def test_closed_hours_are_said_and_nobody_waits(site: Site) -> None:
    site.centre.answers.results["hours"] = {"open": "no"}
    visit = site.visit()
    site.write(visit, "人工")
    (ended,) = site.centre.journalled("InteractionEnded")
    assert ended["outcome"] == "closed"
    assert site.said(visit) == []


def test_a_signed_visitor_is_recognised_by_the_number(site: Site) -> None:
    visit = site.visit("+8613800138000")
    assert site.centre.answers.recognised == [(visit, "+8613800138000")]
    assert site.open(visit).verified == "signed"


@pytest.mark.parametrize(
    ("text", "code"), [("", "empty"), ("  \n ", "empty"), ("x" * 4_001, "too_long"), (None, "empty")]
)
def test_what_is_no_message_is_refused(site: Site, text: Any, code: str) -> None:
    visit = site.talk()
    for write in (
        lambda: site.desk.receive(visit, "c", text),
        lambda: site.desk.send("ann", visit, "c", text),
    ):
        with pytest.raises(NotAllowed, match=code):
            write()


def test_the_journal_holds_no_word_of_anybody(site: Site) -> None:
    visit = site.talk()
    site.write(visit, "我的身份证号是 110101199003077777")
    site.desk.send("ann", visit, "a1", "收到，张先生")
    site.centre.settle()
    journal = repr(site.centre.journalled())
    assert "110101199003077777" not in journal and "张先生" not in journal and "人工" not in journal


def test_typing_is_seen_for_a_moment(site: Site) -> None:
    visit = site.talk()
    site.desk.typing(visit, "ann")
    assert site.desk.standing(visit)["typing"] is True
    site.desk.send("ann", visit, "a1", "here it is")
    assert site.desk.standing(visit)["typing"] is False, "it is written"
    site.desk.typing(visit, "ann")
    site.centre.wait(5)
    assert site.desk.standing(visit)["typing"] is False


def test_a_snapshot_holds_open_conversations(site: Site) -> None:
    visit = site.talk()
    site.write(visit, "hello")
    book = site.centre.host.book
    from callcenter.live.book import Book

    again = Book()
    again.restore(book.snapshot())
    assert again.written.open[visit] == book.written.open[visit]
    contact = book.written.open[visit].contact
    found = again.written.of_contact(contact)
    assert found is not None and found.id == visit


def test_the_same_dialogue_by_voice_and_in_writing_reaches_the_records_alike(site: Site) -> None:
    """Check a sales agent, then ask for a person."""
    centre, asked = site.centre, site.centre.answers.asked
    call = centre.queue_up(keys="12")
    centre.press(call, "88001234#")
    centre.press(call, "0")
    by_voice = [(name, args) for _interaction, name, args in asked]
    asked.clear()
    visit = site.visit("+8613800138000")
    for text in ("核实业务员", "88001234", "人工"):
        site.write(visit, text)
    assert [(name, args) for _interaction, name, args in asked] == by_voice
    assert {name for name, _args in by_voice} == {"customer", "sales_agent", "hours"}
    written = site.open(visit)
    assert (call.state, written.state) == ("waiting", "waiting")
    assert written.queue == f"{call.queue}@chat"
    spoken_only = {"language", "chinese"}
    assert [node for node in call.path if node not in spoken_only] == written.path
