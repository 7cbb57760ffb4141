"""Mail taken in, put to its thread or its queue, acknowledged and answered, in virtual time, over the death of the
core. What comes is read by the real reader, what goes out is written by the real writer."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from callcenter.journal.private import erase
from callcenter.kernel.errors import NotAllowed
from callcenter.messaging.conversations import Conversation
from callcenter.messaging.files import Kept
from callcenter.messaging.mail_desk import Known
from callcenter.messaging.mail_rules import queue_of
from callcenter.messaging.post_room import PostRoom
from channels.email.compose import Letter as OutLetter
from channels.email.compose import compose
from channels.email.mail import Envelope, Mail
from channels.email.relay import REFUSED, SENT, Result
from channels.email.translate import read
from config.written import MailRule
from routing import AgentPolicy, QueuePolicy
from routing import facts as rf
from tests.callcenter.centre import OWN_MAIL, Centre

SERVICE = QueuePolicy(
    "service@email", medium="email", target_ms=14_400_000, ring_ms=45_000, preferred_ms=60_000
)
COMPLAINTS = replace(SERVICE, name="complaints@email")
CHAT = QueuePolicy("service@chat", medium="chat", target_ms=60_000)
HANDS = (("chat", 2), ("email", 6), ("voice", 1))
ANN, BOB = (AgentPolicy(name, capacity=HANDS, total_load=600, wrap_up_ms=20_000) for name in ("ann", "bob"))
ZHANG, LI = "zhang@customer.example", "li@elsewhere.example"
OURS, CLAIMS = OWN_MAIL
DOMAIN = OURS.partition("@")[2]


class Post:
    """A centre that people write mails to, and a world that carries what it writes."""

    def __init__(self, *parts: Any, rules: tuple[Any, ...] = (), snapshot_every: int = 5_000) -> None:
        parts = parts or (SERVICE, COMPLAINTS, CHAT, ANN, BOB)
        self.centre = Centre(QueuePolicy("service"), *parts, mail_rules=rules, snapshot_every=snapshot_every)
        self.known: dict[str, Known] = {}
        """customers by address"""
        self.proof: dict[str, str] = {}
        self.kept: list[str] = []
        self.sent: list[bytes] = []
        self.written = 0

    @property
    def desk(self) -> Any:
        return self.centre.mail

    @property
    def letters(self) -> Any:
        return self.centre.host.book.letters

    @property
    def all_open(self) -> dict[str, Conversation]:
        return self.centre.host.book.written.open

    def open(self, interaction: str) -> Conversation:
        return self.all_open[interaction]

    # --- what comes ------------------------------------------------------------------------------

    def raw(self, text: str = "您好", sender: str = ZHANG, subject: str = "保单", **headers: str) -> bytes:
        """A mail as people's programs write it."""
        self.written += 1
        mail = EmailMessage(policy=policy.SMTP)
        mail["From"], mail["To"], mail["Subject"] = sender, headers.pop("to", OURS), subject
        mail["Message-ID"] = headers.pop("message_id", f"<{self.written}@mail.example>")
        for name, value in headers.items():
            mail[name.replace("_", "-")] = value
        mail.set_content(text)
        return mail.as_bytes()

    def arrive(
        self, raw: bytes, sender: str = ZHANG, to: Iterable[str] = (OURS,), peer: str = "192.0.2.9"
    ) -> str:
        """It is handed in; answers the name under which it is kept, "" where that has to wait."""
        before = len(self.kept)
        self.desk.take(raw, Envelope(peer, "mx.example", sender, tuple(to)), self.kept.append)
        self.centre.settle()
        return self.kept[-1] if len(self.kept) > before else ""

    def read(self) -> None:
        """What came is read and settled, as the post room does it."""
        for name in list(self.letters.unread):
            raw, envelope = self.desk.raw(name)
            mail = replace(read(raw, envelope, OWN_MAIL, DOMAIN), proof=self.proof) if raw else None
            self.desk.settle(name, mail, self.known.get(mail.sender) if mail is not None else None)
            self.centre.settle()

    def came(self, raw: bytes, sender: str = ZHANG, to: Iterable[str] = (OURS,)) -> str:
        """It came and was read; answers the interaction that it belongs to, "" where it was kept out."""
        self.arrive(raw, sender, to)
        self.read()
        return str(self.centre.journalled("MailRead")[-1]["interaction"])

    def write(self, text: str = "您好", sender: str = ZHANG, subject: str = "保单", **headers: str) -> str:
        """Somebody writes to us. Answers the interaction."""
        to = headers.get("to", OURS)
        return self.came(self.raw(text, sender, subject, **headers), sender, (to,))

    def answer(self, letter: EmailMessage, text: str = "谢谢", sender: str = "", **changed: str) -> str:
        """Somebody answers a letter of ours."""
        headers = {
            "In_Reply_To": str(letter["Message-ID"]),
            "References": f"{letter['References'] or ''} {letter['Message-ID']}".strip(),
            **changed,
        }
        subject = headers.pop("subject", f"Re: {letter['Subject']}")
        return self.write(text, sender or str(letter["To"]), subject, **headers)

    # --- what agents do --------------------------------------------------------------------------

    def accept(self, interaction: str) -> str:
        """Whoever it rings at takes it."""
        conversation = self.open(interaction)
        agent = conversation.agent
        self.centre.written.accept(agent, conversation.offer)
        self.centre.settle()
        assert (conversation.state, conversation.agent) == ("talking", agent)
        return agent

    def talk(self, agent: str = "ann", **mail: str) -> str:
        """A mail that this agent has taken."""
        self.centre.ready(agent)
        interaction = self.write(**mail)
        assert self.accept(interaction) == agent
        return interaction

    def reply(self, interaction: str, text: str = "好的", client: str = "", **more: Any) -> EmailMessage:
        """The agent answers, and it goes out."""
        self.written += 1
        conversation = self.open(interaction)
        self.desk.reply(conversation.agent, interaction, client or f"page-{self.written}", text, **more)
        self.centre.settle()
        return self.carry()[-1]

    def end(self, interaction: str, wrapped: bool = True) -> None:
        agent = self.open(interaction).agent
        self.centre.written.end(agent, interaction)
        self.centre.settle()
        if wrapped:
            self.centre.agents.wrap_up(agent, interaction, "enquiry_answered", "", "")
            self.centre.settle()
            assert interaction not in self.all_open

    def carry(self, result: Result = Result(SENT)) -> list[EmailMessage]:
        """What is due goes to the relay, which says this. What is no mail is refused, as the channel does it."""
        carried = []
        for letter in self.centre.outbox.due():
            mail, said = self.centre.outbox.mail(letter), result
            try:
                if mail is not None:
                    self.sent.append(compose(mail))
                    carried.append(parsed(self.sent[-1]))
                    carried[-1]["X-Envelope"] = mail.bounces_to
            except ValueError:
                said = Result(REFUSED, "bad_address")
            self.centre.outbox.tried(letter, said if mail is not None else Result(REFUSED, "erased"))
            self.centre.settle()
        return carried

    def erase(self, address: str) -> None:
        """The person is forgotten."""
        person = self.centre.private.person_of(address)
        assert erase(self.centre.journal.connection, person)
        self.centre.private.forget(person)

    # --- what a scene reads ----------------------------------------------------------------------

    def said(self, interaction: str) -> list[tuple[str, str]]:
        """(by, text) of everything that may be shown."""
        return [(one["by"], one["text"]) for one in self.centre.written.thread(interaction, 0)]

    def wrote(self, interaction: str) -> list[str]:
        """What the customer wrote."""
        return [text for by, text in self.said(interaction) if by == "customer"]


def parsed(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def words(letter: EmailMessage) -> str:
    body = letter.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def headers_of_ours(letter: EmailMessage) -> bool:
    """Nothing stands above the letter but what we write there, once each."""
    ours = ["From", "To", "Cc", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "X-Loop"]
    ours += ["Auto-Submitted", "X-Auto-Response-Suppress", "Precedence", "X-Envelope"]
    ours += ["Content-Type", "Content-Transfer-Encoding", "MIME-Version"]
    return len(set(letter.keys())) == len(letter.keys()) and set(letter.keys()) <= set(ours)


def returned(
    letter: EmailMessage, action: str = "failed", status: str = "5.1.1", message_id: str = ""
) -> bytes:
    """What a server writes that could not deliver a letter of ours."""
    return (
        "From: MAILER-DAEMON@mx.customer.example\r\n"
        f"To: {letter['X-Envelope']}\r\n"
        "Subject: Undelivered Mail Returned to Sender\r\n"
        f"Message-ID: <back-{action}@mx.customer.example>\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n'
        "MIME-Version: 1.0\r\n\r\n"
        "--b\r\nContent-Type: text/plain\r\n\r\nI could not deliver it.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; mx.customer.example\r\n\r\n"
        f"Final-Recipient: rfc822; {letter['To']}\r\nAction: {action}\r\nStatus: {status}\r\n\r\n"
        "--b\r\nContent-Type: text/rfc822-headers\r\n\r\n"
        f"Message-ID: {message_id or letter['Message-ID']}\r\nSubject: x\r\n\r\n--b--\r\n"
    ).encode()


def came_back(post: Post, letter: EmailMessage, to: str = OURS, **more: str) -> str:
    """A bounce with the empty sender of bounces, to this address of ours."""
    return post.came(returned(letter, **more), "", (to,))


def bounded(post: Post, most: int = 300) -> None:
    """A core that goes round for ever fails instead."""
    put, left = post.centre.journal.put, [most]

    def counted(entry: Any) -> None:
        left[0] -= 1
        assert left[0] > 0, "the core goes round for ever"
        put(entry)

    post.centre.journal.put = counted  # type: ignore[method-assign]


@pytest.fixture
def post() -> Post:
    return Post()


# --- intake ------------------------------------------------------------------------------------------


def test_a_mail_is_acknowledged_to_its_server_once_it_is_safe(post: Post) -> None:
    raw = post.raw()
    post.centre.journal.stuck = True
    assert post.arrive(raw) == ""
    post.centre.journal.flush()
    post.centre.settle()
    (name,) = post.kept
    assert list(post.letters.unread) == [name]
    assert post.desk.raw(name) == (raw, Envelope("192.0.2.9", "mx.example", ZHANG, (OURS,)))


def with_received(raw: bytes) -> bytes:
    return b"Received: from a by b; Mon, 5 Jan 2026 08:00:00 +0800\r\n" + raw


@pytest.mark.parametrize(
    "moment", ["before_commit", "after_commit", "after_reading", "next_core", "after_the_end"]
)
@pytest.mark.parametrize("change", [bytes, with_received])
def test_the_same_mail_again_is_the_same_mail(
    post: Post, moment: str, change: Callable[[bytes], bytes]
) -> None:
    raw = post.raw()
    post.centre.ready("ann")
    post.centre.journal.stuck = moment == "before_commit"
    post.arrive(raw)
    if moment in ("after_reading", "after_the_end"):
        post.read()
    if moment == "after_the_end":
        (interaction,) = post.all_open
        post.accept(interaction)
        post.end(interaction)
    if moment == "next_core":
        post.centre.restart()
    post.arrive(change(raw))
    if moment == "before_commit":
        assert post.kept == [], "not safe yet, so not said to be"
        post.centre.journal.flush()
        post.centre.settle()
    post.read()
    assert len(post.kept) == 2 and len(set(post.kept)) == 1
    assert len(post.centre.journalled("MailTaken")) == len(post.centre.journalled("MessageReceived")) == 1


BARE = b"From: zhang@customer.example\nMessage-ID: <1@x.example>\nSubject: a\n\n"
FULL = BARE.replace(b"\n", b"\r\n")
FOUND = Envelope("192.0.2.9", "mx.example", ZHANG, (OURS,))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((FULL + b"one\r\n", FOUND), (FULL + b"two\r\n", FOUND)),
        ((FULL + b"one\r\n", FOUND), (FULL + b"one\r\n\r\n", FOUND)),
        ((BARE + b"one\n", FOUND), (BARE + b"two\n", FOUND)),
        ((FULL, FOUND), (FULL, replace(FOUND, recipients=(CLAIMS,)))),
        ((FULL, FOUND), (FULL, replace(FOUND, recipients=(OURS, CLAIMS)))),
        ((FULL, FOUND), (FULL, replace(FOUND, sender=LI))),
        ((FULL, FOUND), (FULL, Envelope())),
        ((FULL, FOUND), (FULL.replace(b"<1@", b"<2@"), FOUND)),
        ((FULL, Envelope()), (FULL.replace(b"zhang@", b"zhao@"), Envelope())),
        (
            (FULL.replace(b"<1@x.example>", b""), FOUND),
            (FULL.replace(b"<1@x.example>", b"").replace(b": a", b": b"), FOUND),
        ),
    ],
    ids=[
        *(
            "body",
            "empty_lines_at_the_end",
            "body_of_bare_lines",
            "recipient",
            "recipients",
            "envelope_sender",
        ),
        *("fetched", "id", "from_of_fetched_ones", "header_without_id"),
    ],
)
def test_what_differs_is_another_mail(
    post: Post, one: tuple[bytes, Envelope], other: tuple[bytes, Envelope]
) -> None:
    for raw, envelope in (one, other):
        post.desk.take(raw, envelope, post.kept.append)
        post.centre.settle()
    assert len(set(post.kept)) == 2
    assert [post.desk.raw(name)[0] for name in post.kept] == [one[0], other[0]]


def test_a_core_that_dies_before_the_commit_said_nothing_and_takes_it_anew(post: Post) -> None:
    raw = post.raw()
    post.centre.journal.stuck = True
    post.arrive(raw)
    post.centre.restart()
    assert post.kept == [] and not post.letters.unread
    name = post.arrive(raw)
    assert list(post.letters.unread) == [name]
    assert post.desk.raw(name)[0] == raw


def test_what_was_safe_when_the_core_died_is_read_by_the_next(post: Post) -> None:
    name = post.arrive(post.raw("nobody read it"))
    post.centre.restart()
    assert list(post.letters.unread) == [name]
    post.read()
    (interaction,) = post.all_open
    assert post.wrote(interaction) == ["nobody read it"]
    assert not post.letters.unread


def test_a_core_that_dies_over_a_mail_serves_it_once(post: Post) -> None:
    post.centre.ready("ann")
    post.arrive(post.raw("once"))
    for _ in range(3):
        post.centre.journal.stuck = True
        post.read()
        assert post.all_open and post.said(next(iter(post.all_open))) == [], "not safe, so not shown"
        post.centre.restart()
        assert not post.all_open and len(post.letters.unread) == 1
    post.read()
    (interaction,) = post.all_open
    assert post.wrote(interaction) == ["once"]
    assert len(post.carry()) == 1, "one acknowledgement"


def test_a_mail_that_is_settled_twice_is_served_once(post: Post) -> None:
    name = post.arrive(post.raw())
    raw, envelope = post.desk.raw(name)
    mail = read(raw, envelope, OWN_MAIL, DOMAIN)
    for _ in range(2):
        post.desk.settle(name, mail, None)
    post.desk.settle("e" + "0" * 26, mail, None)
    post.centre.settle()
    assert len(post.all_open) == 1


def test_a_mail_stays_as_it_came(post: Post) -> None:
    raw = post.raw("as it came")
    interaction = post.talk()
    post.came(raw)
    name = post.kept[-1]
    post.end(interaction)
    post.centre.restart()
    assert post.desk.raw(name)[0] == raw


def test_the_journal_holds_no_word_of_a_mail(post: Post) -> None:
    interaction = post.talk(text="我的身份证号是 110101199003077777", subject="张三的保单")
    post.reply(interaction, "收到，张先生", cc=["wife@customer.example"])
    journal = repr(post.centre.journalled())
    for secret in ("110101199003077777", "张三", "张先生", "customer.example", "mail.example"):
        assert secret not in journal


def test_whatever_bytes_come_are_kept_and_served_and_stop_nothing() -> None:
    post = Post()

    @settings(max_examples=60)
    @given(st.one_of(st.binary(max_size=300), st.binary(max_size=200).map(lambda rest: FULL + rest)))
    @example(b"")
    @example(b"From: \xff\xfe@\x00\r\n\r\n")
    @example(b"From: a@b.example\r\nMessage-ID: <\xe4\xbd\xa0@x>\r\nReferences: <\xff> <<>> <a b>\r\n\r\n")
    def comes(raw: bytes) -> None:
        name = post.arrive(raw)
        assert post.desk.raw(name)[0] == raw
        post.read()
        assert not post.letters.unread

    comes()


# --- threads -----------------------------------------------------------------------------------------


def test_a_mail_begins_a_conversation_in_a_queue_and_is_offered(post: Post) -> None:
    post.centre.ready("ann")
    interaction = post.write("我想退保", subject="退保")
    conversation = post.open(interaction)
    assert (conversation.medium, conversation.queue, conversation.state) == (
        "email",
        "service@email",
        "ringing",
    )
    assert (conversation.number, conversation.thread) == (OURS, interaction)
    assert post.centre.private.get(conversation.subject_ref) == "退保"
    post.accept(interaction)
    assert post.wrote(interaction) == ["我想退保"]


def strip_ids(letter: EmailMessage) -> dict[str, str]:
    return {"In_Reply_To": "<nothing@x.example>", "References": "<nothing@x.example>"}


def strip_reference(letter: EmailMessage) -> dict[str, str]:
    return {"subject": "something else"}


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(
    "how", [lambda _letter: {}, strip_ids, strip_reference], ids=["both", "reference", "ids"]
)
def test_an_answer_goes_on_with_its_thread(
    post: Post, how: Callable[[EmailMessage], dict[str, str]], restarted: bool
) -> None:
    interaction = post.talk()
    letter = post.reply(interaction)
    if restarted:
        post.centre.restart()
    assert post.answer(letter, "noch etwas", **how(letter)) == interaction
    assert post.wrote(interaction) == ["您好", "noch etwas"]
    assert list(post.all_open) == [interaction]


def test_an_answer_to_the_acknowledgement_goes_on_with_its_thread(post: Post) -> None:
    interaction = post.write()
    (letter,) = post.carry()
    assert post.answer(letter, **strip_reference(letter)) == interaction


def test_who_adds_to_their_own_mail_goes_on_with_its_thread(post: Post) -> None:
    interaction = post.write(message_id="<first@customer.example>")
    post.centre.restart()
    for header in ("In_Reply_To", "References"):
        assert post.write("P.S.", **{header: "<a@x.example> <first@customer.example>"}) == interaction
    assert post.wrote(interaction) == ["您好", "P.S.", "P.S."]


@pytest.mark.parametrize("stolen", ["reference", "ids", "both", "customers_id"])
def test_a_stranger_who_names_a_thread_begins_anew(post: Post, stolen: str) -> None:
    interaction = post.talk(message_id="<first@customer.example>")
    letter = post.reply(interaction, "your secret")
    if stolen == "customers_id":
        other = post.write("let me in", LI, References="<first@customer.example>")
    else:
        how = {"reference": strip_ids(letter), "ids": strip_reference(letter), "both": {}}[stolen]
        other = post.answer(letter, "let me in", LI, **how)
    assert other != interaction
    assert post.wrote(interaction) == ["您好"]
    assert post.wrote(other) == ["let me in"]
    assert "secret" not in repr(post.said(other))
    assert post.open(other).thread == other


def test_a_stranger_who_writes_under_the_customers_address_begins_anew(post: Post) -> None:
    """Whose domain says that the mail is not from there: an answer would go where the stranger wants it."""
    interaction = post.talk()
    letter = post.reply(interaction)
    post.proof = {"dmarc": "fail", "spf": "pass"}
    assert post.answer(letter, Reply_To="stranger@evil.example") != interaction
    post.proof = {"dmarc": "none"}
    assert post.answer(letter) == interaction
    assert post.reply(interaction)["To"] == ZHANG


def test_the_same_customer_by_another_address_begins_anew(post: Post) -> None:
    post.known = {ZHANG: Known(7, "张三"), LI: Known(7, "张三")}
    interaction = post.talk()
    assert post.answer(post.reply(interaction), sender=LI) != interaction


def test_two_who_name_the_same_id_are_kept_apart(post: Post) -> None:
    first, second = (post.write(sender=sender, message_id="<same@x.example>") for sender in (ZHANG, LI))
    assert first != second
    for sender, interaction in ((ZHANG, first), (LI, second)):
        assert post.write(sender=sender, In_Reply_To="<same@x.example>") == interaction


def test_capitals_in_an_address_make_nobody_else_of_anybody(post: Post) -> None:
    interaction = post.write()
    assert post.answer(post.carry()[0], sender="Zhang@Customer.Example") == interaction


def test_of_two_references_the_one_of_the_sender_counts(post: Post) -> None:
    other = post.write(sender=LI)
    interaction = post.write()
    theirs, mine = (str(letter["Subject"]) for letter in post.carry())
    assert post.write("both", subject=f"{theirs} / {mine}") == interaction
    assert post.wrote(other) == ["您好"]


def test_after_the_end_a_thread_goes_on_in_a_new_conversation_without_acknowledgement(post: Post) -> None:
    interaction = post.talk()
    letter = post.reply(interaction)
    reference = str(letter["Subject"]).rpartition("[")[2]
    post.end(interaction)
    again = post.answer(letter, "es geht weiter")
    assert again != interaction and post.carry() == []
    assert post.open(again).thread == interaction
    post.accept(again)
    letter = post.reply(again)
    assert str(letter["Subject"]).count("[#") == 1 and reference in str(letter["Subject"])
    assert post.answer(letter) == again, "an id of the second conversation names the same thread"
    post.end(again)
    post.centre.restart()
    third = post.answer(letter)
    assert third not in (interaction, again) and post.open(third).thread == interaction


def test_what_comes_while_it_is_wrapped_up_is_a_new_conversation(post: Post) -> None:
    interaction = post.talk()
    letter = post.reply(interaction)
    post.end(interaction, wrapped=False)
    assert post.open(interaction).state == "wrapping"
    again = post.answer(letter)
    assert again != interaction and post.open(again).thread == interaction
    assert post.answer(letter, "third") == again
    assert post.wrote(interaction) == ["您好"]


@pytest.mark.parametrize("restarted", [False, True])
def test_what_was_put_aside_comes_back_when_the_customer_writes(post: Post, restarted: bool) -> None:
    interaction = post.talk()
    letter = post.reply(interaction)
    post.centre.casework.park("ann", interaction, post.centre.clock.now_ms() + 86_400_000)
    post.centre.settle()
    post.centre.ready("ann", "bob")
    if restarted:
        post.centre.restart()
    assert post.answer(letter, "hier bin ich") == interaction
    conversation = post.open(interaction)
    assert (conversation.state, conversation.agent) == ("ringing", "ann"), "who put it aside first"
    post.accept(interaction)
    assert post.wrote(interaction) == ["您好", "hier bin ich"]


@pytest.mark.parametrize("state", ["waiting", "ringing", "talking"])
def test_what_comes_meanwhile_changes_nothing_but_the_thread(post: Post, state: str) -> None:
    if state != "waiting":
        post.centre.ready("ann")
    interaction = post.write()
    if state == "talking":
        post.accept(interaction)
    (letter,) = post.carry()
    post.answer(letter, "mehr")
    assert post.open(interaction).state == state
    assert post.wrote(interaction) == ["您好", "mehr"]
    assert post.open(interaction).unread == 2


def test_a_mail_in_a_thread_is_shown_once_it_is_safe(post: Post) -> None:
    interaction = post.talk()
    letter = post.reply(interaction)
    before = post.said(interaction)
    post.centre.journal.stuck = True
    raw = post.raw("safe?", subject=str(letter["Subject"]))
    post.arrive(raw)
    post.read()
    assert post.said(interaction) == before
    post.centre.journal.flush()
    post.centre.settle()
    assert post.said(interaction) == [*before, ("customer", "safe?")]


# --- what machines send ------------------------------------------------------------------------------

MACHINES = {
    "auto_reply": {"Auto_Submitted": "auto-replied"},
    "newsletter": {"List_Id": "<news.example>"},
    "loop": {"X_Loop": DOMAIN},
}


@pytest.mark.parametrize("kind", MACHINES)
def test_what_a_machine_sends_begins_no_conversation_and_hears_nothing(post: Post, kind: str) -> None:
    assert post.write("I am away", **MACHINES[kind]) == ""
    assert not post.all_open and not post.letters.outbox
    (kept,) = post.letters.kept_out.values()
    assert kept.kind == kind
    assert post.centre.host.engine.queue_view("service@email")[0] == 0


def test_a_mail_from_our_own_address_is_a_loop(post: Post) -> None:
    assert post.write(sender=OURS) == ""
    assert [one.kind for one in post.letters.kept_out.values()] == ["loop"]


def test_our_own_acknowledgement_that_comes_back_is_kept_out(post: Post) -> None:
    interaction = post.write()
    (letter,) = post.carry()
    del letter["X-Envelope"]
    assert post.came(letter.as_bytes(policy=policy.SMTP), "") == ""
    assert post.wrote(interaction) == ["您好"] and len(post.letters.kept_out) == 1


def test_an_automatic_answer_is_shown_where_somebody_talks_and_wakes_nobody(post: Post) -> None:
    interaction = post.talk()
    letter = post.reply(interaction)
    assert post.answer(letter, "I am away", **MACHINES["auto_reply"]) == interaction
    assert post.open(interaction).messages[-1].kind == "auto_reply"
    assert post.open(interaction).waits_since_ms() == 0, "nobody waits for an answer to that"
    assert post.desk.last_mail(post.open(interaction))[0] == post.open(interaction).messages[0].id
    post.centre.casework.park("ann", interaction, post.centre.clock.now_ms() + 86_400_000)
    post.centre.settle()
    assert post.answer(letter, "I am still away", **MACHINES["auto_reply"]) == interaction
    assert post.open(interaction).state == "parked"


@pytest.mark.parametrize("kind", ["newsletter", "loop"])
def test_other_machines_are_kept_out_of_threads_too(post: Post, kind: str) -> None:
    interaction = post.talk()
    letter = post.reply(interaction)
    assert post.answer(letter, "buy!", **MACHINES[kind]) == ""
    assert post.wrote(interaction) == ["您好"]


def test_an_automatic_answer_of_somebody_else_is_kept_out(post: Post) -> None:
    interaction = post.talk()
    letter = post.reply(interaction)
    assert post.answer(letter, "I am away", LI, **MACHINES["auto_reply"]) == ""
    assert post.wrote(interaction) == ["您好"]


def test_what_is_over_is_not_woken_by_a_machine(post: Post) -> None:
    interaction = post.talk()
    letter = post.reply(interaction)
    post.end(interaction)
    assert post.answer(letter, "I am away", **MACHINES["auto_reply"]) == ""
    assert not post.all_open


def test_a_machine_without_marks_that_answers_everything_is_not_answered_for_ever(post: Post) -> None:
    post.write()
    for _ in range(20):
        for letter in post.carry():
            post.answer(letter, "beep")
    assert post.carry() == [] and len(post.all_open) == 1


def test_only_the_newest_of_what_was_kept_out_are_shown(post: Post) -> None:
    for _ in range(502):
        post.arrive(post.raw(**MACHINES["newsletter"]))
    post.read()
    assert list(post.letters.kept_out) == post.kept[2:]


@pytest.mark.parametrize("restarted", ["", "before", "after"])
def test_a_mail_that_was_released_is_served(post: Post, restarted: str) -> None:
    post.write("no machine", subject="急", **MACHINES["newsletter"])
    (name,) = post.letters.kept_out
    if restarted == "before":
        post.centre.restart()
    heard: list[str] = []
    post.desk.arrived = lambda: heard.append("mail")
    post.desk.release("sue", name)
    post.centre.settle()
    assert heard == ["mail"] and not post.letters.kept_out
    if restarted == "after":
        post.centre.restart()
    post.read()
    (interaction,) = post.all_open
    assert post.wrote(interaction) == ["no machine"]
    assert not post.letters.released
    (released,) = post.centre.journalled("MailReleased")
    assert released["by"] == "sue"
    with pytest.raises(NotAllowed, match="no_such_mail"):
        post.desk.release("sue", name)


def test_what_was_never_kept_out_is_not_released(post: Post) -> None:
    post.write()
    for name in ("", "e123", *post.kept):
        with pytest.raises(NotAllowed, match="no_such_mail"):
            post.desk.release("sue", name)


# --- what comes back ---------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["address", "id"])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_letter_that_comes_back_is_shown_where_it_was_written(post: Post, by: str, restarted: bool) -> None:
    interaction = post.talk()
    letter = post.reply(interaction)
    if restarted:
        post.centre.restart()
    found = (
        came_back(post, letter, str(letter["X-Envelope"]), message_id="<other@x.example>")
        if by == "address"
        else came_back(post, letter)
    )
    assert found == interaction
    conversation = post.open(interaction)
    sent = next(one for one in conversation.messages if one.by == "ann")
    assert (sent.state, conversation.messages[-1].kind) == ("bounced", "bounce")
    assert post.desk.last_mail(conversation)[0] == conversation.messages[0].id, "nobody answers a bounce"


def test_what_comes_back_wakes_a_mail_that_was_put_aside(post: Post) -> None:
    interaction = post.talk()
    letter = post.reply(interaction)
    post.centre.casework.park("ann", interaction, post.centre.clock.now_ms() + 86_400_000)
    post.centre.settle()
    came_back(post, letter)
    assert post.open(interaction).state == "ringing"
    assert post.open(interaction).agent == "ann"


def test_what_comes_back_after_the_end_is_somebodys_work_in_the_same_thread(post: Post) -> None:
    interaction = post.talk()
    letter = post.reply(interaction)
    post.end(interaction)
    again = came_back(post, letter)
    conversation = post.open(again)
    assert (conversation.thread, conversation.messages[-1].kind) == (interaction, "bounce")
    assert post.centre.private.get(conversation.party_ref) == ZHANG
    assert post.carry() == [], "nobody acknowledges a bounce"
    post.accept(again)
    assert str(post.reply(again)["To"]) == ZHANG
    assert came_back(post, letter, status="5.2.2", action="failed2") == again


def forged(letter: EmailMessage, change: Callable[[str], str]) -> tuple[str, str]:
    """(Message-ID, address) that are nearly ours."""
    return change(str(letter["Message-ID"])), change(str(letter["X-Envelope"]))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("m1-", "m2-"),
        lambda text: text.replace("i1-1", "i1-2"),
        lambda text: text.replace(".i1-", ".-"),
        lambda text: text[: text.index("@") - 1] + "0" + text[text.index("@") :],
        lambda text: text[: text.index("@") - 2] + text[text.index("@") :],
        lambda text: text.replace("@", "0@"),
        lambda text: text.partition("@")[0] + ">",
    ],
    ids=["message", "interaction", "none", "signature", "short", "long", "no_domain"],
)
def test_an_id_that_we_did_not_make_brings_nothing_back(post: Post, change: Callable[[str], str]) -> None:
    interaction = post.talk()
    letter = post.reply(interaction)
    name, address = forged(letter, change)
    for to, message_id in ((OURS, name), (address, "<x@x.example>")):
        assert came_back(post, letter, to, message_id=message_id, action=f"failed{len(to)}") == ""
    assert [one.state for one in post.open(interaction).messages if one.by == "ann"] == ["sent"]
    assert [one.kind for one in post.letters.kept_out.values()] == ["bounce", "bounce"]


def test_an_automatic_letter_that_comes_back_is_nobodys_work(post: Post) -> None:
    interaction = post.talk()
    (letter,) = post.carry()
    before = post.said(interaction)
    assert came_back(post, letter) == interaction
    assert post.said(interaction) == before
    post.end(interaction)
    came_back(post, letter, action="failed2")
    assert not post.all_open
    code = post.desk.write(ZHANG, "code", "zh", code="123456")
    post.centre.settle()
    (letter,) = post.carry()
    assert came_back(post, letter, action="failed3") == "" and not post.all_open
    (back,) = [one for one in post.centre.journalled("LetterBounced") if one["message"] == code]
    assert back["interaction"] == ""


def test_what_came_back_before_it_was_written_down_as_sent_is_not_sent_again(post: Post) -> None:
    interaction = post.talk()
    post.carry()
    post.desk.reply("ann", interaction, "r", "gone at once")
    post.centre.settle()
    (letter,) = post.centre.outbox.due()
    mail = post.centre.outbox.mail(letter)
    assert mail is not None
    out = parsed(compose(mail))
    out["X-Envelope"] = mail.bounces_to
    came_back(post, out)
    post.centre.outbox.tried(letter, Result(SENT))
    post.centre.settle()
    assert not post.letters.outbox
    assert [one.state for one in post.open(interaction).messages if one.by == "ann"] == ["bounced"]


def test_a_notice_of_delay_is_no_letter_that_came_back(post: Post) -> None:
    interaction = post.talk()
    letter = post.reply(interaction)
    assert came_back(post, letter, action="delayed", status="4.4.1") == interaction
    assert [one.state for one in post.open(interaction).messages if one.by == "ann"] == ["sent"]


# --- queues ------------------------------------------------------------------------------------------

RULES = (
    MailRule(queue="complaints", words=("投诉", "Complaint")),
    MailRule(queue="complaints", recipient=CLAIMS, language="en"),
    MailRule(queue="complaints", klass="vip"),
)


@pytest.mark.parametrize(
    ("recipients", "language", "said", "klass", "queue"),
    [
        ((OURS,), "zh", "你好", "", "service"),
        ((OURS,), "zh", "我要投诉", "", "complaints"),
        ((OURS,), "en", "a COMPLAINT of mine", "", "complaints"),
        ((CLAIMS,), "en", "hello", "", "complaints"),
        ((OURS, CLAIMS), "en", "hello", "", "complaints"),
        ((CLAIMS,), "zh", "hello", "", "service"),
        ((OURS,), "en", "hello", "", "service"),
        ((OURS,), "zh", "", "vip", "complaints"),
        ((OURS,), "zh", "", "VIP", "service"),
    ],
)
def test_all_that_a_rule_names_has_to_hold(
    recipients: tuple[str, ...], language: str, said: str, klass: str, queue: str
) -> None:
    assert queue_of(RULES, recipients, language, said, klass, "service") == queue


def test_of_rules_that_fit_the_first_counts() -> None:
    rules = (MailRule(queue="a", language="zh"), MailRule(queue="b"))
    assert queue_of(rules, (OURS,), "zh", "", "", "z") == "a"
    assert queue_of(rules[::-1], (OURS,), "zh", "", "", "z") == "b"


@pytest.mark.parametrize(
    ("mail", "to", "queue", "number"),
    [
        ({"text": "hello there"}, (OURS,), "service@email", OURS),
        ({"subject": "投诉"}, (OURS,), "complaints@email", OURS),
        (
            {"text": "this is about a claim of mine", "subject": "claim"},
            (CLAIMS,),
            "complaints@email",
            CLAIMS,
        ),
        (
            {"text": "this is about a claim of mine", "subject": "claim"},
            ("bounces+x@y.example",),
            "service@email",
            OURS,
        ),
    ],
)
def test_a_mail_goes_to_the_queue_of_its_rule(
    mail: dict[str, str], to: tuple[str, ...], queue: str, number: str
) -> None:
    post = Post(rules=RULES)
    interaction = post.came(post.raw(**mail), to=to)
    assert (post.open(interaction).queue, post.open(interaction).number) == (queue, number)


def test_words_that_were_only_quoted_choose_no_queue() -> None:
    post = Post(rules=RULES)
    interaction = post.write(
        "Thank you, all is well.\n\nOn Mon, 5 Jan 2026 at 08:00, A <a@b.example> wrote:\n> my complaint\n"
    )
    assert post.open(interaction).queue == "service@email"


@pytest.mark.parametrize(
    ("proof", "queue"), [({"dmarc": "pass"}, "complaints@email"), ({"dmarc": "fail"}, "service@email")]
)
def test_the_class_of_a_customer_counts_where_it_is_certain_who_it_is(
    proof: dict[str, str], queue: str
) -> None:
    post = Post(rules=RULES)
    post.known, post.proof = {ZHANG: Known(7, "张三", "vip", "ann")}, proof
    assert post.open(post.write()).queue == queue


def test_a_rule_for_a_queue_that_is_gone_means_the_default_one() -> None:
    post = Post(rules=(MailRule(queue="abolished"),))
    bounded(post)
    assert post.open(post.write()).queue == "service@email"


def test_a_complaint_that_comes_at_night_is_a_complaint_in_the_morning() -> None:
    post = Post(rules=RULES)
    bounded(post)
    post.centre.host.submit(*(rf.QueueClosed(queue) for queue in ("service@email", "complaints@email")))
    assert post.open(post.write("投诉")).queue == "complaints@email"


def test_a_mail_to_a_closed_queue_waits_in_the_default_one() -> None:
    post = Post(rules=RULES)
    bounded(post)
    post.centre.host.submit(rf.QueueClosed("complaints@email"))
    interaction = post.write("投诉")
    assert (post.open(interaction).state, post.open(interaction).queue) == ("waiting", "service@email")


@pytest.mark.parametrize("trouble", ["closed", "full", "gone"])
def test_a_mail_that_no_queue_takes_waits_until_one_does(trouble: str) -> None:
    """As every night: all queues are closed then."""
    service = replace(SERVICE, max_waiting=1) if trouble == "full" else SERVICE
    post = Post(*((service, COMPLAINTS) if trouble != "gone" else (COMPLAINTS,)), ANN, BOB)
    bounded(post)
    if trouble == "full":
        post.write(sender=LI)
    if trouble == "closed":
        post.centre.host.submit(*(rf.QueueClosed(queue) for queue in ("service@email", "complaints@email")))
    interaction = post.write("mitten in der Nacht")
    assert interaction in post.all_open
    assert post.wrote(interaction) == ["mitten in der Nacht"]
    if trouble == "closed":
        post.centre.host.submit(*(rf.QueueOpened(queue) for queue in ("service@email", "complaints@email")))
        post.centre.settle()
        post.centre.ready("ann")
        assert post.open(interaction).state == "ringing"


def test_the_last_agent_is_asked_first(post: Post) -> None:
    post.known = {ZHANG: Known(7, "张三", "", "bob")}
    post.centre.ready("ann", "bob")
    assert post.open(post.write()).agent == "bob"


# --- acknowledgements --------------------------------------------------------------------------------


def test_a_new_mail_is_acknowledged_once(post: Post) -> None:
    interaction = post.write("Hello, where is my policy?", subject="Re: Policy", message_id="<q@x.example>")
    (letter,) = post.carry()
    assert (letter["From"].addresses[0].addr_spec, letter["To"]) == (OURS, ZHANG)
    assert letter["In-Reply-To"] == "<q@x.example>" and "<q@x.example>" in letter["References"]
    assert letter["Auto-Submitted"] == "auto-replied" and letter["X-Loop"] == DOMAIN
    assert str(letter["X-Envelope"]).startswith("bounces+")
    reference = str(letter["Subject"]).partition("[#")[2].rstrip("]")
    assert str(letter["Subject"]) == f"Re: Policy [#{reference}]" and reference in words(letter)
    for _ in range(3):
        post.centre.restart()
        post.centre.wait(700)
        assert post.carry() == []
    assert [by for by, _text in post.said(interaction)] == ["customer", "flow"], "the agent sees it too"


def test_the_acknowledgement_is_shown_as_soon_as_it_is_safe(post: Post) -> None:
    interaction = post.write()
    assert [by for by, _text in post.said(interaction)] == ["customer", "flow"]


@pytest.mark.parametrize(
    ("text", "is_open", "expected"),
    [
        ("我的保单在哪里", True, "工作人员将尽快回复您"),
        ("我的保单在哪里", False, "现在是非工作时间"),
        ("Where is my policy please", True, "Somebody will answer you soon"),
        ("Where is my policy please", False, "We are closed at the moment"),
    ],
)
def test_an_acknowledgement_speaks_the_language_of_the_mail_and_knows_the_hour(
    post: Post, text: str, is_open: bool, expected: str
) -> None:
    post.centre.opening.open = is_open
    post.write(text, subject="?")
    assert expected in words(post.carry()[0])


def test_who_writes_often_is_not_acknowledged_every_time(post: Post) -> None:
    for _ in range(7):
        post.write()
    assert len(post.carry()) == 5 and len(post.all_open) == 7
    post.write(sender=LI)
    assert [letter["To"] for letter in post.carry()] == [LI], "that is nobody else's trouble"
    post.centre.wait(3_601)
    post.write()
    assert len(post.carry()) == 1


def test_nobody_is_flooded_with_acknowledgements_of_what_others_wrote(post: Post) -> None:
    for n in range(12):
        post.write(sender=f"robot{n}@botnet.example", Reply_To=LI)
    assert len(post.carry()) <= 5


def test_an_acknowledgement_goes_where_the_sender_wants_answers(post: Post) -> None:
    post.write(Reply_To="office@customer.example")
    assert [letter["To"] for letter in post.carry()] == ["office@customer.example"]


def test_answers_in_a_thread_are_not_acknowledged(post: Post) -> None:
    interaction = post.write()
    (letter,) = post.carry()
    post.answer(letter)
    post.centre.ready("ann")
    post.accept(interaction)
    post.answer(post.reply(interaction))
    assert post.carry() == []


def test_a_mail_that_nobody_could_read_is_acknowledged_to_no_machine(post: Post) -> None:
    """With the empty sender of what machines send, it may be a bounce, an answer of a machine, or our own."""
    name = post.arrive(post.raw(Auto_Submitted="auto-replied"), "")
    post.desk.settle(name, None, None)
    post.centre.settle()
    assert post.carry() == []


# --- who it is ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proof", "customer", "verified", "named"),
    [
        ({"dmarc": "pass"}, 7, "proved", True),
        ({"dmarc": "pass", "spf": "fail"}, 7, "proved", True),
        ({}, 7, "", False),
        ({"dmarc": "fail", "spf": "pass", "dkim": "pass"}, 0, "", False),
        ({"dmarc": "none", "spf": "pass"}, 0, "", False),
        ({"dmarc": ""}, 0, "", False),
    ],
)
def test_who_it_is_counts_as_far_as_it_is_proved(
    post: Post, proof: dict[str, str], customer: int, verified: str, named: bool
) -> None:
    post.known, post.proof = {ZHANG: Known(7, "张三丰", "vip", "bob")}, proof
    conversation = post.open(post.write())
    assert (conversation.customer, conversation.verified) == (customer, verified)
    assert conversation.klass == ("vip" if customer else "")
    assert ("张三丰" in words(post.carry()[0])) == named


def test_proof_of_somebody_unknown_proves_nobody(post: Post) -> None:
    post.proof = {"dmarc": "pass"}
    conversation = post.open(post.write())
    assert (conversation.customer, conversation.verified) == (0, "")


# --- what could not be read, what was erased ---------------------------------------------------------


def test_a_mail_that_nobody_could_read_is_looked_at_as_it_came(post: Post) -> None:
    raw = post.raw("too much for the reader")
    post.centre.ready("ann")
    name = post.arrive(raw)
    post.desk.settle(name, None, None)
    post.centre.settle()
    (interaction,) = post.all_open
    conversation = post.open(interaction)
    assert post.desk.last_mail(conversation)[1]["defects"] == ["unreadable"]
    assert post.desk.last_mail(conversation)[1]["mail"] == name
    assert post.desk.raw(name)[0] == raw
    post.accept(interaction)
    assert str(post.reply(interaction, "please send it again")["To"]) == ZHANG


def test_a_mail_without_any_sender_is_somebodys_work_that_nobody_can_answer(post: Post) -> None:
    post.centre.ready("ann")
    interaction = post.came(b"Subject: x\r\n\r\nwho am I\r\n", "")
    interaction = interaction or post.came(b"Subject: y\r\n\r\nwho am I\r\n", "nonsense")
    post.accept(interaction)
    assert post.carry() == []
    with pytest.raises(NotAllowed, match="nobody_to_answer"):
        post.desk.reply("ann", interaction, "r", "hello?")


def test_who_was_erased_before_the_mail_was_read_is_not_served(post: Post) -> None:
    name = post.arrive(post.raw("forget me"))
    post.erase(ZHANG)
    post.read()
    assert not post.all_open and not post.letters.unread and not post.letters.outbox
    assert post.desk.raw(name) == (b"", Envelope())
    (fact,) = post.centre.journalled("MailRead")
    assert fact["kind"] == "erased"


@pytest.mark.parametrize("restarted", [False, True])
def test_who_was_erased_leaves_empty_messages(post: Post, restarted: bool) -> None:
    interaction = post.talk(text="my secret", subject="my subject")
    letter = post.reply(interaction, "your secret")
    post.erase(ZHANG)
    if restarted:
        post.centre.restart()
    assert {text for _by, text in post.said(interaction)} == {""}
    with pytest.raises(NotAllowed, match="nobody_to_answer"):
        post.desk.reply("ann", interaction, "r2", "anybody?")
    again = post.answer(letter, "I am back")
    assert post.wrote(again)[-1] == "I am back"
    assert "secret" not in repr(post.said(again)) + repr(post.said(interaction))


def test_what_came_back_goes_with_the_person_it_was_written_to(post: Post) -> None:
    interaction = post.talk()
    letter = post.reply(interaction)
    came_back(post, letter)
    assert ("customer", "I could not deliver it.") in post.said(interaction)
    post.erase(ZHANG)
    assert {text for _by, text in post.said(interaction)} == {""}
    assert post.desk.raw(post.kept[-1])[0] == b""


def test_who_comes_back_after_they_were_erased_may_send_the_same_file(post: Post) -> None:
    def with_file(text: str) -> bytes:
        mail = parsed(post.raw(text))
        mail.add_attachment(b"%PDF-1.4 a policy", maintype="application", subtype="pdf", filename="p.pdf")
        return mail.as_bytes(policy=policy.SMTP)

    def file_of(interaction: str) -> bytes | None:
        (kept,) = post.centre.written.files.listed(post.open(interaction).messages[0].files_ref)
        return post.centre.written.files.content(kept.ref)

    first = post.came(with_file("here"))
    assert file_of(first) == b"%PDF-1.4 a policy"
    post.erase(ZHANG)
    second = post.came(with_file("here again"))
    assert file_of(second) == b"%PDF-1.4 a policy"


# --- answers -----------------------------------------------------------------------------------------


def test_an_answer_goes_to_whoever_wrote_last_and_quotes_them(post: Post) -> None:
    interaction = post.talk(
        text="Where is my policy?\nI need it", subject="Policy", to=CLAIMS, message_id="<q@x.example>"
    )
    post.carry()
    letter = post.reply(
        interaction, "It is on its way.", cc=["Wife@Customer.Example", " wife@customer.example "]
    )
    assert (letter["To"], letter["Cc"], letter["From"].addresses[0].addr_spec) == (
        ZHANG,
        "wife@customer.example",
        CLAIMS,
    )
    assert str(letter["Subject"]).startswith("Re: Policy [#")
    assert letter["In-Reply-To"] == "<q@x.example>"
    assert letter["Auto-Submitted"] is None
    text = words(letter)
    assert text.startswith("It is on its way.\n\nANN\n客户服务\n\nOn ")
    assert text.rstrip().endswith("> Where is my policy?\n> I need it")
    assert post.said(interaction)[-1] == ("agent", "It is on its way.")
    post.answer(letter, "Danke", Reply_To="office@customer.example")
    assert post.reply(interaction)["To"] == "office@customer.example"


def test_references_grow_from_the_oldest_to_the_newest(post: Post) -> None:
    interaction = post.talk(message_id="<1st@x.example>", References="<a@x.example> <b@x.example>")
    (acknowledgement,) = post.carry()
    assert str(acknowledgement["References"]).split() == ["<a@x.example>", "<b@x.example>", "<1st@x.example>"]
    letter = post.reply(interaction)
    assert str(letter["References"]).split() == ["<a@x.example>", "<b@x.example>", "<1st@x.example>"]


@pytest.mark.parametrize(
    "cc",
    [
        ["nobody"],
        ["a@b.example, c@d.example"],
        ["a@b.example\r\nBcc: x@y.example"],
        ["<a@b.example>"],
        ["张@b.example"],
        ["a b@c.example"],
        ["@b.example"],
        ["a@"],
        ["a@b.example", "no"],
        [f"a{n}@b.example" for n in range(21)],
    ],
)
def test_copies_go_to_plain_addresses_only(post: Post, cc: list[str]) -> None:
    interaction = post.talk()
    post.carry()
    with pytest.raises(NotAllowed, match="bad_address"):
        post.desk.reply("ann", interaction, "r", "hello", cc)
    assert not post.letters.outbox and len(post.open(interaction).messages) == 2


@pytest.mark.parametrize(
    ("agent", "text", "code"),
    [
        ("bob", "hello", "not_yours"),
        ("ann", " \n", "empty"),
        ("ann", "", "empty"),
        ("ann", "x" * 20_001, "too_long"),
    ],
)
def test_an_answer_that_is_none_is_refused(post: Post, agent: str, text: str, code: str) -> None:
    interaction = post.talk()
    post.carry()
    with pytest.raises(NotAllowed, match=code):
        post.desk.reply(agent, interaction, "r", text)
    with pytest.raises(NotAllowed, match="not_yours"):
        post.desk.reply("ann", "i9-9", "r", text or "x")
    assert not post.letters.outbox


@pytest.mark.parametrize("moment", ["", "stuck", "next_core"])
def test_the_same_answer_again_is_one_letter(post: Post, moment: str) -> None:
    interaction = post.talk()
    post.carry()
    post.centre.journal.stuck = moment == "stuck"
    places: list[int] = []
    for n in range(3):
        post.desk.reply("ann", interaction, "r1", "once", committed=places.append)
        if moment == "next_core" and n == 0:
            post.centre.settle()
            post.centre.restart()
    assert places == [] or moment != "stuck"
    post.centre.journal.flush()
    post.centre.settle()
    assert places == [3, 3, 3]
    assert [words(letter).partition("\n")[0] for letter in post.carry()] == ["once"]


INJECTED = "=?utf-8?q?a=0d=0aBcc=3a_x=40y.example=0d=0a=0d=0abuy!?="
"""words that a careless writer of headers decodes once more"""


@pytest.mark.parametrize(
    "changed",
    [
        {"subject": "Hi\r\nBcc: all@victim.example"},
        {"subject": "Hi\nX-Evil: 1"},
        {"subject": "Hi\x00\x0b\x0c\x1c\x85\u2028Bcc: x"},
        {"subject": "Re: [#1-1-000000]\r\n\r\nbody"},
        {"subject": INJECTED},
        {"subject": "=?utf-8?b?SGkNCkJjYzogeEB5LmV4YW1wbGU=?="},
        {"subject": "x" * 2_000},
        {"subject": "好" * 300},
        {"subject": ""},
        {"message_id": "id@x.example\r\nBcc: x@y.example"},
        {"message_id": f"{INJECTED}@x.example"},
        {"references": ("a\r\nBcc: x@y.example", INJECTED)},
        {"reply_to": f"{INJECTED.replace('@', '')}@x.example"},
        {"sender_name": f"Z\r\nBcc: x@y.example {INJECTED}"},
    ],
    ids=lambda changed: f"{next(iter(changed))}-{len(repr(changed))}",
)
def test_nothing_that_a_customer_writes_adds_a_header_to_our_letters(
    post: Post, changed: dict[str, Any]
) -> None:
    """Whatever the reader made of it."""
    post.centre.ready("ann")
    name = post.arrive(post.raw())
    mail = Mail(message_id="id@x.example", sender=ZHANG, subject="Hi", text="hello")
    post.desk.settle(name, replace(mail, **changed), None)
    post.centre.settle()
    (interaction,) = post.all_open
    post.accept(interaction)
    letters = post.carry()
    with contextlib.suppress(NotAllowed):
        post.desk.reply("ann", interaction, "r", "Your answer.")
    post.centre.settle()
    letters += post.carry()
    assert len(letters) == 2 or "reply_to" in changed
    for letter in letters:
        assert headers_of_ours(letter), letter.keys()
        assert "buy!" not in words(letter)


def test_a_subject_that_was_encoded_twice_puts_no_word_into_our_mouth(post: Post) -> None:
    """From the bytes that came to the bytes that go."""
    twice = INJECTED.replace("=", "=3D").replace("?", "=3F").replace("_", "=5F")
    raw = post.raw(subject="SUBJECT", Reply_To="victim@elsewhere.example")
    post.came(raw.replace(b"SUBJECT", f"=?utf-8?q?{twice}?=".encode()))
    (letter,) = post.carry()
    assert letter["To"] == "victim@elsewhere.example"
    assert headers_of_ours(letter), letter.keys()
    assert words(letter).startswith("Dear customer,")


def test_no_subject_adds_a_header() -> None:
    post = Post()

    @settings(max_examples=60)
    @given(
        st.lists(
            st.sampled_from(["\r\n", "\n", " ", "=?utf-8?q?", "=0a", "?=", "Bcc:", "x", "好", "[#1-1-"]),
            max_size=9,
        )
    )
    @example(["=?utf-8?q?", "x", "=0a", "Bcc:", "x", "?="])
    def comes(parts: list[str]) -> None:
        sender = f"{post.written}@customer.example"
        name = post.arrive(post.raw())
        post.desk.settle(name, Mail(message_id="1@x.example", sender=sender, subject="".join(parts)), None)
        post.centre.settle()
        (letter,) = post.carry()
        assert headers_of_ours(letter), letter.keys()

    comes()


def test_a_long_id_of_the_customer_is_named_as_it_is(post: Post) -> None:
    """Exchange makes them longer than a line."""
    name = f"<{'DB7PR03MB4201' * 8}@{'eurprd03.' * 5}prod.outlook.example>"
    post.write(message_id=name)
    post.carry()
    head = post.sent[-1].partition(b"\r\n\r\n")[0]
    assert head.count(name.encode()) == 2


def test_an_enclosed_file_alone_is_an_answer(post: Post) -> None:
    interaction = post.talk()
    post.carry()
    person = post.centre.written.person(post.open(interaction))
    kept = Kept(post.centre.written.files.keep(person, b"%PDF-1.4"), "保单.pdf", "application/pdf", 8)
    letter = post.reply(interaction, "", files=[kept])
    (file,) = letter.iter_attachments()
    assert (file.get_filename(), file.get_content()) == ("保单.pdf", b"%PDF-1.4")


@pytest.mark.parametrize("to", ["", "nobody", "a@b.example\r\nBcc: c@d.example", "a@b.example,c@d.example"])
def test_a_letter_of_ours_goes_to_one_address(post: Post, to: str) -> None:
    with pytest.raises(NotAllowed, match="bad_address"):
        post.desk.write(to, "code", "zh", code="1")
    assert not post.letters.outbox


# --- the post room -----------------------------------------------------------------------------------


@dataclass
class Carrier:
    """The mail channel's port: reads for real but what upsets it, and takes every letter."""

    upset_by: bytes = b"\0"
    reads: int = 0

    async def read(self, raw: bytes, envelope: Envelope) -> Mail:
        self.reads += 1
        if self.upset_by in raw:
            raise ValueError("reader_ended")
        return read(raw, envelope, OWN_MAIL, DOMAIN)

    async def send(self, _letter: OutLetter) -> Result:
        return Result(SENT)


class _Jump(selectors.DefaultSelector):
    """Does not wait: time jumps to what is due."""

    def __init__(self) -> None:
        super().__init__()
        self.jumped = 0.0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found and timeout:
            self.jumped += timeout
        return found


def in_virtual_time(work: Coroutine[Any, Any, None]) -> None:
    """A loop on which a second of waiting takes none."""
    selector = _Jump()
    loop = asyncio.SelectorEventLoop(selector)
    began = loop.time()
    loop.time = lambda: began + selector.jumped  # type: ignore[method-assign]
    try:
        loop.run_until_complete(work)
    finally:
        loop.close()


def room_of(post: Post, carrier: Carrier, lookup: Any = None, readers: int = 1) -> PostRoom:
    async def nobody(_address: str) -> None:
        return None

    return PostRoom(post.centre.host, post.desk, post.centre.outbox, carrier, lookup or nobody, readers)


def at_work(post: Post, room: PostRoom, seconds: float = 30) -> None:
    async def day() -> None:
        room.start()
        for _ in range(round(seconds * 4)):
            await asyncio.sleep(0.25)
            post.centre.settle()
        await room.stop()

    in_virtual_time(day())


def test_mail_is_read_settled_and_acknowledged_by_the_post_room(post: Post) -> None:
    post.arrive(post.raw("one"))
    post.arrive(post.raw("two", LI), LI)
    at_work(post, room_of(post, Carrier()))
    assert sorted(text for one in post.all_open for text in post.wrote(one)) == ["one", "two"]
    assert not post.letters.unread and not post.letters.outbox


def test_a_mail_that_the_reader_does_not_survive_is_tried_twice_and_served_as_it_came(post: Post) -> None:
    post.arrive(post.raw("this is poison"))
    carrier = Carrier(b"poison")
    at_work(post, room_of(post, carrier))
    (interaction,) = post.all_open
    assert carrier.reads == 2 and not post.letters.unread
    assert post.desk.last_mail(post.open(interaction))[1]["defects"] == ["unreadable"]


@pytest.mark.parametrize("readers", [1, 2])
def test_a_mail_that_cannot_be_settled_keeps_no_other_waiting(post: Post, readers: int) -> None:
    async def lookup(address: str) -> Known | None:
        if address == ZHANG:
            raise RuntimeError("no such table")
        return None

    for n in range(3):
        post.arrive(post.raw(f"poison {n}"))
    for n in range(3):
        post.arrive(post.raw(f"fine {n}", LI), LI)
    at_work(post, room_of(post, Carrier(), lookup, readers))
    assert sorted(text for one in post.all_open for text in post.wrote(one)) == ["fine 0", "fine 1", "fine 2"]
    assert len(post.letters.unread) == 3, "it is not lost either"
